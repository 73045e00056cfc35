"""Run in a project: eight processes migrate one database at once, again and again.

    python migrators.py URL URL ...

Even rounds begin with a fresh database, odd ones with revisions pending. Prints `once` if every
process ended well, and every revision was applied exactly once each time.
"""

import multiprocessing
import sys
import traceback
from multiprocessing.synchronize import Barrier

import flask_migrate
from schema_guard.admin.database import create_database
from sqlalchemy import make_url, text

from app import create_app
from app.extensions import db

PROCESSES = 8
SETTINGS = {"SECRET_KEY": "x" * 32, "MIGRATION_WAIT": 60}


def migrate(url: str, revision: str, barrier: Barrier | None = None) -> None:
    app = create_app({**SETTINGS, "SQLALCHEMY_DATABASE_URI": url})
    with app.app_context():
        if barrier is not None:
            barrier.wait()
        try:
            flask_migrate.upgrade(revision=revision)
        except Exception:
            traceback.print_exc()
            sys.exit(1)


def race(url: str, number: int) -> None:
    create_database(make_url(url))
    if number % 2:
        migrate(url, "0001")
    fork = multiprocessing.get_context("fork")
    barrier = fork.Barrier(PROCESSES)
    racers = [fork.Process(target=migrate, args=(url, "head", barrier)) for _ in range(PROCESSES)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(120)
    assert [racer.exitcode for racer in racers] == [0] * PROCESSES
    with create_app({**SETTINGS, "SQLALCHEMY_DATABASE_URI": url}).app_context():
        applied = db.session.execute(text("SELECT revision FROM applied ORDER BY revision")).all()
        assert [row[0] for row in applied] == ["0002", "0003", "0004"], applied
        db.session.remove()
        db.engine.dispose()


if __name__ == "__main__":
    for number, url in enumerate(sys.argv[1:]):
        race(url, number)
    print("once")

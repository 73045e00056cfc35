"""Migrate a database again and again, and be killed at it; run in a baked project.

    python kills.py ROUNDS

DATABASE_URL names a database at revision 0002, with rows. In every round a process upgrades to head
or downgrades to 0002 and is killed with SIGKILL: before and after each statement that changes something,
then ROUNDS times at random. After each kill one plain run has to end as it would have without.
Prints how many were killed, and at how many statements, as JSON.
"""

import json
import os
import random
import re
import signal
import sys
import time
import traceback

import flask_migrate
from sqlalchemy import MetaData, event, select
from wsgi import app

from app.extensions import db

# Never in the way of the comparison: what is recorded, and how often.
RECORD = "schema_history"
# Before and after these it is as it is after the statement before them.
READING = re.compile(r"\s*(PRAGMA|SELECT|SET|SHOW)\b", re.IGNORECASE)


def migrate(direction: str, kill_at: int | None = None) -> None:
    """Upgrade to head or downgrade to 0002; be killed before or after a statement."""
    with app.app_context():
        calls = iter(range(10**6))

        def count(_connection: object, *of: object) -> None:
            if of and READING.match(str(of[1])):
                return
            if next(calls) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

        # After a statement is before the next one, or before a commit.
        for name in ("before_cursor_execute", "commit"):
            event.listen(db.engine, name, count)
        if direction == "upgrade":
            flask_migrate.upgrade()
        else:
            flask_migrate.downgrade(revision="0002")
        db.engine.dispose()


def run(direction: str, kill_at: int | None = None, seconds: float | None = None) -> bool:
    """Migrate in a process of its own; return whether it was killed."""
    process = os.fork()
    if process == 0:
        status = 1
        try:
            migrate(direction, kill_at)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    if os.WIFSIGNALED(status):
        return True
    if os.WEXITSTATUS(status) != 0:
        sys.exit(f"{direction}, killed at {kill_at}: it failed")
    return False


def state() -> str:
    """Return all that the database holds, but for the record."""
    found = {}
    with app.app_context():
        with db.engine.connect() as connection:
            metadata = MetaData()
            metadata.reflect(connection)
            for table in metadata.sorted_tables:
                if table.name == RECORD:
                    continue
                rows = connection.execute(select(table).order_by(*table.primary_key.columns)).all()
                found[table.name] = [
                    [f"{column.name} {column.nullable}" for column in table.columns],
                    sorted(str(index.name) for index in table.indexes),
                    [str(tuple(row)) for row in rows],
                ]
        db.engine.dispose()
    return json.dumps(found, sort_keys=True, indent=0)


def rounds(at_random: int) -> tuple[int, dict[str, int]]:
    """Kill and complete; return how often, and the number of places there are."""
    chance = random.Random(4)
    took: dict[str, float] = {}
    ends: dict[str, str] = {}
    places: dict[str, int] = {}
    killed = 0
    ways = ("upgrade", "downgrade")
    for way in ways:
        started = time.monotonic()
        run(way)
        took[way], ends[way] = time.monotonic() - started, state()

    def complete(way: str, what: str) -> None:
        run(way)
        end = state()
        if end != ends[way]:
            sys.exit(f"{way}, {what}, ended as\n{end}\ninstead of\n{ends[way]}")

    at = 0
    while len(places) < len(ways):
        for way in ways:
            if run(way, kill_at=at):
                killed += 1
            else:
                places.setdefault(way, at)
            complete(way, f"killed at {at}")
        at += 1
    for number in range(at_random):
        for way in ways:
            killed += run(way, seconds=chance.uniform(0, took[way]))
            complete(way, f"round {number} at random")
    return killed, places


def main() -> None:
    """Run the rounds; the first that ends otherwise fails."""
    killed, places = rounds(int(sys.argv[1]))
    print(json.dumps({"killed": killed, "boundaries": places}))


if __name__ == "__main__":
    main()

"""SQLite under load and under migrations: nothing locked, nothing lost."""

import re
import sqlite3
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from processes import serve
from projects import Project

COUNTER = """
from sqlalchemy import select
from wsgi import app

from app.extensions import db
from app.models import Role


@app.post("/count")
def count():
    role = db.session.scalars(select(Role).where(Role.name == "counter")).one()
    role.description = str(int(role.description) + 1)
    db.session.commit()
    return {}
"""

REBUILD = """
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.create_table(
        "badges",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("role_id", sa.Integer(), sa.ForeignKey("roles.id", ondelete="CASCADE")),
    )
    op.execute("INSERT INTO badges (role_id) SELECT id FROM roles")
    with op.batch_alter_table("roles") as batch_op:
        batch_op.alter_column("description", type_=sa.Text())


def downgrade():
    with op.batch_alter_table("roles") as batch_op:
        batch_op.alter_column("description", type_=sa.String(255))
    op.drop_table("badges")
"""


@pytest.fixture
def database(own_project: Project) -> Iterator[Path]:
    """Give the project a database of its own, with rows."""
    path = own_project.path / "instance" / "busy.db"
    for command in (["db", "prepare"], ["seed"]):
        outcome = own_project.flask(*command, DATABASE_URL=url_of(path))
        assert outcome.status == 0, outcome.output
    yield path
    for file in path.parent.glob("busy.db*"):
        file.unlink()


def url_of(path: Path) -> str:
    """Return the URL of a file."""
    return f"sqlite:///{path}"


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    """Return what a query finds, without the application."""
    with sqlite3.connect(path) as connection:
        return connection.execute(sql).fetchall()


def test_requests_that_write_wait_for_one_another(own_project: Project, database: Path) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("INSERT INTO roles (name, description) VALUES ('counter', '0')")
    module = own_project.path / "counter.py"
    module.write_text(COUNTER)
    command = [
        *(str(own_project.tool("python")), "-m", "gunicorn", "--bind", "127.0.0.1:{port}"),
        *("--workers", "4", "counter:app"),
    ]
    variables = {"DATABASE_URL": url_of(database), "SECRET_KEY": "x" * 32, "PYTHONPATH": "."}
    try:
        with serve(own_project, *command, variables=variables) as service:

            def post(_: int) -> int:
                request = urllib.request.Request(f"{service.url}/count", method="POST")
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return int(answer.status)

            with ThreadPoolExecutor(8) as threads:
                assert set(threads.map(post, range(200))) == {200}
    finally:
        module.unlink()

    assert query(database, "SELECT description FROM roles WHERE name = 'counter'") == [("200",)]


def test_a_reader_does_not_wait_for_a_writer(own_project: Project, database: Path) -> None:
    assert query(database, "PRAGMA journal_mode") == [("wal",)]
    with sqlite3.connect(database) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO roles (name, description) VALUES ('slow', '')")
        variables = {"DATABASE_URL": url_of(database)}
        with serve(own_project, variables=variables) as service:
            assert service.get("/readyz").status == 200


BUSY = """
import sqlite3
import sys

from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from wsgi import app

from app.extensions import db

other = sqlite3.connect(sys.argv[1], isolation_level=None)
insert = text("INSERT INTO roles (name, description) VALUES ('Zoë 🎉', '')")
with app.test_request_context(method="POST"), db.engine.connect() as connection:
    other.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(insert)
    except OperationalError as error:
        print(error.orig)
    other.execute("ROLLBACK")
    connection.execute(insert)
    print(connection.connection.driver_connection.in_transaction)
    connection.rollback()
    alone = connection.execution_options(isolation_level="AUTOCOMMIT")
    alone.execute(insert)
"""


def test_a_request_goes_on_with_a_connection_that_found_the_file_locked(
    own_project: Project, database: Path
) -> None:
    variables = {"DATABASE_URL": f"{url_of(database)}?timeout=0.05", "PYTHONPATH": "."}
    python = own_project.tool("python")
    outcome = own_project.run(python, "-c", BUSY, str(database), **variables)
    assert outcome.output == "database is locked\nTrue\n"
    assert query(database, "SELECT count(*) FROM roles WHERE name = 'Zoë 🎉'") == [(1,)]


def test_a_table_is_rebuilt_without_losing_its_children(
    own_project: Project, database: Path
) -> None:
    revision = own_project.path / "migrations" / "versions" / "0002_rebuild.py"
    revision.write_text(REBUILD)
    try:
        for arguments in (["upgrade"], ["downgrade", "0001"], ["upgrade"]):
            outcome = own_project.flask("db", *arguments, DATABASE_URL=url_of(database))
            assert outcome.status == 0, outcome.output
            assert query(database, "SELECT count(*) FROM users WHERE role_id NOT NULL") == [(1,)]
    finally:
        revision.unlink()

    assert query(database, "SELECT count(*) FROM badges") == [(2,)]
    assert query(database, "PRAGMA foreign_key_check") == []


def test_drop_deletes_the_file_and_what_lies_beside_it(
    own_project: Project, database: Path
) -> None:
    # An open connection keeps the files of the write-ahead log.
    with sqlite3.connect(database) as connection:
        connection.execute("INSERT INTO roles (name, description) VALUES ('open', '')")
        connection.commit()
        assert database.with_name("busy.db-wal").exists()
        command = ("--debug", "db", "drop")
        url = url_of(database)
        outcome = own_project.flask(*command, stdin="busy.db\n", DATABASE_URL=url)

    assert outcome.status == 0, outcome.output
    assert re.search(r"busy\.db: dropped", outcome.output)
    assert not list(database.parent.glob("busy.db*"))

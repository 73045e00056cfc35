"""A migration waits for the locks of tables for a bounded time; requests get through."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import servers
from processes import read_until, revisions, serve, start
from projects import Project, prepared
from servers import Server
from sqlalchemy import Connection, create_engine, make_url

# Changes a table that is in use, after a table that MySQL will have committed by then.
CHANGE = """
    op.create_table("fresh", sa.Column("id", sa.Integer()))
    op.execute("INSERT INTO roles (name, description) VALUES ('fresh', '')")
    with op.batch_alter_table("users") as batch_op:
        batch_op.add_column(sa.Column("phone", sa.String(20)))
"""


@contextmanager
def in_use(url: str) -> Iterator[Connection]:
    """Hold a transaction open that has read the table of users; on SQLite, that writes."""
    engine = create_engine(url, connect_args=servers.password_of(make_url(url)))
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        connection.exec_driver_sql("SELECT count(*) FROM users")
        yield connection
        connection.rollback()
    engine.dispose()


@pytest.fixture
def url(any_project: Project, server: Server | None, request: pytest.FixtureRequest) -> str:
    """Return a database with rows, one for each test."""
    name = re.sub(r"\W.*", "", request.node.name)[-30:]
    return prepared(any_project, server, name, seeded=True)


def test_it_gives_up_says_who_is_in_its_way_and_changes_nothing(
    any_project: Project, url: str, dbms: str
) -> None:
    with revisions(any_project, {"0002": CHANGE}), in_use(url):
        outcome = any_project.flask("db", "upgrade", DATABASE_URL=url, MIGRATION_LOCK_TIMEOUT="0.5")

    assert outcome.status == 1
    assert "Traceback" not in outcome.output
    assert outcome.output.count("Waiting: no lock within 0.5 s") == 3, outcome.output
    who = {"sqlite": "another process", "postgresql": r"process \d+ \(", "mariadb": "connection"}
    assert re.search(f"Blocked by: {who[dbms]}", outcome.output), outcome.output
    assert "End what blocks it" in outcome.output
    assert "The database is at 0001" in outcome.output
    query = "SELECT count(*) FROM roles WHERE name = 'fresh'"
    kept = any_project.query(query, DATABASE_URL=url)
    # MySQL and MariaDB commit what came before a statement that changes the schema.
    assert kept == ("[(1,)]" if dbms == "mariadb" else "[(0,)]")
    if dbms == "mariadb":
        assert "INSERT INTO roles" in outcome.output
        assert "CREATE TABLE fresh" in outcome.output


def test_it_tries_again_until_the_way_is_free(any_project: Project, url: str) -> None:
    with revisions(any_project, {"0002": CHANGE}):
        with in_use(url):
            variables = {"DATABASE_URL": url, "MIGRATION_LOCK_TIMEOUT": "1"}
            process = start(any_project, "db", "upgrade", **variables)
            read_until(process, "Blocked by")
        output, _ = process.communicate(timeout=60)

        assert process.returncode == 0, output
        phones = any_project.query("SELECT username, phone FROM users", DATABASE_URL=url)
        fresh = any_project.query(
            "SELECT count(*) FROM roles WHERE name = 'fresh'", DATABASE_URL=url
        )
    assert (phones, fresh) == ("[('admin', None)]", "[(1,)]")


READING = """
from sqlalchemy import text
from wsgi import app

from app.extensions import db


@app.get("/users")
def users():
    return {"users": db.session.scalar(text("SELECT count(*) FROM users"))}
"""


@pytest.mark.parametrize("dbms", ["postgresql", "mariadb"])
def test_requests_do_not_queue_behind_it(any_project: Project, url: str) -> None:
    # A request that waits for longer than this is ended by the server, and answers 500.
    variables = {"DATABASE_URL": url, "STATEMENT_TIMEOUT": "4", "PYTHONPATH": "."}
    variables |= {"SECRET_KEY": "x" * 32}
    module = any_project.path / "reading.py"
    module.write_text(READING)
    command = [str(any_project.tool("python")), "-m", "gunicorn", "--workers", "2"]
    command += ["--bind", "127.0.0.1:{port}", "reading:app"]
    try:
        with (
            revisions(any_project, {"0002": CHANGE}),
            serve(any_project, *command, variables=variables) as service,
            in_use(url),
        ):
            migration = {"DATABASE_URL": url, "MIGRATION_LOCK_TIMEOUT": "1"}
            process = start(any_project, "db", "upgrade", **migration)
            answers = []
            while process.poll() is None:
                answers.append(service.get("/users").status)
            output, _ = process.communicate()
    finally:
        module.unlink()

    assert process.returncode == 1, output
    assert "Blocked by" in output
    assert set(answers) == {200}


def test_a_setting_that_is_no_number_is_one_line(any_project: Project, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/never.db"
    outcome = any_project.flask("db", "upgrade", DATABASE_URL=url, MIGRATION_LOCK_TIMEOUT="soon")

    assert outcome.status != 0
    assert "MIGRATION_LOCK_TIMEOUT is 'soon'" in outcome.output


BUILT = """
    with op.get_context().autocommit_block():
        op.create_index("ix_email", "users", ["email"], postgresql_concurrently=True)
    assert op.get_bind().exec_driver_sql("SHOW lock_timeout").scalar() == "500ms"
"""
WAITED = """
    SELECT pid FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%'
    AND wait_event_type = 'Lock' AND clock_timestamp() - query_start > interval '1.5 s'
"""


def test_what_nobody_waits_behind_may_wait_for_longer(
    any_project: Project, postgresql: Server
) -> None:
    url = prepared(any_project, postgresql, "patient", seeded=True)
    with revisions(any_project, {"0002": BUILT}):
        with in_use(url) as connection:
            connection.exec_driver_sql("UPDATE users SET username = 'busy'")
            variables = {"DATABASE_URL": url, "MIGRATION_LOCK_TIMEOUT": "0.5"}
            process = start(any_project, "db", "upgrade", **variables)
            servers.wait_until(lambda: process.poll() is not None or bool(postgresql.query(WAITED)))
            assert process.poll() is None, process.communicate()[0]
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert "Waiting" not in output

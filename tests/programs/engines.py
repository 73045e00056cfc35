"""What the guards promise with any engine of SQLite; run where schema_guard can be imported.

    python engines.py MIGRATIONS FOLDER

An application that has no app/engine.py hands its engines to Alembic. With each of them a revision
that fails at its second operation, or is killed there, leaves nothing; the next run does all of it,
and no child of a rebuilt table is lost. Afterwards the driver's connection is as it was. Prints how
many engines there were.
"""

import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flask_migrate
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from schema_guard import SchemaGuard
from schema_guard.core.errors import GuardError
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.pool import NullPool, StaticPool

REVISIONS = {
    "0001": """
    op.create_table("parents", sa.Column("id", sa.Integer(), primary_key=True))
    parent = sa.ForeignKey("parents.id", ondelete="CASCADE")
    op.create_table("children", sa.Column("parent_id", sa.Integer(), parent))
    op.execute("INSERT INTO parents VALUES (1), (2)")
    op.execute("INSERT INTO children VALUES (1), (1), (NULL)")
""",
    "0002": """
    op.create_table("kept", sa.Column("id", sa.Integer()))
    op.execute("INSERT INTO kept VALUES (1)")
    with op.batch_alter_table("parents", recreate="always") as batch_op:
        batch_op.add_column(sa.Column("name", sa.String()))
    with op.get_context().autocommit_block():
        pass
    op.execute("UPDATE parents SET name = 'zoë'")
""",
    "0003": """
    import os, signal
    op.create_table("last", sa.Column("id", sa.Integer()))
    if outcome := os.environ.get("OUTCOME"):
        os.kill(os.getpid(), signal.SIGKILL) if outcome == "killed" else op.execute("nonsense")
    with op.batch_alter_table("parents", recreate="always") as batch_op:
        batch_op.add_column(sa.Column("age", sa.Integer()))
""",
}
BODY = """
import sqlalchemy as sa
from alembic import op

revision = "{0}"
down_revision = {1}


def upgrade():
    {2}
"""
NEWER = sys.version_info >= (3, 12)


def with_listeners(url: str) -> Engine:
    """Return an engine that begins transactions by the recipe in SQLAlchemy's documentation."""
    engine = create_engine(url)

    @event.listens_for(engine, "connect")
    def connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def with_foreign_keys(engine: Engine) -> Engine:
    """Have an engine check foreign keys, as an application does."""

    @event.listens_for(engine, "connect")
    def connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA busy_timeout = 1234")

    return engine


def made(**options: Any) -> Callable[[str], Engine]:
    """Return what makes an engine with some options."""
    return lambda url: with_foreign_keys(create_engine(url, **options))


ENGINES: dict[str, Callable[[str], Engine]] = {
    "plain": made(),
    "listeners": with_listeners,
    "tried before use": made(pool_pre_ping=True),
    "no pool": made(poolclass=NullPool),
    "one connection": made(poolclass=StaticPool),
    "in memory": lambda _: made(poolclass=StaticPool)("sqlite://"),
    "autocommit": made(isolation_level="AUTOCOMMIT"),
    "option autocommit": made(execution_options={"isolation_level": "AUTOCOMMIT"}),
    "autocommit, rollback left out": made(
        isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True
    ),
    "driver autocommit": made(connect_args={"isolation_level": None}),
    "driver immediate": made(connect_args={"isolation_level": "IMMEDIATE"}),
}
if NEWER:
    ENGINES["driver commits"] = made(connect_args={"autocommit": True})
    ENGINES["driver begins"] = made(connect_args={"autocommit": False})


def application(migrations: Path, engines: list[Engine]) -> Flask:
    """Return an application that hands an engine to Alembic."""
    app = Flask("own")
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    app.config["MIGRATION_BACKUPS"] = 0
    migrate = SchemaGuard(directory=str(migrations))

    @migrate.configure
    def configure(config: Any) -> Any:
        config.attributes["connection"] = engines[0]
        return config

    migrate.init_app(app, SQLAlchemy(app))
    return app


def write_revisions(migrations: Path) -> None:
    before = None
    for revision, body in REVISIONS.items():
        text = BODY.format(revision, repr(before), body.strip())
        (migrations / "versions" / f"{revision}_test.py").write_text(text, encoding="utf-8")
        before = revision


def state(engine: Engine) -> dict[str, Any]:
    """Return how the driver's connection is set."""
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        pragmas = ("foreign_keys", "busy_timeout")
        found = {name: driver.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas}
        if NEWER:
            found["autocommit"] = driver.autocommit
        return found | {"isolation_level": driver.isolation_level}


def rows(engine: Engine, query: str) -> list[Any]:
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.exec_driver_sql(query)]
        connection.rollback()
        return found


def check(engine: Engine) -> None:
    """Run the revisions: one that fails, one that is killed, then to the end."""
    before = state(engine)
    flask_migrate.upgrade(revision="0002")
    assert state(engine) == before, (state(engine), before)
    tables = "SELECT name FROM sqlite_master WHERE name = 'last'"
    os.environ["OUTCOME"] = "fails"
    try:
        flask_migrate.upgrade()
    except GuardError as error:
        assert "The database is at 0002. Nothing of this revision was committed." in error.message
    else:
        raise AssertionError("it did not fail")
    assert rows(engine, tables) == []
    if engine.url.database:  # not in memory
        os.environ["OUTCOME"] = "killed"
        engine.dispose()  # what is open must not be used in two processes
        process = os.fork()
        if process == 0:
            flask_migrate.upgrade()
            os._exit(0)
        assert os.WTERMSIG(os.waitpid(process, 0)[1]) == signal.SIGKILL
        assert rows(engine, tables) == []
    del os.environ["OUTCOME"]
    flask_migrate.upgrade()
    assert rows(engine, "SELECT id, name, age FROM parents") == [(1, "zoë", None), (2, "zoë", None)]
    assert rows(engine, "SELECT parent_id FROM children") == [(1,), (1,), (None,)]
    assert state(engine) == before, (state(engine), before)


if __name__ == "__main__":
    original, folder = Path(sys.argv[1]), Path(sys.argv[2])
    migrations = folder / "migrations"
    shutil.copytree(original, migrations, ignore=shutil.ignore_patterns("0*.py"))
    write_revisions(migrations)
    engines: list[Engine] = []
    with application(migrations, engines).app_context():
        for number, (name, make) in enumerate(ENGINES.items()):
            engines[:] = [make(f"sqlite:///{folder}/{number}.db")]
            try:
                check(engines[0])
            except BaseException as error:
                error.add_note(f"with {name}")
                raise
            engines[0].dispose()
    print(len(ENGINES))

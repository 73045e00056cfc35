"""The connection that migrations run on.

Promise: one migrator at a time; no limit that protects requests ends a migration half-way; on
SQLite no child row is deleted or orphaned by the rebuilding of its parent's table.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from alembic.util import CommandError
from flask import current_app
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from schema_guard.dialects.base import backend, check_server
from schema_guard.dialects.connection_errors import connection_failed
from schema_guard.runner.interrupts import cancellable
from schema_guard.runner.lock import migration_lock
from schema_guard.runner.lock_timeout import limit_waits

LIFT_LIMITS = {
    "postgresql": "SET statement_timeout = 0",
    # What is within the first comment only MariaDB reads, within the second only MySQL.
    "mysql": "SET /*M! max_statement_time = 0 */ /*!50708 max_execution_time = 0 */",
}

# The connection of a command that holds the lock and now has Alembic run on it.
_locked: ContextVar[Connection | None] = ContextVar("locked", default=None)


@contextmanager
def migration_connection(engine: Engine, *, locked: bool) -> Iterator[Connection]:
    """Give a connection for migrations.

    Args:
        engine: the application's, or a test's.
        locked: whether to hold the migration lock, as everything does that changes the schema.

    Raises:
        GuardError: the server cannot be reached, or is older than what the migrations are tested
            on; or another migration has the lock for too long; or a statement fails.
    """
    outer = _locked.get()
    if outer is not None and outer.engine.url == engine.url:
        outer.rollback()  # or Alembic would take its transaction for somebody else's
        yield outer
        return
    try:
        with (
            engine.connect() as connection,
            cancellable(connection),
            _without_limits(connection),
        ):
            if not locked:
                yield connection
                return
            with migration_lock(connection, current_app.config.get("MIGRATION_WAIT", 60)):
                limit_waits(connection)
                token = _locked.set(connection)
                try:
                    yield connection
                finally:
                    _locked.reset(token)
    except SQLAlchemyError as error:
        raise connection_failed(engine.url, error) from error


def changes_schema(context: Any) -> bool:
    """Return whether Alembic was called to upgrade, downgrade or stamp, and not just to look.

    Args:
        context: `alembic.context`, as env.py has it.
    """
    try:
        context.get_revision_argument()
    except KeyError:
        return False
    except CommandError:  # there is one, and Alembic will say that it does not exist
        return True
    return True


@contextmanager
def _without_limits(connection: Connection) -> Iterator[None]:
    check_server(connection)
    if connection.dialect.name == "sqlite":
        with _without_foreign_keys(connection):
            yield
        return
    try:
        if limit := LIFT_LIMITS.get(backend(connection.dialect)):
            connection.exec_driver_sql(limit)
            connection.commit()
        yield
    finally:
        connection.invalidate()  # what was set here reaches no request through the pool


@contextmanager
def _without_foreign_keys(connection: Connection) -> Iterator[None]:
    # Batch mode drops the old table, and its children would be deleted with it. Within a
    # transaction the PRAGMA does nothing: it goes past SQLAlchemy, which would begin one.
    connection.rollback()
    names = ("foreign_keys", "busy_timeout")
    before = {name: _pragma(connection, name) for name in names}
    _pragma(connection, "foreign_keys = OFF")
    try:
        yield
    finally:
        connection.rollback()
        for name, value in before.items():
            _pragma(connection, f"{name} = {value}")


def _pragma(connection: Connection, words: str) -> Any:
    """Run a PRAGMA, on another connection where the one at hand was lost; return its value."""
    cursor = connection.connection.cursor()
    row = cursor.execute(f"PRAGMA {words}").fetchone()
    cursor.close()
    return row[0] if row else None

"""A connection to a server, without the time-outs that would end a migration.

Promise: neither a long statement nor long Python work between two statements is ended by a limit
that protects requests, wherever it is set: for the server, database or role, or in DATABASE_URL.
A variable that a version of a server does not know is left out. What bounds a wait for a lock
stays: see runner/lock_timeout.py.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, bindparam, event, text
from sqlalchemy.exc import DBAPIError

from schema_guard.dialects.base import backend

# MySQL and MariaDB know no "never" for these. The most that is taken on every platform: 24 days.
LONGEST = 2_147_483
LIMITS = {
    "postgresql": {
        "statement_timeout": 0,
        "transaction_timeout": 0,
        "idle_in_transaction_session_timeout": 0,
        "idle_session_timeout": 0,
    },
    "mysql": {
        "max_statement_time": 0,  # MariaDB
        "max_execution_time": 0,  # MySQL
        "idle_transaction_timeout": 0,
        "idle_readonly_transaction_timeout": 0,
        "idle_write_transaction_timeout": 0,
        "wait_timeout": LONGEST,
        # While rows are sent, or read one after the other.
        "net_read_timeout": LONGEST,
        "net_write_timeout": LONGEST,
    },
}
LIFT_POSTGRESQL = text(
    "SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN :names"
).bindparams(bindparam("names", expanding=True))
# What drivers are told in a URL: how long they wait for an answer of the server.
DRIVER_TIMEOUTS = {
    "postgresql": ("timeout",),  # pg8000; libpq's drivers know none
    "mysql": ("read_timeout", "write_timeout"),
}

# Under this name a connection's record keeps what it was opened with: MySQL's drivers do not report
# all of it, and the programs that dump need it.
OPENED_WITH = "schema_guard.opened_with"

# Of the engine whose next connection is to migrate.
_migrates: ContextVar[Dialect | None] = ContextVar("migrates", default=None)


@contextmanager
def server_connection(engine: Engine) -> Iterator[Connection]:
    """Give a connection to a server that is not of the pool, and closed at the end.

    It has no limits, and counts before a drop what others have committed.

    Raises:
        DBAPIError: the server cannot be reached.
    """
    token = _migrates.set(engine.dialect)
    try:
        pooled = engine.pool.recreate().connect()
    except engine.dialect.loaded_dbapi.Error as error:
        base = engine.dialect.loaded_dbapi.Error
        raise DBAPIError.instance(None, None, error, base, dialect=engine.dialect) from error
    finally:
        _migrates.reset(token)
    with Connection(engine, connection=pooled) as connection:
        try:
            if threading.active_count() > 1:
                # SQLAlchemy asks a server for its version and the like but once, on the first
                # connection of an engine. Only who connects by the same pool waits for that.
                connection.dialect.initialize(connection)
                connection.rollback()
            lift_limits(connection)
            connection.execution_options(isolation_level="READ COMMITTED")
            yield connection
        finally:
            connection.invalidate()  # a connection of the pool too, should this one get lost


def lift_limits(connection: Connection) -> None:
    """Lift every limit of a session that its server knows, and commit."""
    kind = backend(connection.dialect)
    limits = LIMITS.get(kind, {})
    if kind == "postgresql":
        connection.execute(LIFT_POSTGRESQL, {"names": list(limits)})
    elif kind == "mysql":
        names = ", ".join(f"'{name}'" for name in limits)
        known = connection.exec_driver_sql(f"SHOW VARIABLES WHERE variable_name IN ({names})")
        assignments = ", ".join(f"SESSION {name} = {limits[name]}" for name in known.scalars())
        connection.exec_driver_sql(f"SET {assignments}")
    connection.commit()


@event.listens_for(Engine, "do_connect", insert=True)
def _without_driver_timeouts(
    dialect: Dialect, record: Any, _arguments: list[Any], parameters: dict[str, Any]
) -> None:
    """Have a driver wait for a migration's statements; before a listener that connects itself."""
    if dialect is _migrates.get():
        record.info[OPENED_WITH] = parameters
        for name in DRIVER_TIMEOUTS.get(backend(dialect), ()):
            parameters.pop(name, None)

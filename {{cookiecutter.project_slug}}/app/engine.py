"""How connections are made, so that the three DBMSs behave alike.

What a URL says wins over the defaults here. The listeners hold for every engine of the
process: the application's, those of the migrations, and those of the tests.
"""

import os
import sqlite3
from typing import Any

from flask import has_request_context, request
from sqlalchemy import URL, Connection, Dialect, Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from app.config import PYPROJECT

# Seconds. How long a server may take to accept a connection, and how long SQLite waits
# for another process that writes: a request should fail while somebody still waits for it.
CONNECT_TIMEOUT = 10
BUSY_TIMEOUT = 5
# Seconds. Firewalls and servers end idle connections, some after an hour; one that is
# replaced before never meets that.
POOL_RECYCLE = 1800

LIBPQ = {
    "connect_timeout": CONNECT_TIMEOUT,
    # Who it is that holds a lock, in pg_stat_activity.
    "fallback_application_name": PYPROJECT["project"]["name"],
}
# MySQL's `utf8` holds no emoji.
MYSQL = {"connect_timeout": CONNECT_TIMEOUT, "charset": "utf8mb4"}
# What a driver is given unless the URL says otherwise.
DEFAULTS: dict[str, dict[str, Any]] = {
    "pysqlite": {"timeout": BUSY_TIMEOUT},
    "psycopg": LIBPQ,
    "psycopg2": LIBPQ,
    "pymysql": MYSQL,
    "mysqldb": MYSQL,
}

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}

# What every new connection to a server begins with.
SESSION = {
    # Times are shown in UTC, whatever the server's zone.
    "postgresql": ["SET timezone = 'UTC'"],
    "mysql": [
        # The same for NOW(). And what does not fit is an error: a server that is not strict
        # cuts text short and makes an invalid date 0000-00-00.
        "SET time_zone = '+00:00', sql_mode = CONCAT(@@sql_mode, ',TRADITIONAL')",
        # PostgreSQL's default: a transaction sees what others have committed, and locks
        # the rows that it changes, not the gaps between them.
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    ],
}


def engine_options(url: URL) -> dict[str, Any]:
    """Return what SQLALCHEMY_ENGINE_OPTIONS holds for a database."""
    if url.get_backend_name() == "sqlite":
        return {}
    # A connection is tried before it is used: after a restart of the server no request fails.
    return {"pool_pre_ping": True, "pool_recycle": POOL_RECYCLE}


def limit_statements(engine: Engine, seconds: float) -> None:
    """Have the server stop statements that run too long.

    Args:
        engine: the application's; migrations lift the limit,
            see schema_guard/dialects/server_connection.py.
        seconds: 0 for no limit. SQLite knows none, MySQL limits SELECT only.
    """
    milliseconds = round(seconds * 1000)
    limits = {
        "postgresql": f"SET statement_timeout = {milliseconds}",
        # What is within the first comment only MariaDB reads, within the second only MySQL.
        "mysql": f"SET /*M! max_statement_time = {seconds} */"
        f" /*!50708 max_execution_time = {milliseconds} */",
    }
    if limit := limits.get(engine.dialect.name.replace("mariadb", "mysql")):

        @event.listens_for(engine, "connect")
        def _limit(connection: DBAPIConnection, _record: object) -> None:
            execute(connection, limit)


def execute(connection: DBAPIConnection, *statements: str) -> None:
    """Run statements on a driver's connection, each committed."""
    cursor = connection.cursor()
    for statement in statements:
        cursor.execute(statement)
    cursor.close()
    connection.commit()


@event.listens_for(Engine, "do_connect")
def _connect(
    dialect: Dialect, _record: object, arguments: list[Any], parameters: dict[str, Any]
) -> DBAPIConnection:
    """Open a connection, with the defaults above."""
    for name, value in DEFAULTS.get(dialect.driver, {}).items():
        parameters.setdefault(name, value)
    if dialect.driver == "pymysql" and isinstance(parameters.get("password"), str):
        # PyMySQL would send it as Latin-1; the server keeps passwords as UTF-8.
        parameters["password"] = parameters["password"].encode()
    try:
        connection = dialect.connect(*arguments, **parameters)
    except (AttributeError, TypeError, ValueError) as error:  # for an option that it does not know
        # As an error of the driver it is one for those who handle a database that is not there.
        raise dialect.loaded_dbapi.ProgrammingError(f"the driver says: {error}") from error
    if isinstance(connection, sqlite3.Connection):
        _begin_sqlite_session(connection)
    else:
        execute(connection, *SESSION.get(dialect.name.replace("mariadb", "mysql"), []))
    return connection


def _begin_sqlite_session(connection: sqlite3.Connection) -> None:
    # sqlite3 begins a transaction only before an INSERT, UPDATE or DELETE: DDL would be
    # committed as it goes, and a failing migration would stay half done.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")


@event.listens_for(Engine, "begin")
def _choose_begin(connection: Connection) -> None:
    """Leave word for `_begin` of how a transaction of SQLite begins.

    SQLAlchemy calls that next, and handles its errors: after a listener that fails the connection
    would be beginning for ever, and send statements outside of any transaction.
    """
    if connection.dialect.driver != "pysqlite":
        return
    connection.dialect.do_begin = _begin  # type: ignore[method-assign]
    # A transaction that reads before it writes cannot wait for another one that
    # writes: SQLite fails it at once. A request that may write waits at its beginning.
    writes = has_request_context() and request.method not in SAFE_METHODS
    alone = connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
    begin = "BEGIN IMMEDIATE" if writes else "BEGIN"
    connection.info["begin"] = None if alone else begin


def _begin(dbapi_connection: PoolProxiedConnection) -> None:
    """Begin a transaction of SQLite, unless somebody has: the guards of migrations do."""
    sqlite: Any = dbapi_connection.driver_connection
    begin = dbapi_connection.info.pop("begin", None)
    if begin and not sqlite.in_transaction:
        sqlite.execute(begin)


# A process that is forked (`gunicorn --preload`) shares its parent's sockets, and would mix
# its queries with theirs. It leaves those connections alone and opens its own.


@event.listens_for(Engine, "connect")
def _remember_process(_connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
    record.info["process"] = os.getpid()


@event.listens_for(Engine, "checkout")
def _stay_in_process(
    _connection: DBAPIConnection, record: ConnectionPoolEntry, proxy: PoolProxiedConnection
) -> None:
    if record.info["process"] != os.getpid():
        record.dbapi_connection = proxy.dbapi_connection = None  # type: ignore[misc]
        raise DisconnectionError("the connection belongs to the parent process")

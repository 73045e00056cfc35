"""SQLite as migrations need it, whatever engine the application has.

Promise: what changes the schema is in a transaction like anything else, so that a revision that
fails or is killed leaves nothing behind; and no child row is deleted or orphaned by the rebuilding
of its parent's table. Afterwards the connection is as it was.

How: Python's sqlite3 begins a transaction only before an INSERT, UPDATE or DELETE. Here each one
begins with BEGIN, as soon as SQLAlchemy begins one. Foreign keys are switched off before: batch
mode drops the old table, and its children would be deleted with it.
"""

import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sqlalchemy import URL, Connection, Engine, inspect
from sqlalchemy.exc import DBAPIError

from schema_guard import compat
from schema_guard.core.errors import GuardError
from schema_guard.core.listeners import listening
from schema_guard.core.redaction import shown

# The execution option with which a transaction waits for other writers when it begins: one that
# reads before it writes cannot wait later, SQLite fails it at once.
IMMEDIATE = "begin_immediate"
# Seconds between two tries to begin such a transaction.
PAUSE = 0.02
# What is put back at the end.
PRAGMAS = ("foreign_keys", "busy_timeout")
ATTRIBUTES = ("isolation_level", *(("autocommit",) if sys.version_info >= (3, 12) else ()))


@contextmanager
def sqlite_connection(engine: Engine) -> Iterator[Connection]:
    """Give a connection that begins transactions with BEGIN, its foreign keys off.

    It is of the pool, since a database in memory has no other.

    Raises:
        GuardError: it is in a transaction that somebody else began.
    """
    finished: list[tuple[Any, dict[str, Any]]] = []

    # SQLAlchemy itself sets a connection back, as it thinks that it was, just before.
    def put_back(driver: Any, _record: object) -> None:
        for of, attributes in finished:
            if driver is of:
                for name, value in attributes.items():
                    setattr(driver, name, value)

    with listening((engine, "checkin", put_back)), engine.connect() as connection:
        _refuse_transaction(connection)
        driver: Any = connection.connection.driver_connection
        attributes = {name: getattr(driver, name) for name in ATTRIBUTES}
        try:
            _set_as_by_default(connection)
            with _begins(connection), _pragmas_put_back(connection):
                yield connection
        finally:
            connection.rollback()
            finished.append((driver, attributes))


def _set_as_by_default(connection: Connection) -> None:
    """Have the driver begin nothing but what it is told to, and commit and roll back that."""
    if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
        connection.execution_options(isolation_level="SERIALIZABLE")
    driver: Any = connection.connection.driver_connection
    if sys.version_info >= (3, 12):
        always_in_transaction = driver.autocommit is False
        driver.autocommit = sqlite3.LEGACY_TRANSACTION_CONTROL
        if always_in_transaction:
            driver.rollback()
    driver.isolation_level = ""


def _refuse_transaction(connection: Connection) -> None:
    """Refuse a connection in whose transaction somebody else is: a pool may have but one."""
    driver: Any = connection.connection.driver_connection
    if driver.in_transaction and getattr(driver, "autocommit", None) is not False:
        raise GuardError(
            f"The one connection to {shown(connection.engine.url)} is in a transaction,"
            " in which no migration can run. None was run. Commit it or roll it back first."
        )


@contextmanager
def _begins(connection: Connection) -> Iterator[None]:
    """Have the transactions of a connection begin with BEGIN."""
    with listening((connection.engine, "begin", _begin_of(connection))):
        yield


def _begin_of(connection: Connection) -> Any:
    """Return a listener that begins the transactions of a connection."""

    # On the engine, after the application's listeners: on the connection it would come first.
    def begin(begun: Connection) -> None:
        options = begun.get_execution_options()
        if begun is not connection or options.get("isolation_level") == "AUTOCOMMIT":
            return
        driver: Any = connection.connection.driver_connection
        immediate = bool(options.get(IMMEDIATE))
        word = "BEGIN IMMEDIATE" if immediate else "BEGIN"
        try:
            if driver.in_transaction:  # the application's listener began it; it holds nothing yet
                driver.execute("ROLLBACK")
            driver.execute("PRAGMA foreign_keys = OFF")  # within a transaction it does nothing
            begin_immediate(driver) if immediate else driver.execute(word)
        except BaseException as error:
            compat.begin_failed(begun)
            if not isinstance(error, sqlite3.Error):
                raise
            raise DBAPIError.instance(word, None, error, sqlite3.Error) from error

    return begin


def begin_immediate(driver: sqlite3.Connection) -> None:
    """Begin a transaction that writes, when others let it.

    The wait is in Python, where a signal ends it at once; SQLite's own would go on.
    """
    (limit,) = driver.execute("PRAGMA busy_timeout").fetchone()
    deadline = time.monotonic() + limit / 1000
    driver.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                driver.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() >= deadline:
                    raise
                time.sleep(PAUSE)
            else:
                return
    finally:
        driver.execute(f"PRAGMA busy_timeout = {limit:d}")


@contextmanager
def _pragmas_put_back(connection: Connection) -> Iterator[None]:
    before = {name: pragma(connection, name) for name in PRAGMAS}
    try:
        yield
    finally:
        connection.rollback()  # within a transaction they do nothing
        for name, value in before.items():
            pragma(connection, f"{name} = {value}")


def pragma(connection: Connection, words: str) -> Any:
    """Run a PRAGMA past SQLAlchemy, which would begin a transaction; return its value."""
    cursor = connection.connection.cursor()
    row = cursor.execute(f"PRAGMA {words}").fetchone()
    cursor.close()
    return row[0] if row else None


def main_file(connection: Connection) -> Path | None:
    """Return the file of a connection's database, by its real name; none for one in memory."""
    cursor = connection.connection.cursor()
    files = {name: file for _, name, file in cursor.execute("PRAGMA database_list")}
    cursor.close()
    return Path(files["main"]).resolve() if files["main"] else None


def named_file(url: URL) -> Path | None:
    """Return the file that a URL names, as it is written there; none for one in memory."""
    name = url.database or ":memory:"
    if name.startswith("file:") and "uri" in url.query:
        name = unquote(urlsplit(name).path)
    in_memory = name == ":memory:" or url.query.get("mode") == "memory"
    return None if in_memory or not name else Path(name)


def refuse_leftovers(connection: Connection, noted: str = "") -> None:
    """Refuse a SQLite database in which another tool died while it rebuilt a table.

    Args:
        connection: to the database.
        noted: what the journal has of an interrupted revision, which goes on with its own.
    """
    names = inspect(connection).get_table_names()
    connection.rollback()
    for name in names:
        original = name.removeprefix("_alembic_tmp_")
        if original != name and name not in noted:
            raise GuardError(
                f"The database {shown(connection.engine.url)} holds {name}, which a"
                f" migration that died has left. Nothing was changed. If {original} holds all its"
                f" rows, `DROP TABLE {name}`; else rename it to {original}."
            )

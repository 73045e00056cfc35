"""Making the database, and keeping the migrations out of one that is not theirs.

Promise: a database is created only where there is none, and one that holds somebody
else's tables is never touched.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click
from sqlalchemy import URL, Connection, create_engine, inspect, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from schema_guard.core.errors import GuardError, cause
from schema_guard.core.redaction import shown
from schema_guard.core.store import OWN_TABLES, version_table
from schema_guard.dialects.base import backend, check_server, product, version
from schema_guard.dialects.connection_errors import Kind, connection_failed, describe, diagnose
from schema_guard.dialects.server_connection import lift_limits
from schema_guard.dialects.sqlite_connection import named_file

# MySQL's number for "Unknown database".
UNKNOWN_DATABASE = 1049
# How many of another project's tables a message names.
SHOWN = 5
# Seconds that a server which is starting up is given in any case.
STARTING_UP = 30


def create_database(url: URL, wait: float = 0) -> bool:
    """Create the database that a URL names, unless it exists.

    Args:
        url: SQLite's file path must be absolute.
        wait: seconds to wait for a server that is not there yet.

    Returns:
        Whether it was created.

    Raises:
        GuardError: the server cannot be reached, is too old, or refuses.
    """
    if url.get_backend_name() == "sqlite":
        return _create_sqlite(url)
    error = _connect(url, wait)
    if error is None:
        return False
    if diagnose(error).kind in {Kind.ABSENT, Kind.STARTING}:
        raise connection_failed(url, error)
    if _is_missing(url, error):
        return _create_on_server(url)
    error = _connect(url)  # another process may have made it meanwhile
    if error is None:
        return False
    raise connection_failed(url, error)


def drop_database(url: URL) -> bool:
    """Delete the database that a URL names, with all that it holds.

    Returns:
        Whether there was one.

    Raises:
        GuardError: the server cannot be reached, or refuses.
    """
    if url.get_backend_name() == "sqlite":
        return _drop_sqlite(named_file(url))
    error = _connect(url)
    if error is not None:
        if _is_missing(url, error):
            return False
        raise connection_failed(url, error)
    try:
        with _session(_maintenance(url)) as connection:
            connection.exec_driver_sql(f"DROP DATABASE {_quoted(url)}")
    except SQLAlchemyError as failure:
        raise GuardError(f"The database {shown(url)} was not dropped: {cause(failure)}.") from None
    return True


def settle(connection: Connection) -> None:
    """Set once what a database of this project keeps.

    SQLite: the write-ahead log, with which requests read while another one writes. MySQL and
    MariaDB, while the database is empty: to compare text as PostgreSQL and SQLite do, by code
    point. `Zoe`, `zoe` and `zoë` are three names then, and two emoji are two.

    Raises:
        GuardError: somebody else made the database, and this user may not change it.
    """
    connection.rollback()  # SQLite sets nothing within a transaction
    if connection.dialect.name == "sqlite":
        cursor = connection.connection.cursor()
        with suppress(sqlite3.OperationalError):  # read-only, or in use: it is left as it is
            cursor.execute("PRAGMA journal_mode = WAL")
        cursor.close()
    elif backend(connection.dialect) == "mysql" and not inspect(connection).get_table_names():
        _set_collation(connection)


def _set_collation(connection: Connection) -> None:
    wanted = collation(connection)
    if connection.scalar(text("SELECT @@collation_database")) == wanted:
        return
    url = connection.engine.url
    statement = f"ALTER DATABASE {_quoted(url)} {_encoding(connection)}"
    try:
        connection.exec_driver_sql(statement)
    except SQLAlchemyError as error:
        raise GuardError(
            f"The database {shown(url)} must compare text as {wanted} does, and"
            f" {url.username} may not change it: {cause(error)}.\n"
            f"As an administrator of the server, once:\n  {statement.replace('%%', '%')};"
        ) from None


def collation(connection: Connection) -> str:
    """Return the collation by code point that MySQL or MariaDB has."""
    if product(connection.dialect) == "MariaDB":
        return "utf8mb4_nopad_bin"
    # The older one takes 'a' and 'a ' for the same.
    return "utf8mb4_0900_bin" if version(connection.dialect) >= (8, 0, 17) else "utf8mb4_bin"


def _drop_sqlite(path: Path | None) -> bool:
    """Delete a database's file, what lies beside it, and the symbolic link that leads to it."""
    if path is None:
        return False
    file = path.resolve()
    exists = file.exists()
    for suffix in ("", "-wal", "-shm", "-journal", "-lock"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    return exists


def _create_sqlite(url: URL) -> bool:
    path = named_file(url)
    exists = path is not None and path.exists()
    try:
        if path is not None:
            path.resolve().parent.mkdir(parents=True, exist_ok=True)
        with _session(url) as connection:
            connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
    except (OSError, SQLAlchemyError) as error:
        raise connection_failed(url, error) from None
    return not exists


def _connect(url: URL, wait: float = 0) -> DBAPIError | None:
    """Connect once, or until a server that is not there yet is; return the error if not."""
    started = time.monotonic()
    while True:
        try:
            with _session(url):
                return None
        except DBAPIError as error:
            problem = diagnose(error)
            limits = {Kind.ABSENT: wait, Kind.STARTING: max(wait, STARTING_UP)}
            limit, waited = limits.get(problem.kind, 0), time.monotonic() - started
            if waited >= limit:
                return error
        message = f"Waiting: {describe(problem, url)} ({waited:.0f} of {limit:.0f} s)"
        click.echo(message, err=True)
        time.sleep(1)


def _create_on_server(url: URL) -> bool:
    try:
        with _session(_maintenance(url)) as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {_quoted(url)} {_encoding(connection)}")
    except SQLAlchemyError as error:
        if _connect(url) is None:
            return False  # another process was faster
        raise GuardError(
            f"The database {url.database} does not exist, and {url.username} may not create"
            f" it: {cause(error)}. Have an administrator create it, then try again."
        ) from None
    return True


def _is_missing(url: URL, error: DBAPIError) -> bool:
    """Return whether the server says that it has no such database."""
    if backend(url.get_dialect()) == "mysql":
        return error.orig is not None and error.orig.args[:1] == (UNKNOWN_DATABASE,)
    # libpq gives connection errors no code.
    try:
        with _session(_maintenance(url)) as connection:
            query = text("SELECT 1 FROM pg_database WHERE datname = :name")
            return connection.scalar(query, {"name": url.database}) is None
    except SQLAlchemyError:
        return False


def _maintenance(url: URL) -> URL:
    """Return where to connect for making and dropping databases."""
    return url.set(database="postgres" if url.get_backend_name() == "postgresql" else "")


def _quoted(url: URL) -> str:
    """Return the database's name, quoted for SQL."""
    return url.get_dialect()().identifier_preparer.quote_identifier(url.database or "")


def _encoding(connection: Connection) -> str:
    """Return how a new database keeps text, as SQL: every character of Unicode."""
    if connection.dialect.name == "postgresql":
        return "ENCODING 'UTF8'"
    return f"CHARACTER SET utf8mb4 COLLATE {collation(connection)}"


@contextmanager
def _session(url: URL) -> Iterator[Connection]:
    """Give a connection of its own, outside a transaction, to a server that is not too old."""
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        check_server(connection)
        lift_limits(connection)
        yield connection


def check_ownership(connection: Connection, current: tuple[str, ...]) -> None:
    """Refuse a database whose tables no migrations made.

    Args:
        connection: to the database.
        current: the revisions that it is at.

    Raises:
        GuardError: it holds tables, and is at no revision.
    """
    tables = inspect(connection).get_table_names()
    others = sorted(set(tables) - {version_table()} - OWN_TABLES)
    name = shown(connection.engine.url)
    way_on = "Nothing was changed. Name another database in DATABASE_URL, in .env"
    if not current and others:
        names = ", ".join(others[:SHOWN]) + (", …" if others[SHOWN:] else "")
        raise GuardError(
            f"The database {name} holds tables that these migrations did not make: {names}."
            f" {way_on}; or share it with `flask db upgrade`; or, if this schema is what it"
            " holds, `flask db stamp head`."
        )

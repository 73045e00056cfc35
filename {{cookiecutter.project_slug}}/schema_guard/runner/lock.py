"""One migrator at a time.

Promise: while one process migrates a database no other one does; it waits, for a bounded
time, and says for whom. A process that dies frees the lock, since it is never kept in a table:

- PostgreSQL: an advisory lock of the session. The session that holds it is the one that
  migrates, so it can lose neither without the other; unlike the lock of a transaction it
  outlives `autocommit_block()`. It is tried again and again, never waited for within a
  statement: CREATE INDEX CONCURRENTLY waits for all statements that are older.
- MySQL, MariaDB: GET_LOCK, of the session likewise.
- SQLite: a lock of the operating system on a file beside the database.

Not reached: sessions through PgBouncer in transaction mode, and other nodes of a Galera
cluster or of a replicated SQLite. There, migrate from one place, on one node.
"""

import getpass
import hashlib
import os
import random
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import IO, Any, Protocol

import click
from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from schema_guard.core.errors import GuardError, shorten
from schema_guard.core.file_lock import try_lock
from schema_guard.core.redaction import shown
from schema_guard.dialects.base import backend
from schema_guard.dialects.sqlite import main_file

NAME = "schema_guard"
# Seconds between two tries; a little at random, or many that wait would try as one.
PAUSE = (0.1, 0.3)
# A time of 2004: one before has not all its digits yet, of which the highest is written last.
LEAST = 1 << 30
# Seconds between two lines that say for whom a process waits.
REPEAT = 10


class Lock(Protocol):
    """What each DBMS has to offer."""

    def acquire(self) -> bool:
        """Take the lock if it is free; return whether it is taken."""

    def release(self) -> None:
        """Give it back."""

    def holder(self) -> str:
        """Return who holds it, and since when."""


@contextmanager
def migration_lock(connection: Connection, wait: float) -> Iterator[None]:
    """Hold the lock on a database.

    Args:
        connection: the one that migrates, outside a transaction.
        wait: seconds to wait for another migrator.

    Raises:
        GuardError: another one holds the lock for longer.
    """
    lock = lock_of(connection)
    if lock is None:
        yield
        return
    acquire(lock, f"Another migration of {shown(connection.engine.url)} runs", wait)
    try:
        yield
    finally:
        with suppress(SQLAlchemyError):  # a session that is lost has lost its lock too
            lock.release()


def acquire(lock: Lock, running: str, wait: float) -> None:
    """Take a lock, and say for whom it is waited.

    Args:
        lock: of a database, or of a process.
        running: what is so while somebody else holds it, as in `Another migration of ... runs`.
        wait: seconds to wait.

    Raises:
        GuardError: somebody else holds it for longer.
    """
    started = said = time.monotonic()
    while not lock.acquire():
        now = time.monotonic()
        if now - started >= wait:
            raise GuardError(
                f"{running}: {lock.holder()}. Waited {wait:g} seconds; nothing was changed. Try"
                " again when it has ended, or end it if it hangs: what it has not committed is"
                " undone then."
            )
        if said == started or now - said >= REPEAT:
            said = now
            click.echo(f"Waiting: another migration runs, {lock.holder()}", err=True)
        time.sleep(random.uniform(*PAUSE))  # noqa: S311 - no secret


def lock_of(connection: Connection) -> Lock | None:
    """Return the lock of the database that a connection leads to; none for one in memory.

    The server or the operating system is asked which one it is: a URL is one of its names.

    Raises:
        GuardError: SQLite's file has several names that cannot be told to be one.
    """
    kind = backend(connection.dialect)
    if kind == "postgresql":
        return PostgreSQLLock(connection)
    if kind == "mysql":
        return MySQLLock(connection)
    file = main_file(connection)
    return FileLock(_lock_file(file)) if file else None


def _lock_file(database: Path) -> Path:
    links = database.stat().st_nlink if database.exists() else 1
    if links > 1:
        raise GuardError(
            f"{database} has {links} names (hard links). SQLite keeps a journal beside each of"
            " them, so that whoever uses two damages the database, and there can be no one lock."
            " Nothing was changed. Leave one name, and make the others symbolic links."
        )
    return database.with_name(f"{database.name}-lock")


@dataclass
class PostgreSQLLock:
    """An advisory lock; PostgreSQL keeps them apart by database."""

    connection: Connection

    @property
    def key(self) -> dict[str, int]:
        """The lock's number."""
        digest = hashlib.sha256(NAME.encode()).digest()
        return {"key": int.from_bytes(digest[:8], signed=True)}

    def acquire(self) -> bool:
        """Try `pg_try_advisory_lock`, and leave no transaction open behind."""
        taken = self.connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), self.key)
        self.connection.commit()
        return bool(taken)

    def release(self) -> None:
        """Unlock."""
        self.connection.rollback()
        self.connection.execute(text("SELECT pg_advisory_unlock(:key)"), self.key)
        self.connection.commit()

    def holder(self) -> str:
        """Ask pg_stat_activity."""
        query = text(
            "SELECT pid, usename, application_name, client_addr, backend_start"
            " FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE locktype = 'advisory' AND granted AND objsubid = 1"
            " AND (classid::bigint << 32 | objid::bigint) = :key"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        row = self.connection.execute(query, self.key).first()
        self.connection.commit()
        if row is None:
            return "which has just ended"
        start = row.backend_start.astimezone(UTC)
        return (
            f"{row.usename}@{row.client_addr or 'localhost'} ({row.application_name}, process"
            f" {row.pid}), since {start:%Y-%m-%d %H:%M:%S} UTC"
        )


@dataclass
class MySQLLock:
    """A named lock; MySQL and MariaDB keep them for the whole server.

    Of a session others see nothing but its locks that goes with it. So the time since when it holds
    this one is told by more of them, one for each binary digit of the seconds since 1970 that is 1.
    """

    connection: Connection
    digits: tuple[str, ...] = ()

    @cached_property
    def name(self) -> str:
        """The lock's name, in which the database's takes part: with a digit's 64 at most."""
        # Some servers take Shop and shop for one database.
        database = str(
            self._ask(text("IF(@@lower_case_table_names, LOWER(DATABASE()), DATABASE())"))[0]
        )
        return f"{NAME}.{hashlib.sha256(database.encode()).hexdigest()[:32]}"

    def acquire(self) -> bool:
        """Try GET_LOCK."""
        taken, now = self._ask(func.get_lock(self.name, 0), func.unix_timestamp())
        if taken != 1:
            return False
        self.digits = tuple(f"{self.name}.{bit}" for bit in range(32) if int(now) >> bit & 1)
        self._ask(*(func.get_lock(digit, 0) for digit in self.digits))
        return True

    def release(self) -> None:
        """Unlock."""
        self.connection.rollback()
        self._ask(*(func.release_lock(name) for name in (*self.digits, self.name)))

    def holder(self) -> str:
        """Ask the list of processes, and who holds which digit."""
        query = text(
            "SELECT id, user, host, info FROM information_schema.processlist"
            " WHERE id = IS_USED_LOCK(:name)"
        )
        row = self.connection.execute(query, {"name": self.name}).first()
        digits = self._ask(*(func.is_used_lock(f"{self.name}.{bit}") for bit in range(32)))
        since = sum(1 << bit for bit, owner in enumerate(digits) if row and owner == row.id)
        if row is None or since < LEAST:
            return "which has just begun or ended"
        what = f", in: {shorten(row.info)}" if row.info else ""
        start = f"{datetime.fromtimestamp(since, UTC):%Y-%m-%d %H:%M:%S} UTC"
        return f"{row.user}@{row.host} (connection {row.id}), since {start}{what}"

    def _ask(self, *functions: Any) -> Any:
        """Return what functions answer, and leave no transaction open behind."""
        answers = self.connection.execute(select(*functions)).one()
        self.connection.commit()
        return answers


@dataclass
class FileLock:
    """A lock of the operating system; the file says who holds it, and is left where it is.

    Deleting it would let two processes lock two files of one name.
    """

    path: Path
    file: IO[str] | None = None

    def acquire(self) -> bool:
        """Lock the file, and write into it who did."""
        try:
            file = self.path.open("a+", encoding="utf-8")
        except OSError as error:
            raise GuardError(
                f"Cannot lock the database: {error}. Make its folder writable."
            ) from None
        if not try_lock(file):
            file.close()
            return False
        self.file = file
        with suppress(OSError):  # on a full disk it holds all the same
            file.truncate(0)
            file.write(f"{whoami()}, since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC")
            file.flush()
        return True

    def release(self) -> None:
        """Closing the file unlocks it."""
        if self.file is not None:
            with suppress(OSError):  # what could not be written is tried again
                self.file.truncate(0)
            with suppress(OSError):
                self.file.close()

    def holder(self) -> str:
        """Read who wrote into the file."""
        return self.path.read_text(encoding="utf-8") or "which has just begun or ended"


@lru_cache(maxsize=1)
def whoami() -> str:
    """Return who runs this process, and where."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = "somebody"
    return f"{user}@{socket.gethostname()} (process {os.getpid()})"

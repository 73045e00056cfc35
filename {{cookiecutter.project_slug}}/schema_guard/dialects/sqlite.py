"""SQLite: what the guards ask of it, and of the operating system."""

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, Engine, text

from schema_guard.core.errors import GuardError
from schema_guard.core.file_lock import try_lock
from schema_guard.core.process import whoami
from schema_guard.dialects.adapter import Adapter
from schema_guard.dialects.sqlite_connection import main_file, pragma, sqlite_connection

SCHEMA = text("SELECT type || name || coalesce(sql, '') FROM sqlite_master")


class SQLite(Adapter):
    """SQLite."""

    def connection(self, engine: Engine) -> AbstractContextManager[Connection]:
        """Give a connection of the pool, since a database in memory has no other."""
        return sqlite_connection(engine)

    def migration_lock(self, connection: Connection) -> "FileLock | None":
        """Return the lock of a file beside the database."""
        file = main_file(connection)
        return FileLock(_lock_file(file)) if file else None

    def limit_waits(self, connection: Connection, seconds: float) -> None:
        """Set busy_timeout."""
        pragma(connection, f"busy_timeout = {round(seconds * 1000)}")

    def blockers(self, _connection: Connection, _statement: str) -> list[str]:
        """Say that SQLite does not know who."""
        return ["another process, which writes to the file"]

    def definition(self, connection: Connection, _part: str) -> str:
        """Ask sqlite_master for all that there is."""
        return "\n".join(sorted(connection.scalars(SCHEMA)))

    def schema_version(self, connection: Connection) -> int:
        """Ask for SQLite's own number."""
        return int(pragma(connection, "schema_version"))

    def canceller(self, connection: Connection) -> Callable[[], None]:
        """Interrupt the driver."""
        driver: Any = connection.connection.driver_connection
        interrupt: Callable[[], None] = driver.interrupt
        return interrupt


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

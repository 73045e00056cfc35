"""What the guards say when they stop: what happened, on what, what to do next; no traceback."""

import re

import click
from sqlalchemy.exc import SQLAlchemyError

from schema_guard.core.redaction import scrub

# How much of a statement a message shows.
SHOWN = 200
# PostgreSQL: insufficient_privilege. MySQL: access denied to a database, command, column,
# routine or server. SQLite has a name for it.
NOT_ALLOWED = {"42501", 1044, 1142, 1143, 1227, 1370, "SQLITE_READONLY"}

# PostgreSQL: disk_full. MySQL, MariaDB: disk full, table full. SQLite: it, what a write-ahead log
# needs to be read, and a write that the system refuses.
DISK_FULL = {
    *("53100", 1021, 1114),
    *("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_WRITE"),
}
# Other errors of MySQL and MariaDB say it with the system's number.
NO_SPACE = re.compile(r"No space left on device|\b(errno:?|error) 28\b", re.IGNORECASE)


class GuardError(click.ClickException):
    """A guard stopped a command. The first line is the cause; lines to copy may follow."""

    def __init__(self, message: str) -> None:
        """Say why; without the secrets that a driver may have quoted."""
        super().__init__(scrub(message))


def cause(error: BaseException) -> str:
    """Return the driver's own words for an error, in one line; Python's for one of its own."""
    original = getattr(error, "orig", None) or error
    if not isinstance(error, SQLAlchemyError | OSError):
        return one_line(f"{type(error).__name__}: {error}")
    # MySQL's drivers give (number, text).
    text = str(original.args[-1]) if original.args else type(original).__name__
    return one_line(text)


def one_line(text: str) -> str:
    """Return a text in one line, without secrets, for a sentence to end with."""
    return " ".join(scrub(text).split()).rstrip(".?!: ")


def codes_of(error: BaseException) -> set[object]:
    """Return the codes that a driver gives an error: SQLSTATE, MySQL's number, SQLite's name."""
    original = getattr(error, "orig", None) or error
    names = ("sqlstate", "pgcode", "sqlite_errorname")
    codes: set[object] = {getattr(original, name, None) for name in names}
    return (codes | set(original.args[:1])) - {None}


def disk_full(error: BaseException) -> bool:
    """Return whether an error says that there is no room on the disk."""
    return bool(codes_of(error) & DISK_FULL or NO_SPACE.search(cause(error)))


def shorten(statement: str) -> str:
    """Return a statement in one line that is not too long."""
    words = " ".join(scrub(statement).replace("%%", "%").split())  # doubled for the driver
    return words if len(words) <= SHOWN else f"{words[:SHOWN]} …"

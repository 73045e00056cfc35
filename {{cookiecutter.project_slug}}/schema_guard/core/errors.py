"""What the guards say when they stop: what happened, on what, what to do next; no traceback."""

import re
import traceback
from linecache import getlines

import click
from sqlalchemy.exc import SQLAlchemyError

from schema_guard.core.driver_errors import described, is_drivers, without_quoted, without_values
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
# Python's errors that quote what they could not use, which may be from a row.
QUOTING = (ValueError, LookupError, ArithmeticError, TypeError)


class GuardError(click.ClickException, SystemExit):
    """A guard stopped a command. The first line is the cause; lines to copy may follow.

    It is a SystemExit too: what Flask-Migrate's functions end with when something fails, and what
    programs that call them expect.
    """

    def __init__(self, message: str) -> None:
        """Say why; without the secrets that a driver may have quoted."""
        super().__init__(scrub(message))
        self.code = f"Error: {self.message}"  # what Python prints of one that nobody catches


def cause(error: BaseException) -> str:
    """Return why something failed, in one line, without the values of rows.

    What a revision raises with words of its own is the author's, and stays as it is.
    """
    original = getattr(error, "orig", None) or error
    statement = getattr(error, "statement", None)
    # At a COMMIT there is none; of a connection that failed PostgreSQL's drivers have no code.
    answered = getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)
    if statement or is_drivers(error) or answered:
        return one_line(described(original, statement or ""))
    if isinstance(error, QUOTING):
        return one_line(f"{type(error).__name__}: {without_quoted(str(error), _source(error))}")
    if not isinstance(error, SQLAlchemyError | OSError):
        return one_line(f"{type(error).__name__}: {error}")
    # MySQL's drivers give (number, text).
    return one_line(str(original.args[-1]) if original.args else type(original).__name__)


def _source(error: BaseException) -> str:
    """Return the files of the revisions that an error went through."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    names = {f.f_code.co_filename for f in frames if "down_revision" in f.f_globals}
    text = "".join(line for name in names for line in getlines(name))
    return text.replace("'", " ").replace('"', " ")  # none of it is a literal here


def trace(error: BaseException, *, values: bool) -> str:
    """Return the traceback of an error.

    Args:
        error: with its cause or context.
        values: whether with all that the errors say, which the values of rows may be part of.
    """
    if values:
        return scrub("".join(traceback.format_exception(error)))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    said = error.message if isinstance(error, GuardError) else cause(error)
    frames = "".join(traceback.format_tb(error.__traceback__))
    earlier = f"{trace(before, values=False)}\n" if before else ""
    heading = "Traceback (most recent call last):\n"
    return f"{earlier}{heading}{scrub(frames)}{type(error).__name__}: {said}\n"


def one_line(text: str) -> str:
    """Return a text in one line, without secrets, for a sentence to end with."""
    return " ".join(scrub(text).split()).rstrip(".?!: ")


def codes_of(error: BaseException) -> set[object]:
    """Return the codes that a driver gives an error: SQLSTATE, MySQL's number, SQLite's name."""
    original = getattr(error, "orig", None) or error
    names = ("sqlstate", "pgcode", "sqlite_errorname")
    codes: set[object] = {getattr(original, name, None) for name in names}
    codes |= {code for code in original.args[:1] if isinstance(code, str | int)}
    return codes - {None}


def disk_full(error: BaseException) -> bool:
    """Return whether an error says that there is no room on the disk."""
    words = str(getattr(error, "orig", None) or error)  # as the server said it
    return bool(codes_of(error) & DISK_FULL or NO_SPACE.search(words))


def shorten(statement: str) -> str:
    """Return a statement in one line that is not too long, without the values in it."""
    words = scrub(without_values(statement)).replace("%%", "%")  # doubled for the driver
    words = " ".join(words.split())
    return words if len(words) <= SHOWN else f"{words[:SHOWN]} …"

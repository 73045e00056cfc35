"""Why a database cannot be used, told apart, each with what to do about it.

MySQL's drivers give an error a number. PostgreSQL's library has only words for a connection
that failed, so those are looked for; words that nobody knew here are shown as they are.
"""

from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from flask import current_app
from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from schema_guard.core.errors import NOT_ALLOWED, GuardError, cause, codes_of, disk_full, shorten
from schema_guard.core.redaction import shown
from schema_guard.dialects.base import backend

LOOPBACK = {"127.0.0.1", "::1", "localhost"}
PORTS = {"postgresql": 5432, "mysql": 3306}


class Kind(Enum):
    """What a problem calls for."""

    ABSENT = auto()  # start a server
    STARTING = auto()  # wait
    REFUSED = auto()  # an administrator
    MISSING = auto()  # create the database
    OTHER = auto()


@dataclass(frozen=True)
class Problem:
    """Why a server cannot be used.

    Attributes:
        what: with `{address}` and `{user}` of the URL.
        remedy: what to do next, in a sentence.
        numbers: of MySQL's error messages.
        words: of any other message.
    """

    what: str
    remedy: str
    kind: Kind = Kind.OTHER
    numbers: tuple[int, ...] = ()
    words: tuple[str, ...] = ()

    def matches(self, number: object, text: str) -> bool:
        """Return whether an error is this problem."""
        return number in self.numbers or any(words in text for words in self.words)


# The first that matches counts: MySQL's 2002 and 2003 mean any connection that failed.
PROBLEMS = (
    Problem(
        "no host has the name of {address}",
        "Correct the host in DATABASE_URL.",
        Kind.ABSENT,
        (2005,),
        ("resolve host", "host name", "name or service not known", "getaddrinfo", "nodename"),
    ),
    Problem(
        "{address} does not answer",
        "Check host and port in DATABASE_URL, and the firewall between.",
        Kind.ABSENT,
        words=("timeout expired", "timed out", "no route to host", "unreachable"),
    ),
    Problem(
        "the server at {address} shows another certificate than the one asked for",
        "Name the certificate of its authority in DATABASE_URL, and the host as it is written"
        " there.",
        words=("certificate verify failed", "certificate_verify_failed", "root certificate"),
    ),
    Problem(
        "the server at {address} offers no TLS, and DATABASE_URL asks for it",
        "Have it switched on there; only on a network that you trust go without.",
        numbers=(2026,),
        words=("does not support ssl", "doesn't support ssl"),
    ),
    Problem(
        "the server at {address} demands TLS",
        "Add ?sslmode=require (PostgreSQL) or ?ssl_ca=FILE (MySQL, MariaDB) to DATABASE_URL.",
        numbers=(3159,),
        words=("no encryption", "ssl off", "insecure transport", "ssl connection is required"),
    ),
    Problem(
        "nothing listens at {address}",
        "Start the server, or correct DATABASE_URL.",
        Kind.ABSENT,
        (2002, 2003),
        ("connection refused", "no such file or directory", "actively refused", "0x0000274d"),
    ),
    Problem(
        "the server at {address} is still starting up",
        "Try again in a moment; `flask db prepare --wait 60` waits for it.",
        Kind.STARTING,
        (1053, 2006, 2013),
        ("starting up", "accepting connections", "closed the connection", "shutting down"),
    ),
    Problem(
        "the server at {address} has no connection left",
        "Close some, raise its max_connections, or lower the number of processes that use it.",
        numbers=(1040, 1203, 1226),
        words=("too many clients", "too many connections", "connection slots are reserved"),
    ),
    Problem(
        "the server at {address} has no database of that name",
        "Create it with `flask db prepare`, or correct DATABASE_URL.",
        Kind.MISSING,
        (1049,),
        ('database "', "unknown database"),
    ),
    Problem(
        "the server at {address} does not let {user} in with this password",
        "Correct user and password in DATABASE_URL.",
        Kind.REFUSED,
        (1045, 1698),
        ("password authentication failed", "no password supplied", "role "),
    ),
    Problem(
        "the server at {address} does not let {user} use this database, or create it",
        "Have an administrator allow it, or correct DATABASE_URL.",
        Kind.REFUSED,
        (1044,),
        ("permission denied",),
    ),
)


def diagnose(error: BaseException) -> Problem:
    """Return what is the matter with a server; its own words where that is not known."""
    original = getattr(error, "orig", None) or error
    number = original.args[0] if original.args else None
    text = cause(error)
    for problem in PROBLEMS:
        if problem.matches(number, text.lower()):
            return problem
    return Problem(text.replace("{", "{{").replace("}", "}}"), "Correct DATABASE_URL.")


def connection_failed(
    url: URL, error: OSError | SQLAlchemyError, *, connected: bool = False
) -> GuardError:
    """Return the error for a database that cannot be used; the password is not shown.

    Args:
        url: of the database.
        error: what says so.
        connected: whether it was reached before: then an error may be of what was run.
    """
    name = shown(url)
    if disk_full(error):
        where = f"of {Path(url.database or '').parent}" if is_file(url) else "of the server"
        return GuardError(
            f"Cannot use the database {name}: {cause(error)}. Make room on the disk {where}."
        )
    statement = getattr(error, "statement", None)
    lost = getattr(error, "connection_invalidated", False)
    if (statement or connected) and not lost and not codes_of(error) & NOT_ALLOWED:
        ran = f"\nStatement:  {shorten(statement)}" if statement else ""
        return GuardError(f"{name}: {cause(error)}.{ran}")
    if is_file(url):
        return GuardError(
            f"Cannot use the database {name}: {cause(error)}. Make its folder writable, or"
            " correct DATABASE_URL."
        )
    problem = diagnose(error)
    what = f"Cannot use the database {name}: {describe(problem, url)}."
    start = start_command() if problem.kind is Kind.ABSENT and url.host in LOOPBACK else None
    if start:
        return GuardError(f"{what} Start it with `{start}`, or correct DATABASE_URL.")
    remedy = problem.remedy
    if problem.kind is Kind.REFUSED and "ssl_disabled" in url.query:
        # MariaDB says no more than to a wrong password.
        remedy += " Or the server demands TLS: remove ssl_disabled from it."
    lines = [f"{what} {remedy}"]
    if problem.kind in {Kind.ABSENT, Kind.REFUSED}:
        lines += ["As an administrator of the server, once:", *grants(url)]
    return GuardError("\n".join(lines))


def is_file(url: URL) -> bool:
    """Return whether a database is a file, and not a server's."""
    return url.get_backend_name() == "sqlite"


def not_ready(error: SQLAlchemyError) -> str:
    """Return why a service cannot use its database, for anybody: with no address, no user."""
    lost = getattr(error, "connection_invalidated", False)
    is_sqlite = hasattr(getattr(error, "orig", None), "sqlite_errorname")
    if not isinstance(error, DBAPIError) or is_sqlite or (error.statement and not lost):
        return f"the database cannot be used: {cause(error)}"
    problem = diagnose(error)
    if lost or problem.kind in {Kind.ABSENT, Kind.STARTING}:
        return "the database does not answer"
    if problem.kind is Kind.MISSING:
        return "the database does not exist: `flask db prepare` creates it"
    if problem in PROBLEMS:
        return problem.what.format(address="its address", user="its user")
    return "the database refuses the connection; the log says why"


def describe(problem: Problem, url: URL) -> str:
    """Return what is the matter with the server of a URL."""
    return problem.what.format(address=address(url), user=url.username)


def address(url: URL) -> str:
    """Return where a URL looks for its server: host and port, or a socket."""
    socket = url.query.get("unix_socket") or url.query.get("host")
    if socket and not url.host:
        return str(socket)
    return f"{url.host or 'localhost'}:{url.port or PORTS.get(backend(url.get_dialect()), '')}"


def grants(url: URL) -> list[str]:
    """Return the SQL that makes the user and the database of a URL."""
    # Its % is doubled for a driver; a person types it once.
    preparer = url.get_dialect()().identifier_preparer
    user, database = (
        preparer.quote_identifier(name or "").replace("%%", "%")
        for name in (url.username, url.database)
    )
    if backend(url.get_dialect()) == "postgresql":
        return [
            f"  CREATE ROLE {user} LOGIN CREATEDB PASSWORD 'the one in DATABASE_URL';",
            f"  CREATE DATABASE {database} OWNER {user} ENCODING 'UTF8';",
        ]
    account = f"{user}@`%`"
    return [
        f"  CREATE USER {account} IDENTIFIED BY 'the one in DATABASE_URL';",
        f"  GRANT ALL ON {database[:-1]}%`.* TO {account};",
    ]


def start_command() -> str | None:
    """Return what starts a server on this machine, as the application knows; None if nothing does.

    The application's setting START_DATABASE is a function that returns it: asking takes a while.
    """
    ask = current_app.config.get("START_DATABASE") if current_app else None
    return ask() if ask else None

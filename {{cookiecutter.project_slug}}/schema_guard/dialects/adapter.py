"""What the guards need of a DBMS, which each of them does in its own way.

One class for each, in a module of its own. Rules of lint, and what autogenerate writes, stay where
they are: here is what a server does, there what is said about it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any, ClassVar, Protocol

from sqlalchemy import Connection, Dialect, Engine, TextClause
from sqlalchemy.exc import SQLAlchemyError

from schema_guard.core.errors import GuardError, codes_of
from schema_guard.dialects.base import backend

# What the lock is called on a server.
NAME = "schema_guard"
MODULES = {"postgresql": "PostgreSQL", "mysql": "MySQL", "sqlite": "SQLite"}


class Lock(Protocol):
    """The lock of one database that one session or process holds at a time."""

    def acquire(self) -> bool:
        """Take the lock if it is free; return whether it is taken."""

    def release(self) -> None:
        """Give it back."""

    def holder(self) -> str:
        """Return who holds it, and since when."""


class Adapter(ABC):
    """A DBMS.

    Attributes:
        commits_ddl: whether a statement that changes the schema commits.
        lock_timeouts: the codes of errors with which a statement ends that waited for a lock.
    """

    commits_ddl: ClassVar[bool] = False
    lock_timeouts: ClassVar[frozenset[object]]

    @abstractmethod
    def connection(self, engine: Engine) -> AbstractContextManager[Connection]:
        """Give a connection that is set as migrations need it."""

    @abstractmethod
    def migration_lock(self, connection: Connection) -> Lock | None:
        """Return the lock of the database that a connection leads to; none for one in memory.

        The server or the operating system is asked which one it is: a URL is one of its names.

        Raises:
            GuardError: the database has several names that are not known to be one.
        """

    @abstractmethod
    def limit_waits(self, connection: Connection, seconds: float) -> None:
        """Set how long a statement of a connection waits for a lock."""

    def patience(
        self, _connection: Connection, _statement: str, _seconds: float
    ) -> AbstractContextManager[None]:
        """Let a statement wait for longer than so many seconds if nobody waits behind it."""
        return nullcontext()

    @abstractmethod
    def blockers(self, connection: Connection, statement: str) -> list[str]:
        """Return who may be in the way of a statement, the oldest first."""

    def parts(self, _statement: str) -> list[str]:
        """Return what of the schema may look otherwise after a statement."""
        return ["schema"]

    @abstractmethod
    def definition(self, connection: Connection, part: str) -> str | None:
        """Return how a part of the schema looks; None if it does not exist."""

    def schema_version(self, _connection: Connection) -> int | None:
        """Return a number that every change of the schema raises; None where there is none."""
        return None

    def invalid_indexes(self, _connection: Connection) -> list[str]:
        """Return the indexes that are not complete, since their making failed."""
        return []

    @abstractmethod
    def canceller(self, connection: Connection) -> Callable[[], None]:
        """Return what cancels, in any thread, the statement that a connection runs then."""


def adapter(dialect: Dialect) -> Adapter:
    """Return the DBMS of a dialect.

    Raises:
        GuardError: it is none that migrations are tested on.
    """
    name = backend(dialect)
    if name not in MODULES:
        raise GuardError(
            f"Migrations are tested on {', '.join(MODULES.values())} and MariaDB, not on {name}."
            " Nothing was changed. Name another database in DATABASE_URL."
        )
    # A command needs one of them.
    found: Any = getattr(import_module(f"schema_guard.dialects.{name}"), MODULES[name])
    return found()  # type: ignore[no-any-return]


def is_lock_timeout(error: BaseException, dialect: Dialect) -> bool:
    """Return whether a statement failed because somebody else holds a lock."""
    return bool(codes_of(error) & adapter(dialect).lock_timeouts)


def ask_blockers(connection: Connection, query: TextClause, statement: str) -> list[str]:
    """Return who is in the way of a statement, as a server tells it."""
    try:
        found = list(connection.scalars(query, {"statement": statement}))
    except SQLAlchemyError:  # MySQL shows other users' transactions to whom it trusts
        return ["a session that this user may not see"]
    return found or ["a session that has just ended"]

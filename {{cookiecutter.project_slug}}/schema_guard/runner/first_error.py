"""Of several errors, the one that the others follow from.

Promise: what the server said is shown, not that a transaction is inactive or a connection closed
because of it; also where a revision has caught the first error and gone on.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from sqlalchemy import Connection
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import InvalidRequestError, PendingRollbackError, ResourceClosedError

from schema_guard.core.errors import GuardError, codes_of
from schema_guard.core.listeners import Listener, listening

# PostgreSQL: the transaction is aborted, by an error before.
ABORTED = {"25P02"}
# What SQLAlchemy and Alembic say, each in many ways.
UNUSABLE = ("inactive", "closed transaction")


class FirstError:
    """The first error on a connection since a statement succeeded on it, or since it was lost."""

    def __init__(self, connection: Connection) -> None:
        """Watch a connection."""
        self.connection = connection
        self.error: BaseException | None = None
        self.lost: BaseException | None = None
        self.in_transaction = False  # SQLite's driver

    @contextmanager
    def watch(self) -> Iterator["FirstError"]:
        """Remember what happens meanwhile."""
        listeners: list[Listener] = [
            (self.connection.engine, "handle_error", self._remember),
            (self.connection, "after_cursor_execute", self._forget),
        ]
        if self.connection.dialect.name == "sqlite":
            listeners += [
                (self.connection, "before_cursor_execute", self._refuse),
                (self.connection, "commit", self._ends),
                (self.connection, "rollback", self._ends),
            ]
        with listening(*listeners):
            yield self

    def of(self, error: BaseException) -> BaseException:
        """Return what an error follows from; the error itself if from no other one."""
        if self.lost is not None and (follows(error) or is_lost(error)):
            return self.lost
        if not follows(error):
            return error
        if self.error is not None:
            return self.error
        earlier = error.__cause__ or error.__context__
        while earlier is not None and follows(earlier):
            earlier = earlier.__cause__ or earlier.__context__
        return earlier or error

    def _remember(self, context: ExceptionContext) -> None:
        if context.connection is not self.connection:
            return
        error = context.sqlalchemy_exception or context.original_exception
        if context.is_disconnect:
            self.lost = self.lost or error
        if not follows(error):
            self.error = self.error or error

    def _refuse(self, *_: Any) -> None:
        """Let nothing run after an error with which SQLite has rolled back the transaction.

        An interrupted statement, a full disk: what follows would be committed one by one.
        """
        options = self.connection.get_execution_options()
        if options.get("isolation_level") == "AUTOCOMMIT":
            return
        driver: Any = self.connection.connection.driver_connection
        if self.in_transaction and not driver.in_transaction:
            raise self.error or GuardError("SQLite has rolled back the transaction.")
        self.in_transaction = driver.in_transaction

    def _ends(self, _connection: Connection) -> None:
        self.in_transaction = False

    def _forget(self, *_: Any) -> None:
        self.error = None


def follows(error: BaseException) -> bool:
    """Return whether an error only says that there was one before."""
    if isinstance(error, PendingRollbackError | ResourceClosedError | click.Abort | EOFError):
        return True
    if isinstance(error, InvalidRequestError):
        return any(words in str(error) for words in UNUSABLE)
    return bool(codes_of(error) & ABORTED)


def is_lost(error: BaseException) -> bool:
    """Return whether an error says that the connection is gone."""
    return bool(getattr(error, "connection_invalidated", False))

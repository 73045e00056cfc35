"""Drops: what they delete is counted first, and is not deleted unasked.

Promise: `flask db upgrade` deletes no value with its column, and no row with its table, unless a
person says so: in the terminal, by `--allow-loss`, or in the revision, where others have read it.
What its own revisions have inserted nobody loses; nor what was copied to another table first.
"""

import re
import shlex
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import click
from alembic.operations import Operations, ops, toimpl
from sqlalchemy import Connection, inspect

from schema_guard.core.errors import GuardError
from schema_guard.core.listeners import Listener, listening
from schema_guard.core.terminal import is_interactive
from schema_guard.dialects.base import backend
from schema_guard.revisions.suppressions import allowance
from schema_guard.runner.repeatable import repeatable

DROP = re.compile(r"\bDROP\b", re.IGNORECASE)
# What a rollback takes back on MySQL and MariaDB.
CHANGES_ROWS = re.compile(r"\s*(\(|DELETE|INSERT|REPLACE|SELECT|UPDATE|WITH)", re.IGNORECASE)
# How much is kept of a statement: a longer one is not understood, and counts for nothing.
LONGEST = 20_000

_counting: ContextVar["Losses | None"] = ContextVar("counting", default=None)


@dataclass(frozen=True)
class Loss:
    """What a drop deletes.

    Attributes:
        what: as in `users.bio` or `users`.
        number: of rows or values.
        is_column: whether it is a column.
        original: what it was called when the command began, if that was something else.
        revision: that drops it; empty if it is the one that runs.
    """

    what: str
    number: int
    is_column: bool
    original: str = ""
    revision: str = ""

    @property
    def count(self) -> str:
        """The number, for people."""
        unit = "value" if self.is_column else "row"
        return f"{self.number:,} {unit}{'' if self.number == 1 else 's'}"

    @property
    def rule(self) -> str:
        """What a comment in a revision has to allow."""
        return "drop-column" if self.is_column else "drop-table"

    def __str__(self) -> str:
        """Describe it in a line."""
        was = f" ({self.original} now)" if self.original else ""
        by = f", dropped by revision {self.revision}" if self.revision else ""
        return f"{self.what}{was}: {self.count}{by}"


class LossError(GuardError):
    """An upgrade is about to delete something that nobody has allowed to go."""

    def __init__(self, losses: list[Loss], kept: str = "") -> None:
        """Say what would be deleted, and how to allow it.

        Args:
            losses: at least one.
            kept: what has been changed so far; empty where that is said by failure_report.py.
        """
        self.losses = losses
        if len(losses) == 1:
            (loss,) = losses
            was = f" ({loss.original} now)" if loss.original else ""
            by = f"Revision {loss.revision}" if loss.revision else "This upgrade"
            first = f"{by} would drop {loss.what}{was}, and {loss.count} with it."
            first += f" {kept}" if kept else ""
        else:
            lines = "".join(f"\n  {loss}" for loss in losses)
            first = f"This upgrade would drop tables or columns with data:{lines}\n{kept}"
        flags = " ".join(f"--allow-loss {shlex.quote(loss.what)}" for loss in losses)
        rules = sorted({loss.rule for loss in losses})
        comments = "".join(
            f"\n    # schema_guard: allow {rule} -- why they are not needed" for rule in rules
        )
        super().__init__(
            f"{first} If the data can go, back it up (`flask db backup`), then either\n"
            f"    flask db upgrade {flags}\nor allow it in the revision, above the drop:{comments}"
        )


@dataclass
class Losses:
    """What an upgrade drops.

    Attributes:
        allowed: what may go, as in `users.bio` or `users`.
        dropped: what goes, for people.
        active: whether an upgrade runs; what a downgrade deletes it is asked to delete.
        fresh: whether no revision goes on from where an earlier run stopped.
        resume: how a person has an interrupted revision go on.
        is_resuming: whether the revision has not come to the end of what an earlier run did.
        before: how many values and rows there were when the command began, as far as counted.
    """

    connection: Connection
    allowed: set[str] = field(default_factory=set)
    dropped: list[str] = field(default_factory=list)
    active: bool = False
    fresh: bool = True
    resume: str = ""
    is_resuming: Callable[[], bool] = lambda: False
    tables: list[str] | None = None  # when the command began
    before: dict[tuple[str, str | None], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin a log of what runs; it is read at the first drop."""
        self.log: list[tuple[str, int]] = []
        self.committed = self.read = 0
        self.savepoints: dict[str, int] = {}
        self.noting = False
        self.passed: set[tuple[int, str]] = set()
        self._ownership: Any = None
        self.lost = False

    @contextmanager
    def watch(self) -> Iterator["Losses"]:
        """Count what upgrades drop that run meanwhile."""
        listeners: list[Listener] = [
            (self.connection, "before_cursor_execute", self._before),
            (self.connection, "after_cursor_execute", self._after),
            (self.connection, "commit", self._commit),
            (self.connection, "rollback", self._rollback),
            (self.connection, "savepoint", self._savepoint),
            (self.connection, "rollback_savepoint", self._rollback_savepoint),
        ]
        token = _counting.set(self)
        try:
            with listening(*listeners):
                yield self
        finally:
            _counting.reset(token)

    @contextmanager
    def note(self) -> Iterator[None]:
        """Follow what runs meanwhile: a revision, not what Alembic does about it."""
        before, self.noting = self.noting, self.active
        try:
            yield
        finally:
            self.noting = before

    @contextmanager
    def _pause(self) -> Iterator[None]:
        before, self.noting = self.noting, False
        try:
            yield
        finally:
            self.noting = before

    def begin(self) -> None:
        """Note what there is when the command begins."""
        self.tables = inspect(self.connection).get_table_names()

    def _before(self, _connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if self.active and self.noting:
            for name in named(statement, backend(self.connection.dialect)):
                self.check(*name)

    def _after(self, _c: Any, _cursor: Any, statement: str, _p: Any, context: Any, _m: Any) -> None:
        if not self.noting:
            return
        self.log.append((statement[:LONGEST], context.rowcount))
        kind = backend(self.connection.dialect)
        alone = self.connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
        if alone or (kind == "mysql" and not CHANGES_ROWS.match(statement)):
            self.committed = len(self.log)

    def _commit(self, _connection: Connection) -> None:
        self.committed = len(self.log)

    def _rollback(self, _connection: Connection) -> None:
        self._forget(self.committed)

    def _savepoint(self, _connection: Connection, name: str) -> None:
        self.savepoints[name] = len(self.log)

    def _rollback_savepoint(self, _connection: Connection, name: str, _context: None) -> None:
        self._forget(max(self.committed, self.savepoints.get(name, 0)))

    def _forget(self, since: int) -> None:
        del self.log[since:]
        if self.read > since:
            self._ownership, self.read = None, 0

    @property
    def ownership(self) -> Any:
        """Whose rows the tables hold now."""
        from schema_guard.runner.row_ownership import RowOwnership  # noqa: PLC0415 - few migrations drop something

        if self._ownership is None:
            dialect = self.connection.dialect
            self._ownership = RowOwnership(
                backend(dialect),
                self.tables or [],
                dialect.default_schema_name,
                fresh=self.fresh,
            )
        for statement, rows in self.log[self.read :]:
            self._ownership.follow(statement, rows)
        self.read = len(self.log)
        self._ownership.lost = self.lost
        return self._ownership

    def check(self, table: str, column: str | None = None, schema: str | None = None) -> None:
        """Count what a table or column holds that is to be dropped.

        Raises:
            LossError: it holds what somebody would lose, and nobody has allowed it to go.
        """
        if not self.active or self.is_resuming():  # what an earlier run dropped is gone
            return
        from schema_guard.runner.loss_count import losses  # noqa: PLC0415 - few migrations drop something

        with self._pause(), repeatable():  # what it asks is not the revision's
            found = list(losses(self, table, column, schema))
        for loss in found:
            if not self._is_allowed(loss, ".".join(filter(None, (schema, table))), column):
                raise LossError([loss])
            self.lost = True
            line = f"Dropped {loss.what}, with {loss.count}."
            if line not in self.dropped:
                self.dropped.append(line)
                click.echo(line, err=True)

    def _is_allowed(self, loss: Loss, table: str, column: str | None) -> bool:
        """Return whether something may go that a running revision drops."""
        if self.allows(loss.what) or (column is None and self.allows(table)):
            return True
        rules = {loss.rule, "drop-table" if column is None else "drop-column"}
        return any(allowance(rule, traceback.walk_stack(None)) for rule in rules)

    def allows(self, what: str) -> bool:
        """Return whether a flag or a person has allowed something to go."""
        return what.lower() in {each.lower() for each in self.allowed}

    def ask(self, error: LossError) -> bool:
        """Ask whether something may go; return it, and remember if so."""
        if not is_interactive():
            return False
        if len(error.losses) == 1:
            (loss,) = error.losses
            question = f"This upgrade drops {loss.what}, and {loss.count} with it. Go on?"
        else:
            click.echo("This upgrade drops:" + "".join(f"\n  {each}" for each in error.losses))
            question = "All of this is deleted. Go on?"
        if not click.confirm(question):
            return False
        self.allowed |= {loss.what for loss in error.losses}
        return True

    def take(self) -> str | None:
        """Return what was dropped, once."""
        told, self.dropped = "\n".join(self.dropped), []
        return told or None


def named(statement: str, kind: str) -> Iterator[tuple[str, str | None, str | None]]:
    """Return the tables and columns that a statement drops: table, column, schema."""
    if not DROP.search(statement):
        return
    # Few migrations drop something: the others need not wait for its patterns.
    from schema_guard.sql.parser import read  # noqa: PLC0415

    for operation, _ in read(statement, kind):
        if isinstance(operation, ops.DropTableOp):
            yield operation.table_name, None, operation.schema
        elif isinstance(operation, ops.DropColumnOp):
            yield operation.table_name, operation.column_name, operation.schema


def _drop_column(operations: Operations, operation: ops.DropColumnOp) -> None:
    # On SQLite a column goes without a statement that says so: its table is rebuilt.
    counting = _counting.get()
    if counting is not None:
        counting.check(operation.table_name, operation.column_name, operation.schema)
    toimpl.drop_column(operations, operation)


# What Alembic runs otherwise; for the time of a run.
IMPLEMENTATIONS = {ops.DropColumnOp: _drop_column}

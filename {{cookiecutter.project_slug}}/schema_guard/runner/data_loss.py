"""Drops: what they delete is counted first, and does not go unasked.

Promise: `flask db upgrade` deletes no value with its column, and no row with its table, unless a
person says so: in the terminal, by `--allow-loss`, or in the revision, where others have read it.
"""

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import click
from alembic.operations import Operations, ops, toimpl
from sqlalchemy import Connection, column, event, func, inspect, select, table

from schema_guard.core.errors import GuardError
from schema_guard.core.terminal import is_interactive
from schema_guard.dialects.base import backend
from schema_guard.revisions.suppressions import allowance

ALLOW_LOSS = "allow-loss"
DROP = re.compile(r"\bDROP\b", re.IGNORECASE)

_counting: ContextVar["Losses | None"] = ContextVar("counting", default=None)


class LossError(GuardError):
    """A revision is about to delete something."""

    def __init__(self, what: str, count: str) -> None:
        """Say what, and how much."""
        self.what, self.count = what, count
        rule = "drop-column" if "." in what else "drop-table"
        super().__init__(
            f"This upgrade would drop {what}, and {count} with it. Nothing of the revision was kept"
            " that can be undone. If they are to go, back them up (`flask db backup`), then either"
            f" run it again with --{ALLOW_LOSS} {what}, or say so in the revision, above the drop:"
            f"\n    # schema_guard: allow {rule} -- why nobody needs them"
        )


@dataclass
class Losses:
    """What an upgrade drops.

    Attributes:
        allowed: what may go, as in `users.bio` or `users`.
        dropped: what goes, for people.
        active: whether an upgrade runs; what a downgrade deletes it is asked to delete.
    """

    connection: Connection
    allowed: set[str] = field(default_factory=set)
    dropped: list[str] = field(default_factory=list)
    active: bool = False

    @contextmanager
    def watch(self) -> Iterator["Losses"]:
        """Count what upgrades drop that run meanwhile."""

        def look(_connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
            for name in named(statement, backend(self.connection.dialect)):
                self.check(*name)

        token = _counting.set(self)
        event.listen(self.connection, "before_cursor_execute", look)
        try:
            yield self
        finally:
            event.remove(self.connection, "before_cursor_execute", look)
            _counting.reset(token)

    def check(self, of: str, name: str | None = None, schema: str | None = None) -> None:
        """Count what a table or column holds that is to be dropped.

        Raises:
            LossError: it holds something, and nobody has allowed it to go.
        """
        if not self.active:
            return
        inspector = inspect(self.connection)
        rebuilt = inspector.has_table(f"_alembic_tmp_{of}", schema)
        if rebuilt or not inspector.has_table(of, schema):
            return
        query = select(func.count()).select_from(table(of, schema=schema))
        if name is not None:
            if name not in {info["name"] for info in inspector.get_columns(of, schema)}:
                return
            query = query.where(column(name).is_not(None))
        number = self.connection.scalar(query)
        if not number:
            return
        what = ".".join(filter(None, (schema, of, name)))
        unit = "value" if name else "row"
        count = f"{number:,} {unit}{'' if number == 1 else 's'}"
        if what not in self.allowed and not allowance(
            "drop-column" if name else "drop-table", traceback.walk_stack(None)
        ):
            raise LossError(what, count)
        line = f"Dropped {what}, with {count}."
        if line not in self.dropped:
            self.dropped.append(line)
            click.echo(line, err=True)

    def ask(self, loss: LossError) -> bool:
        """Ask whether something may go; return it, and remember if so."""
        if not is_interactive():
            return False
        if click.confirm(f"This upgrade drops {loss.what}, and {loss.count} with it. Go on?"):
            self.allowed.add(loss.what)
        return loss.what in self.allowed

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


@Operations.implementation_for(ops.DropColumnOp, replace=True)
def _drop_column(operations: Operations, operation: ops.DropColumnOp) -> None:
    # On SQLite a column goes without a statement that says so: its table is rebuilt.
    counting = _counting.get()
    if counting is not None:
        counting.check(operation.table_name, operation.column_name, operation.schema)
    toimpl.drop_column(operations, operation)

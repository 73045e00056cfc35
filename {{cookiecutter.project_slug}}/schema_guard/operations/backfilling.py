"""Backfills: values for existing rows.

Promise: a table of many rows is not locked from the first row to the last, and a backfill that was
interrupted goes on where it was.
"""

from typing import Any

from alembic import op
from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import MigrateOperation
from alembic.runtime.migration import MigrationContext
from sqlalchemy import (
    ClauseElement,
    Connection,
    MetaData,
    Table,
    func,
    literal,
    select,
    update,
)
from sqlalchemy import column as sql_column
from sqlalchemy import table as sql_table

from schema_guard.core.progress import Progress
from schema_guard.dialects.base import reflected
from schema_guard.runner.repeatable import REPEATABLE, repeatable

BATCH = 10_000


def backfill(table: str, column: str, value: object, *, schema: str | None = None) -> None:
    """Fill the NULLs of a column; for revisions.

    On a server a table of more than `BATCH` rows is updated in batches by its primary key, and each
    batch is committed: what the revision did before is then committed too, and is not run again
    if the revision is interrupted.

    Args:
        table: its name.
        column: its name.
        value: a value, or an expression of SQL.
        schema: the table's.
    """
    context = op.get_context()
    bind = op.get_bind()
    if not isinstance(bind, Connection):  # `--sql`, or lint
        kind = None if isinstance(value, ClauseElement) else literal(value).type
        plain = sql_table(table, sql_column(column, kind), schema=schema)
        fill = update(plain).where(plain.c[column].is_(None)).values({column: value})
        op.execute(fill.execution_options(**{REPEATABLE: True}))  # lint knows it by that
        return
    with repeatable():
        _fill(context, bind, _reflect(table, schema, bind), column, value)


def _reflect(name: str, schema: str | None, bind: Connection) -> Table:
    def correct(_inspector: Any, _table: Table, info: Any) -> None:
        info["name"] = reflected(info["name"], bind.dialect)

    listeners = [("column_reflect", correct)]
    metadata = MetaData()
    return Table(
        name, metadata, schema=schema, autoload_with=bind, resolve_fks=False, listeners=listeners
    )


def _fill(
    context: MigrationContext, bind: Connection, table: Table, column: str, value: object
) -> None:
    """Fill the NULLs of a column, in batches if the rows are many."""
    fill = update(table).where(table.c[column].is_(None)).values({column: value})
    fill = fill.execution_options(**{REPEATABLE: True})
    keys = list(table.primary_key.columns)
    if len(keys) != 1 or bind.dialect.name == "sqlite":  # where one process writes at a time
        bind.execute(fill)
        return
    (key,) = keys
    ends = select(key).order_by(key).offset(BATCH - 1).limit(1)
    last = bind.scalar(ends)
    if last is None:
        bind.execute(fill)
        return
    rows = bind.scalar(select(func.count()).select_from(table))
    bind.execute(fill.where(key <= last))
    with (
        Progress(f"Filling {table.name}.{column}", "rows", rows) as progress,
        context.autocommit_block(),
    ):
        while last is not None:
            progress.advance(BATCH)
            after, last = last, op.get_bind().scalar(ends.where(key > last))
            part = fill.where(key > after)
            op.get_bind().execute(part if last is None else part.where(key <= last))


class Fill(MigrateOperation):
    """A backfill in a revision that is being written."""

    def __init__(self, table: str, column: str, value: str, schema: str | None) -> None:
        """Take a value as it is to be written."""
        self.table, self.column, self.value, self.schema = table, column, value, schema

    def to_diff_tuple(self) -> tuple[Any, ...]:
        """Return it as `flask db check` reports it."""
        return ("fill", self.schema, self.table, self.column)


@renderers.dispatch_for(Fill)
def _render(context: AutogenContext, fill: Fill) -> str:
    context.imports.add("from schema_guard.operations import backfill")
    schema = f", schema={fill.schema!r}" if fill.schema else ""
    return f"backfill({fill.table!r}, {fill.column!r}, {fill.value}{schema})"

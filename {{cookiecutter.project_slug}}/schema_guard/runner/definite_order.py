"""The statements of a revision in an order that is the same in every process.

Why: an interrupted revision goes on by coming to what it came to before; see journal.py. A table
has its constraints and indexes in sets, whose order is that of addresses in memory, and Alembic
makes them, or drops them, in that order.
"""

from typing import Any

from alembic.operations import Operations, ops
from alembic.operations.batch import ApplyBatchImpl
from sqlalchemy import Table
from sqlalchemy.util import OrderedSet


def in_order(table: Table) -> Table:
    """Give a table its constraints and indexes by their names; return it."""
    for name in ("constraints", "indexes"):
        setattr(table, name, OrderedSet(sorted(getattr(table, name), key=_identity)))
    return table


def _identity(item: Any) -> tuple[str, str, list[str], list[str]]:
    """Return what tells a constraint or index from others of its table, even if it has no name."""
    targets = [key.target_fullname for key in getattr(item, "elements", ())]
    columns = [str(column.name) for column in item.columns]
    return item.__visit_name__, str(item.name or ""), columns, targets


class DefiniteBatch(ApplyBatchImpl):
    """Alembic's copy of a table in batch mode."""

    def __init__(self, impl: Any, table: Table, *arguments: Any, **options: Any) -> None:
        """Take what Alembic gives."""
        super().__init__(impl, in_order(table), *arguments, **options)


def _create_table(operations: Operations, operation: ops.CreateTableOp) -> Table:
    table = in_order(operation.to_table(operations.migration_context))
    given = operation.if_not_exists
    options: dict[str, Any] = {} if given is None else {"if_not_exists": given}
    operations.impl.create_table(table, **options)
    return table


# What Alembic runs otherwise; for the time of a run.
IMPLEMENTATIONS = {ops.CreateTableOp: _create_table}

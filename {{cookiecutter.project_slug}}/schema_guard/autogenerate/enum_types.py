"""Enums: the types that PostgreSQL keeps for them.

Promise: a new value of an enum is found, and written so that it runs; a type comes with the first
column that needs it, and goes with the last.
"""

from collections.abc import Iterator
from typing import Any

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.operations.ops import MigrateOperation
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Inspector, MetaData
from sqlalchemy.dialects import postgresql


class Call(MigrateOperation):
    """A call of a function of operations/enums.py; its undoing is another one, or none."""

    def __init__(self, function: str, arguments: str, undone: "Call | None" = None) -> None:
        """Take the arguments as they are to be written."""
        self.function, self.arguments, self.undone = function, arguments, undone

    def reverse(self) -> "Call":
        """Return what undoes it."""
        if self.undone is None:
            return Call("", "# PostgreSQL removes no value from a type: it stays.")
        self.undone.undone = self
        return self.undone

    def to_diff_tuple(self) -> tuple[Any, ...]:
        """Return it as `flask db check` tells it."""
        return (self.function, self.arguments)


@renderers.dispatch_for(Call)
def _render(context: AutogenContext, call: Call) -> str:
    if not call.function:
        return call.arguments
    context.imports.add(f"from schema_guard.operations.enums import {call.function}")
    return f"{call.function}({call.arguments})"


def with_types(context: MigrationContext, found: list[Any], inspector: Inspector) -> list[Any]:
    """Return operations with those before and after that PostgreSQL's types need.

    Args:
        context: of the comparison.
        found: what autogenerate has found.
        inspector: of the database.
    """
    if context.dialect.name != "postgresql":
        return found
    show: Any = inspector
    there = {info["name"]: info["labels"] for info in show.get_enums()}
    wanted = dict(_types(context, context.opts["target_metadata"]))
    before: list[Any] = []
    for name, values in wanted.items():
        if name not in there:
            before.append(_create(name, values))
            continue
        for number, value in enumerate(values):
            if value not in there[name]:
                after = f", after={values[number - 1]!r}" if number else ""
                before.append(Call("add_enum_value", f"{name!r}, {value!r}{after}"))
    gone = {name for name in _used(found) if name in there and name not in wanted}
    after_all = [_create(name, there[name]).reverse() for name in sorted(gone)]
    return [*before, *found, *after_all]


def _create(name: str, values: list[str]) -> Call:
    drop = Call("drop_enum", repr(name))
    create = Call("create_enum", ", ".join(map(repr, [name, *values])), drop)
    drop.undone = create
    return create


def _types(context: MigrationContext, metadata: MetaData) -> Iterator[tuple[str, list[str]]]:
    """Return the types that the models need, with their values."""
    for table in metadata.tables.values():
        for column in table.columns:
            kind = column.type.dialect_impl(context.dialect)
            kind = getattr(kind, "impl_instance", kind)
            if isinstance(kind, postgresql.ENUM) and kind.name and not kind.schema:
                yield kind.name, list(kind.enums)


def _used(found: list[Any]) -> set[str]:
    """Return the types of the columns that are to go, or to become something else."""
    columns: list[Any] = []
    for each in found:
        columns += each.to_table().columns if isinstance(each, ops.DropTableOp) else []
        for part in getattr(each, "ops", ()):
            if isinstance(part, ops.DropColumnOp):
                columns.append(part.to_column())
            if isinstance(part, ops.AlterColumnOp) and part.modify_type is not None:
                columns.append(part)
    kinds = [getattr(each, "type", getattr(each, "existing_type", None)) for each in columns]
    return {str(kind.name) for kind in kinds if isinstance(kind, postgresql.ENUM)}

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

from schema_guard.online_ddl.rewrite import Comment


class EnumOp(MigrateOperation):
    """A call of a function of operations/enums.py."""

    def __init__(self, function: str, *arguments: str, undone: "tuple[str, ...]" = ()) -> None:
        """Take the arguments as they are to be written.

        Args:
            function: its name.
            arguments: Python.
            undone: function and arguments of what undoes it; PostgreSQL removes no value.
        """
        self.function, self.arguments, self.undone = function, arguments, undone

    def reverse(self) -> MigrateOperation:
        """Return what undoes it."""
        if not self.undone:
            return Comment("PostgreSQL removes no value from a type: it stays.")
        function, *arguments = self.undone
        return EnumOp(function, *arguments, undone=(self.function, *self.arguments))

    def to_diff_tuple(self) -> tuple[Any, ...]:
        """Return it as `flask db check` tells it."""
        return (self.function, *self.arguments)


@renderers.dispatch_for(EnumOp)
def _render(context: AutogenContext, operation: EnumOp) -> str:
    context.imports.add(f"from schema_guard.operations import {operation.function}")
    return f"{operation.function}({', '.join(operation.arguments)})"


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
                after = [f"after={values[number - 1]!r}"] if number else []
                before.append(EnumOp("add_enum_value", repr(name), repr(value), *after))
    gone = {name for name in _used(found) if name in there and name not in wanted}
    after_all = [_create(name, there[name]).reverse() for name in sorted(gone)]
    return [*before, *found, *after_all]


def _create(name: str, values: list[str]) -> EnumOp:
    words = [repr(word) for word in (name, *values)]
    return EnumOp("create_enum", *words, undone=("drop_enum", repr(name)))


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

"""What `flask db migrate` says above an operation that stops others, or breaks what runs."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from sqlalchemy import func, select, table

from schema_guard.dialects.base import backend
from schema_guard.lint.context import Scene
from schema_guard.lint.rules import RULES, judge
from schema_guard.online_ddl.rewrite import Alone, Block, Comment, Online
from schema_guard.runner.recorder import Act, Rebuild
from schema_guard.sql.parser import read

# online_ddl/render.py says what drops lose; what a new column refers to comes after it, safely.
SAID = {"add-foreign-key", "add-unique", "drop-column", "drop-table"}
REBUILD = "sqlite-rebuild-large-table"
# SQLite copies so many rows in less than a second.
FEW = 100_000
# Alembic's names of what a batch may hold without a copy of its table.
IN_PLACE = {
    ops.AddColumnOp: "add_column",
    ops.CreateIndexOp: "create_index",
    ops.DropIndexOp: "drop_index",
}


def remark(context: MigrationContext, written: list[Any]) -> None:
    """Put comments above the operations of a revision about which the rules have something to say.

    A table of SQLite that has few rows here may be rebuilt: how many they are stands in the comment
    that allows it, for those who review it.

    Args:
        context: of the comparison.
        written: the operations; they are changed.
    """
    places = list(_places(context, written))
    scene = Scene(context.dialect, acts=[act for act, _, _ in places])
    findings = list(judge(scene))
    here: dict[str, str] = {}  # the names that tables have now, by those that they get
    for act, _, _ in places:
        if isinstance(act.operation, ops.RenameTableOp):
            old, new = act.operation.table_name, act.operation.new_table_name
            here[new] = here.pop(old, old)
    for act, container, operation in reversed(places):
        names = [each.rule for each in findings if each.act is act]
        for name in dict.fromkeys(names):
            if name in SAID:
                continue
            comment = Comment(_words(context, name, here.get(act.table or "", act.table)))
            at = next(i for i, each in enumerate(container) if each is operation)
            container.insert(at, comment)


def _words(context: MigrationContext, name: str, of: str | None) -> str:
    if name == REBUILD and context.connection is not None and of:
        query = select(func.count()).select_from(table(of))
        number = context.connection.scalar(query) or 0
        context.connection.rollback()
        if number <= FEW:
            unit = "row" if number == 1 else "rows"
            return f"schema_guard: allow {name} -- it copies {number:,} {unit} here"
    return f"{name}: {RULES[name].danger}"


def _places(
    context: MigrationContext, operations: list[Any], *, alone: bool = False, online: bool = False
) -> Iterator[tuple[Act, list[Any], Any]]:
    """Return each operation as an act, with where its comment goes: a list, and before what."""
    transaction = 0
    for each in operations:
        if isinstance(each, Block):
            inside = isinstance(each, Alone), isinstance(each, Online)
            for act, container, operation in _places(
                context, each.ops, alone=inside[0], online=inside[1]
            ):
                transaction += 1
                act.transaction = transaction
                yield act, container, operation
            transaction += 1
            continue
        parts = each.ops if isinstance(each, ops.ModifyTableOps) else None
        container = operations if parts is None else parts
        for part in [each] if parts is None else list(parts):
            sent = [part]
            if isinstance(part, ops.ExecuteSQLOp):
                read_as = read(str(part.sqltext), backend(context.dialect))
                sent = [operation for operation, _ in read_as]
            for operation in sent:
                act = Act(operation, 0, transaction, alone=alone, online=online)
                yield act, container, part
        if parts is not None and _rebuilds(context, parts):
            yield Act(Rebuild(each.table_name, each.schema, parts)), operations, each


def _rebuilds(context: MigrationContext, parts: list[Any]) -> bool:
    """Return whether Alembic's batch mode copies the table."""
    batch: list[Any] = [
        (IN_PLACE.get(type(part), "other"), (None, getattr(part, "column", None)), {})
        for part in parts
    ]
    given: Any = SimpleNamespace(batch=batch)
    return context.impl.requires_recreate_in_batch(given)

"""The comments that `flask db migrate` writes above operations that block others or break them."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from alembic.operations import ops
from alembic.runtime.migration import MigrationContext

from schema_guard.core.settings import Settings, read_settings
from schema_guard.dialects.base import backend
from schema_guard.lint.context import RuleContext
from schema_guard.lint.rules import find, policy
from schema_guard.online_ddl.rewrite import (
    AutocommitBlock,
    Block,
    OnlineBlock,
    with_comments,
)
from schema_guard.runner.recorder import Rebuild, RecordedOperation
from schema_guard.sql.parser import read

# `with_losses` says what drops lose; what a new column refers to comes after it, safely.
SAID = {"add-foreign-key", "add-unique", "drop-column", "drop-table"}
# What is best decided while the model is being written.
ADVICE = frozenset({"foreign-key-without-index"})
# Alembic's names of what a batch may hold without a copy of its table.
IN_PLACE = {
    ops.AddColumnOp: "add_column",
    ops.CreateIndexOp: "create_index",
    ops.DropIndexOp: "drop_index",
}


def annotated(migration_context: MigrationContext, written: list[Any]) -> list[Any]:
    """Return the operations of a revision with comments above those that a rule finds fault with.

    Args:
        migration_context: of the comparison.
        written: the operations.
    """
    places = list(_places(migration_context, written))
    context = RuleContext(
        migration_context.dialect,
        operations=[recorded for recorded, _ in places],
        models=migration_context.opts.get("target_metadata"),
    )
    kept = policy(_settings(migration_context), context.backend, ADVICE)
    findings = list(find(context, kept))
    comments: dict[int, list[str]] = {}  # by the operation that they go above
    for recorded, operation in places:
        names = [
            each.rule for each in findings if each.recorded is recorded and each.rule not in SAID
        ]
        words = [f"{name}: {kept.rules[name].danger}" for name in dict.fromkeys(names)]
        comments.setdefault(id(operation), []).extend(words)
    return with_comments(written, lambda operation: comments.get(id(operation), ()))


def _settings(migration_context: MigrationContext) -> Settings:
    environment = migration_context.environment_context
    return read_settings(Path(environment.script.dir)) if environment else Settings()


def _places(
    migration_context: MigrationContext,
    operations: list[Any],
    *,
    alone: bool = False,
    online: bool = False,
) -> Iterator[tuple[RecordedOperation, Any]]:
    """Return what is performed, with the operation above which a comment on it goes."""
    transaction = 0
    for each in operations:
        if isinstance(each, Block):
            inside = {
                "alone": isinstance(each, AutocommitBlock),
                "online": isinstance(each, OnlineBlock),
            }
            for recorded, operation in _places(migration_context, each.ops, **inside):
                transaction += 1
                recorded.transaction = transaction
                yield recorded, operation
            transaction += 1
            continue
        parts = each.ops if isinstance(each, ops.ModifyTableOps) else None
        for part in [each] if parts is None else parts:
            sent = [part]
            if isinstance(part, ops.ExecuteSQLOp):
                read_as = read(str(part.sqltext), backend(migration_context.dialect))
                sent = [operation for operation, _ in read_as]
            for operation in sent:
                yield RecordedOperation(operation, 0, transaction, alone=alone, online=online), part
        if parts is not None and _rebuilds(migration_context, parts):
            yield RecordedOperation(Rebuild(each.table_name, each.schema, list(parts))), each


def _rebuilds(migration_context: MigrationContext, parts: list[Any]) -> bool:
    """Return whether Alembic's batch mode copies the table."""
    batch: list[Any] = [
        (IN_PLACE.get(type(part), "other"), (None, getattr(part, "column", None)), {})
        for part in parts
    ]
    given: Any = SimpleNamespace(batch=batch)
    return migration_context.impl.requires_recreate_in_batch(given)

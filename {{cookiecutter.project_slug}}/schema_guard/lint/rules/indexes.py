"""Rules about indexes."""

import re
from copy import copy

from alembic.operations import ops

from schema_guard.lint.context import RuleContext, is_raw
from schema_guard.lint.registry import Findings, rule
from schema_guard.online_ddl.rewrite import AutocommitBlock
from schema_guard.runner.recorder import RecordedOperation

WIDE = 3
INDEX = re.compile(
    r"^(CREATE\s+(?:UNIQUE\s+)?INDEX\s+|DROP\s+INDEX\s+)(?:CONCURRENTLY\s+)?", re.IGNORECASE
)
CASCADE = re.compile(r"\s+CASCADE\s*$", re.IGNORECASE)


def _concurrently(recorded: RecordedOperation) -> bool:
    return bool(recorded.operation.kw.get("postgresql_concurrently"))


@rule("index-not-concurrent", "Building it blocks writes to the table.", "postgresql")
def index_not_concurrent(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find indexes that are built under a lock."""
    operation = recorded.operation
    if not isinstance(operation, ops.CreateIndexOp) or _concurrently(recorded):
        return
    if context.changes_table(recorded):
        yield f"{recorded.table}.{operation.index_name}", _alone(recorded, context)


@rule(
    "drop-index-not-concurrent",
    "It waits for all queries, and new ones wait for it.",
    "postgresql",
)
def drop_index_not_concurrent(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find indexes that are dropped under a lock; of one without its table nothing is known."""
    operation = recorded.operation
    if not isinstance(operation, ops.DropIndexOp) or _concurrently(recorded):
        return
    new = {name for made in context.made for name in context.schema.of(made).indexes}
    if recorded.table not in context.made and str(operation.index_name) not in new:
        yield str(operation.index_name), _alone(recorded, context)


@rule(
    "concurrent-in-transaction",
    "PostgreSQL refuses it within a transaction.",
    "postgresql",
    early=True,
)
def concurrent_in_transaction(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find CONCURRENTLY, and VACUUM, outside an autocommit block."""
    operation = recorded.operation
    if recorded.alone:
        return
    if isinstance(operation, ops.CreateIndexOp | ops.DropIndexOp) and _concurrently(recorded):
        yield str(operation.index_name), _alone(recorded, context)
    elif is_raw(recorded, "reindex", "detach") and operation.facts.get("concurrently"):
        yield operation.facts["name"], context.code(AutocommitBlock([context.sent(recorded)]))
    elif is_raw(recorded, "vacuum") and not operation.facts["full"]:
        code = context.code(AutocommitBlock([context.sent(recorded)]))
        yield recorded.table or "all tables", code


@rule(
    "reindex-not-concurrent",
    "It blocks writes to the table, and queries that would use the index.",
    "postgresql",
)
def reindex_not_concurrent(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find indexes that are built anew under a lock."""
    if not is_raw(recorded, "reindex") or recorded.operation.facts["concurrently"]:
        return
    facts = recorded.operation.facts
    what, name = facts["what"], facts["name"]
    if what == "SYSTEM":  # of which PostgreSQL knows no other form
        code = context.allow("reindex-not-concurrent", recorded, "while the service is stopped")
    else:
        sql = f"REINDEX {what} CONCURRENTLY {name}".replace(":", r"\:")
        code = context.code(AutocommitBlock([ops.ExecuteSQLOp(sql)]))
    yield name, code


@rule("wide-index", "Every write pays for it; few queries use its later columns.")
def wide_index(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find indexes of many columns that make nothing unique."""
    operation = recorded.operation
    if not isinstance(operation, ops.CreateIndexOp) or operation.unique:
        return
    if len(operation.columns) > WIDE and recorded.sql is not None:
        yield (
            f"{recorded.table}.{operation.index_name}",
            context.allow("wide-index", recorded, "it is used"),
        )
    elif len(operation.columns) > WIDE:
        narrow = copy(operation)
        narrow.columns = operation.columns[:WIDE]
        code = context.safely(narrow) if context.changes_table(recorded) else context.code(narrow)
        yield f"{recorded.table}.{operation.index_name}", code


def _alone(recorded: RecordedOperation, context: RuleContext) -> str:
    """Return the code of an index outside a transaction; SQL of it is kept as it is."""
    if recorded.sql is not None:
        sql = INDEX.sub(r"\g<1>CONCURRENTLY ", CASCADE.sub("", recorded.sql)).replace(":", r"\:")
        return context.code(AutocommitBlock([ops.ExecuteSQLOp(sql)]))
    whole = copy(recorded.operation)
    whole.table_name = whole.table_name or "..."  # which PostgreSQL does without
    return context.safely(whole).replace(", table_name='...'", "")

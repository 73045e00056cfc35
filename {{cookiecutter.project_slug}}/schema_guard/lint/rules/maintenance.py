"""Rules about statements that look after tables: storage, views, partitions."""

from alembic.operations import ops

from schema_guard.dialects.server_version import since
from schema_guard.lint.context import RuleContext, is_raw
from schema_guard.lint.registry import Findings, rule
from schema_guard.online_ddl.rewrite import AutocommitBlock
from schema_guard.runner.recorder import RecordedOperation
from schema_guard.sql.tokens import split_name


def quoted(context: RuleContext, *names: str | None) -> str:
    """Return a name as SQL has it, with its schema if it has one."""
    quote = context.dialect.identifier_preparer.quote
    return ".".join(quote(each) for each in names if each).replace(":", r"\:")


def _table(recorded: RecordedOperation, context: RuleContext) -> str:
    return quoted(context, recorded.operation.schema, recorded.operation.table_name)


def _alone(context: RuleContext, sql: str) -> str:
    return context.code(AutocommitBlock([ops.ExecuteSQLOp(sql)]))


@rule("rewrite-table", "It writes the whole table anew, and blocks writes meanwhile.")
def rewrite_table(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find statements that write a table anew, for its storage alone."""
    operation = recorded.operation
    vacuum = is_raw(recorded, "vacuum") and (context.backend == "sqlite" or operation.facts["full"])
    rewrites = is_raw(recorded, "cluster", "convert", "optimize", "rewrite")
    if not (vacuum or rewrites) or recorded.table in context.made:
        return
    what = recorded.table or "all tables"
    if vacuum and context.backend == "sqlite":
        yield what, "# without this statement: run it by hand, while the service is stopped"
    elif vacuum:
        table = f" {_table(recorded, context)}" if recorded.table else ""
        yield what, _alone(context, f"VACUUM{table}")
    elif is_raw(recorded, "optimize"):
        online = f"ALTER TABLE {_table(recorded, context)} FORCE, ALGORITHM=INPLACE, LOCK=NONE"
        yield what, context.code(ops.ExecuteSQLOp(online))
    else:
        yield what, context.allow("rewrite-table", recorded, "the table is small: N rows")


@rule("refresh-not-concurrent", "It blocks reads of the view until it is done.", "postgresql")
def refresh_not_concurrent(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find materialized views that are refreshed under the strongest lock."""
    if not is_raw(recorded, "refresh") or "concurrently" in recorded.operation.facts:
        return
    schema, name = split_name(recorded.operation.facts["name"])
    if name in context.views:
        return
    if "empty" in recorded.operation.facts:
        reason = "nobody reads the view until it is filled again"
        yield name, context.allow("refresh-not-concurrent", recorded, reason)
        return
    sql = f"REFRESH MATERIALIZED VIEW CONCURRENTLY {quoted(context, schema, name)}"
    yield name, f"{context.code(ops.ExecuteSQLOp(sql))}\n# The view needs a unique index for it."


@rule(
    "attach-partition",
    "It reads all rows of the partition, and blocks reads and writes of it meanwhile.",
    "postgresql",
)
def attach_partition(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find tables in use that become partitions."""
    if not is_raw(recorded, "attach") or recorded.operation.facts["name"] in context.made:
        return
    reason = "a CHECK that was validated says the same, or the table is small"
    code = context.allow("attach-partition", recorded, reason)
    first = "# First a CHECK that says what its bounds say: NOT VALID, then VALIDATE CONSTRAINT."
    yield recorded.operation.facts["name"], f"{first}\n{code}"


@rule(
    "detach-partition",
    "It waits for all queries of the parent table, and new ones wait for it.",
    "postgresql",
)
def detach_partition(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find partitions that are detached under the strongest lock."""
    facts = recorded.operation.facts if is_raw(recorded, "detach") else None
    if facts is None or "concurrently" in facts or not context.changes_table(recorded):
        return
    if since(context.servers, PostgreSQL=(14,)):
        sql = f"ALTER TABLE {_table(recorded, context)} DETACH PARTITION"
        yield facts["name"], _alone(context, f"{sql} {quoted(context, facts['name'])} CONCURRENTLY")
    else:
        reason = "its parent is hardly read (from PostgreSQL 14 on: CONCURRENTLY)"
        yield facts["name"], context.allow("detach-partition", recorded, reason)

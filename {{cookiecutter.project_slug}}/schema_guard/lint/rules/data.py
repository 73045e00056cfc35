"""Rules about rows, and about SQL that is no operation."""

import re

from alembic.operations import ops

from schema_guard.lint.context import RuleContext, changes_schema, is_raw
from schema_guard.lint.registry import SERVERS, Findings, rule
from schema_guard.online_ddl.rewrite import AutocommitBlock
from schema_guard.operations.backfilling import Fill
from schema_guard.runner.recorder import RecordedOperation

# One column, of all rows or of those in which it is NULL.
ASSIGNMENT = re.compile(
    r"""UPDATE\s+[`"\w.]+\s+SET\s+[`"]?(?P<column>\w+)[`"]?\s*=\s*(?P<value>[^,:]*?)
    (?:\s+WHERE\s+[`"]?(?P<null>\w+)[`"]?\s+IS\s+NULL)?\s*$""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)


def _updates(recorded: RecordedOperation, context: RuleContext) -> bool:
    """Return whether an operation changes rows of a table in use, all in one statement."""
    changes = is_raw(recorded, "update", "merge") or (
        is_raw(recorded, "delete") and not recorded.operation.facts["everything"]
    )
    return changes and not recorded.batched and context.changes_table(recorded)


def _has_ddl(recorded: RecordedOperation, context: RuleContext) -> bool:
    """Return whether it changes them while a table that it changed is locked."""
    same = (
        each
        for each in context.operations
        if each is not recorded
        and changes_schema(each)
        and (each.transaction == recorded.transaction or context.backend == "mysql")
    )
    return any(context.changes_table(each) for each in same)


def _in_batches(recorded: RecordedOperation, context: RuleContext, name: str) -> str:
    """Return what fills a column in batches, if that is what the statement does."""
    found = ASSIGNMENT.match(recorded.operation.sql)
    if found is not None and not re.search(r"\b(FROM|WHERE|SET)\b", found["value"], re.IGNORECASE):
        column = found["column"]
        empty = found["null"] == column or (recorded.table, column) in context.added
        if empty and recorded.operation.kind == "update":
            value = f"sa.text({found['value']!r})"
            of = recorded.operation
            return context.code(Fill(of.table_name, column, value, of.schema))
    return context.allow(name, recorded, "it changes few rows: N")


@rule(
    "backfill-with-ddl",
    "The changed table stays locked until all rows are written.",
    *SERVERS,
)
def backfill_with_ddl(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find rows that are changed while a change of the schema is not committed."""
    if _updates(recorded, context) and _has_ddl(recorded, context):
        yield str(recorded.table), _in_batches(recorded, context, "backfill-with-ddl")


@rule(
    "backfill-unbatched",
    "All its rows stay locked until the last one is written.",
    *SERVERS,
)
def backfill_unbatched(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find rows that are changed all at once."""
    if _updates(recorded, context) and not _has_ddl(recorded, context):
        yield str(recorded.table), _in_batches(recorded, context, "backfill-unbatched")


@rule("truncate-or-delete-all", "All rows are lost.", early=True)
def truncate_or_delete_all(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find tables that are emptied."""
    if not is_raw(recorded, "truncate", "delete") or not recorded.operation.facts["everything"]:
        return
    if context.changes_table(recorded):
        yield (
            str(recorded.table),
            context.allow("truncate-or-delete-all", recorded, "nobody needs them"),
        )


@rule("raw-sql", "What this statement locks, rewrites or loses is not known here.", early=True)
def raw_sql(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find SQL that is not understood."""
    if is_raw(recorded, "unknown") or (is_raw(recorded, "lock") and context.backend != "mysql"):
        words = " ".join(recorded.operation.sql.split())
        what = words if len(words) <= 60 else f"{words[:60]} …"  # noqa: PLR2004 - one line
        yield what, context.allow("raw-sql", recorded, "what it locks, and for how long")


@rule("transaction-in-sql", "What came before it is kept, though the rest may fail.", early=True)
def transaction_in_sql(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find transactions that a revision begins or ends by itself."""
    if is_raw(recorded, "transaction"):
        then = [
            each.sql
            for each in context.after(recorded)
            if each.sql and not is_raw(each, "transaction")
        ]
        code = context.code(
            AutocommitBlock([ops.ExecuteSQLOp(sql.replace(":", r"\:")) for sql in then[:1]])
        )
        yield " ".join(recorded.operation.sql.split()), code if then else "# without this line"

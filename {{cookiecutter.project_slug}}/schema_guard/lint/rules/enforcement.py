"""Rules about what the server checks or runs by itself: constraints, triggers, policies."""

from schema_guard.lint.context import RuleContext, is_raw
from schema_guard.lint.registry import Findings, rule
from schema_guard.runner.recorder import RecordedOperation


@rule(
    "checks-off",
    "What it lets in, or leaves out on replicas, nothing checks afterwards.",
    early=True,
)
def checks_off(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find settings that have the server check less."""
    if is_raw(recorded, "checks-off") and recorded.table not in (context.made - {None}):
        words = " ".join(recorded.operation.sql.split())
        yield words, "# without this statement: correct the rows that it would let in"


@rule("change-trigger", "From here on every write of the running release is another one.")
def change_trigger(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find triggers that come or go on a table in use."""
    if is_raw(recorded, "trigger") and recorded.table not in context.made:
        what = ".".join(filter(None, (recorded.table, recorded.operation.facts["name"])))
        reason = "the running release's writes may pass it, or go without it"
        yield what, context.allow("change-trigger", recorded, reason)


@rule(
    "row-security",
    "From here on the running release sees and writes other rows, maybe none.",
    "postgresql",
)
def row_security(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find row level security that changes on a table in use."""
    if is_raw(recorded, "policy") and context.changes_table(recorded):
        reason = "tried as the role of the running release: it sees its rows"
        yield str(recorded.table), context.allow("row-security", recorded, reason)

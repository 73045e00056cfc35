"""Rules about what the release that runs meanwhile cannot live with."""

from alembic.operations import ops

from schema_guard.lint.context import RuleContext
from schema_guard.lint.registry import Findings, rule
from schema_guard.runner.recorder import RecordedOperation


@rule(
    "old-code-breaks",
    "The running release does not know the column: its INSERTs fail.",
)
def old_code_breaks(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find what the release that runs cannot satisfy."""
    operation = recorded.operation
    if not isinstance(operation, ops.AlterColumnOp) or not context.changes_table(recorded):
        return
    name = operation.column_name
    place = context.schema.of(recorded.table).columns.get(name)
    what = f"{recorded.table}.{name}"
    default = bool(place and place.default)
    if operation.modify_nullable is False and (recorded.table, name) in context.added:
        if operation.modify_server_default is not False:
            default = operation.modify_server_default is not None
        if not default:
            later = context.allow("old-code-breaks", recorded, "the release that runs writes it")
            yield (
                what,
                f"# In the next release, or now with a server_default on the column:\n{later}",
            )
    elif operation.modify_server_default is None:
        if place is not None and not place.default:
            return
        required = operation.existing_nullable is False or bool(place and not place.nullable)
        if required and operation.modify_nullable is not True:
            reason = "the release that runs gives it a value"
            yield what, context.allow("old-code-breaks", recorded, reason)


@rule("drop-not-null", "The running release may read a NULL where it knows of none.")
def drop_not_null(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find columns that become nullable while old code reads them."""
    operation = recorded.operation
    if not isinstance(operation, ops.AlterColumnOp) or operation.modify_nullable is not True:
        return
    place = context.schema.of(recorded.table).columns.get(operation.column_name)
    if context.changes_table(recorded) and not (place and place.nullable):
        what = f"{recorded.table}.{operation.column_name}"
        yield what, context.allow("drop-not-null", recorded, "the release that runs reads NULL too")

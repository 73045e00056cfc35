"""Rules about whole tables, schemas and types."""

from alembic.operations import ops

from schema_guard.lint.context import RuleContext, is_raw
from schema_guard.lint.registry import Findings, rule
from schema_guard.online_ddl.rewrite import AutocommitBlock
from schema_guard.runner.recorder import Rebuild, RecordedOperation


@rule("drop-table", "The running release still uses it, and its rows are lost.", early=True)
def drop_table(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find tables that are dropped."""
    if isinstance(recorded.operation, ops.DropTableOp) and context.changes_table(recorded):
        what = str(recorded.table)
        yield what, context.allow("drop-table", recorded, f"no release that runs uses {what}")


@rule("rename-table", "The running release asks for the old name, and fails.")
def rename_table(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find tables that are renamed, unless a view takes the old name in the same transaction."""
    operation = recorded.operation
    if not isinstance(operation, ops.RenameTableOp) or not context.changes_table(recorded):
        return
    what = str(recorded.table)
    if context.backend != "postgresql":
        yield what, context.allow("rename-table", recorded, f"no release that runs uses {what}")
        return
    views = [
        each.operation.facts["name"]
        for each in context.after(recorded)
        if is_raw(each, "view") and each.transaction == recorded.transaction
    ]
    if operation.table_name in views:
        return
    quote = context.dialect.identifier_preparer.quote
    new = f"{quote(operation.schema)}." if operation.schema else ""
    old, table = (quote(each) for each in (operation.table_name, operation.new_table_name))
    view = ops.ExecuteSQLOp(f"CREATE VIEW {new}{old} AS TABLE {new}{table}")
    yield what, f"{context.code(operation, view)}\n# Drop the view in a later release."


@rule("rename-schema", "The running release asks for the old name, and fails.", "postgresql")
def rename_schema(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find schemas that are renamed."""
    if is_raw(recorded, "rename-schema"):
        what = recorded.operation.facts["name"]
        yield what, context.allow("rename-schema", recorded, f"no release that runs uses {what}")


@rule(
    "enum-value-in-transaction",
    "It cannot be used, and keeps a lock, until the commit.",
    "postgresql",
)
def enum_value_in_transaction(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find new values of a type that are not committed by themselves."""
    if is_raw(recorded, "add-value") and not recorded.alone:
        yield (
            recorded.operation.facts["name"],
            context.code(AutocommitBlock([context.sent(recorded)])),
        )


@rule("rename-enum-value", "The running release writes the old value, and fails.", "postgresql")
def rename_enum_value(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find values of a type that get another name."""
    if is_raw(recorded, "rename-value"):
        facts = recorded.operation.facts
        name, old, new = facts["name"], facts["old"], facts["value"]
        sql = f"ALTER TYPE {name} ADD VALUE IF NOT EXISTS {new} AFTER {old}".replace(":", r"\:")
        later = f"# Write {new} from now on, read both; then change the rows. {old} may stay."
        yield f"{name}.{old}", f"{context.code(AutocommitBlock([ops.ExecuteSQLOp(sql)]))}\n{later}"


@rule(
    "sqlite-rebuild-large-table",
    "It copies all rows, and blocks writes meanwhile.",
    "sqlite",
)
def rebuild(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find tables that batch mode copies; how large they are the revision has to say."""
    if not _is_rebuild(recorded) or recorded.table in context.made:
        return
    changes = recorded.operation.changes
    if all(isinstance(each, ops.DropColumnOp) for each in changes):
        allow = "# schema_guard: allow drop-column -- no release that runs uses it"
        lines = [f"{allow}\nop.drop_column({d.table_name!r}, {d.column_name!r})" for d in changes]
        yield str(recorded.table), "\n".join(lines)
    else:
        allow = "# schema_guard: allow sqlite-rebuild-large-table -- it copies N rows, in a second"
        of = recorded.operation
        batch = ops.ModifyTableOps(of.table_name, changes, schema=of.schema)
        yield str(recorded.table), f"{allow}\n{context.code(batch)}"


def _is_rebuild(recorded: RecordedOperation) -> bool:
    return isinstance(recorded.operation, Rebuild)


@rule(
    "batch-recreate",
    "It copies all rows; what is written meanwhile is lost.",
    "postgresql",
    "mysql",
)
def recreate(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find `recreate="always"` where the server can change a table in place."""
    if _is_rebuild(recorded) and recorded.table not in context.made:
        yield str(recorded.table), context.safely(*recorded.operation.changes)

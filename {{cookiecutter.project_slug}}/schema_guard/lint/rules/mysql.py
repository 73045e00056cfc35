"""Rules about MySQL and MariaDB, which copy a table in silence, and commit every change."""

from alembic.operations import ops

from schema_guard.lint.context import Findings, RuleContext, changes_schema, is_raw, name_of, rule
from schema_guard.online_ddl.rewrite import in_place
from schema_guard.runner.recorder import RecordedOperation


@rule(
    "mysql-copy",
    "The server may copy the table, and block writes meanwhile.",
    "mysql",
)
def mysql_copy(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find changes that the server may do by copying, unless it is told not to."""
    operation = recorded.operation
    if recorded.online or not context.changes_table(recorded) or not in_place(operation):
        return
    if isinstance(operation, ops.CreateForeignKeyOp):  # which has a rule of its own
        return
    if recorded.sql is None or isinstance(operation, ops.DropIndexOp):
        yield name_of(recorded), context.safely(operation)
    else:
        yield name_of(recorded), context.code(context.sent(recorded))


@rule("mysql-lock", "It blocks writes to the table until it is done.", "mysql")
def mysql_lock(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find what blocks writes however it is done."""
    operation = recorded.operation
    locks = is_raw(recorded, "lock")
    if isinstance(operation, ops.CreateIndexOp) and context.changes_table(recorded):
        locks = bool(operation.kw.get("mysql_prefix") or operation.kw.get("mariadb_prefix"))
    if isinstance(operation, ops.CreatePrimaryKeyOp) and context.changes_table(recorded):
        locks = True
    if isinstance(operation, ops.DropConstraintOp) and operation.constraint_type == "primary":
        locks = context.changes_table(recorded)
    if locks:
        yield name_of(recorded), context.allow("mysql-lock", recorded, "the table is small: N rows")


@rule(
    "several-ddl-in-one-mysql-revision",
    "It may fail, and what came before it stays.",
    "mysql",
)
def several_ddl(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find what may fail on rows after something that cannot be undone."""
    if not _may_fail(recorded, context) or not context.changes_table(recorded):
        return
    own = context.of_statement(recorded) if recorded.sql is not None else []
    if any(_commits(each) and each not in own for each in context.before(recorded)):
        operation = recorded.operation if recorded.sql is None else ops.ExecuteSQLOp(recorded.sql)
        yield name_of(recorded), f"# In a revision of its own:\n{context.safely(operation)}"


def _commits(recorded: RecordedOperation) -> bool:
    return changes_schema(recorded) and not recorded.batched


def _may_fail(recorded: RecordedOperation, context: RuleContext) -> bool:
    """Return whether it depends on existing values."""
    operation, table = recorded.operation, recorded.table
    if isinstance(operation, ops.CreateUniqueConstraintOp | ops.CreatePrimaryKeyOp):
        return _not_new(table, [str(each) for each in operation.columns], context)
    if isinstance(operation, ops.CreateIndexOp) and operation.unique:
        return _not_new(table, [str(each) for each in operation.columns], context)
    if isinstance(operation, ops.CreateForeignKeyOp):
        return _not_new(table, operation.local_cols, context)
    if isinstance(operation, ops.CreateCheckConstraintOp):
        return True
    if isinstance(operation, ops.AlterColumnOp):
        filled = any(each.batched and each.table == table for each in context.before(recorded))
        return not in_place(operation) or (operation.modify_nullable is False and not filled)
    return is_raw(recorded, "unknown")


def _not_new(table: str | None, columns: list[str], context: RuleContext) -> bool:
    """Return whether one of the columns was there before: a new one holds NULL in every row."""
    new = {
        each.operation.column.name
        for each in context.operations
        if isinstance(each.operation, ops.AddColumnOp) and each.table == table
    }
    return not set(columns) <= new

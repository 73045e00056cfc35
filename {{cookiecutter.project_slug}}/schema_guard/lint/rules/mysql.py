"""Rules about MySQL and MariaDB, which copy a table in silence, and commit every change."""

from alembic.operations import ops

from schema_guard.lint.context import RuleContext, changes_schema, is_raw, name_of
from schema_guard.lint.registry import Findings, rule
from schema_guard.online_ddl.rewrite import in_place
from schema_guard.runner.recorder import RecordedOperation
from schema_guard.sql.raw import facts_of


@rule(
    "mysql-copy",
    "A table with a FULLTEXT or SPATIAL index is copied for it; nobody writes meanwhile.",
    "mysql",
)
def mysql_copy(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find changes that the server copies the table for, though it does them in place elsewhere."""
    if recorded.online or not context.changes_table(recorded) or not _rebuilds(recorded, context):
        return
    indexes = context.schema.of(recorded.table).indexes.values()
    if any(each.is_special for each in indexes):
        reason = "the table is small: N rows"
        yield name_of(recorded), context.allow("mysql-copy", recorded, reason, safely=False)


def _rebuilds(recorded: RecordedOperation, context: RuleContext) -> bool:
    """Return whether the server writes the table anew: it can with such an index by copying only.

    Sources: MySQL's manual on online DDL, "Limitations" (FULLTEXT); measured on MariaDB 10.11, as
    tests/schema_guard/lint/test_in_place.py does.
    """
    operation = recorded.operation
    if isinstance(operation, ops.AlterColumnOp):
        place = context.schema.of(recorded.table).columns.get(operation.column_name)
        same = place is not None and place.nullable == operation.modify_nullable
        return operation.modify_nullable is not None and not same
    if isinstance(operation, ops.AddColumnOp):
        computed = operation.column.computed
        virtual = computed is not None and computed.persisted is not True
        return not (virtual or "virtual" in facts_of(operation))
    return isinstance(operation, ops.DropColumnOp) or is_raw(recorded, "rebuild")


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

"""Rules about MySQL and MariaDB, which copy a table in silence, and commit every change."""

from alembic.operations import ops

from schema_guard.lint.context import Hits, Scene, changes_schema, is_raw, rule
from schema_guard.online_ddl.rewrite import in_place
from schema_guard.runner.recorder import Act


def _name(act: Act) -> str:
    operation = act.operation
    for attribute in ("column_name", "constraint_name", "index_name"):
        if getattr(operation, attribute, None):
            return f"{act.table}.{getattr(operation, attribute)}"
    if isinstance(operation, ops.AddColumnOp):
        return f"{act.table}.{operation.column.name}"
    return str(act.table)


@rule(
    "mysql-copy",
    "The server may copy the table, and nobody writes meanwhile.",
    "mysql",
)
def mysql_copy(act: Act, scene: Scene) -> Hits:
    """Find changes that the server may do by copying, for want of being told not to."""
    operation = act.operation
    if act.online or not scene.changes_table(act) or not in_place(operation):
        return
    if isinstance(operation, ops.CreateForeignKeyOp):  # which has a rule of its own
        return
    if act.sql is None or isinstance(operation, ops.DropIndexOp):
        yield _name(act), scene.safely(operation)
    else:
        yield _name(act), scene.code(scene.sent(act))


@rule("mysql-lock", "Nobody writes to the table until it is done.", "mysql")
def mysql_lock(act: Act, scene: Scene) -> Hits:
    """Find what lets nobody write however it is done."""
    operation = act.operation
    locks = is_raw(act, "lock")
    if isinstance(operation, ops.CreateIndexOp) and scene.changes_table(act):
        locks = bool(operation.kw.get("mysql_prefix") or operation.kw.get("mariadb_prefix"))
    if isinstance(operation, ops.CreatePrimaryKeyOp) and scene.changes_table(act):
        locks = True
    if isinstance(operation, ops.DropConstraintOp) and operation.constraint_type == "primary":
        locks = scene.changes_table(act)
    if locks:
        yield _name(act), scene.allow("mysql-lock", act, "the table is small: N rows")


@rule(
    "several-ddl-in-one-mysql-revision",
    "It may fail, and what came before it stays.",
    "mysql",
)
def several_ddl(act: Act, scene: Scene) -> Hits:
    """Find what may fail on rows after something that cannot be undone."""
    if not _may_fail(act, scene) or not scene.changes_table(act):
        return
    own = scene.of_statement(act) if act.sql is not None else []
    if any(_commits(each) and each not in own for each in scene.before(act)):
        operation = act.operation if act.sql is None else ops.ExecuteSQLOp(act.sql)
        yield _name(act), f"# In a revision of its own:\n{scene.safely(operation)}"


def _commits(act: Act) -> bool:
    return changes_schema(act) and not act.batched


def _may_fail(act: Act, scene: Scene) -> bool:
    """Return whether it depends on the values that are there."""
    operation, table = act.operation, act.table
    if isinstance(operation, ops.CreateUniqueConstraintOp | ops.CreatePrimaryKeyOp):
        return _not_new(table, [str(each) for each in operation.columns], scene)
    if isinstance(operation, ops.CreateIndexOp) and operation.unique:
        return _not_new(table, [str(each) for each in operation.columns], scene)
    if isinstance(operation, ops.CreateForeignKeyOp):
        return _not_new(table, operation.local_cols, scene)
    if isinstance(operation, ops.CreateCheckConstraintOp):
        return True
    if isinstance(operation, ops.AlterColumnOp):
        filled = any(each.batched and each.table == table for each in scene.before(act))
        return not in_place(operation) or (operation.modify_nullable is False and not filled)
    return is_raw(act, "unknown")


def _not_new(table: str | None, columns: list[str], scene: Scene) -> bool:
    """Return whether one of the columns was there before: a new one holds NULL in every row."""
    new = {
        each.operation.column.name
        for each in scene.acts
        if isinstance(each.operation, ops.AddColumnOp) and each.table == table
    }
    return not set(columns) <= new

"""Rules about whole tables, schemas and types."""

from alembic.operations import ops

from schema_guard.lint.context import Hits, Scene, is_raw, rule
from schema_guard.online_ddl.rewrite import AutocommitBlock
from schema_guard.runner.recorder import Act, Rebuild


@rule("drop-table", "The running release still uses it, and its rows are lost.")
def drop_table(act: Act, scene: Scene) -> Hits:
    """Find tables that are dropped."""
    if isinstance(act.operation, ops.DropTableOp) and scene.changes_table(act):
        what = str(act.table)
        yield what, scene.allow("drop-table", act, f"no release that runs uses {what}")


@rule("rename-table", "The running release asks for the old name, and fails.")
def rename_table(act: Act, scene: Scene) -> Hits:
    """Find tables that are renamed, unless a view takes the old name in the same transaction."""
    operation = act.operation
    if not isinstance(operation, ops.RenameTableOp) or not scene.changes_table(act):
        return
    what = str(act.table)
    if scene.backend != "postgresql":
        yield what, scene.allow("rename-table", act, f"no release that runs uses {what}")
        return
    views = [
        each.operation.facts["name"]
        for each in scene.after(act)
        if is_raw(each, "view") and each.transaction == act.transaction
    ]
    if operation.table_name in views:
        return
    quote = scene.dialect.identifier_preparer.quote
    new = f"{quote(operation.schema)}." if operation.schema else ""
    old, table = (quote(each) for each in (operation.table_name, operation.new_table_name))
    view = ops.ExecuteSQLOp(f"CREATE VIEW {new}{old} AS TABLE {new}{table}")
    yield what, f"{scene.code(operation, view)}\n# Drop the view in a later release."


@rule("rename-schema", "The running release asks for the old name, and fails.", "postgresql")
def rename_schema(act: Act, scene: Scene) -> Hits:
    """Find schemas that are renamed."""
    if is_raw(act, "rename-schema"):
        what = act.operation.facts["name"]
        yield what, scene.allow("rename-schema", act, f"no release that runs uses {what}")


@rule(
    "enum-value-in-transaction",
    "It cannot be used, and keeps a lock, until the commit.",
    "postgresql",
)
def enum_value_in_transaction(act: Act, scene: Scene) -> Hits:
    """Find new values of a type that are not committed by themselves."""
    if is_raw(act, "add-value") and not act.alone:
        yield act.operation.facts["name"], scene.code(AutocommitBlock([scene.sent(act)]))


@rule("rename-enum-value", "The running release writes the old value, and fails.", "postgresql")
def rename_enum_value(act: Act, scene: Scene) -> Hits:
    """Find values of a type that get another name."""
    if is_raw(act, "rename-value"):
        facts = act.operation.facts
        name, old, new = facts["name"], facts["old"], facts["value"]
        sql = f"ALTER TYPE {name} ADD VALUE IF NOT EXISTS {new} AFTER {old}".replace(":", r"\:")
        later = f"# Write {new} from now on, read both; then change the rows. {old} may stay."
        yield f"{name}.{old}", f"{scene.code(AutocommitBlock([ops.ExecuteSQLOp(sql)]))}\n{later}"


@rule(
    "sqlite-rebuild-large-table",
    "All rows are copied, and nobody else writes meanwhile.",
    "sqlite",
)
def rebuild(act: Act, scene: Scene) -> Hits:
    """Find tables that batch mode copies; how large they are the revision has to say."""
    if not _is_rebuild(act) or act.table in scene.made:
        return
    changes = act.operation.changes
    if all(isinstance(each, ops.DropColumnOp) for each in changes):
        allow = "# schema_guard: allow drop-column -- no release that runs uses it"
        lines = [f"{allow}\nop.drop_column({d.table_name!r}, {d.column_name!r})" for d in changes]
        yield str(act.table), "\n".join(lines)
    else:
        allow = "# schema_guard: allow sqlite-rebuild-large-table -- it copies N rows, in a second"
        of = act.operation
        batch = ops.ModifyTableOps(of.table_name, changes, schema=of.schema)
        yield str(act.table), f"{allow}\n{scene.code(batch)}"


def _is_rebuild(act: Act) -> bool:
    return isinstance(act.operation, Rebuild)


@rule(
    "batch-recreate",
    "All rows are copied, and what is written meanwhile is lost.",
    "postgresql",
    "mysql",
)
def recreate(act: Act, scene: Scene) -> Hits:
    """Find `recreate="always"` where the server can change a table in place."""
    if _is_rebuild(act) and act.table not in scene.made:
        yield str(act.table), scene.safely(*act.operation.changes)

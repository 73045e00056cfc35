"""Rules about what the release that runs meanwhile cannot live with."""

from alembic.operations import ops

from schema_guard.lint.context import Hits, Scene, rule
from schema_guard.runner.recorder import Act


@rule(
    "old-code-breaks",
    "The running release does not know of the column: its INSERTs fail.",
)
def old_code_breaks(act: Act, scene: Scene) -> Hits:
    """Find what the release that runs cannot satisfy."""
    operation = act.operation
    if not isinstance(operation, ops.AlterColumnOp) or not scene.changes_table(act):
        return
    name = operation.column_name
    place = scene.shape.of(act.table).columns.get(name)
    what = f"{act.table}.{name}"
    default = bool(place and place.default)
    if operation.modify_nullable is False and (act.table, name) in scene.added:
        if operation.modify_server_default is not False:
            default = operation.modify_server_default is not None
        if not default:
            later = scene.allow("old-code-breaks", act, "the release that runs writes it")
            yield (
                what,
                f"# In the next release, or now with a server_default on the column:\n{later}",
            )
    elif operation.modify_server_default is None:
        required = operation.existing_nullable is False or bool(place and not place.nullable)
        if required and operation.modify_nullable is not True:
            reason = "the release that runs gives it a value"
            yield what, scene.allow("old-code-breaks", act, reason)


@rule("drop-not-null", "The running release may read a NULL where it knows of none.")
def drop_not_null(act: Act, scene: Scene) -> Hits:
    """Find columns that may be empty from now on, while old code reads them."""
    operation = act.operation
    if not isinstance(operation, ops.AlterColumnOp) or operation.modify_nullable is not True:
        return
    place = scene.shape.of(act.table).columns.get(operation.column_name)
    if scene.changes_table(act) and not (place and place.nullable):
        what = f"{act.table}.{operation.column_name}"
        yield what, scene.allow("drop-not-null", act, "the release that runs reads NULL too")

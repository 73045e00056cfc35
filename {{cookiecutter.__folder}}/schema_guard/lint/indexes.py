"""Rules about indexes."""

from copy import copy

from alembic.operations import ops

from schema_guard.lint.acts import Act
from schema_guard.lint.rules import Hits, Scene, rule

WIDE = 3


def _concurrently(act: Act) -> bool:
    return bool(act.operation.kw.get("postgresql_concurrently"))


@rule(
    "index-not-concurrent", "It is built, and nobody writes to the table meanwhile.", "postgresql"
)
def index_not_concurrent(act: Act, scene: Scene) -> Hits:
    """Find indexes that are built under a lock."""
    operation = act.operation
    if not isinstance(operation, ops.CreateIndexOp) or _concurrently(act):
        return
    if scene.changes_table(act):
        yield f"{act.table}.{operation.index_name}", scene.safely(operation)


@rule(
    "drop-index-not-concurrent",
    "It waits for all queries, and new ones wait for it.",
    "postgresql",
)
def drop_index_not_concurrent(act: Act, scene: Scene) -> Hits:
    """Find indexes that are dropped under a lock; of one without its table nothing is known."""
    operation = act.operation
    if not isinstance(operation, ops.DropIndexOp) or _concurrently(act):
        return
    if act.table not in scene.made:
        yield str(operation.index_name), _alone(act, scene)


@rule(
    "concurrent-in-transaction",
    "PostgreSQL refuses it within a transaction.",
    "postgresql",
)
def concurrent_in_transaction(act: Act, scene: Scene) -> Hits:
    """Find CONCURRENTLY outside an autocommit block."""
    operation = act.operation
    if not isinstance(operation, ops.CreateIndexOp | ops.DropIndexOp) or act.alone:
        return
    if _concurrently(act):
        yield str(operation.index_name), _alone(act, scene)


@rule("wide-index", "Every write pays for it; few queries use its later columns.")
def wide_index(act: Act, scene: Scene) -> Hits:
    """Find indexes of many columns that make nothing unique."""
    operation = act.operation
    if not isinstance(operation, ops.CreateIndexOp) or operation.unique:
        return
    if len(operation.columns) > WIDE:
        narrow = copy(operation)
        narrow.columns = operation.columns[:WIDE]
        code = scene.safely(narrow) if scene.changes_table(act) else scene.code(narrow)
        yield f"{act.table}.{operation.index_name}", code


def _alone(act: Act, scene: Scene) -> str:
    """Return the code of an index outside a transaction; whose table may not be known."""
    whole = copy(act.operation)
    whole.table_name = whole.table_name or "..."
    return scene.safely(whole).replace(", table_name='...'", "")

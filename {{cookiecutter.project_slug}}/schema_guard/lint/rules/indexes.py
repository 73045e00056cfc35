"""Rules about indexes."""

import re
from copy import copy

from alembic.operations import ops

from schema_guard.lint.context import Hits, Scene, rule
from schema_guard.online_ddl.rewrite import AutocommitBlock
from schema_guard.runner.recorder import Act

WIDE = 3
INDEX = re.compile(
    r"^(CREATE\s+(?:UNIQUE\s+)?INDEX\s+|DROP\s+INDEX\s+)(?:CONCURRENTLY\s+)?", re.IGNORECASE
)
CASCADE = re.compile(r"\s+CASCADE\s*$", re.IGNORECASE)


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
        yield f"{act.table}.{operation.index_name}", _alone(act, scene)


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
    new = {name for made in scene.made for name in scene.shape.of(made).indexes}
    if act.table not in scene.made and str(operation.index_name) not in new:
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
    if len(operation.columns) > WIDE and act.sql is not None:
        yield f"{act.table}.{operation.index_name}", scene.allow("wide-index", act, "it is used")
    elif len(operation.columns) > WIDE:
        narrow = copy(operation)
        narrow.columns = operation.columns[:WIDE]
        code = scene.safely(narrow) if scene.changes_table(act) else scene.code(narrow)
        yield f"{act.table}.{operation.index_name}", code


def _alone(act: Act, scene: Scene) -> str:
    """Return the code of an index outside a transaction; SQL of it is kept as it is."""
    if act.sql is not None:
        sql = INDEX.sub(r"\g<1>CONCURRENTLY ", CASCADE.sub("", act.sql)).replace(":", r"\:")
        return scene.code(AutocommitBlock([ops.ExecuteSQLOp(sql)]))
    whole = copy(act.operation)
    whole.table_name = whole.table_name or "..."  # which PostgreSQL does without
    return scene.safely(whole).replace(", table_name='...'", "")

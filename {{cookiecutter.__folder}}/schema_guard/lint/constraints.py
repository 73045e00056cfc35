"""Rules about constraints."""

from typing import Any

from alembic.ddl.postgresql import CreateExcludeConstraintOp
from alembic.operations import ops
from sqlalchemy import Column
from sqlalchemy.sql.elements import conv

from schema_guard.lint.acts import Act
from schema_guard.lint.rules import SERVERS, Hits, Scene, known, rule
from schema_guard.safe import Alone
from schema_guard.sql import Raw


def _is_valid(act: Act, scene: Scene, kind: type[Any]) -> bool:
    """Return whether an act makes a constraint of a kind, and looks at the rows at once."""
    operation = act.operation
    if not isinstance(operation, kind) or not scene.changes_table(act):
        return False
    return not operation.kw.get("postgresql_not_valid")


def _validates(act: Act, scene: Scene, kind: str) -> Hits:
    """Find a constraint that is validated under the lock under which it was made."""
    operation = act.operation
    if not isinstance(operation, Raw) or operation.kind != "validate":
        return
    name = operation.facts["name"]
    constraint = scene.shape.of(act.table).constraints.get(name)
    locked = (scene.revision, act.transaction)
    if constraint and (constraint.kind, constraint.valid, constraint.made) == (kind, False, locked):
        yield f"{act.table}.{name}", scene.code(Alone([ops.ExecuteSQLOp(str(act.sql))]))


def _without(act: Act, scene: Scene, name: str, make: Any) -> str:
    """Return what adds a column by itself, and then its constraint."""
    operation = act.operation
    if not known(operation.column.type):
        return scene.allow(name, act, "the table is small: N rows")
    old = operation.column
    column: Column[Any] = Column(
        old.name,
        old.type,
        nullable=old.nullable,
        server_default=getattr(old.server_default, "arg", None),
    )
    add = ops.AddColumnOp(operation.table_name, column, schema=operation.schema)
    return scene.safely(add, make)


@rule(
    "add-foreign-key",
    "All rows are read, and nobody writes to either table meanwhile.",
    *SERVERS,
)
def add_foreign_key(act: Act, scene: Scene) -> Hits:
    """Find foreign keys that are checked under a lock."""
    operation = act.operation
    if isinstance(operation, ops.AddColumnOp) and scene.changes_table(act):
        for key in operation.column.foreign_keys:
            target = key.target_fullname.split(".")
            given = key.constraint.name if key.constraint is not None else None
            usual = f"fk_{operation.table_name}_{operation.column.name}_{target[-2]}"
            name = conv(str(given or usual))
            make = ops.CreateForeignKeyOp(
                name,
                operation.table_name,
                target[-2],
                [operation.column.name],
                [target[-1]],
                ondelete=key.ondelete,
                onupdate=key.onupdate,
                source_schema=operation.schema,
            )
            what = f"{act.table}.{operation.column.name}"
            yield what, _without(act, scene, "add-foreign-key", make)
    elif _is_valid(act, scene, ops.CreateForeignKeyOp) and not act.online:
        yield f"{act.table}.{operation.constraint_name}", scene.safely(operation)
    yield from _validates(act, scene, "foreignkey")


@rule(
    "add-check",
    "All rows are read, and nobody writes meanwhile (PostgreSQL: nor reads).",
    *SERVERS,
)
def add_check(act: Act, scene: Scene) -> Hits:
    """Find CHECKs that are checked under a lock."""
    operation = act.operation
    if isinstance(operation, ops.AddColumnOp) and scene.changes_table(act):
        column = operation.column
        if getattr(column.type, "create_constraint", False) or column.info.get("checked"):
            reason = "the table is small: N rows"
            yield f"{act.table}.{column.name}", scene.allow("add-check", act, reason)
    elif _is_valid(act, scene, ops.CreateCheckConstraintOp):
        what = f"{act.table}.{operation.constraint_name}"
        if scene.backend == "postgresql":
            yield what, scene.safely(operation)
        else:
            yield what, scene.allow("add-check", act, "the table is small: N rows")
    yield from _validates(act, scene, "check")


@rule(
    "add-unique",
    "Its index is built, and nobody reads or writes the table meanwhile.",
    "postgresql",
)
def add_unique(act: Act, scene: Scene) -> Hits:
    """Find unique constraints whose index is not there yet."""
    operation = act.operation
    if isinstance(operation, ops.AddColumnOp) and scene.changes_table(act):
        column = operation.column
        if column.unique or column.info.get("unique"):
            name = conv(f"uq_{operation.table_name}_{column.name}")
            make = ops.CreateUniqueConstraintOp(
                name, operation.table_name, [column.name], schema=operation.schema
            )
            yield f"{act.table}.{column.name}", _without(act, scene, "add-unique", make)
    elif _is_valid(act, scene, ops.CreateUniqueConstraintOp):
        yield f"{act.table}.{operation.constraint_name}", scene.safely(operation)


@rule(
    "add-primary-key",
    "Its index is built, and nobody reads or writes the table meanwhile.",
    "postgresql",
)
def add_primary_key(act: Act, scene: Scene) -> Hits:
    """Find primary keys whose index is not there yet."""
    if _is_valid(act, scene, ops.CreatePrimaryKeyOp):
        yield f"{act.table}.{act.operation.constraint_name}", scene.safely(act.operation)


@rule(
    "add-exclusion",
    "Its index is built, and nobody reads or writes the table meanwhile.",
    "postgresql",
)
def add_exclusion(act: Act, scene: Scene) -> Hits:
    """Find exclusion constraints: PostgreSQL makes none without that lock."""
    if isinstance(act.operation, CreateExcludeConstraintOp) and scene.changes_table(act):
        what = f"{act.table}.{act.operation.constraint_name}"
        yield what, scene.allow("add-exclusion", act, "the table is small: N rows")

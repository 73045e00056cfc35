"""Rules about constraints."""

import re
from typing import Any

from alembic.ddl.postgresql import CreateExcludeConstraintOp
from alembic.operations import ops
from sqlalchemy import Column
from sqlalchemy.sql.elements import conv

from schema_guard.lint.context import SERVERS, Hits, Scene, known, rule
from schema_guard.online_ddl.rewrite import AutocommitBlock, rewrite
from schema_guard.runner.recorder import Act
from schema_guard.sql.parser import Raw

# What is not read of a constraint in SQL.
LEFT_OUT = re.compile(
    r"\b(NULLS|DEFERR|INITIALLY|INCLUDE|ON\s+(DELETE|UPDATE)|MATCH|WITH)", re.IGNORECASE
)


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
        yield f"{act.table}.{name}", scene.code(AutocommitBlock([ops.ExecuteSQLOp(str(act.sql))]))


def _what(act: Act) -> str:
    return f"{act.table}.{act.operation.constraint_name or '(no name)'}"


def _recipe(act: Act, scene: Scene, name: str) -> str:
    """Return the safe form of a constraint; of SQL only where nothing of it would be left out."""
    operation = act.operation
    if operation.constraint_name is None:
        return scene.allow(name, act, "the table is small: N rows; better give it a name")
    if act.sql is None or (scene.backend == "mysql" and not LEFT_OUT.search(act.sql)):
        return scene.safely(operation)
    if isinstance(operation, ops.CreateForeignKeyOp | ops.CreateCheckConstraintOp):
        validate = rewrite([operation], scene.dialect)[1:]
        first = ops.ExecuteSQLOp(f"{act.sql} NOT VALID".replace(":", r"\:"))
        if len(scene.of_statement(act)) == 1:
            return scene.code(first, *validate)
    elif not LEFT_OUT.search(act.sql) and "(expression)" not in operation.columns:
        return scene.safely(operation)
    return scene.allow(name, act, "the table is small: N rows")


def _without(act: Act, scene: Scene, name: str, make: Any) -> str:
    """Return what adds a column by itself, and then its constraint."""
    operation = act.operation
    if not known(operation.column.type):
        return scene.allow(name, act, "the table is small: N rows")
    old = operation.column
    column: Column[Any] = Column(
        old.name,
        old.type,
        nullable=old.nullable or old.server_default is None,
        server_default=old.server_default,
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
    operation, mysql = act.operation, scene.backend == "mysql"
    if isinstance(operation, ops.AddColumnOp) and scene.changes_table(act):
        for key in operation.column.foreign_keys:
            *schema, of, theirs = key.target_fullname.split(".")
            usual = f"fk_{operation.table_name}_{operation.column.name}_{of}"
            make = ops.CreateForeignKeyOp(
                conv(str(key.name or usual)),
                operation.table_name,
                of,
                [operation.column.name],
                [theirs],
                ondelete=key.ondelete,
                onupdate=key.onupdate,
                deferrable=key.deferrable,
                initially=key.initially,
                source_schema=operation.schema,
                referent_schema=".".join(schema) or None,
            )
            what = f"{act.table}.{operation.column.name}"
            yield what, _without(act, scene, "add-foreign-key", make)
    elif _is_valid(act, scene, ops.CreateForeignKeyOp) and not (mysql and act.online):
        yield _what(act), _recipe(act, scene, "add-foreign-key")
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
        if scene.backend == "postgresql":
            yield _what(act), _recipe(act, scene, "add-check")
        else:
            yield _what(act), scene.allow("add-check", act, "the table is small: N rows")
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
        yield _what(act), _recipe(act, scene, "add-unique")


@rule(
    "add-primary-key",
    "Its index is built, and nobody reads or writes the table meanwhile.",
    "postgresql",
)
def add_primary_key(act: Act, scene: Scene) -> Hits:
    """Find primary keys whose index is not there yet."""
    if _is_valid(act, scene, ops.CreatePrimaryKeyOp):
        yield _what(act), _recipe(act, scene, "add-primary-key")


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

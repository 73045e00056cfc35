"""Rules about constraints."""

import re
from typing import Any

from alembic.ddl.postgresql import CreateExcludeConstraintOp
from alembic.operations import ops
from sqlalchemy import Column, ForeignKey
from sqlalchemy.sql.elements import conv

from schema_guard.dialects.server_version import since
from schema_guard.lint.context import RuleContext, known
from schema_guard.lint.registry import SERVERS, Findings, rule
from schema_guard.online_ddl.rewrite import LONGEST_NAME, AutocommitBlock, rewrite
from schema_guard.runner.recorder import RecordedOperation
from schema_guard.sql.raw import Raw, facts_of

# What is not read of a constraint in SQL.
LEFT_OUT = re.compile(
    r"\b(NULLS|DEFERR|INITIALLY|INCLUDE|ON\s+(DELETE|UPDATE)|MATCH|WITH)", re.IGNORECASE
)


def _is_valid(recorded: RecordedOperation, context: RuleContext, kind: type[Any]) -> bool:
    """Return whether an operation makes a constraint of a kind, and checks the rows at once."""
    operation = recorded.operation
    if not isinstance(operation, kind) or not context.changes_table(recorded):
        return False
    return not operation.kw.get("postgresql_not_valid")


def _validates(recorded: RecordedOperation, context: RuleContext, kind: str) -> Findings:
    """Find a constraint that is validated under the lock under which it was made."""
    operation = recorded.operation
    if not isinstance(operation, Raw) or operation.kind != "validate":
        return
    name = operation.facts["name"]
    constraint = context.schema.of(recorded.table).constraints.get(name)
    locked = (context.revision, recorded.transaction)
    if constraint and (constraint.kind, constraint.valid, constraint.made) == (kind, False, locked):
        yield (
            f"{recorded.table}.{name}",
            context.code(AutocommitBlock([ops.ExecuteSQLOp(str(recorded.sql))])),
        )


def _what(recorded: RecordedOperation) -> str:
    return f"{recorded.table}.{recorded.operation.constraint_name or '(no name)'}"


def _recipe(recorded: RecordedOperation, context: RuleContext, name: str) -> str:
    """Return the safe form of a constraint; of SQL only where nothing of it would be left out."""
    operation = recorded.operation
    if operation.constraint_name is None:
        return context.allow(name, recorded, "the table is small: N rows; better give it a name")
    if recorded.sql is None or (context.backend == "mysql" and not LEFT_OUT.search(recorded.sql)):
        return context.safely(operation)
    if isinstance(operation, ops.CreateForeignKeyOp | ops.CreateCheckConstraintOp):
        validate = rewrite([operation], context.dialect)[1:]
        first = ops.ExecuteSQLOp(f"{recorded.sql} NOT VALID".replace(":", r"\:"))
        if len(context.of_statement(recorded)) == 1:
            return context.code(first, *validate)
    elif not LEFT_OUT.search(recorded.sql) and "(expression)" not in operation.columns:
        return context.safely(operation)
    return context.allow(name, recorded, "the table is small: N rows")


def _without(recorded: RecordedOperation, context: RuleContext, name: str, make: Any) -> str:
    """Return what adds a column by itself, and then its constraint."""
    operation = recorded.operation
    if not known(operation.column.type):
        return context.allow(name, recorded, "the table is small: N rows")
    old = operation.column
    column: Column[Any] = Column(
        old.name,
        old.type,
        nullable=old.nullable or old.server_default is None,
        server_default=old.server_default,
    )
    add = ops.AddColumnOp(operation.table_name, column, schema=operation.schema)
    if not old.index:
        return context.safely(add, make)
    name = conv(f"ix_{operation.table_name}_{old.name}"[:LONGEST_NAME])
    columns, schema = [old.name], operation.schema
    index = ops.CreateIndexOp(name, operation.table_name, columns, schema=schema)
    return context.safely(add, make, index)


def key_of_column(operation: ops.AddColumnOp, key: ForeignKey) -> ops.CreateForeignKeyOp:
    """Return what makes a column's foreign key by itself."""
    *schema, of, theirs = key.target_fullname.split(".")
    usual = f"fk_{operation.table_name}_{operation.column.name}_{of}"
    return ops.CreateForeignKeyOp(
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


@rule(
    "add-foreign-key",
    "It reads all rows, and blocks writes to both tables meanwhile.",
    *SERVERS,
)
def add_foreign_key(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find foreign keys that are checked under a lock."""
    operation, mysql = recorded.operation, context.backend == "mysql"
    if isinstance(operation, ops.AddColumnOp) and context.changes_table(recorded):
        for key in operation.column.foreign_keys:
            make = key_of_column(operation, key)
            what = f"{recorded.table}.{operation.column.name}"
            yield what, _without(recorded, context, "add-foreign-key", make)
    elif _is_valid(recorded, context, ops.CreateForeignKeyOp) and not (mysql and recorded.online):
        yield _what(recorded), _recipe(recorded, context, "add-foreign-key")
    yield from _validates(recorded, context, "foreignkey")


@rule(
    "add-check",
    "It reads all rows, and blocks writes (PostgreSQL: reads too).",
    *SERVERS,
)
def add_check(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find CHECKs that are checked under a lock."""
    operation = recorded.operation
    if isinstance(operation, ops.AddColumnOp) and context.changes_table(recorded):
        column = operation.column
        # MariaDB looks at no row for a CHECK that comes with its column.
        checked = "checked" in facts_of(operation) and not since(context.servers, MariaDB=(10, 11))
        if getattr(column.type, "create_constraint", False) or checked:
            reason = "the table is small: N rows"
            yield f"{recorded.table}.{column.name}", context.allow("add-check", recorded, reason)
    elif _is_valid(recorded, context, ops.CreateCheckConstraintOp):
        if context.backend == "postgresql":
            yield _what(recorded), _recipe(recorded, context, "add-check")
        else:
            yield (
                _what(recorded),
                context.allow("add-check", recorded, "the table is small: N rows"),
            )
    yield from _validates(recorded, context, "check")


@rule(
    "add-unique",
    "Building its index blocks reads and writes meanwhile.",
    "postgresql",
)
def add_unique(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find unique constraints whose index is not there yet."""
    operation = recorded.operation
    if isinstance(operation, ops.AddColumnOp) and context.changes_table(recorded):
        column = operation.column
        if column.unique or "unique" in facts_of(operation):
            name = conv(f"uq_{operation.table_name}_{column.name}")
            make = ops.CreateUniqueConstraintOp(
                name, operation.table_name, [column.name], schema=operation.schema
            )
            yield f"{recorded.table}.{column.name}", _without(recorded, context, "add-unique", make)
    elif _is_valid(recorded, context, ops.CreateUniqueConstraintOp):
        yield _what(recorded), _recipe(recorded, context, "add-unique")


@rule(
    "add-primary-key",
    "Building its index blocks reads and writes meanwhile.",
    "postgresql",
)
def add_primary_key(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find primary keys whose index is not there yet."""
    if _is_valid(recorded, context, ops.CreatePrimaryKeyOp):
        yield _what(recorded), _recipe(recorded, context, "add-primary-key")


@rule(
    "add-exclusion",
    "Building its index blocks reads and writes meanwhile.",
    "postgresql",
)
def add_exclusion(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find exclusion constraints: PostgreSQL makes none without that lock."""
    if isinstance(recorded.operation, CreateExcludeConstraintOp) and context.changes_table(
        recorded
    ):
        what = f"{recorded.table}.{recorded.operation.constraint_name}"
        yield what, context.allow("add-exclusion", recorded, "the table is small: N rows")

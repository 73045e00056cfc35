"""A rule about what foreign keys need, and PostgreSQL and SQLite do not make."""

from collections.abc import Iterator
from typing import Any

from alembic.operations import ops
from sqlalchemy.sql.elements import conv

from schema_guard.lint.context import RuleContext, column_like
from schema_guard.lint.registry import Findings, rule
from schema_guard.lint.rules.constraints import key_of_column
from schema_guard.online_ddl.rewrite import LONGEST_NAME
from schema_guard.runner.recorder import RecordedOperation


@rule(
    "foreign-key-without-index",
    "Deleting a row of the other table reads all rows of this one.",
    "postgresql",
    "sqlite",
)
def foreign_key_without_index(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find foreign keys whose columns have no index by the end of the revision."""
    keys = list(_keys(recorded))
    if not keys or not _is_known(recorded, context):
        return
    after = context.schema.after([recorded, *context.after(recorded)])
    if recorded.table not in after.tables:  # it goes, or has another name
        return
    for columns in keys:
        if not (
            after.is_indexed(recorded.table, columns)
            or _has_model_index(recorded, context, columns)
        ):
            what = f"{recorded.table}.{', '.join(columns)}"
            yield what, _with_index(recorded, context, columns)


def _keys(recorded: RecordedOperation) -> Iterator[list[str]]:
    """Return the columns of each foreign key that an operation makes."""
    operation = recorded.operation
    if isinstance(operation, ops.CreateForeignKeyOp):
        yield list(operation.local_cols)
    elif isinstance(operation, ops.CreateTableOp):
        made: Any = getattr(operation, "made", None)
        made = operation.to_table() if made is None else made
        yield from sorted(list(key.column_keys) for key in made.foreign_key_constraints)
    elif isinstance(operation, ops.AddColumnOp) and operation.column.foreign_keys:
        yield [operation.column.name]


def _is_known(recorded: RecordedOperation, context: RuleContext) -> bool:
    """Return whether all indexes of the table are known, as far as they matter."""
    table = context.schema.of(recorded.table)
    new = not isinstance(recorded.operation, ops.CreateForeignKeyOp)
    return new or context.models is not None or (table.whole and bool(table.columns))


def _has_model_index(recorded: RecordedOperation, context: RuleContext, columns: list[str]) -> bool:
    model = context.models.tables.get(recorded.table or "") if context.models is not None else None
    if model is None:
        return False
    indexed = [[column.name for column in index.columns] for index in model.indexes]
    indexed += [[column.name for column in model.primary_key.columns]]
    return any(set(each[: len(columns)]) == set(columns) for each in indexed)


def _with_index(recorded: RecordedOperation, context: RuleContext, columns: list[str]) -> str:
    """Return the code of an operation, and of the index that it lacks."""
    operation, schema = recorded.operation, None
    table = operation.source_table if isinstance(operation, ops.CreateForeignKeyOp) else None
    if table is None:
        table, schema = operation.table_name, operation.schema
    else:
        schema = operation.kw.get("source_schema")
    name = conv(f"ix_{table}_{'_'.join(columns)}"[:LONGEST_NAME])
    index = ops.CreateIndexOp(name, table, columns, schema=schema)
    if isinstance(operation, ops.CreateTableOp):
        code = context.code(operation, index)
    elif recorded.sql is not None:
        code = f"{context.code(context.sent(recorded))}\n{context.safely(index)}"
    elif isinstance(operation, ops.AddColumnOp) and context.backend == "postgresql":
        keys = [key_of_column(operation, key) for key in operation.column.foreign_keys]
        add = ops.AddColumnOp(table, column_like(operation.column), schema=schema)
        code = context.safely(add, *keys, index)
    else:
        code = context.safely(operation, index)
    return f"{code}\n# In the model: index=True."

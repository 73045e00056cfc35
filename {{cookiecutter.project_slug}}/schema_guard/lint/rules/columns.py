"""Rules about columns."""

import re
from copy import copy
from dataclasses import replace
from typing import Any

from alembic.operations import ops
from sqlalchemy import Column, Computed, DefaultClause, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import JSON, BigInteger

from schema_guard import compat
from schema_guard.lint.context import RuleContext, column_like, known
from schema_guard.lint.registry import SERVERS, Findings, rule
from schema_guard.online_ddl.rewrite import is_expression
from schema_guard.online_ddl.type_changes import widens
from schema_guard.operations.backfilling import Fill
from schema_guard.runner.recorder import RecordedOperation
from schema_guard.sql.raw import facts_of

# PostgreSQL computes these once for all rows; a default without a call is a value.
STABLE = re.compile(
    r"(abs|array|char|coalesce|concat|current_date|current_time|current_timestamp|date_part|"
    r"date_trunc|decimal|extract|greatest|json_build_array|json_build_object|jsonb_build_array|"
    r"jsonb_build_object|least|left|localtime|localtimestamp|lower|make_date|make_interval|md5|now|"
    r"numeric|replace|right|round|statement_timestamp|timezone|to_timestamp|transaction_timestamp|"
    r"upper|varchar)",
    re.IGNORECASE,
)
CALL = re.compile(r"([a-z_][\w.]*)\"?\s*\(", re.IGNORECASE)
CAST = re.compile(r"::\s*[a-z][\w ]*(\(\s*\d+\s*(,\s*\d+\s*)?\))?", re.IGNORECASE)


def _added(recorded: RecordedOperation, context: RuleContext) -> tuple[str, Column[Any]] | None:
    """Return the column that an operation adds to a table in use, and its full name."""
    if isinstance(recorded.operation, ops.AddColumnOp) and context.changes_table(recorded):
        return f"{recorded.table}.{recorded.operation.column.name}", recorded.operation.column
    return None


def _add(recorded: RecordedOperation, wanted: Column[Any]) -> ops.AddColumnOp:
    return ops.AddColumnOp(recorded.operation.table_name, wanted, schema=recorded.operation.schema)


def _fill(recorded: RecordedOperation, name: str, value: str) -> Fill:
    return Fill(recorded.operation.table_name, name, value, recorded.operation.schema)


def _expand(recorded: RecordedOperation, context: RuleContext, new: Column[Any], value: str) -> str:
    """Return what adds a column beside another one, to take its place in a later release."""
    code = context.safely(_add(recorded, new), _fill(recorded, new.name, value))
    return (
        f"{code}\n# Write both from now on. Next release: read {new.name} only. The one after: drop"
        f" {recorded.operation.column_name}."
    )


def _kind(recorded: RecordedOperation, context: RuleContext) -> Any:
    operation = recorded.operation
    place = context.schema.of(recorded.table).columns.get(operation.column_name)
    return operation.existing_type or (place.type if place else None)


@rule("drop-column", "The running release still uses it, and its values are lost.", early=True)
def drop_column(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find columns that are dropped."""
    if isinstance(recorded.operation, ops.DropColumnOp) and context.changes_table(recorded):
        what = f"{recorded.table}.{recorded.operation.column_name}"
        yield what, context.allow("drop-column", recorded, f"no release that runs uses {what}")


@rule("rename-column", "The running release asks for the old name, and fails.")
def rename_column(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find columns that are renamed."""
    operation = recorded.operation
    if not isinstance(operation, ops.AlterColumnOp) or operation.modify_name is None:
        return
    if context.changes_table(recorded):
        what, kind = f"{recorded.table}.{operation.column_name}", _kind(recorded, context)
        if not known(kind):
            yield (
                what,
                context.allow("rename-column", recorded, f"no release that runs uses {what}"),
            )
            return
        new: Column[Any] = Column(operation.modify_name, kind, nullable=True)
        value = f"sa.column({operation.column_name!r})"
        yield what, _expand(recorded, context, new, value)


@rule("change-type", "It rewrites the table, and blocks reads and writes meanwhile.", *SERVERS)
def change_type(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find types that change so that rows do."""
    operation = recorded.operation
    if not isinstance(operation, ops.AlterColumnOp) or operation.modify_type is None:
        return
    old, new = _kind(recorded, context), operation.modify_type
    if not context.changes_table(recorded) or widens(old, new, context.backend):
        return
    what = f"{recorded.table}.{operation.column_name}"
    if not known(new):
        yield what, context.allow("change-type", recorded, "the table is small: N rows")
        return
    other: Column[Any] = Column(f"{operation.column_name}_new", new, nullable=True)
    value = f"sa.cast(sa.column({operation.column_name!r}), {context.type(new)})"
    yield what, _expand(recorded, context, other, value)


@rule(
    "add-not-null", "It fails on existing rows, and in the running release's INSERTs.", early=True
)
def add_not_null(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find new NOT NULL columns without a default that the database knows."""
    found = _added(recorded, context)
    if found is None:
        return
    what, new = found
    given = new.server_default is not None or new.identity or new.computed
    counted = new.autoincrement is True or "counted" in facts_of(recorded.operation)
    if not (new.nullable or given or counted):
        if recorded.sql is not None:
            nullable = re.sub(r"\s+NOT\s+NULL(?![^(]*\))", "", recorded.sql, flags=re.IGNORECASE)
            code = context.code(context.sent(replace(recorded, sql=nullable)))
        else:
            code = context.safely(_add(recorded, column_like(new)))
        later = "# Or give it a server_default. The next release, which writes it, may require it."
        yield what, f"{code}\n{later}"


@rule(
    "set-not-null",
    "It reads all rows, and blocks reads and writes meanwhile.",
    "postgresql",
)
def set_not_null(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find columns that become NOT NULL without a CHECK that was validated before."""
    operation = recorded.operation
    if not isinstance(operation, ops.AlterColumnOp) or operation.modify_nullable is not False:
        return
    name = operation.column_name
    if context.changes_table(recorded) and not context.schema.requires(recorded.table, name):
        required = copy(operation)
        required.existing_type = required.existing_type or _kind(recorded, context)
        yield f"{recorded.table}.{name}", context.safely(required)


@rule(
    "volatile-default",
    "It rewrites the table, and blocks reads and writes meanwhile.",
    "postgresql",
)
def volatile_default(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find new columns with a default that is another one for every row."""
    found = _added(recorded, context)
    if found is None or found[1].server_default is None:
        return
    if "counted" in facts_of(recorded.operation):
        return
    what, new = found
    default: Any = getattr(new.server_default, "arg", None)
    if default is None or isinstance(default, str):
        return
    words = str(default)
    plain = CAST.sub("", re.sub(r"'(?:[^']|'')*'", "''", words))
    calls = [each for each in CALL.findall(plain) if not STABLE.fullmatch(each)]
    if calls or "sequence" in words:
        if not known(new.type):
            yield what, context.allow("volatile-default", recorded, "the table is small: N rows")
            return
        yield what, _default_later(recorded, context, new, words)


def _default_later(
    recorded: RecordedOperation, context: RuleContext, new: Column[Any], words: str
) -> str:
    """Return what adds a column, then gives it its default, then fills it."""
    default = ops.AlterColumnOp(
        recorded.operation.table_name,
        new.name,
        schema=recorded.operation.schema,
        existing_type=new.type,
        modify_server_default=new.server_default,
    )
    fill = _fill(recorded, new.name, f"sa.text({words!r})")
    return context.safely(_add(recorded, column_like(new)), default, fill)


@rule(
    "mysql-expression-default",
    "It copies the table, and blocks writes meanwhile.",
    "mysql",
)
def expression_default(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find new columns whose default is an expression."""
    found = _added(recorded, context)
    if found is not None and is_expression(found[1]):
        what, new = found
        words = str(getattr(new.server_default, "arg", ""))
        if not known(new.type):
            yield (
                what,
                context.allow("mysql-expression-default", recorded, "the table is small: N rows"),
            )
            return
        fill = _fill(recorded, new.name, f"sa.text({words!r})")
        code = context.safely(_add(recorded, column_like(new)), fill)
        yield what, f"{code}\n# The model gives the value to new rows: default=..."


@rule(
    "stored-generated-column",
    "It rewrites the table, and blocks writes meanwhile.",
    *SERVERS,
)
def stored_generated(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find new columns that are computed and stored."""
    found = _added(recorded, context)
    if found is None:
        return
    what, new = found
    computed = new.computed
    if "generated" in facts_of(recorded.operation):
        yield what, context.allow("stored-generated-column", recorded, "the table is small: N rows")
    elif computed is not None and computed.persisted is not False:
        if context.backend == "mysql" and computed.persisted is None:
            return  # VIRTUAL is what MySQL does unasked
        if context.backend == "mysql":
            virtual = Computed(computed.sqltext, persisted=False)
            yield what, context.safely(_add(recorded, Column(new.name, new.type, virtual)))
            return
        fill = _fill(recorded, new.name, f"sa.text({str(computed.sqltext)!r})")
        code = context.safely(_add(recorded, column_like(new)), fill)
        yield what, f"{code}\n# The application, or a trigger, computes it from now on."


@rule(
    "add-autoincrement",
    "It rewrites the table, and blocks writes meanwhile.",
    *SERVERS,
)
def add_autoincrement(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find new columns that number the rows."""
    found = _added(recorded, context)
    if found is None:
        return
    what, new = found
    counted = new.autoincrement is True or "counted" in facts_of(recorded.operation)
    if not (new.identity or counted):
        return
    if context.backend == "mysql" or not known(new.type):
        yield what, context.allow("add-autoincrement", recorded, "the table is small: N rows")
        return
    quote = context.dialect.identifier_preparer.quote
    of = recorded.operation
    parts = [*([of.schema] if of.schema else []), f"{of.table_name}_{new.name}_seq"]
    sequence = ".".join(quote(part) for part in parts)
    default = ops.AlterColumnOp(
        of.table_name,
        new.name,
        schema=of.schema,
        existing_type=BigInteger(),
        modify_server_default=DefaultClause(text(f"nextval('{sequence}')")),
    )
    yield (
        what,
        context.safely(
            _add(recorded, Column(new.name, BigInteger(), nullable=True)),
            ops.ExecuteSQLOp(f"CREATE SEQUENCE {sequence}"),
            default,
            _fill(recorded, new.name, f"sa.func.nextval({sequence!r})"),
        ),
    )


@rule(
    "json-column",
    "`json` cannot be compared: SELECT DISTINCT of the table fails.",
    "postgresql",
)
def json_column(recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Find columns of type json, on new tables too."""
    operation = recorded.operation
    if isinstance(operation, ops.AddColumnOp):
        columns = [operation.column]
    elif isinstance(operation, ops.CreateTableOp):
        columns = [each for each in operation.columns if isinstance(each, Column)]
    else:
        return
    for each in columns:
        kind = each.type.dialect_impl(context.dialect)
        if isinstance(kind, JSON) and not isinstance(kind, postgresql.JSONB):
            other = copy(operation)
            better = compat.copy_column(each)
            better.type = postgresql.JSONB()
            if isinstance(other, ops.AddColumnOp):
                other.column = better
            else:
                other.columns = [better if one is each else one for one in operation.columns]
            yield f"{recorded.table}.{each.name}", context.code(other)

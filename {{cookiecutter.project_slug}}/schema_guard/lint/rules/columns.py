"""Rules about columns."""

import re
from copy import copy
from dataclasses import replace
from typing import Any

from alembic.operations import ops
from sqlalchemy import Column, Computed, DefaultClause, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import JSON, BigInteger

from schema_guard.lint.context import SERVERS, Hits, Scene, column_like, known, rule
from schema_guard.online_ddl.rewrite import is_expression
from schema_guard.online_ddl.type_changes import widens
from schema_guard.operations.backfilling import Fill
from schema_guard.runner.recorder import Act

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


def _added(act: Act, scene: Scene) -> tuple[str, Column[Any]] | None:
    """Return the column that an act adds to a table in use, and its full name."""
    if isinstance(act.operation, ops.AddColumnOp) and scene.changes_table(act):
        return f"{act.table}.{act.operation.column.name}", act.operation.column
    return None


def _add(act: Act, wanted: Column[Any]) -> ops.AddColumnOp:
    return ops.AddColumnOp(act.operation.table_name, wanted, schema=act.operation.schema)


def _fill(act: Act, name: str, value: str) -> Fill:
    return Fill(act.operation.table_name, name, value, act.operation.schema)


def _expand(act: Act, scene: Scene, new: Column[Any], value: str) -> str:
    """Return what adds a column beside another one, to take its place in a later release."""
    code = scene.safely(_add(act, new), _fill(act, new.name, value))
    return (
        f"{code}\n# Write both from now on. Next release: read {new.name} only. The one after: drop"
        f" {act.operation.column_name}."
    )


def _kind(act: Act, scene: Scene) -> Any:
    operation = act.operation
    place = scene.shape.of(act.table).columns.get(operation.column_name)
    return operation.existing_type or (place.type if place else None)


@rule("drop-column", "The running release still uses it, and its values are lost.")
def drop_column(act: Act, scene: Scene) -> Hits:
    """Find columns that are dropped."""
    if isinstance(act.operation, ops.DropColumnOp) and scene.changes_table(act):
        what = f"{act.table}.{act.operation.column_name}"
        yield what, scene.allow("drop-column", act, f"no release that runs uses {what}")


@rule("rename-column", "The running release asks for the old name, and fails.")
def rename_column(act: Act, scene: Scene) -> Hits:
    """Find columns that are renamed."""
    operation = act.operation
    if not isinstance(operation, ops.AlterColumnOp) or operation.modify_name is None:
        return
    if scene.changes_table(act):
        what, kind = f"{act.table}.{operation.column_name}", _kind(act, scene)
        if not known(kind):
            yield what, scene.allow("rename-column", act, f"no release that runs uses {what}")
            return
        new: Column[Any] = Column(operation.modify_name, kind, nullable=True)
        value = f"sa.column({operation.column_name!r})"
        yield what, _expand(act, scene, new, value)


@rule("change-type", "The table is rewritten, and nobody reads or writes it meanwhile.", *SERVERS)
def change_type(act: Act, scene: Scene) -> Hits:
    """Find types that change so that rows do."""
    operation = act.operation
    if not isinstance(operation, ops.AlterColumnOp) or operation.modify_type is None:
        return
    old, new = _kind(act, scene), operation.modify_type
    if not scene.changes_table(act) or widens(old, new, scene.backend):
        return
    what = f"{act.table}.{operation.column_name}"
    if not known(new):
        yield what, scene.allow("change-type", act, "the table is small: N rows")
        return
    other: Column[Any] = Column(f"{operation.column_name}_new", new, nullable=True)
    value = f"sa.cast(sa.column({operation.column_name!r}), {scene.type(new)})"
    yield what, _expand(act, scene, other, value)


@rule(
    "add-not-null",
    "It fails on rows that are there, and in the running release's INSERTs.",
)
def add_not_null(act: Act, scene: Scene) -> Hits:
    """Find new columns that are required, without a default that the database knows."""
    found = _added(act, scene)
    if found is None:
        return
    what, new = found
    given = new.server_default is not None or new.identity or new.computed
    counted = new.autoincrement is True or new.info.get("counted")
    if not (new.nullable or given or counted):
        if act.sql is not None:
            nullable = re.sub(r"\s+NOT\s+NULL(?![^(]*\))", "", act.sql, flags=re.IGNORECASE)
            code = scene.code(scene.sent(replace(act, sql=nullable)))
        else:
            code = scene.safely(_add(act, column_like(new)))
        later = "# Or give it a server_default. The next release, which writes it, may require it."
        yield what, f"{code}\n{later}"


@rule(
    "set-not-null",
    "All rows are read, and nobody reads or writes them meanwhile.",
    "postgresql",
)
def set_not_null(act: Act, scene: Scene) -> Hits:
    """Find columns that become required without a CHECK that was validated before."""
    operation = act.operation
    if not isinstance(operation, ops.AlterColumnOp) or operation.modify_nullable is not False:
        return
    name = operation.column_name
    if scene.changes_table(act) and not scene.shape.requires(act.table, name):
        required = copy(operation)
        required.existing_type = required.existing_type or _kind(act, scene)
        yield f"{act.table}.{name}", scene.safely(required)


@rule(
    "volatile-default",
    "The table is rewritten, and nobody reads or writes it meanwhile.",
    "postgresql",
)
def volatile_default(act: Act, scene: Scene) -> Hits:
    """Find new columns with a default that is another one for every row."""
    found = _added(act, scene)
    if found is None or found[1].server_default is None or found[1].info.get("counted"):
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
            yield what, scene.allow("volatile-default", act, "the table is small: N rows")
            return
        yield what, _default_later(act, scene, new, words)


def _default_later(act: Act, scene: Scene, new: Column[Any], words: str) -> str:
    """Return what adds a column, then gives it its default, then fills it."""
    default = ops.AlterColumnOp(
        act.operation.table_name,
        new.name,
        schema=act.operation.schema,
        existing_type=new.type,
        modify_server_default=new.server_default,
    )
    fill = _fill(act, new.name, f"sa.text({words!r})")
    return scene.safely(_add(act, column_like(new)), default, fill)


@rule(
    "mysql-expression-default",
    "The table is copied, and nobody writes it meanwhile.",
    "mysql",
)
def expression_default(act: Act, scene: Scene) -> Hits:
    """Find new columns whose default is an expression."""
    found = _added(act, scene)
    if found is not None and is_expression(found[1]):
        what, new = found
        words = str(getattr(new.server_default, "arg", ""))
        if not known(new.type):
            yield what, scene.allow("mysql-expression-default", act, "the table is small: N rows")
            return
        fill = _fill(act, new.name, f"sa.text({words!r})")
        code = scene.safely(_add(act, column_like(new)), fill)
        yield what, f"{code}\n# The model gives the value to new rows: default=..."


@rule(
    "stored-generated-column",
    "The table is rewritten, and nobody writes it meanwhile.",
    *SERVERS,
)
def stored_generated(act: Act, scene: Scene) -> Hits:
    """Find new columns that are computed and stored."""
    found = _added(act, scene)
    if found is None:
        return
    what, new = found
    computed = new.computed
    if new.info.get("generated"):
        yield what, scene.allow("stored-generated-column", act, "the table is small: N rows")
    elif computed is not None and computed.persisted is not False:
        if scene.backend == "mysql" and computed.persisted is None:
            return  # VIRTUAL is what MySQL does unasked
        if scene.backend == "mysql":
            virtual = Computed(computed.sqltext, persisted=False)
            yield what, scene.safely(_add(act, Column(new.name, new.type, virtual)))
            return
        fill = _fill(act, new.name, f"sa.text({str(computed.sqltext)!r})")
        code = scene.safely(_add(act, column_like(new)), fill)
        yield what, f"{code}\n# The application, or a trigger, computes it from now on."


@rule(
    "add-autoincrement",
    "The table is rewritten, and nobody writes it meanwhile.",
    *SERVERS,
)
def add_autoincrement(act: Act, scene: Scene) -> Hits:
    """Find new columns that number the rows."""
    found = _added(act, scene)
    if found is None:
        return
    what, new = found
    if not (new.identity or new.autoincrement is True or new.info.get("counted")):
        return
    if scene.backend == "mysql" or not known(new.type):
        yield what, scene.allow("add-autoincrement", act, "the table is small: N rows")
        return
    quote = scene.dialect.identifier_preparer.quote
    of = act.operation
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
        scene.safely(
            _add(act, Column(new.name, BigInteger(), nullable=True)),
            ops.ExecuteSQLOp(f"CREATE SEQUENCE {sequence}"),
            default,
            _fill(act, new.name, f"sa.func.nextval({sequence!r})"),
        ),
    )


@rule(
    "json-column",
    "`json` cannot be compared: SELECT DISTINCT of the table fails.",
    "postgresql",
)
def json_column(act: Act, scene: Scene) -> Hits:
    """Find columns of type json, on new tables too."""
    operation = act.operation
    if isinstance(operation, ops.AddColumnOp):
        columns = [operation.column]
    elif isinstance(operation, ops.CreateTableOp):
        columns = [each for each in operation.columns if isinstance(each, Column)]
    else:
        return
    for each in columns:
        kind = each.type.dialect_impl(scene.dialect)
        if isinstance(kind, JSON) and not isinstance(kind, postgresql.JSONB):
            other = copy(operation)
            better = each._copy()  # noqa: SLF001 - there is no other way
            better.type = postgresql.JSONB()
            if isinstance(other, ops.AddColumnOp):
                other.column = better
            else:
                other.columns = [better if one is each else one for one in operation.columns]
            yield f"{act.table}.{each.name}", scene.code(other)

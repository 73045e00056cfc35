"""What `flask db migrate` writes into a revision."""

import ast
import builtins
import sys
from collections.abc import Iterator
from typing import Any, Literal

from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from flask import current_app
from sqlalchemy import DefaultClause, Enum, FunctionElement, MetaData, TypeDecorator, false, true
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

from schema_guard import compat
from schema_guard.core.errors import GuardError
from schema_guard.dialects.base import backend


def render_item(kind: str, item: object, context: AutogenContext) -> str | Literal[False]:
    """Write what Alembic would write for the DBMS at hand, or for this application, only.

    Its types have to be those of every DBMS, and it has to run unchanged in a year: it must not
    import the application, whose types will have moved on.

    Returns:
        Python for the revision, or False for what Alembic renders well itself.
    """
    if kind == "type" and isinstance(item, TypeDecorator):
        return not is_sqlalchemys(item) and compat.render_type(item.impl_instance, context)
    if kind == "type" and type(item) is postgresql.JSONB:
        # On another DBMS Alembic writes an argument that is not imported.
        context.imports.add("from sqlalchemy.dialects import postgresql")
        return "postgresql.JSONB()"
    if kind == "type" and isinstance(item, TypeEngine) and not is_sqlalchemys(item):
        _import(item, context)
    if kind == "type" and isinstance(item, Enum) and item.native_enum and item.name:
        return context.dialect is not None and (
            context.dialect.name == "postgresql" and render_enum(item, context)
        )
    if kind == "server_default" and isinstance(item, DefaultClause):
        return _render_default(item)
    return False


def is_sqlalchemys(kind: TypeEngine[Any]) -> bool:
    """Return whether a type is SQLAlchemy's own."""
    return type(kind).__module__.partition(".")[0] == "sqlalchemy"


def _import(kind: TypeEngine[Any], context: AutogenContext) -> None:
    """Have a revision import a type of the application's, or of a library, as Alembic names it.

    Raises:
        GuardError: what the type says of itself does not make one.
    """
    module, name = type(kind).__module__, type(kind).__name__
    impl = context.migration_context and context.migration_context.impl
    if context.opts.get("user_module_prefix") is not None or (
        impl and impl.render_type(kind, context)
    ):
        return
    context.imports.add(f"import {module}")
    written = f"{module}.{kind!r}"
    if _makes(written, f"{module}.{name}") and hasattr(sys.modules.get(module), name):
        return
    of = next((f" of {each}" for each in _columns(context) if each.type is kind), "")
    raise GuardError(
        f"The type {type(kind).__qualname__} ({module}){of} cannot be written into a revision:"
        f" `{written}` does not make one. Have its __repr__ return a call with plain values, as in"
        f" `{name}(length=8)`, and the class be at the top of its module. Nothing was written."
    )


def _makes(written: str, name: str) -> bool:
    """Return whether Python is a call of a name, with values that need no import."""
    try:
        call = ast.parse(written, mode="eval").body
    except SyntaxError:
        return False
    if not isinstance(call, ast.Call) or ast.unparse(call.func) != name:
        return False
    values = [*call.args, *(keyword.value for keyword in call.keywords)]
    named = (node for value in values for node in ast.walk(value) if isinstance(node, ast.Name))
    return all(hasattr(builtins, node.id) for node in named)


def _columns(context: AutogenContext) -> Iterator[Any]:
    metadata = context.opts.get("target_metadata")
    for table in metadata.tables.values() if isinstance(metadata, MetaData) else ():
        yield from table.columns


def render_enum(kind: Enum, context: AutogenContext) -> str:
    """Return a type whose values PostgreSQL keeps; `create_enum` makes it there."""
    context.imports.add("from sqlalchemy.dialects import postgresql")
    words = ", ".join([*map(repr, kind.enums), f"name={kind.name!r}"])
    ours = f"postgresql.ENUM({words}, create_type=False)"
    return f'sa.Enum({words}).with_variant({ours}, "postgresql")'


def include_object(item: Any, _name: object, kind: str, *compared: object) -> bool:
    """Hide the index that MySQL keeps for a foreign key, if the model has none; Alembic's own.

    It can only go with the foreign key.
    """
    reflected, compare_to = compared
    if kind != "index" or not reflected or compare_to is not None:
        return True
    db = current_app.extensions["migrate"].db
    model = db.metadata.tables.get(item.table.name)
    if model is None or backend(db.engine.dialect) != "mysql":
        return True
    columns = [column.name for column in item.columns]
    keys = [list(key.column_keys) for key in model.foreign_key_constraints]
    return not any(columns[: len(key)] == key for key in keys)


def _render_default(default: DefaultClause) -> str | Literal[False]:
    """Write defaults that have another SQL on every DBMS as what they are."""
    for value in (true(), false()):
        if default.arg is value:
            return f"sa.{value}()"
    if isinstance(default.arg, FunctionElement) and not list(default.arg.clauses):
        return f"sa.func.{default.arg.name}()"
    return False


def render_rename_table(context: AutogenContext, rename: ops.RenameTableOp) -> str:
    """Return the rename of a table as a revision has it; Alembic writes none."""
    schema = f", schema={rename.schema!r}" if rename.schema else ""
    names = f"{rename.table_name!r}, {rename.new_table_name!r}"
    return f"{context.opts['alembic_module_prefix']}rename_table({names}{schema})"


def _render_create_primary_key(context: AutogenContext, key: ops.CreatePrimaryKeyOp) -> str:
    batch = compat.in_batch(context)
    prefix = "batch_op." if batch else context.opts["alembic_module_prefix"]
    name = compat.render_name(context, key.constraint_name)
    table = "" if batch else f"{key.table_name!r}, "
    schema = f", schema={key.schema!r}" if key.schema and not batch else ""
    return f"{prefix}create_primary_key({name!r}, {table}{list(key.columns)!r}{schema})"


# What Alembic does not write, or with its own words only; for the recipes of lint.
RENDERINGS: dict[Any, Any] = {
    ops.CreatePrimaryKeyOp: _render_create_primary_key,
    ops.RenameTableOp: render_rename_table,
}

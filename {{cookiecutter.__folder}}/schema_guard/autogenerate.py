"""What `flask db migrate` writes into a revision."""

from typing import Literal

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import _drop_column, _drop_table, _repr_type
from alembic.operations import ops
from sqlalchemy import DefaultClause, FunctionElement, TypeDecorator, false, true
from sqlalchemy.dialects import postgresql


def render_item(kind: str, item: object, context: AutogenContext) -> str | Literal[False]:
    """Write what Alembic would write for the DBMS at hand, or for this application, only.

    A revision has to run on every DBMS, and unchanged in a year: it must not import the
    application, whose types will have moved on.

    Returns:
        Python for the revision, or False for what Alembic renders well itself.
    """
    if kind == "type" and isinstance(item, TypeDecorator):
        own = not type(item).__module__.startswith("sqlalchemy.")
        return own and _repr_type(item.impl_instance, context)
    if kind == "type" and type(item) is postgresql.JSONB:
        # On another DBMS Alembic writes an argument that is not imported.
        context.imports.add("from sqlalchemy.dialects import postgresql")
        return "postgresql.JSONB()"
    if kind == "server_default" and isinstance(item, DefaultClause):
        return _render_default(item)
    return False


def _render_default(default: DefaultClause) -> str | Literal[False]:
    """Write defaults that have another SQL on every DBMS as what they are."""
    for value in (true(), false()):
        if default.arg is value:
            return f"sa.{value}()"
    if isinstance(default.arg, FunctionElement) and not list(default.arg.clauses):
        return f"sa.func.{default.arg.name}()"
    return False


@renderers.dispatch_for(ops.DropColumnOp, replace=True)
def _render_drop_column(context: AutogenContext, drop: ops.DropColumnOp) -> list[str]:
    what = f"{drop.table_name}.{drop.column_name}"
    return [f"# Loses data: the values of {what}.", _drop_column(context, drop)]


@renderers.dispatch_for(ops.DropTableOp, replace=True)
def _render_drop_table(context: AutogenContext, drop: ops.DropTableOp) -> list[str]:
    return [f"# Loses data: the rows of {drop.table_name}.", _drop_table(context, drop)]

"""Types that PostgreSQL keeps for enums; for revisions. Nothing of it on another DBMS."""

from alembic import op
from sqlalchemy import text

IS_THERE = "SELECT 1 FROM pg_type WHERE oid = to_regtype(:name)"


def create_enum(name: str, *values: str) -> None:
    """Make a type of PostgreSQL, unless it is there; nothing on another DBMS. For revisions."""
    context = op.get_context()
    if context.dialect.name != "postgresql":
        return
    quoted = _quoted(name)
    if not context.as_sql and op.get_bind().scalar(text(IS_THERE), {"name": quoted}):
        return
    op.execute(f"CREATE TYPE {quoted} AS ENUM ({', '.join(map(_literal, values))})")


def add_enum_value(name: str, value: str, *, after: str | None = None) -> None:
    """Add a value to a type of PostgreSQL; nothing on another DBMS. For revisions.

    It is committed at once, since PostgreSQL refuses its use before.

    Args:
        name: the type's.
        value: the new one.
        after: the value before it; by default it is the last one.
    """
    context = op.get_context()
    if context.dialect.name != "postgresql":
        return
    place = f" AFTER {_literal(after)}" if after is not None else ""
    with context.autocommit_block():
        op.execute(f"ALTER TYPE {_quoted(name)} ADD VALUE IF NOT EXISTS {_literal(value)}{place}")


def drop_enum(name: str) -> None:
    """Drop a type of PostgreSQL; nothing on another DBMS. For revisions."""
    if op.get_context().dialect.name == "postgresql":
        op.execute(f"DROP TYPE IF EXISTS {_quoted(name)}")


def _quoted(name: str) -> str:
    return op.get_context().dialect.identifier_preparer.quote(name)


def _literal(value: str) -> str:
    # A colon would be taken for a parameter.
    return "'{}'".format(value.replace("'", "''").replace(":", r"\:"))

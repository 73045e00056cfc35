"""The names of indexes and constraints, which follow when a table or a column is renamed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alembic.operations import ops
from alembic.operations.ops import MigrateOperation
from sqlalchemy import (
    CheckConstraint,
    Dialect,
    ForeignKeyConstraint,
    Index,
    Inspector,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
)

from schema_guard import compat
from schema_guard.dialects.base import backend

if TYPE_CHECKING:
    from schema_guard.autogenerate.renames import Renames

# What a DBMS renames in place. What is missing stays as it is called (SQLite, MySQL: a primary key
# or CHECK), is dropped and made anew (foreign keys), or is left to Alembic, which does the same.
STATEMENTS = {
    "postgresql": dict.fromkeys(
        ("pk_constraint", "unique_constraints", "foreign_keys", "check_constraints"),
        "ALTER TABLE {table} RENAME CONSTRAINT {{}} TO {{}}",
    )
    | {"indexes": "ALTER INDEX {{}} RENAME TO {{}}"},
    "mysql": dict.fromkeys(
        ("indexes", "unique_constraints"), "ALTER TABLE {table} RENAME INDEX {{}} TO {{}}"
    ),
}


class RenameName(ops.ExecuteSQLOp):
    """A statement that renames one name to another, and can be undone."""

    def __init__(self, statement: str, old: str, new: str, dialect: Dialect) -> None:
        """Rename by a statement with a place for either name."""
        self.statement, self.old, self.new, self.dialect = statement, old, new, dialect
        quote = dialect.identifier_preparer.quote
        super().__init__(statement.format(quote(old), quote(new)))

    def reverse(self) -> "RenameName":
        """Return what undoes it."""
        return RenameName(self.statement, self.new, self.old, self.dialect)


@dataclass
class Follow:
    """An index or a constraint whose name follows."""

    kind: str  # as in the names of an inspector's methods
    table: str
    old: str
    new: str
    info: dict[str, Any]

    def statement(self, dialect: Dialect) -> str | None:
        """Return what renames it in place, with a place for either name; None if nothing does."""
        statement = STATEMENTS.get(backend(dialect), {}).get(self.kind)
        return statement and statement.format(table=dialect.identifier_preparer.quote(self.table))

    def operations(self, dialect: Dialect) -> list[MigrateOperation]:
        """Return what gives it its new name."""
        if statement := self.statement(dialect):
            return [RenameName(statement, self.old, self.new, dialect)]
        if self.kind != "foreign_keys":
            return []
        old, new = (
            ops.CreateForeignKeyOp(
                name,
                self.table,
                self.info["referred_table"],
                self.info["constrained_columns"],
                self.info["referred_columns"],
                **self.info.get("options", {}),
            )
            for name in (self.old, self.new)
        )
        return [ops.ModifyTableOps(self.table, [old.reverse(), new])]


def followers(inspector: Inspector, metadata: MetaData, renames: "Renames") -> Iterator[Follow]:
    """Find the names that follow.

    Args:
        inspector: shows the database after the renames.
        metadata: of the models; they have the new names.
        renames: which tables and columns are renamed.
    """
    kinds = ("indexes", "unique_constraints", "foreign_keys", "check_constraints", "pk_constraint")
    tables = [name for name in inspector.get_table_names() if name in metadata.tables]
    changed = {*renames.tables.values(), *renames.columns}
    wanted = {name: dict(model_names(metadata.tables[name], inspector.dialect)) for name in tables}
    for kind in kinds:
        reflected = getattr(inspector, f"get_multi_{kind}")(filter_names=tables)
        for (_, table), infos in reflected.items():
            for info in infos if isinstance(infos, list) else [infos]:
                touched = table in changed or (info or {}).get("referred_table") in changed
                old = info["name"] if touched and info else None
                if not old:
                    continue
                alike = shape(kind, info)
                if kind == "check_constraints":  # a server tells a condition in words of its own
                    was = f"ck_{renames.before(table)}_"
                    alike = (kind, old.replace(was, f"ck_{table}_", 1))
                new = wanted[table].get(alike, old)
                if new != old:
                    yield Follow(kind, table, old, new, info)


def shape(kind: str, info: dict[str, Any]) -> tuple[Any, ...]:
    """Return what makes an index or a constraint the same whatever its name."""
    if kind == "indexes":
        return kind, *info["column_names"], bool(info["unique"])
    if kind == "unique_constraints":
        return kind, *info["column_names"]
    if kind == "foreign_keys":
        return kind, *info["constrained_columns"], info["referred_table"], *info["referred_columns"]
    return (kind,)


def model_names(table: Table, dialect: Dialect) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Return the names that a model gives its indexes and constraints, by their shapes."""
    items: list[Any] = [*table.indexes, *table.constraints]
    for item in items:
        name = compat.final_name(item, dialect)
        if name is None:
            continue
        if isinstance(item, Index):
            columns = [getattr(each, "name", None) for each in item.expressions]
            yield ("indexes", *columns, bool(item.unique)), name
        elif isinstance(item, UniqueConstraint):
            yield ("unique_constraints", *(column.name for column in item.columns)), name
        elif isinstance(item, ForeignKeyConstraint):
            own = [column.name for column in item.columns]
            there = item.elements[0].target_fullname.rpartition(".")[0]
            columns = [each.target_fullname.rpartition(".")[2] for each in item.elements]
            yield ("foreign_keys", *own, there, *columns), name
        elif isinstance(item, PrimaryKeyConstraint):
            yield ("pk_constraint",), name
        elif isinstance(item, CheckConstraint):
            yield ("check_constraints", name), name

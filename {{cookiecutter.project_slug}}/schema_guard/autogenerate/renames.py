"""Renames: what stays the same under another name.

Promise: a table or column that was renamed keeps its rows, its values, and all that refers to it.

How: autogenerate compares the models with the database as it will be once the renames are done, so
that it finds what else has changed, a type at the same time, say, and nothing twice.
"""

import logging
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from alembic.autogenerate import renderers
from alembic.operations import ops
from alembic.operations.ops import MigrateOperation
from alembic.runtime.migration import MigrationContext
from sqlalchemy import DefaultClause, Dialect, Inspector, MetaData, inspect, text

from schema_guard.autogenerate.constraint_names import RenameName, followers
from schema_guard.dialects.base import backend
from schema_guard.online_ddl.render import render_rename_table

# Where Alembic says what it has detected.
logger = logging.getLogger("alembic.autogenerate")
# What the second of two names that change places is called meanwhile.
TEMPORARY = "_renamed"
REFLECTED = (
    "columns",
    "pk_constraint",
    "foreign_keys",
    "indexes",
    "unique_constraints",
    "check_constraints",
    "table_comment",
    "table_options",
)
# Where what is reflected of a table names its columns, and where itself.
COLUMNS = ("constrained_columns", "column_names", "include_columns", "expressions")
NAMES = ("name", "duplicates_constraint", "duplicates_index")


class RenameTable(ops.RenameTableOp):
    """One that can be undone."""

    def reverse(self) -> "RenameTable":
        """Return what undoes it."""
        return RenameTable(self.new_table_name, self.table_name)


class RenameColumn(ops.AlterColumnOp):
    """The same of a column, for which Alembic would keep the names as they are."""

    def reverse(self) -> "RenameColumn":
        """Return what undoes it."""
        return RenameColumn(
            self.table_name,
            self.modify_name or self.column_name,
            modify_name=self.column_name,
            existing_type=self.existing_type,
            existing_nullable=self.existing_nullable,
            existing_server_default=self.existing_server_default,
            existing_comment=self.existing_comment,
            **self.kw,
        )


renderers.dispatch_for(RenameTable)(render_rename_table)


@dataclass
class Renames:
    """What is renamed, of tables without a schema.

    Attributes:
        tables: new names, by the old ones.
        columns: the same, by the table's new name.
        names: the same of indexes and constraints.
    """

    tables: dict[str, str] = field(default_factory=dict)
    columns: dict[str, dict[str, str]] = field(default_factory=dict)
    names: dict[str, dict[str, str]] = field(default_factory=dict)

    def before(self, table: str) -> str:
        """Return what a table was called."""
        return next((old for old, new in self.tables.items() if new == table), table)

    def seen(self, inspector: Inspector) -> Inspector:
        """Have an inspector show the database as it will be; return it."""
        show: Any = inspector
        show.get_table_names = self._listed(inspector.get_table_names)
        for key in REFLECTED:
            method = f"get_multi_{key}"
            setattr(show, method, self._translated(getattr(inspector, method)))
        return inspector

    def log(self) -> None:
        """Say what is renamed: Alembic has said that it was removed and added."""
        for old, new in self.tables.items():
            logger.info("Renamed table %r to %r", old, new)
        for table, columns in self.columns.items():
            for old, new in columns.items():
                logger.info("Renamed column %r to %r", f"{self.before(table)}.{old}", new)

    def operations(self, context: MigrationContext, metadata: MetaData) -> list[MigrateOperation]:
        """Return what does it, in order, with the names that follow."""
        inspector = inspect(context.connection)
        if inspector is None:
            raise TypeError("Renames need a connection")
        dialect = inspector.dialect
        found: list[MigrateOperation] = [RenameTable(old, new) for old, new in steps(self.tables)]
        for table, columns in self.columns.items():
            infos = {info["name"]: info for info in inspector.get_columns(self.before(table))}
            infos |= {f"{name}{TEMPORARY}": info for name, info in infos.items()}
            found += [
                rename_column(table, old, new, infos[old], dialect) for old, new in steps(columns)
            ]
        self.names = {}
        follow = list(followers(self.seen(inspect(inspector.bind)), metadata, self))
        for name in follow:
            if name.statement(dialect):
                self.names.setdefault(name.table, {})[name.old] = name.new
            found += name.operations(dialect)
        return found

    def _listed(self, names: Callable[..., list[str]]) -> Callable[..., list[str]]:
        @wraps(names)
        def get_table_names(schema: str | None = None, **kwargs: Any) -> list[str]:
            found = names(schema, **kwargs)
            return found if schema else [self.tables.get(name, name) for name in found]

        return get_table_names

    def _translated(self, reflect: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(reflect)
        def get_multi(schema: str | None = None, filter_names: Any = None, **kwargs: Any) -> Any:
            if schema is None and filter_names is not None:
                filter_names = [self.before(name) for name in filter_names]
            found = reflect(schema=schema, filter_names=filter_names, **kwargs)
            if schema is not None:
                return found
            names = {key: self.tables.get(key[1], key[1]) for key in found}
            return {
                (None, names[key]): self._translate(names[key], deepcopy(info))
                for key, info in found.items()
            }

        return get_multi

    def _translate(self, table: str, info: Any) -> Any:
        """Translate what was reflected of a table."""
        if isinstance(info, list):
            return [self._translate(table, each) for each in info]
        if not isinstance(info, dict):
            return info
        columns, names = self.columns.get(table, {}), self.names.get(table, {})
        if "type" in info:  # a column
            info["name"] = columns.get(info["name"], info["name"])
            return info
        for key in COLUMNS:
            if info.get(key):
                info[key] = [columns.get(name, name) for name in info[key]]
        if info.get("column_sorting"):
            sorting = info["column_sorting"].items()
            info["column_sorting"] = {columns.get(name, name): how for name, how in sorting}
        if info.get("referred_table") and info.get("referred_schema") is None:
            info["referred_table"] = self.tables.get(info["referred_table"], info["referred_table"])
            there = self.columns.get(info["referred_table"], {})
            info["referred_columns"] = [there.get(name, name) for name in info["referred_columns"]]
        for key in NAMES:
            info |= {key: names[info[key]]} if info.get(key) in names else {}
        return info


def rename_column(table: str, old: str, new: str, info: Any, dialect: Dialect) -> MigrateOperation:
    """Return what renames a column, with all that MySQL wants to hear again of it."""
    more: Any = {}
    if backend(dialect) == "mysql":
        if info.get("computed"):  # what it is computed from would be lost
            quoted = dialect.identifier_preparer.quote(table)
            return RenameName(f"ALTER TABLE {quoted} RENAME COLUMN {{}} TO {{}}", old, new, dialect)
        default = info.get("default")
        more["existing_server_default"] = DefaultClause(text(default)) if default else None
        more["existing_comment"] = info.get("comment")
        if info.get("autoincrement") is True:
            more["autoincrement"] = True
    return RenameColumn(
        table,
        old,
        modify_name=new,
        existing_type=info["type"],
        existing_nullable=info["nullable"],
        **more,
    )


def steps(renames: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Return renames in an order in which no name is taken; circles take another on the way."""
    left = dict(renames)
    while left:
        free = [old for old, new in left.items() if new not in left]
        if free:
            yield free[0], left.pop(free[0])
        else:
            old, new = left.popitem()
            yield old, f"{old}{TEMPORARY}"
            left[f"{old}{TEMPORARY}"] = new

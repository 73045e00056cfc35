"""How likely it is that a table or a column is another one by a new name."""

from difflib import SequenceMatcher
from typing import Any

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, Table, types

from schema_guard import compat

# Tables may be the same from this share of alike columns on.
ALIKE = 0.5
NUMBERS = (types.Integer, types.Numeric, types.Boolean)


def best_tables(context: MigrationContext, old: Table, new: dict[str, Table]) -> list[str]:
    """Return the new tables that may be one that is gone, the likeliest first."""
    score = {name: _share(context, old, table) for name, table in new.items()}
    return [name for name in _ranked(score) if score[name] >= ALIKE]


def best_columns(
    context: MigrationContext, old: Column[Any], new: dict[str, Column[Any]]
) -> list[str]:
    """Return the new columns that may be one that is gone, the likeliest first."""
    return _ranked(
        {
            name: _likeness(context, old, column)
            for name, column in new.items()
            if _compatible(context, old, column)
        }
    )


def _ranked(score: dict[str, float]) -> list[str]:
    return sorted(score, key=score.__getitem__, reverse=True)


def _share(context: MigrationContext, old: Table, new: Table) -> float:
    """Return the share of their columns that two tables have in common."""
    same = [
        column
        for column in new.columns
        if column.name in old.columns and _compatible(context, old.columns[column.name], column)
    ]
    return len(same) / max(len(old.columns), len(new.columns), 1)


def _likeness(context: MigrationContext, old: Column[Any], new: Column[Any]) -> float:
    same_type = not context.impl.compare_type(old, new)
    places = [list(column.table.columns).index(column) for column in (old, new)]
    names = SequenceMatcher(None, old.name, new.name).ratio()
    nullable = old.nullable == new.nullable
    return 2 * same_type + 0.5 * nullable + 0.5 * (places[0] == places[1]) + 2 * names


def _compatible(context: MigrationContext, old: Column[Any], new: Column[Any]) -> bool:
    """Return whether the values of a column fit another one."""
    return _family(old) is _family(new) or not context.impl.compare_type(old, new)


def _family(column: Column[Any]) -> Any:
    """Return what the type is a kind of: VARCHAR and TEXT are kinds of text."""
    return types.Numeric if isinstance(column.type, NUMBERS) else compat.affinity(column.type)

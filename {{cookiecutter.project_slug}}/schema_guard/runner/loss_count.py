"""What a drop deletes of somebody's, counted on the database at hand."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, FromClause, Inspector, column, func, inspect, select, table

from schema_guard import compat
from schema_guard.dialects.base import reflected
from schema_guard.runner.data_loss import Loss, Losses
from schema_guard.runner.row_ownership import RowOwnership
from schema_guard.runner.table_rows import Copy, TableRows, columns_left

# What Alembic's batch mode calls the table that takes another one's place.
BATCH = "_alembic_tmp_"


@dataclass
class Present:
    """A table as it is now."""

    inspector: Inspector
    connection: Connection
    name: str
    schema: str | None

    @property
    def full(self) -> str:
        """Its name, with its schema."""
        return f"{self.schema}.{self.name}" if self.schema else self.name

    @cached_property
    def types(self) -> dict[str, Any]:
        """The types of its columns by their names, without those that are computed."""
        infos = self.inspector.get_columns(self.name, self.schema)
        return {
            self._name(info["name"]): info["type"] for info in infos if not info.get("computed")
        }

    @cached_property
    def key(self) -> list[str]:
        """The columns of its primary key."""
        found = self.inspector.get_pk_constraint(self.name, self.schema)
        return [self._name(name) for name in found["constrained_columns"]]

    def _name(self, name: str) -> str:
        return reflected(name, self.connection.dialect)

    def clause(self, columns: list[str]) -> FromClause:
        """Return it as what a query selects from."""
        return table(self.name, *map(column, columns), schema=self.schema)

    def count(self, columns: list[str]) -> tuple[int, dict[str, int]]:
        """Return the number of its rows, and of the values in its columns."""
        values = [func.count(column(name)) for name in columns]
        query = select(func.count(), *values).select_from(self.clause([]))
        rows, *numbers = self.connection.execute(query).one()
        return rows, dict(zip(columns, numbers, strict=True))

    def own_rows(self, owned: TableRows, ownership: RowOwnership) -> int:
        """Return how many of its rows are the run's own, at least."""
        if ownership.unsure or (ownership.lost and owned.read):
            return 0
        if owned.cascades and owned.own_rows:
            for key in self.inspector.get_foreign_keys(self.name, self.schema):
                if (key.get("options") or {}).get("ondelete", "").upper() == "CASCADE":
                    return 0  # they may have gone with the rows that they belonged to
        return owned.own_rows


def losses(run: Losses, table: str, column: str | None, schema: str | None) -> Iterator[Loss]:
    """Return what somebody would lose with a table or column.

    Args:
        run: the upgrade.
        table: its name, as the statement gives it.
        column: its name; None for the whole table.
        schema: the table's.
    """
    ownership: RowOwnership = run.ownership
    if ownership.is_made(schema, table):
        return
    inspector = inspect(run.connection)
    present = find(inspector, run.connection, table, schema)
    if present is None:
        return
    owned = ownership.of(schema, present.name)
    if column is None:
        yield from _of_table(run, owned, present)
        return
    name = resolve(column, present.types)
    if name is not None and (id(owned), name) not in run.passed:
        run.passed.add((id(owned), name))
        if ownership.is_somebodys(owned, name):
            yield from _of_column(run, owned, present, name)


def find(
    inspector: Inspector, connection: Connection, table: str, schema: str | None
) -> Present | None:
    """Return a table by its name in SQL, if there is one."""
    name = resolve(table, inspector.get_table_names(schema))
    return Present(inspector, connection, name, schema) if name is not None else None


def resolve(name: str, names: Any) -> str | None:
    """Return the one of some names that a name in SQL means: as it is, or in another case."""
    if name in names:
        return name
    return next((each for each in names if each.lower() == name.lower()), None)


def _of_column(run: Losses, owned: TableRows, present: Present, name: str) -> Iterator[Loss]:
    rows, counts = present.count([name])
    own, number = present.own_rows(owned, run.ownership), counts[name]
    if rows <= own:
        return
    if owned.original and not present.schema and name.lower() not in owned.updated:
        key = (owned.original.lower(), owned.original_column(name))
        if run.before.get(key) == 0:
            number -= own
    if number > 0:
        yield Loss(f"{present.full}.{name}", number, is_column=True)


def _of_table(run: Losses, owned: TableRows, present: Present) -> Iterator[Loss]:
    copied = [
        (target, copy)
        for _, target, copy in run.ownership.copies_of(owned)
        if target is not owned and not target.unknown
    ]
    sqlite = run.connection.dialect.name == "sqlite"  # where nobody else writes meanwhile
    for target, copy in copied:
        is_batch = sqlite and target.name == BATCH + present.name and copy.select.whole
        if is_batch and not any(columns_left(copy, present.types)):
            return
    rows = present.count([])[0] - present.own_rows(owned, run.ownership)
    if rows <= 0:
        return
    if not copied or run.ownership.unsure:
        yield Loss(present.full, rows, is_column=False)
        return
    missing, values = _not_copied(present, owned, rows, copied)
    if missing > 0:
        yield Loss(present.full, missing, is_column=False)
        return
    for name, number in values.items():
        passed = (id(owned), name) in run.passed or not run.ownership.is_somebodys(owned, name)
        if number > 0 and not passed:
            yield Loss(f"{present.full}.{name}", number, is_column=True)


def _not_copied(
    present: Present, owned: TableRows, rows: int, copied: list[tuple[TableRows, Copy]]
) -> tuple[int, dict[str, int]]:
    """Return the number of rows and values that are in no copy of a table."""
    _, values = present.count(list(present.types))
    missing, left = rows, dict(values)
    for target, copy in copied:
        schema, _, name = target.name.rpartition(".")
        there = find(present.inspector, present.connection, name, schema or None)
        if there is None:
            continue
        pairs = _pairs(copy, present, there)
        _, found = there.count(sorted(set(pairs.values())))
        lost = _missing(present, there, pairs)
        if lost is None:
            lost = rows if copy.changed != owned.changed else _fewer(present, there, target, copy)
        missing = min(missing, max(0, lost))
        if lost <= 0:
            gone = set(columns_left(copy, values))
            for name in set(values) - gone:
                fewer = values[name] - found[pairs[name]] if name in pairs else 0
                left[name] = min(left[name], fewer)
    return missing, left


def _missing(present: Present, there: Present, pairs: dict[str, str]) -> int | None:
    """Return how many rows of a table a copy does not hold; None if its key was not copied."""
    if not present.key or not all(_comparable(present, there, name, pairs) for name in present.key):
        return None
    one = present.clause(present.key).alias("one")
    two = there.clause([pairs[name] for name in present.key]).alias("two")
    same: Any = [one.c[name] == two.c[pairs[name]] for name in present.key]
    query = select(func.count()).select_from(one).where(~select(two).where(*same).exists())
    return int(present.connection.scalar(query) or 0)


def _fewer(present: Present, there: Present, target: TableRows, copy: Copy) -> int:
    """Return how many rows fewer a copy has than the table, as far as that is known."""
    rows, _ = present.count([])
    if not copy.select.single:
        return rows
    if target.original is not None:  # it held rows before
        return rows - copy.credited
    others = target.inserted - copy.credited
    return rows - (there.count([])[0] - others)


def _comparable(present: Present, there: Present, name: str, pairs: dict[str, str]) -> bool:
    """Return whether a column and its copy have the same kind of type."""
    if name not in pairs:
        return False
    kinds = [present.types[name], there.types[pairs[name]]]
    one, two = (compat.affinity(kind) for kind in kinds)
    return bool(one is two)


def _pairs(copy: Copy, present: Present, there: Present) -> dict[str, str]:
    """Return the columns that were copied as they are, with what they are called in the copy."""
    found = {}
    everything = any(item.column == "*" for item in copy.select.items)
    items = zip(copy.columns, copy.select.items, strict=False)
    named = {item.column.lower(): name for name, item in items}
    for name in present.types:
        then = copy.renamed.get(name.lower(), name.lower())
        new = resolve(then if everything else named.get(then, ""), there.types)
        if new is not None:
            found[name] = new
    return found

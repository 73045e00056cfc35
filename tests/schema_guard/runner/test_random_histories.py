"""Random histories: refused if, and only if, something of somebody's goes.

HISTORIES=1000 SEED=1 pytest tests/schema_guard/runner/test_random_histories.py
"""

import itertools
import os
import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import pytest
from schema_guard.runner.data_loss import LossError
from services import Service

ID = 'sa.Column("id", sa.Integer, primary_key=True, autoincrement=False)'
BATCH = 'with op.batch_alter_table("{}", recreate="always") as batch:\n    batch.{}'
FIRST_SEED, HISTORIES = int(os.environ.get("SEED", "1")), int(os.environ.get("HISTORIES", "5"))


@dataclass
class Table:
    """What a table holds: each row's values by column, and whose they are; None for a NULL.

    Attributes:
        exact: false once values or rows went that cannot be told from others, in this run.
    """

    columns: list[str]
    rows: list[dict[str, Any]]
    exact: bool = True


@dataclass
class Model:
    """What an upgrade should do, as somebody who sees every value knows it."""

    tables: dict[str, Table] = field(default_factory=dict)

    def begin(self) -> None:
        """Begin a command: all that is there is somebody's."""
        for table in self.tables.values():
            table.exact = True
            for row in table.rows:
                row.update(
                    {name: whose and "somebody" for name, whose in row.items() if name != "id"}
                )

    def lost(self, name: str, column: str | None) -> int:
        """Return how many rows or values of somebody's a drop deletes."""
        key = column or ""
        return sum(row.get(key) == "somebody" for row in self.tables[name].rows)


@dataclass
class Step:
    """A revision: its body, what it does to the model, and what it drops."""

    body: str
    do: Callable[[Model], None]
    drops: tuple[str, str | None] | None = None
    plain: bool = True  # whether it is known beforehand what it does


class Chance:
    """Random revisions, each of which is one step."""

    def __init__(self, seed: int) -> None:
        """Begin with nothing."""
        self.random, self.numbers = random.Random(seed), itertools.count(1)  # noqa: S311 - no secret

    def row(self, table: Table, whose: str) -> dict[str, Any]:
        """Return a row; its own key is empty."""
        return {
            "id": next(self.numbers),
            "": whose,
            **{c: self.random.choice([whose, whose, None]) for c in table.columns},
        }

    def insert(self, model: Model, name: str, whose: str) -> tuple[str, list[dict[str, Any]]]:
        """Return the SQL that inserts rows, and the rows."""
        table = model.tables[name]
        rows = [self.row(table, whose) for _ in range(self.random.randint(1, 3))]
        values = ", ".join(
            "("
            + ", ".join(
                [str(row["id"]), *("NULL" if row[c] is None else "'é%'" for c in table.columns)]
            )
            + ")"
            for row in rows
        )
        return f"INSERT INTO {name} ({', '.join(['id', *table.columns])}) VALUES {values}", rows

    def step(self, model: Model) -> Step:
        """Return a step that can be done."""
        kinds = ["create"] if len(model.tables) < 2 else ["create", *KINDS]
        kind = self.random.choice(kinds)
        if kind == "create":
            return self.create()
        name = self.random.choice(list(model.tables))
        table = model.tables[name]
        column = self.random.choice(table.columns) if table.columns else None
        if column is None and kind in {"drop_column", "rename_column", "update", "drop_if"}:
            kind = "add_column"
        made: Step = getattr(self, kind)(model, name, column)
        return made

    def create(self) -> Step:
        """Make a table."""
        name, columns = f"t{next(self.numbers)}", [f"c{next(self.numbers)}" for _ in range(2)]
        parts = "".join(f", sa.Column({c!r}, sa.String(9))" for c in columns)
        body = f'op.create_table("{name}", {ID}{parts})'

        def do(model: Model) -> None:
            model.tables[name] = Table(list(columns), [])

        return Step(body, do)

    def put(self, model: Model, name: str, _column: str) -> Step:
        """Insert rows."""
        sql, rows = self.insert(model, name, "run")

        def do(model: Model) -> None:
            model.tables[name].rows += [dict(row) for row in rows]

        return Step(f"op.execute({sql!r})", do)

    def add_column(self, _model: Model, name: str, _column: str) -> Step:
        """Add a column, and perhaps fill it."""
        new, fills = f"c{next(self.numbers)}", self.random.random() < 0.5
        body = f'op.add_column("{name}", sa.Column("{new}", sa.String(9)))'
        body += f"\nop.execute(\"UPDATE {name} SET {new} = 'x'\")" if fills else ""

        def do(model: Model) -> None:
            table = model.tables[name]
            table.columns.append(new)
            for row in table.rows:
                row[new] = "run" if fills else None

        return Step(body, do)

    def drop_column(self, _model: Model, name: str, column: str) -> Step:
        """Drop a column."""
        ways = [
            f'op.drop_column("{name}", "{column}")',
            f'op.execute("ALTER TABLE {name} DROP COLUMN {column.upper()}")',
            BATCH.format(name, f'drop_column("{column}")'),
        ]

        def do(model: Model) -> None:
            model.tables[name].columns.remove(column)
            for row in model.tables[name].rows:
                del row[column]

        return Step(self.random.choice(ways), do, (name, column))

    def drop_table(self, _model: Model, name: str, _column: str) -> Step:
        """Drop a table."""
        body = self.random.choice(
            [f'op.drop_table("{name}")', f'op.execute("DROP TABLE IF EXISTS {name}")']
        )

        def do(model: Model) -> None:
            del model.tables[name]

        return Step(body, do, (name, None))

    def drop_if(self, model: Model, name: str, column: str) -> Step:
        """Drop a column in a case that does not come."""
        there = len(model.tables[name].rows)  # is not what it will be: it is read then
        body = (
            f'if op.get_bind().scalar(sa.text("SELECT count(*) FROM {name}")) > {there}:\n'
            f'    op.drop_column("{name}", "{column}")'
        )
        return Step(body, lambda _model: None, None, plain=False)

    def rename_table(self, _model: Model, name: str, _column: str) -> Step:
        """Rename a table."""
        new = f"t{next(self.numbers)}"
        ways = [
            f'op.rename_table("{name}", "{new}")',
            f'op.execute("ALTER TABLE {name} RENAME TO {new}")',
        ]

        def do(model: Model) -> None:
            model.tables[new] = model.tables.pop(name)

        return Step(self.random.choice(ways), do)

    def rename_column(self, _model: Model, name: str, column: str) -> Step:
        """Rename a column."""
        new = f"c{next(self.numbers)}"
        change = f'"{column}", new_column_name="{new}", existing_type=sa.String(9)'
        ways = [
            f'op.alter_column("{name}", {change})',
            f'op.execute("ALTER TABLE {name} RENAME COLUMN {column} TO {new}")',
            BATCH.format(name, f"alter_column({change})"),
        ]

        def do(model: Model) -> None:
            table = model.tables[name]
            table.columns[table.columns.index(column)] = new
            for row in table.rows:
                row[new] = row.pop(column)

        return Step(self.random.choice(ways), do)

    def delete(self, _model: Model, name: str, _column: str) -> Step:
        """Delete rows."""
        everything = self.random.random() < 0.6
        sql = f"DELETE FROM {name}" + ("" if everything else " WHERE id % 2 = 0")

        def do(model: Model) -> None:
            table = model.tables[name]
            table.rows = [] if everything else [row for row in table.rows if row["id"] % 2]
            table.exact &= everything

        return Step(f"op.execute({sql!r})", do, plain=False)

    def update(self, _model: Model, name: str, column: str) -> Step:
        """Set all values of a column."""
        value = self.random.choice(["NULL", "'y'"])

        def do(model: Model) -> None:
            table = model.tables[name]
            table.exact &= value == "NULL"
            for row in table.rows:
                row[column] = None if value == "NULL" else "run"

        return Step(f'op.execute("UPDATE {name} SET {column} = {value}")', do, plain=False)

    def rebuild(self, model: Model, name: str, _column: str) -> Step:
        """Copy a table by hand, and have the copy take its place."""
        new, columns = f"t{next(self.numbers)}", model.tables[name].columns
        parts = "".join(f", sa.Column({c!r}, sa.String(9))" for c in columns)
        listed = ", ".join(["id", *columns])
        create = (
            f'op.create_table("{new}", {ID}{parts})\n'
            f'op.execute("INSERT INTO {new} ({listed}) SELECT {listed} FROM {name}")'
        )
        made = self.random.choice(
            [create, f'op.execute("CREATE TABLE {new} AS SELECT * FROM {name}")']
        )
        body = f'{made}\nop.drop_table("{name}")\nop.rename_table("{new}", "{name}")'
        return Step(body, lambda _model: None, plain=False)


KINDS = ["put", "put", "add_column", "drop_column", "drop_column", "drop_table", "drop_if"]
KINDS += ["rename_table", "rename_column", "delete", "update", "rebuild"]


def expected(model: Model, steps: list[Step]) -> tuple[dict[str, int], bool]:
    """Return what steps lose, by its name, and whether that is known for certain."""
    model, found, exact = deepcopy(model), {}, True
    model.begin()
    for step in steps:
        if step.drops:
            name, column = step.drops
            number = model.lost(name, column)
            exact &= model.tables[name].exact
            if number:
                found[f"{name}.{column}" if column else name] = number
        step.do(model)
    return found, exact


def refused(service: Service, allowed: set[str]) -> set[str]:
    """Return what an upgrade does not delete; nothing if it ended well."""
    try:
        service.upgrade(*(f"allow-loss={each}" for each in sorted(allowed)))
    except LossError as error:
        return {loss.what.lower() for loss in error.losses}
    return set()


def upgrade(service: Service, model: Model, steps: list[Step], first: int) -> None:
    """Upgrade, and allow what is refused, until all steps are done."""
    allowed: set[str] = set()
    while steps:
        bodies = [step.body for step in steps]
        lost, exact = expected(model, steps)
        found = refused(service, allowed)
        assert found or lost.keys() <= allowed, (lost, bodies)
        assert not exact or found <= lost.keys() - allowed, (found, bodies)
        done = int(service.column("SELECT max(version_num) FROM alembic_version")[0] or 0) - first
        done = max(0, done)
        if found and all(step.plain for step in steps):
            assert done == 0, (found, bodies)
            assert found == lost.keys() - allowed, (found, bodies)
        allowed |= found
        model.begin()
        for step in steps[:done]:
            step.do(model)
        first, steps = first + done, steps[done:]


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + HISTORIES))
def test_random_histories(service: Service, seed: int) -> None:
    chance, model, number = Chance(seed), Model(), 0
    service.models()
    for _ in range(4):
        steps, ahead = [], deepcopy(model)
        for _ in range(chance.random.randint(1, 7)):
            steps.append(chance.step(ahead))
            steps[-1].do(ahead)
            service.write(number + len(steps), steps[-1].body, "pass")
        upgrade(service, model, steps, number)
        number += len(steps)
        for name, table in model.tables.items():
            if chance.random.random() < 0.5:
                sql, rows = chance.insert(model, name, "somebody")
                service.run(sql)
                table.rows += rows
            assert service.column(f"SELECT count(*) FROM {name}") == [len(table.rows)]

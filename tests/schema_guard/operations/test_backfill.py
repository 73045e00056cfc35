"""backfill, of tables and columns with any name."""

import re
from typing import Any

import pytest
import sqlalchemy as sa
from schema_guard.core import progress
from schema_guard.core.errors import GuardError
from schema_guard.operations import backfilling
from services import Service

NAMES = ["back`tick", 'dou"ble', "it's", "100%", "a:b", "%(x)", "{x}", "a b", "back\\slash"]
BODY = """
from schema_guard.operations import backfill
for name in {names!r}:
    op.create_table(name, sa.Column(name, sa.Integer, primary_key=True), sa.Column("x", sa.Integer))
    rows = [{{name: number}} for number in range(1, 9)]
    op.bulk_insert(sa.table(name, sa.column(name), sa.column("x")), rows)
    backfill(name, "x", 1)
    op.add_column("x", sa.Column(name, sa.Integer))
    backfill("x", name, 1)
"""


def test_names_hold_anything(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfilling, "BATCH", 3)
    service.write(1, 'op.create_table("x", sa.Column("id", sa.Integer, primary_key=True))', "pass")
    service.upgrade()
    service.insert("x", [{"id": number} for number in range(1, 9)])
    service.write(2, BODY.format(names=NAMES), "pass")
    service.upgrade()
    with service.engine.connect() as connection:
        for name in NAMES:
            for table, column in ((name, "x"), ("x", name)):
                query: sa.Select[Any] = sa.select(sa.column(column)).select_from(sa.table(table))
                found = list(connection.execute(query).scalars())
                assert found == [1] * 8, (table, column)


@pytest.mark.parametrize("dbms", ["postgresql", "mariadb"])
def test_it_shows_how_far_it_has_come(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(backfilling, "BATCH", 3)
    monkeypatch.setattr(progress, "QUIET", 0)
    monkeypatch.setattr(progress, "PAUSE", 0)
    service.write(1, 'op.create_table("x", sa.Column("id", sa.Integer, primary_key=True))', "pass")
    service.upgrade()
    service.insert("x", [{"id": number} for number in range(1, 9)])
    body = """
from schema_guard.operations import backfill
op.add_column("x", sa.Column("y", sa.Integer))
backfill("x", "y", 1)
"""
    service.write(2, body, "pass")
    service.upgrade()
    shown = re.findall(r"Filling x\.y: (\d of 8 rows), [\d,]+ rows/s, ", capsys.readouterr().err)
    assert shown == ["3 of 8 rows", "6 of 8 rows"]


def test_what_a_column_holds_is_counted_whatever_its_name(service: Service) -> None:
    service.write(1, 'op.create_table("x", sa.Column("back`tick", sa.Integer))', "pass")
    service.upgrade()
    service.insert("x", [{"back`tick": 1}])
    service.write(2, 'op.drop_column("x", "back`tick")', "pass")
    with pytest.raises(GuardError, match="1 value"):
        service.upgrade()

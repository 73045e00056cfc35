"""Tables that refer to each other are created and dropped in an order that works."""

from typing import Any

import sqlalchemy as sa
from services import Model, Service


def test_tables_that_refer_to_each_other_come_and_go(service: Service) -> None:
    def table(name: str, *referred: str) -> Model:
        keys: list[sa.Column[Any]] = [
            sa.Column(f"{other}_id", sa.ForeignKey(f"{other}.id"), index=True) for other in referred
        ]
        return (name, sa.Column("id", sa.Integer, primary_key=True), *keys)

    service.models(table("k"))
    service.change()
    service.models(table("k"), table("a", "c"), table("b", "a", "c"), table("c"), table("d", "b"))
    service.change()
    service.downgrade()
    service.upgrade()
    service.models(table("k"), table("a"), table("b", "a"), table("c"), table("d", "b"))
    service.change("drop=a.c_id", "drop=b.c_id")
    service.models(table("k"), table("a"), table("b"), table("c", "a"), table("d", "b"))
    service.change("drop=b.a_id")
    service.models(table("k", "d"), table("a"), table("b"), table("c", "a"), table("d", "b"))
    service.change()
    service.models(table("k"))
    service.change("drop=k.d_id", *(f"drop-table={name}" for name in "abcd"))
    for _ in range(5):
        service.downgrade()
    service.upgrade()

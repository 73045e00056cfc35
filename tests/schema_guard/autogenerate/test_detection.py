"""Every change of a model that Alembic documents is detected, runs, and is undone."""

from typing import Any

import pytest
import sqlalchemy as sa
from samples import users
from services import Model, Service

SHORT = sa.String(20)


def things(*columns: sa.Column[Any]) -> Model:
    """Return a model of things."""
    return ("things", sa.Column("id", sa.Integer, primary_key=True), *columns)


def column(kind: Any, *parts: Any, **more: Any) -> sa.Column[Any]:
    """Return a state of the column that changes."""
    return sa.Column("it", kind, *parts, **more)


def changes() -> dict[str, list[sa.Column[Any]]]:
    """Return the states of a column, one after the other; the first is added to the table."""
    return {
        "default": [
            column(SHORT),
            column(SHORT, nullable=False, server_default="old"),
            column(SHORT, nullable=False, server_default="it's new"),
        ],
        "length": [
            column(SHORT, nullable=False, server_default="it's new"),
            column(sa.String(40), nullable=False, server_default="it's new"),
            column(sa.Text),
            column(SHORT),
            column(SHORT, comment="what it's for"),
            column(SHORT, comment="something else"),
        ],
        "index": [
            column(SHORT),
            column(SHORT, index=True),
            column(SHORT, unique=True),
            column(SHORT, unique=True, index=True),
            column(SHORT, sa.ForeignKey("users.name"), index=True),
            column(SHORT, sa.ForeignKey("users.name")),
            column(SHORT, sa.ForeignKey("users.name", ondelete="CASCADE"), index=True),
            column(SHORT),
        ],
        "integer": [
            column(sa.Integer, server_default="6"),
            column(sa.BigInteger, server_default="7"),
        ],
        "boolean": [
            column(sa.Boolean, nullable=False, server_default=sa.false()),
            column(sa.Boolean, nullable=False, server_default=sa.true()),
        ],
        "time": [column(sa.DateTime), column(sa.DateTime, server_default=sa.func.now())],
        "decimal": [column(sa.Numeric(8, 2)), column(sa.Numeric(10, 2), server_default="0.00")],
    }


def is_kept_for_a_foreign_key(dialect: str, before: sa.Column[Any], after: sa.Column[Any]) -> bool:
    """Return whether all that changes is an index that MySQL keeps for a foreign key."""
    return dialect == "mysql" and bool(before.index and after.foreign_keys and not after.index)


@pytest.mark.parametrize("kind", changes())
def test_a_change_is_detected_and_undone(service: Service, kind: str) -> None:
    states = changes()[kind]
    if service.dialect == "sqlite":  # it has no comments
        states = [state for state in states if not state.comment]
    service.models(users(), things())
    service.change()
    for before, after in zip([None, *states], states, strict=False):
        service.models(users(), things(after))
        if before is not None and is_kept_for_a_foreign_key(service.dialect, before, after):
            assert service.migrate() is None
        elif before is not None and before.nullable and not after.nullable:
            service.change("fill=things.it:x")
        else:
            service.change()
    service.models(users(), things())
    service.change("drop=things.it")

    for _ in service.versions.glob("*.py"):
        service.downgrade()
    tables = sa.inspect(service.engine).get_table_names()
    assert set(tables) <= {"alembic_version", "schema_history", "schema_journal"}
    service.upgrade()

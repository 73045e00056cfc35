"""Values of an enum come and go."""

from typing import Any

import pytest
import sqlalchemy as sa
from samples import users
from services import Model, Service


def colours(*names: str, **kind: Any) -> sa.Enum:
    """Return a type of a few words."""
    return sa.Enum(*names, name="colour", **kind)


def things(*columns: sa.Column[Any]) -> Model:
    """Return a model of things."""
    return ("things", sa.Column("id", sa.Integer, primary_key=True), *columns)


@pytest.mark.parametrize("kind", ["native", "check", "plain"])
def test_values_of_an_enum_come_and_go(service: Service, kind: str) -> None:
    options = {
        "native": {},
        "check": {"native_enum": False, "create_constraint": True, "length": 9},
    }
    more = options.get(kind, {"native_enum": False, "length": 9})
    service.models(things(sa.Column("colour", colours("red", "blue", **more))), users())
    service.change()
    service.insert("things", [{"id": 1, "colour": "red"}, {"id": 2, "colour": None}])

    new: sa.Column[Any] = sa.Column(
        "colour", colours("red", "green", "blue", **more), server_default="green"
    )
    service.models(things(sa.Column("colour", new.type)), users())
    if kind == "check" or (kind == "native" and service.dialect != "sqlite"):
        assert service.differs()  # by the new value alone
    likes: sa.Column[Any] = sa.Column("likes", colours("red", "green", "blue", **more))
    service.models(things(new), users("name", 64, likes))
    service.change()
    service.run("INSERT INTO things (id) VALUES (3)")
    service.run("INSERT INTO users (id, name, likes) VALUES (1, 'a', 'green')")
    assert service.rows("SELECT id, colour FROM things ORDER BY id") == [
        (1, "red"),
        (2, None),
        (3, "green"),
    ]
    if kind == "check" or (kind == "native" and service.dialect != "sqlite"):
        with pytest.raises(sa.exc.DBAPIError):
            service.run("INSERT INTO things (id, colour) VALUES (4, 'black')")

    service.run("DELETE FROM things WHERE colour = 'green'")
    service.downgrade()
    assert service.rows("SELECT id, colour FROM things ORDER BY id") == [(1, "red"), (2, None)]
    service.upgrade()
    service.downgrade()
    service.downgrade()
    service.upgrade()
    service.models(things(), users())
    service.change("drop=things.colour", "drop=users.likes")
    service.downgrade()


def test_a_value_added_alone_is_a_revision_that_runs_both_ways(service: Service) -> None:
    service.models(things(sa.Column("colour", colours("red"))))
    service.change()
    service.insert("things", [{"id": 1, "colour": "red"}])
    service.models(things(sa.Column("colour", colours("red", "it's :new"))))
    text = service.migrate()
    assert text is not None
    compile(text, "revision", "exec")
    service.upgrade()
    service.insert("things", [{"id": 2, "colour": "it's :new"}])
    assert service.migrate() is None
    service.run("DELETE FROM things WHERE id = 2")
    service.downgrade()
    service.upgrade()
    assert service.rows("SELECT id, colour FROM things") == [(1, "red")]

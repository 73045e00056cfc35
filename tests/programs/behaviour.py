"""Run in a project with kitchen_sink.py: what has to be alike on every DBMS."""

import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

from sqlalchemy import delete, func, select, text
from sqlalchemy.exc import DataError
from wsgi import app

from app.config import PYPROJECT
from app.extensions import db
from app.models.kitchen_sink import Colour, Everything

VALUES = {
    "name": "zoë 🚀 'q' \"d\" \\ %s {{ }} ;--",
    "kind": "  spaces  ",
    "long": "é🚀\n" * 100_000,
    "prose": "line\r\nline\ttab \\n",
    "yes": True,
    "maybe": False,
    "small": 32767,
    "whole": -(2**31),
    "big": 2**63 - 1,
    "real": 0.1 + 0.2,
    "price": Decimal("12345678901.2345"),
    "exact": Decimal("-0.10"),
    "born": date(1900, 2, 28),
    "opens": time(23, 59, 59, 999999),
    "lasts": timedelta(days=400, seconds=5),
    "happened": datetime(2026, 7, 1, 12, 0, 0, 123456, timezone(timedelta(hours=5.5))),
    "document": {"é🚀": [1, 1.5, None, True, {"deep": '"quoted" \\ \n'}], "": {}},
    "blob": bytes(range(256)) * 1000,
    "uid": uuid.UUID(int=2**128 - 1),
    "colour": Colour.GREEN,
    "checked": Colour.GREEN,
    "native": Colour.RED,
}
NULLS = ["long", "prose", "maybe", "big", "real", "price", "born", "opens", "lasts"]
NULLS += ["happened", "document", "blob", "uid", "colour", "native"]

with app.app_context():
    db.session.execute(delete(Everything))
    db.session.add(Everything(**VALUES))
    db.session.add(Everything(name="nulls", **dict.fromkeys(NULLS)))
    db.session.commit()
    db.session.expire_all()

    full = db.session.scalars(select(Everything).where(Everything.name == VALUES["name"])).one()
    for name, value in VALUES.items():
        kept = getattr(full, name)
        assert kept == value, f"{name}: {kept!r}, not {value!r}"
        assert type(kept) is type(value), name
    assert full.happened.tzinfo is UTC
    assert abs(full.created - datetime.now(UTC)) < timedelta(minutes=1)
    assert str(full.price) == "12345678901.2345"
    for name in ("big", "real", "price", "exact", "born", "opens", "happened", "uid", "colour"):
        column = getattr(Everything, name)
        found = db.session.scalars(select(Everything.name).where(column == VALUES[name])).all()
        assert found == [VALUES["name"]], name

    nulls = db.session.scalars(select(Everything).where(Everything.name == "nulls")).one()
    assert all(getattr(nulls, name) is None for name in NULLS)
    for name in NULLS:
        null = getattr(Everything, name).is_(None)
        assert db.session.scalars(select(Everything.name).where(null)).all() == ["nulls"], name
    defaults = (nulls.kind, nulls.yes, nulls.small, nulls.checked)
    assert defaults == ('it\'s "new"', False, 0, Colour.RED), defaults

    # The database's clock.
    clock = db.session.scalar(text("SELECT CAST(CURRENT_TIMESTAMP AS CHAR(19))"))
    told = datetime.fromisoformat(clock).replace(tzinfo=UTC)
    assert abs(told - datetime.now(UTC)) < timedelta(minutes=1), clock

    dialect = db.engine.dialect.name
    if dialect == "postgresql":
        name = db.session.scalar(text("SHOW application_name"))
        assert name == PYPROJECT["project"]["name"], name
    if dialect != "sqlite":
        # What does not fit is an error; what others commit is seen.
        db.session.add(Everything(name="x" * 256))
        try:
            db.session.commit()
        except DataError:
            db.session.rollback()
        else:
            raise AssertionError("256 characters fit into 255")
        count = select(func.count()).select_from(Everything)
        before = db.session.scalar(count)
        with db.engine.begin() as other:
            other.execute(text("INSERT INTO everything (name) VALUES ('other')"))
        assert db.session.scalar(count) == before + 1

print("all alike")

"""Values for existing rows of a column that becomes NOT NULL."""

from typing import Any

import pytest
import sqlalchemy as sa
from samples import TEXTS, fill, posts, users
from services import Service
from sqlalchemy.exc import IntegrityError


def test_what_is_required_is_filled(service: Service) -> None:
    service.models(users(), posts())
    fill(service)
    kinds: dict[str, tuple[Any, str]] = {
        "word": (sa.String(40), 'it\'s \\ "{{ x }}" 100% :y'),
        "empty": (sa.String(40), "''"),
        "number": (sa.Integer, "-7"),
        "price": (sa.Numeric(15, 4), "1.25"),
        "flag": (sa.Boolean, "yes"),
        "born": (sa.Date, "2026-01-31"),
        "seen": (sa.DateTime, "2026-01-31T12:00:00"),
        "key": (sa.Uuid, "12345678123456781234567812345678"),
        "kind": (sa.Enum("small", "large", native_enum=False, length=20), "large"),
        "extra": (sa.JSON, '{"a": "it\'s"}'),
    }
    table = users(
        "name", 64, *(sa.Column(name, kind, nullable=False) for name, (kind, _) in kinds.items())
    )
    table[3].nullable = False
    service.models(table, posts())

    refused = service.refused()
    assert "--fill users.word:VALUE" in refused
    assert "users.bio becomes NOT NULL" in refused
    flags = [f"fill=users.{name}:{value}" for name, (_, value) in kinds.items()]
    for wrong in ("fill=users.number:many", "fill=users.kind:none", "fill=users.extra:{"):
        part = wrong.rpartition(":")[0]
        assert "cannot hold" in service.refused(
            *(flag for flag in flags if not flag.startswith(part)), wrong, "fill=users.bio:none"
        )
    text = service.change(*flags, "fill=users.bio:none")
    assert text.count("backfill(") == 1 + len(kinds)
    model = service.metadata.tables["users"]
    with service.engine.connect() as connection:
        (first, *_, last) = connection.execute(sa.select(model).order_by(model.c.id)).mappings()
    assert (first["bio"], last["bio"]) == ("none", TEXTS[-1])
    assert last["word"] == kinds["word"][1]
    assert (last["empty"], last["number"], last["flag"], last["kind"]) == ("", -7, True, "large")
    assert (str(last["price"]), str(last["born"])) == ("1.2500", "2026-01-31")
    assert str(last["seen"]) == "2026-01-31 12:00:00"
    assert last["key"].hex == kinds["key"][1]
    assert last["extra"] == {"a": "it's"}
    with pytest.raises(IntegrityError):
        service.run("UPDATE users SET word = NULL")

    service.downgrade()
    assert service.column("SELECT name FROM users ORDER BY id") == TEXTS
    columns = sa.inspect(service.engine).get_columns("users")
    assert [column["name"] for column in columns] == ["id", "name", "bio", "role"]
    service.run("UPDATE users SET bio = NULL")


def test_many_rows_are_filled_in_batches(service: Service) -> None:
    service.models(users())
    service.migrate()
    service.upgrade()
    service.insert("users", [{"id": i * 3, "name": f"user {i}"} for i in range(25_000)])
    service.models(users("name", 64, sa.Column("phone", sa.String(20), nullable=False)))
    seen: list[int] = []

    def note(_c: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("UPDATE users"):
            seen.append(cursor.rowcount)

    sa.event.listen(service.engine, "after_cursor_execute", note)
    service.change("fill=users.phone:none")

    batches = [25_000] if service.dialect == "sqlite" else [10_000, 10_000, 5_000]
    assert seen == batches
    assert service.rows("SELECT count(*) FROM users WHERE phone = 'none'") == [(25_000,)]

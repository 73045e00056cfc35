"""A rename keeps the rows, and all that refers to what is renamed."""

import re
from typing import Any

import pytest
import sqlalchemy as sa
from samples import TEXTS, fill, posts, users
from services import Model, Service
from sqlalchemy.exc import IntegrityError

BIOS = [None, *TEXTS[1:]]


def test_a_column_is_renamed_with_all_that_refers_to_it(service: Service) -> None:
    service.models(users(), posts())
    fill(service)
    names = service.names("users", "posts")
    table = list(users("full_name"))
    table[4] = sa.Column("job", sa.String(100), index=True)  # another name and type
    service.models(tuple(table), posts("users.full_name"))

    text = service.change("rename=users.name:full_name", "rename=users.role:job")
    assert "new_column_name='full_name'" in text.replace('"', "'")
    assert "drop_column" not in text
    assert service.column("SELECT full_name FROM users ORDER BY id") == TEXTS
    assert service.column("SELECT author FROM posts ORDER BY id") == TEXTS
    assert "uq_users_full_name" in service.names("users")
    assert not {"uq_users_name", "ix_users_role"} & service.names("users")
    assert service.rows("SELECT job FROM users WHERE id = 1") == [("admin",)]
    service.run("INSERT INTO users (id, full_name, job) VALUES (99, 'x', :job)", {"job": "x" * 90})
    service.run("DELETE FROM users WHERE id = 99")
    with pytest.raises(IntegrityError):
        service.run("INSERT INTO posts (id, author) VALUES (99, 'nobody')")

    service.downgrade()
    assert service.column("SELECT name FROM users ORDER BY id") == TEXTS
    assert service.names("users", "posts") == names
    with pytest.raises(IntegrityError):
        service.run("INSERT INTO posts (id, author) VALUES (99, 'nobody')")


def test_a_table_is_renamed_and_a_column_of_it(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "alembic.autogenerate")
    service.models(users(), posts())
    fill(service)
    names = service.names("users", "posts")
    people = ("people", *users("login")[1:])
    service.models(people, posts("people.login"))

    refused = service.refused()
    assert "--rename-table users:people" in refused
    text = service.change("rename-table=users:people", "rename=people.name:login")
    assert "drop_table" not in text
    assert "Renamed table 'users' to 'people'" in caplog.messages
    assert "Renamed column 'users.name' to 'login'" in caplog.messages
    assert service.column("SELECT login FROM people ORDER BY id") == TEXTS
    assert service.column("SELECT bio FROM people ORDER BY id") == BIOS
    assert service.column("SELECT author FROM posts ORDER BY id") == TEXTS
    assert {"uq_people_login", "ix_people_role"} <= service.names("people")
    assert "fk_posts_author_people" in service.names("posts")
    with pytest.raises(IntegrityError):
        service.run("INSERT INTO posts (id, author) VALUES (99, 'nobody')")

    service.downgrade()
    assert service.column("SELECT name FROM users ORDER BY id") == TEXTS
    assert service.names("users", "posts") == names
    service.upgrade()
    assert service.column("SELECT login FROM people ORDER BY id") == TEXTS


def test_names_change_places_and_several_change_at_once(service: Service) -> None:
    service.models(users(), posts())
    fill(service)
    service.models(users(), posts())
    flags = ["rename=users.name:bio", "rename=users.bio:name"]
    table = (
        "users",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("bio", sa.String(64), nullable=False, unique=True),
        sa.Column("name", sa.Text),
        sa.Column("job", sa.String(20), index=True),
    )
    service.models(table, posts("users.bio", "writer"))

    service.change(*flags, "rename=users.role:job", "rename=posts.author:writer")
    assert service.column("SELECT bio FROM users ORDER BY id") == TEXTS
    assert service.column("SELECT name FROM users ORDER BY id") == BIOS
    assert service.rows("SELECT job FROM users WHERE id = 1") == [("admin",)]
    assert service.column("SELECT writer FROM posts ORDER BY id") == TEXTS

    service.downgrade()
    assert service.column("SELECT name FROM users ORDER BY id") == TEXTS
    assert service.column("SELECT bio FROM users ORDER BY id") == BIOS
    assert service.rows("SELECT role FROM users WHERE id = 1") == [("admin",)]


def test_a_key_is_renamed(service: Service) -> None:
    def tables(key: str) -> list[Model]:
        return [
            ("roles", sa.Column(key, sa.Integer, primary_key=True), sa.Column("name", sa.Text)),
            (
                "users",
                sa.Column("id", sa.Integer, primary_key=True),
                sa.Column("role_id", sa.ForeignKey(f"roles.{key}", ondelete="CASCADE")),
            ),
        ]

    service.models(*tables("id"))
    service.migrate()
    service.upgrade()
    service.insert("roles", [{"id": 7, "name": "a"}, {"id": 8, "name": "b"}])
    service.insert("users", [{"id": 1, "role_id": 7}, {"id": 2, "role_id": 8}])
    service.models(*tables("key"))

    service.change("rename=roles.id:key")
    service.run("INSERT INTO roles (name) VALUES ('counted')")  # it still counts by itself
    service.run("DELETE FROM roles WHERE name = 'b'")
    assert service.rows("SELECT id, role_id FROM users") == [(1, 7)]
    service.downgrade()
    service.run("INSERT INTO roles (name) VALUES ('again')")
    service.run("DELETE FROM roles WHERE id = 7")
    assert service.rows("SELECT id, role_id FROM users") == []


def test_nothing_is_guessed(service: Service) -> None:
    service.models(users(), posts())
    fill(service)
    more: list[sa.Column[Any]] = [sa.Column("nick", sa.String(64)), sa.Column("count", sa.Integer)]
    service.models(users("full_name", 64, *more)[:3] + users("x", 64, *more)[4:])

    refused = service.refused()
    assert "Nothing was written" in refused
    lines = refused.splitlines()
    found = lines.index("users.name is no longer in the models:")
    assert lines[found + 1 : found + 4] == [
        "  --rename users.name:full_name",
        "  --rename users.name:nick",
        "  --drop users.name",
    ]
    assert "  --drop users.bio" in lines
    assert "  --drop-table posts" in lines
    assert "count" not in refused
    assert "full_name is new and NOT NULL" not in refused  # it may be the old one

    answers = ["rename=users.name:full_name", "drop=users.bio"]
    assert "--drop-table posts" in service.refused(*answers)
    for wrong, why in {
        "rename=users.name:nobody": "no model has nobody",
        "rename=users.name:role": "that name is taken",
        "rename=users": "it has the form TABLE.COLUMN:NEW",
        "drop=users.gone": "do not call for it",
        "fill=users.bio:x": "do not call for it",
    }.items():
        kept = [flag for flag in answers if not wrong.startswith("rename=users.name")]
        assert why in service.refused(*kept, "drop-table=posts", wrong)
    text = service.migrate(*answers, "drop-table=posts")
    assert text is not None
    assert re.search(r"# Loses data: .*users\.bio.*\n +batch_op\.drop_column\(.bio.\)", text)
    assert re.search(r"# Loses data: .*posts.*\n +op\.drop_table\(.posts.\)", text)

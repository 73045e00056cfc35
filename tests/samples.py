"""Tables with rows that bite, for tests of several files."""

from typing import Any

import sqlalchemy as sa
from services import NO_WAY_BACK, Model, Service

TEXTS = ["Zoë", "it's", 'a "quote"', "back\\slash", "line\nbreak", "{{ name }}", "100% :x", "😀"]

BASE = """
op.create_table(
    "users",
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(50), nullable=False),
    sa.Column("email", sa.String(100)),
    sa.Column("age", sa.Integer),
    sa.Column("status", sa.String(20), nullable=False, server_default="new"),
)
op.create_table(
    "posts",
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("user_id", sa.Integer),
    sa.Column("title", sa.String(100)),
    sa.Column("a", sa.Integer),
    sa.Column("b", sa.Integer),
    sa.Column("c", sa.Integer),
)
op.create_index("ix_posts_title", "posts", ["title"])
op.create_index("ix_posts_user_id", "posts", ["user_id"])
op.execute("CREATE TABLE plain (id integer NOT NULL)")
"""
POSTGRESQL = """
op.execute("CREATE TYPE mood AS ENUM ('sad', 'ok')")
op.execute("CREATE SCHEMA drafts")
op.execute("CREATE MATERIALIZED VIEW names AS SELECT id, name FROM users")
op.execute("CREATE UNIQUE INDEX uq_names ON names (id)")
op.execute("CREATE TABLE parts (id integer NOT NULL) PARTITION BY RANGE (id)")
op.execute("CREATE TABLE part1 PARTITION OF parts FOR VALUES FROM (1) TO (100)")
op.execute("CREATE TABLE part2 (id integer NOT NULL)")
"""
MYSQL = """
op.create_table("notes", sa.Column("id", sa.Integer, primary_key=True), sa.Column("body", sa.Text))
op.create_index("ft_notes_body", "notes", ["body"], mysql_prefix="FULLTEXT")
"""


def write_base(service: Service) -> None:
    """Write a first revision by hand, which makes users and posts."""
    more = {"postgresql": POSTGRESQL, "mysql": MYSQL}.get(service.dialect, "")
    service.write(1, BASE + more, NO_WAY_BACK)


def run_base(service: Service) -> None:
    """Run the first revision, and fill its tables."""
    service.upgrade(revision="0001")
    numbered = list(enumerate(TEXTS, 1))
    service.insert(
        "users",
        [
            {"id": i, "name": name, "email": f"{i}@x.org", "age": None if i % 2 else i}
            for i, name in numbered
        ],
    )
    service.insert(
        "posts",
        [{"id": i, "user_id": None if i % 3 else 1, "title": name} for i, name in numbered],
    )


def users(name: str = "name", length: int = 64, *more: sa.Column[Any]) -> Model:
    """Return a model of users whose names are unique and indexed."""
    return (
        "users",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(name, sa.String(length), nullable=False, unique=True),
        sa.Column("bio", sa.Text, index=False),
        sa.Column("role", sa.String(20), index=True),
        *more,
    )


def posts(author: str = "users.name", key: str = "author") -> Model:
    """Return a model of what users have written; it refers to their names."""
    return (
        "posts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(key, sa.String(64), sa.ForeignKey(author), index=True),
    )


def fill(service: Service) -> None:
    """Write the first revision, and fill its tables."""
    assert service.migrate()
    service.upgrade()
    rows = [{"id": i, "name": text, "bio": text, "role": None} for i, text in enumerate(TEXTS, 1)]
    rows[0] |= {"bio": None, "role": "admin"}
    service.insert("users", rows)
    service.insert("posts", [{"id": i, "author": text} for i, text in enumerate(TEXTS, 1)])

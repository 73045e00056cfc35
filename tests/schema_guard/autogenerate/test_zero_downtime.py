"""What is written does not block the service, or says so."""

from typing import Any

import flask_migrate
import pytest
import sqlalchemy as sa
from samples import TEXTS, fill, posts, users
from services import Model, Service

IN_USE = {
    "postgresql": [
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_users_boss ON users (boss)",
        "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS uq_users_code ON users (code)",
        "ALTER TABLE users ADD CONSTRAINT uq_users_code UNIQUE USING INDEX uq_users_code",
        "FOREIGN KEY(boss) REFERENCES users (id) NOT VALID",
        "ALTER TABLE users VALIDATE CONSTRAINT fk_users_boss_users",
        "ADD CONSTRAINT ck_users_role_not_null CHECK (role IS NOT NULL) NOT VALID",
        "ALTER TABLE users VALIDATE CONSTRAINT ck_users_role_not_null",
        "ALTER TABLE users ALTER COLUMN role SET NOT NULL",
        "ALTER TABLE users DROP CONSTRAINT ck_users_role_not_null",
        "CREATE INDEX ix_tags_owner ON tags (owner)",
        "DROP INDEX CONCURRENTLY IF EXISTS ix_users_boss",
    ],
    "mysql": [
        "ALTER TABLE users ADD COLUMN boss INTEGER, LOCK=NONE",
        "CREATE INDEX ix_users_boss ON users (boss) ALGORITHM=INPLACE LOCK=NONE",
        "UNIQUE (code), ALGORITHM=INPLACE, LOCK=NONE",
        "FOREIGN KEY(boss) REFERENCES users (id), ALGORITHM=INPLACE, LOCK=NONE",
        "ALTER TABLE users MODIFY role VARCHAR(20) NOT NULL, ALGORITHM=INPLACE, LOCK=NONE",
        "CREATE INDEX ix_tags_owner ON tags (owner)",
        "ALTER TABLE users DROP INDEX ix_users_boss, ALGORITHM=INPLACE, LOCK=NONE",
    ],
    "sqlite": [],
}


def test_what_is_written_does_not_block(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    service.models(users(), posts())
    fill(service)
    table = list(
        users(
            "name",
            64,
            sa.Column("code", sa.String(20), unique=True),
            sa.Column("boss", sa.Integer, sa.ForeignKey("users.id"), index=True),
        )
    )
    table[4] = sa.Column("role", sa.String(20), index=True, nullable=False)
    owner = sa.Column("owner", sa.Integer, sa.ForeignKey("users.id"), index=True)
    tags = ("tags", sa.Column("id", sa.Integer, primary_key=True), owner)
    service.models(tuple(table), posts(), tags)
    sent: list[str] = []

    def note(*of: Any) -> None:
        sent.append(" ".join(of[2].replace("`", "").split()))

    sa.event.listen(service.engine, "before_cursor_execute", note)
    service.change("fill=users.role:user")
    name = service.dialect
    if name != "sqlite":  # it reads the table that it rebuilds
        with service.app.app_context():
            flask_migrate.upgrade(sql=True, revision="0001:0002")
        printed = " ".join(capsys.readouterr().out.replace("`", "").split())
        online_key = (
            "REFERENCES users (id), ALGORITHM"  # which is printed in a form that checks rows
        )
        wanted = [words for words in IN_USE[name][:-1] if online_key not in words]
        assert [words for words in wanted if words not in printed] == []
    service.downgrade()
    sa.event.remove(service.engine, "before_cursor_execute", note)

    for words in IN_USE[name]:
        assert any(statement.endswith(words) for statement in sent), words
    text = next(service.versions.glob("*0002*.py")).read_text(encoding="utf-8")
    assert "foreign-key-without-index" not in text
    rebuilds = {"sqlite-rebuild-large-table"} if name == "sqlite" else set()
    assert set(service.findings("0002")) == rebuilds
    assert service.rows("SELECT count(*) FROM users") == [(len(TEXTS),)]
    service.upgrade()
    assert service.rows("SELECT count(*) FROM users WHERE role IS NULL") == [(0,)]


def test_what_blocks_says_so(service: Service) -> None:
    def ages(kind: Any) -> Model:
        return ("ages", sa.Column("id", sa.Integer, primary_key=True), sa.Column("age", kind))

    service.models(ages(sa.Integer))
    assert service.migrate()
    service.upgrade()
    service.insert("ages", [{"id": 1, "age": 7}, {"id": 2, "age": None}])
    sqlite = service.dialect == "sqlite"
    service.models(ages(sa.BigInteger))

    text = service.change()

    # How many rows there are here says nothing of how many there are elsewhere.
    rule = "sqlite-rebuild-large-table" if sqlite else "change-type"
    assert f"# {rule}: It {'copies all rows' if sqlite else 'rewrites the table'}" in text
    assert service.findings("0002") == [rule]
    assert service.rows("SELECT age FROM ages WHERE id = 2") == [(None,)]


def wanted() -> list[Model]:
    """Return models that change all that a model can have."""
    return [
        (
            "users",
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("login", sa.String(20), nullable=False),
            sa.Column("age", sa.BigInteger),
            sa.Column("kind", sa.Enum("a", "b", "c", native_enum=False, length=5), nullable=False),
            sa.Column("code", sa.String(20), unique=True),
            sa.Column("boss", sa.Integer, sa.ForeignKey("users.id")),
            sa.Column("data", sa.JSON),
            sa.Column("stamp", sa.DateTime, server_default=sa.func.now(), nullable=False),
            sa.CheckConstraint("age > 0", "age"),
        ),
        ("tags", sa.Column("id", sa.Integer, primary_key=True), sa.Column("x", sa.JSON)),
    ]


ANSWERS = (
    "rename=users.name:login",
    "drop=users.bio",
    "drop-table=notes",
    "fill=users.kind:a",
)


def test_before_the_first_release_what_is_written_passes(service: Service) -> None:
    before = (
        "users",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(50), nullable=False),
        sa.Column("age", sa.Integer),
        sa.Column("kind", sa.String(5)),
        sa.Column("bio", sa.Text),
    )
    service.models(before, ("notes", sa.Column("id", sa.Integer, primary_key=True)))
    assert service.migrate()
    service.upgrade()
    service.models(*wanted())
    settings = service.versions.parent.parent / "pyproject.toml"
    settings.write_text("[tool.service]\nreleased = false\n", encoding="utf-8")

    text = service.change(*ANSWERS)

    assert service.findings("0002") == []
    assert "# schema_guard: allow" not in text
    if service.dialect != "mysql":  # which makes one
        assert "# foreign-key-without-index: Deleting a row of the other table reads" in text
    for lost in ("the values of users.bio", "the rows of notes"):
        assert f"# Loses data: {lost}." in text
    (path,) = service.versions.glob("*0002*.py")
    path.write_text(text.replace("# Loses data: ", "# "), encoding="utf-8")
    assert {"drop-column", "drop-table"} == set(service.findings("0002"))

    path.write_text(text, encoding="utf-8")
    settings.write_text("[tool.service]\nreleased = true\n", encoding="utf-8")
    assert {"rename-column", "drop-column", "drop-table"} <= set(service.findings("0002"))

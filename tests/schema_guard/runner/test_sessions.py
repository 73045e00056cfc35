"""What a revision does by the application's session, and by connections of its own."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from click import ClickException
from schema_guard.runner import lock_timeout
from services import NO_WAY_BACK, Service
from sqlalchemy.orm import Mapped, mapped_column

if TYPE_CHECKING:
    from flask_sqlalchemy import SQLAlchemy

BASE = """
key = sa.Column("id", sa.Integer, primary_key=True)
op.create_table("users", key, sa.Column("name", sa.String(40)))
op.execute("INSERT INTO users (id, name) VALUES (1, 'Zoë'), (2, NULL)")
"""
BY_SESSION = """
from flask import current_app
db = current_app.extensions["sqlalchemy"]
User = current_app.config["USER"]
op.add_column("users", sa.Column("nick", sa.String(40)))
db.session.execute(sa.text("UPDATE users SET nick = 'é' WHERE name IS NULL"))
db.session.add(User(id=3, name="it's"))
db.session.commit()
assert [user.name for user in User.query.order_by(User.id)] == ["Zoë", None, "it's"]
db.session.add(User(id=4, name="never"))
db.session.rollback()
db.session.add(User(id=5, name="flushed, not committed"))
db.session.flush()
"""
FAILS = "raise ValueError('no')"
SECOND = """
from flask import current_app
op.add_column("users", sa.Column("nick", sa.String(40)))
with {opened} as other:
    other.execute(sa.text("UPDATE users SET name = 'lost'"))
"""


@pytest.fixture
def user(service: Service) -> Iterator[Any]:
    """Have the service know a model of the application's, and return it."""
    db: SQLAlchemy = service.app.extensions["sqlalchemy"]
    service.extension.db = db

    class User(db.Model):  # type: ignore[name-defined,misc]
        __tablename__ = "users"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str | None]

    service.app.config["USER"] = User
    service.write(1, BASE, NO_WAY_BACK)
    service.upgrade()
    yield User
    with service.app.app_context():
        db.session.remove()


def test_the_session_is_the_migrations(service: Service, user: Any) -> None:
    service.write(2, BY_SESSION + FAILS, "pass")
    with pytest.raises(ClickException, match="ValueError: no"):
        service.upgrade()
    if service.dialect != "mysql":  # it has committed the ALTER TABLE
        assert service.rows("SELECT * FROM users ORDER BY id") == [(1, "Zoë"), (2, None)]
    service.write(2, BY_SESSION, "pass")
    db = service.app.extensions["sqlalchemy"]
    with service.app.app_context():
        before = db.session.get(user, 1)
        db.session.rollback()
        service.upgrade()
        assert db.session.get(user, 1) is before
        assert db.session.get_bind() is service.engine
    query = "SELECT id, name, nick FROM users ORDER BY id"
    assert service.rows(query) == [(1, "Zoë", None), (2, None, "é"), (3, "it's", None)]


@pytest.mark.parametrize(
    "opened",
    [
        "current_app.extensions['migrate'].db.engine.begin()",
        "sa.orm.Session(current_app.extensions['migrate'].db.engine)",
    ],
)
def test_a_second_connection_is_refused_before_it_waits(
    service: Service, user: Any, opened: str
) -> None:
    del user
    service.write(2, SECOND.format(opened=opened), "pass")
    with pytest.raises(ClickException) as refused:
        service.upgrade()
    message = refused.value.message
    assert "Revision 0002" in message
    assert re.search(r"line 1[12]\) failed: SecondConnectionError: it opens a second", message)
    assert "Session(bind=op.get_bind())" in message
    assert "Correct the revision, then run the command again" in message
    assert service.rows("SELECT name FROM users ORDER BY id") == [("Zoë",), (None,)]
    with service.app.app_context(), service.engine.connect() as after:  # as before
        after.rollback()


@pytest.mark.parametrize("dbms", ["sqlite"])
def test_an_engine_of_the_revisions_own_is_one_too(service: Service, user: Any) -> None:
    del user
    opened = "sa.create_engine(current_app.config['SQLALCHEMY_DATABASE_URI']).connect()"
    service.write(2, SECOND.format(opened=opened), "pass")
    with pytest.raises(ClickException, match="opens a second connection"):
        service.upgrade()


@pytest.mark.parametrize("dbms", ["sqlite"])
def test_another_database_is_not_the_migrations(service: Service, user: Any, tmp_path: Any) -> None:
    del user
    opened = f"sa.create_engine('sqlite:///{tmp_path}/other.db').begin()"
    create = "CREATE TABLE IF NOT EXISTS users (name text)"
    body = SECOND.format(opened=opened).replace("UPDATE users SET name = 'lost'", create)
    service.write(2, body, "pass")
    service.upgrade()
    assert (tmp_path / "other.db").exists()


@pytest.mark.parametrize("dbms", ["postgresql", "mariadb"])
def test_the_callers_own_session_is_named(
    service: Service,
    user: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It was used before, and holds the table: what the migration waits for is its own process."""
    monkeypatch.setattr(lock_timeout, "TRIES", 2)
    service.app.config["MIGRATION_LOCK_TIMEOUT"] = 1
    service.write(2, 'op.add_column("users", sa.Column("nick", sa.String(40)))', NO_WAY_BACK)
    db = service.app.extensions["sqlalchemy"]
    with service.app.app_context():
        assert db.session.get(user, 1) is not None
        with pytest.raises(ClickException, match=r"lock timeout|Lock wait timeout"):
            service.upgrade()
        db.session.rollback()
        service.upgrade()
    waited = capsys.readouterr().err
    # The server's clock is in another time zone.
    assert re.search(r"Blocked by: .* transaction for \d{1,2} s: ", waited)

"""The models, on the schema that the migrations made."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError, StatementError
from sqlalchemy.orm import Session

from app.models import Role, User


def test_a_user_has_a_role_and_a_time_of_creation(session: Session) -> None:
    session.add(User(username="zoë 🚀", email="zoe@example.com", role=Role(name="pilot")))
    session.commit()
    session.expire_all()

    user = session.scalars(select(User)).one()

    assert (user.username, user.password_hash) == ("zoë 🚀", None)
    assert user.role is not None
    assert user.role.name == "pilot"
    age = datetime.now(UTC) - user.created_at
    assert timedelta(0) <= age < timedelta(minutes=1)


@pytest.mark.parametrize("same", ["username", "email"])
def test_username_and_email_are_unique(session: Session, same: str) -> None:
    for number in range(2):
        values = {"username": f"name{number}", "email": f"{number}@example.com", same: "same"}
        session.add(User(**values))

    with pytest.raises(IntegrityError):
        session.commit()


def test_times_come_back_in_utc_to_the_microsecond(session: Session) -> None:
    noon = datetime(2026, 7, 1, 12, 0, 0, 123456, timezone(timedelta(hours=2)))
    session.add(User(username="ann", email="ann@example.com", created_at=noon))
    session.commit()
    session.expire_all()

    found = session.scalars(select(User).where(User.created_at == noon)).one()

    assert found.created_at == noon
    assert found.created_at.isoformat() == "2026-07-01T10:00:00.123456+00:00"


def test_a_time_without_a_zone_is_refused(session: Session) -> None:
    naive = datetime.now(UTC).replace(tzinfo=None)
    session.add(User(username="ann", email="ann@example.com", created_at=naive))

    with pytest.raises(StatementError, match="has no time zone"):
        session.commit()


def test_names_are_the_same_only_character_for_character(session: Session) -> None:
    names = ["zoe", "Zoe", "zoë", "zoe ", "🚀", "🛰"]
    session.add_all(User(username=name, email=name) for name in names)
    session.commit()

    for name in names:
        assert session.scalars(select(User.email).where(User.username == name)).all() == [name]


def test_a_role_that_users_have_cannot_go(session: Session) -> None:
    role = Role(name="pilot")
    session.add(User(username="ann", email="ann@example.com", role=role))
    session.flush()

    with pytest.raises(IntegrityError):
        session.execute(delete(Role).where(Role.id == role.id))


def test_each_test_starts_without_rows(session: Session) -> None:
    assert session.scalars(select(User)).all() == []


def test_a_password_is_kept_as_a_hash() -> None:
    user = User(username="ann", email="ann@example.com")
    assert not user.check_password("")

    user.set_password("opensésame")

    assert user.check_password("opensésame")
    assert not user.check_password("open")
    assert "open" not in str(user.password_hash)

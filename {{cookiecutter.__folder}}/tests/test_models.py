"""The models, on the schema that the migrations made."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
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
    # SQLite and MySQL keep no time zone; what they keep is UTC.
    age = datetime.now(UTC) - user.created_at.replace(tzinfo=UTC)
    assert timedelta(0) <= age < timedelta(minutes=1)


@pytest.mark.parametrize("same", ["username", "email"])
def test_username_and_email_are_unique(session: Session, same: str) -> None:
    for number in range(2):
        values = {"username": f"name{number}", "email": f"{number}@example.com", same: "same"}
        session.add(User(**values))

    with pytest.raises(IntegrityError):
        session.commit()


def test_each_test_starts_without_rows(session: Session) -> None:
    assert session.scalars(select(User)).all() == []


def test_a_password_is_kept_as_a_hash() -> None:
    user = User(username="ann", email="ann@example.com")
    assert not user.check_password("")

    user.set_password("opensésame")

    assert user.check_password("opensésame")
    assert not user.check_password("open")
    assert "open" not in str(user.password_hash)

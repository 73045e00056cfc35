"""The service's own commands."""

import re

from flask.testing import FlaskCliRunner
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import Role, User


def test_seed_adds_roles_and_an_administrator_once(
    runner: FlaskCliRunner, session: Session
) -> None:
    first = runner.invoke(args=["seed"])

    assert first.exit_code == 0, first.output
    password = re.search(r"password (\S+)", first.output)
    assert password is not None
    admin = session.scalars(select(User)).one()
    assert admin.check_password(password[1])
    assert admin.role is not None
    assert admin.role.name == "admin"
    roles = set(session.scalars(select(Role.name)))
    assert roles == {"admin", "user"}

    hashed = admin.password_hash
    session.expire_all()
    second = runner.invoke(args=["seed"])

    assert second.exit_code == 0, second.output
    assert "password" not in second.output
    assert session.scalars(select(User)).one().password_hash == hashed
    assert set(session.scalars(select(Role.name))) == roles

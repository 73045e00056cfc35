"""Flags of the guards, and arguments of the application's own, which may be called the same."""

from typing import Any

import flask_migrate
import pytest
import sqlalchemy as sa
from click import ClickException
from samples import fill, posts, users
from schema_guard.core.options import Options
from services import Service

ENV = """
from alembic import context
from flask import current_app

from schema_guard import env

current_app.config["GIVEN"] = context.get_x_argument()
env.run(context)
"""


def test_python_gives_flags_as_arguments() -> None:
    given = ["allow-edited", "rename=a.b:c=d", "drop-table=t", "drop=t.a", "drop=t.b"]
    wrong = [
        "allow_edited",
        "allow-edited=yes",
        "rename",
        "tenant=1",
        "values=1",
        "parse",
        "",
        "=1",
    ]
    assert Options.parse([*given, *wrong]) == Options(
        allow_edited=True, rename=("a.b:c=d",), drop_table=("t",), drop=("t.a", "t.b")
    )
    assert Options.parse(given).values("drop-table") == ("t",)
    assert Options.parse(wrong) == Options()


@pytest.mark.parametrize("dbms", ["sqlite"])
def test_an_argument_on_the_command_line_is_the_applications(service: Service) -> None:
    (service.versions.parent / "env.py").write_text(ENV, encoding="utf-8")
    service.models(users(), posts())
    fill(service)
    service.write(2, "op.drop_column('users', 'bio')", "pass")
    runner = service.app.test_cli_runner()

    own = ["drop=nothing", "resume=never", "allow-loss=users.bio", "allow-edited"]
    arguments = [word for argument in own for word in ("-x", argument)]
    refused = runner.invoke(args=["db", *arguments, "upgrade"])
    assert refused.exit_code == 1
    assert "would drop users.bio" in refused.output
    assert set(service.app.config["GIVEN"]) == set(own)

    allowed = runner.invoke(args=["db", "upgrade", *arguments, "--allow-loss", "users.bio"])
    assert allowed.exit_code == 0, allowed.output
    assert set(service.app.config["GIVEN"]) == set(own)
    with service.app.app_context(), pytest.raises(ClickException, match="resume=never"):
        flask_migrate.downgrade(x_arg="resume=never")


@pytest.mark.parametrize("dbms", ["sqlite"])
def test_revision_takes_the_flags_that_its_refusal_names(service: Service) -> None:
    service.models(users())
    fill_users(service)
    service.models(users("login"))
    runner = service.app.test_cli_runner()
    command: list[Any] = ["db", "revision", "--autogenerate", "-m", "x", "--rev-id", "0002"]

    refused = runner.invoke(args=command)
    assert refused.exit_code == 1
    assert "--rename users.name:login" in refused.output
    assert len(list(service.versions.glob("*.py"))) == 1
    plain = runner.invoke(args=["db", "revision", "--rename", "users.name:login"])
    assert plain.exit_code == 2
    assert "--autogenerate" in plain.output
    done = runner.invoke(args=[*command, "--rename", "users.name:login"])
    assert done.exit_code == 0, done.output
    service.upgrade()
    assert service.column("SELECT login FROM users") == ["Zoë"]


def fill_users(service: Service) -> None:
    """Write and run the first revision, and add a row."""
    assert service.migrate()
    service.upgrade()
    service.run(sa.text("INSERT INTO users (id, name) VALUES (1, 'Zoë')"))

"""What schema_guard shows to a project, and that it changes nothing else."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import flask_migrate.cli
import pytest
import sqlalchemy as sa
from alembic.autogenerate import renderers
from alembic.ddl.impl import _impls
from alembic.operations.base import AbstractOperations
from click import ClickException
from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from schema_guard.core import versions
from schema_guard.core.errors import GuardError
from services import PROJECT, Service

PUBLIC = {"schema_guard", "schema_guard.env", "schema_guard.readiness", "schema_guard.testing"}
# As the first versions of the template had `flask db migrate` write it.
GOLDEN = b'''"""add users.locale"""

import sqlalchemy as sa
from alembic import op
from schema_guard.backfill import backfill
from schema_guard.enums import add_enum_value, create_enum, drop_enum
from schema_guard.online import online

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_enum("colour", "red", "it's")
    add_enum_value("colour", "blue", after="red")
    op.create_table(
        "users",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(20), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
    )
    op.execute("INSERT INTO users (id, name) VALUES (1, NULL), (2, 'Zo\xc3\xab')")
    backfill("users", "name", "nobody")
    with online():
        op.create_index("ix_users_name", "users", ["name"])


def downgrade() -> None:
    op.drop_table("users")
    drop_enum("colour")
'''


def modules(path: Path) -> set[str]:
    """Return the modules of schema_guard that a file imports from."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "schema_guard":
            names = {f"schema_guard.{each.name}" for each in node.names}
            found |= names if names & PUBLIC else {"schema_guard"}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
    return {name for name in found if name.partition(".")[0] == "schema_guard"}


def test_the_project_imports_public_modules_only() -> None:
    folders = ("app", "migrations", "tests")
    files = [path for folder in folders for path in (PROJECT / folder).rglob("*.py")]
    used = {name for path in files for name in modules(path)}
    assert PUBLIC - {"schema_guard"} <= used
    revisions = {"schema_guard.operations"}
    assert used <= PUBLIC | revisions


def test_importing_it_reads_no_command_and_no_rule() -> None:
    code = "import schema_guard, schema_guard.readiness, sys; print(*sys.modules)"
    read = subprocess.run(
        [sys.executable, "-B", "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert "schema_guard.readiness" in read
    rooms = "cli.commands lint autogenerate online_ddl admin.backup admin.database sql operations"
    for room in rooms.split():
        assert f"schema_guard.{room}" not in read


def test_another_application_keeps_flask_migrates_commands(service: Service) -> None:
    other = Flask("other")
    other.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    Migrate(other, SQLAlchemy(other))
    runner = other.test_cli_runner()
    names = set(flask_migrate.cli.db.commands)
    assert not names & {"prepare", "lint", "backup", "restore", "log", "rebase", "drop", "create"}
    assert "--allow-loss" not in runner.invoke(args=["db", "upgrade", "--help"]).output
    assert runner.invoke(args=["db", "lint"]).exit_code != 0

    guarded = service.app.test_cli_runner()
    assert "--allow-loss" in guarded.invoke(args=["db", "upgrade", "--help"]).output
    listed = guarded.invoke(args=["db", "--help"]).output
    for name in {*names, "prepare", "lint", "backup", "restore", "log", "rebase"}:
        assert f"  {name} " in listed


def test_alembic_is_as_it_was_after_a_run(service: Service) -> None:
    dispatchers = [renderers, vars(AbstractOperations)["_to_impl"]]
    registries: list[dict[Any, Any]] = [_impls, *(vars(each)["_registry"] for each in dispatchers)]
    before = [dict(each) for each in registries]
    service.write(1, "op.add_column('nowhere', sa.Column('x', sa.Integer))", "pass")
    with pytest.raises(ClickException):
        service.upgrade()
    service.lint("0001")
    for then, now in zip(before, registries, strict=True):
        assert {name: now.get(name) for name in then} == then
        for name in now.keys() - then.keys():  # operations of the guards' own
            assert name[0].__module__.startswith("schema_guard.")
    for name in ("mysql", "mariadb"):
        assert _impls[name].__module__ == "alembic.ddl.mysql"


@pytest.mark.parametrize(
    ("name", "release"), [("alembic", "1.21.0"), ("SQLAlchemy", "2.10.0"), ("Flask-Migrate", "5.0")]
)
def test_a_release_that_does_not_fit_is_one_sentence(name: str, release: str) -> None:
    fitting = {known: f"{minor}.3" for known, minor in versions.FITS.items()}
    versions.check(fitting)
    with pytest.raises(GuardError) as refusal:
        versions.check({**fitting, name: release})
    assert f"does not fit {name} {release}" in refusal.value.message
    assert "Nothing was run." in refusal.value.message


@pytest.mark.parametrize("dbms", ["sqlite", "postgresql", "mariadb"])
def test_a_revision_of_an_earlier_version_runs_and_counts_as_run(service: Service) -> None:
    path = service.versions / "0001_golden.py"
    path.write_bytes(GOLDEN)
    service.upgrade()
    rows = service.rows("SELECT id, name FROM users ORDER BY id")
    assert rows == [(1, "nobody"), (2, "Zoë")]
    with service.engine.connect() as connection:
        found = connection.scalar(
            sa.text("SELECT source FROM schema_history WHERE revision = '0001'")
        )
    assert bytes(found) == GOLDEN
    service.upgrade()  # refuses what was edited
    service.downgrade()
    assert not sa.inspect(service.engine).has_table("users")

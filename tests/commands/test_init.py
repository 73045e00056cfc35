"""`flask db init` makes a repository that the guards run in; another one is named."""

import shutil
from pathlib import Path

import pytest
from projects import Project
from schema_guard.revisions.environment import TEMPLATE, runs_guards
from services import MIGRATIONS

MODEL = """
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import UserDefinedType

from app.extensions import Base
from app.types import LongText


class Point(UserDefinedType[str]):
    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "VARCHAR(40)"


class Place(Base):
    __tablename__ = "places"
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[str] = mapped_column(Point())
    notes: Mapped[str] = mapped_column(LongText)
    size: Mapped[Decimal]
    more: Mapped[dict[str, Any]]
"""


def test_a_new_repository_is_the_projects_own() -> None:
    for path in MIGRATIONS.iterdir():
        if path.is_file():
            (copy,) = TEMPLATE.glob(f"{path.name}*")
            assert copy.read_bytes() == path.read_bytes()


def test_after_deleting_migrations(any_project: Project) -> None:
    folder = any_project.path / "migrations"
    module = any_project.path / "app" / "models" / "place.py"
    kept = any_project.path / "kept"
    url = f"sqlite:///{any_project.path}/instance/init.db"
    shutil.move(folder, kept)
    module.write_text(MODEL, encoding="utf-8")
    try:
        for command in (["init"], ["migrate", "-m", "all"], ["upgrade"], ["check"]):
            outcome = any_project.flask("db", *command, DATABASE_URL=url)
            assert outcome.status == 0, outcome.output
        (path,) = folder.glob("versions/*_all.py")
        text = path.read_text(encoding="utf-8")
        assert "import app.models.place\n" in text
        assert "from sqlalchemy.dialects import mysql, postgresql\n" in text
        assert "schema_history" in any_project.query(
            "SELECT name FROM sqlite_master", DATABASE_URL=url
        )

        other = any_project.path / "stock"
        for number, template in enumerate((["-t", "flask"], ["--multidb"])):
            where = ["-d", f"{other}{number}"]
            made = any_project.flask("db", "init", *where, *template, DATABASE_URL=url)
            assert made.status == 0, made.output
            assert "from flask import current_app" in Path(f"{other}{number}/env.py").read_text()
            for name in ("heads", "current", "lint"):
                named = any_project.flask("db", name, *where, DATABASE_URL=url)
                assert "does not call schema_guard.env.run, so no guard is on" in named.output
            refused = any_project.flask(
                "db", "upgrade", "--backup", "--allow-loss", "users", *where, DATABASE_URL=url
            )
            assert refused.status == 1
            assert "nothing heeds --allow-loss, --backup" in refused.output
    finally:
        module.unlink()
        shutil.rmtree(folder, ignore_errors=True)
        shutil.move(kept, folder)


@pytest.mark.parametrize(
    ("source", "runs"),
    [
        (b"from schema_guard import env\nenv.run(context)", True),
        (b"from schema_guard.env import run as go", True),
        (b"import schema_guard.env", True),
        (b"def f():\n    from schema_guard import env", True),
        (b"from schema_guard import SchemaGuard", False),
        (b"# from schema_guard import env\nimport logging", False),
        (b"this is no Python", True),  # running it says so
    ],
)
def test_which_environments_run_the_guards(source: bytes, runs: bool) -> None:
    assert runs_guards(source) is runs

"""A new revision is formatted where ruff is installed, and written in any case."""

import sys
from pathlib import Path

import flask_migrate
import pytest
import sqlalchemy as sa
from services import Service

pytestmark = pytest.mark.parametrize("dbms", ["sqlite"])


def write(service: Service, ini: str | None = None) -> str:
    """Have a revision written with the project's own hooks; return its text."""
    path = service.versions.parent / "alembic.ini"
    path.write_text(ini or service.settings, encoding="utf-8")
    service.models(("t", sa.Column("id", sa.Integer, primary_key=True)))
    text = service.migrate()
    assert text is not None
    service.upgrade()
    return text


def test_without_ruff_it_is_not_formatted(
    service: Service, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ruff", None)  # as if it were not installed
    assert "sa.Column('id'" in write(service)
    assert "ruff has" not in capfd.readouterr().err


def test_a_ruff_that_fails_is_named(
    service: Service, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ruff.toml").write_text("nothing = like this", encoding="utf-8")
    assert "sa.Column('id'" in write(service)
    assert "Warning: ruff has not formatted " in capfd.readouterr().err


def test_what_the_author_needs_stays_imported(
    service: Service, capfd: pytest.CaptureFixture[str]
) -> None:
    (service.versions.parent / "alembic.ini").write_text(service.settings, encoding="utf-8")
    with service.app.app_context():
        flask_migrate.revision(message="x" * 200)
    (path,) = service.versions.glob("*.py")
    text = path.read_text(encoding="utf-8")
    assert "import sqlalchemy as sa\nfrom alembic import op\n" in text
    assert "E501" not in "".join(capfd.readouterr())

"""Alembic's own command, with the configuration of a project."""

from pathlib import Path

import pytest
from processes import revisions
from projects import Outcome, Project, prepared, run


@pytest.mark.parametrize("dbms", ["sqlite"])
def test_alembic_finds_the_application(any_project: Project, server: None, tmp_path: Path) -> None:
    url = prepared(any_project, server, "alembic", seeded=True)

    def alembic(*words: str, folder: Path = any_project.path) -> Outcome:
        program, ini = any_project.tool("alembic"), any_project.path / "migrations" / "alembic.ini"
        environ = {**any_project.environ, "DATABASE_URL": url, "FLASK_DEBUG": "1"}
        return run(program, "-c", ini, *words, cwd=folder, environ=environ)

    with revisions(any_project, {"0002": 'op.drop_column("users", "email")'}):
        current = alembic("current", folder=tmp_path)
        refused = alembic("upgrade", "head")

    assert current.status == 0, current.output
    assert "0001" in current.output
    assert refused.status == 1
    assert "Error: Revision 0002 would drop users.email, and 1 value with it." in refused.output
    assert "Traceback" not in refused.output

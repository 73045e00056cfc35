"""A connection that is lost: what was committed is looked up, and is what the record says."""

from pathlib import Path

import pytest
from processes import revisions
from projects import Project, prepared
from proxy import cutting
from servers import Server
from sqlalchemy import make_url

ROW = "op.execute(\"INSERT INTO roles (name, description) VALUES ('{}', 'Zoë 🎉')\")"
HERE = 'import pathlib; pathlib.Path("here").touch()'


@pytest.fixture
def here(any_project: Project) -> Path:
    """Return the file that a revision makes: from then on it is to go wrong."""
    path = any_project.path / "here"
    path.unlink(missing_ok=True)
    return path


def outcomes(project: Project, url: str) -> list[tuple[str, str]]:
    """Return what the record says, the newest first."""
    lines = project.flask("db", "log", DATABASE_URL=url).output.splitlines()
    words = [line.split("  ")[1:3] for line in lines if " UTC  " in line]
    return [(revision, outcome) for revision, outcome in words]


@pytest.mark.parametrize("dbms", ["postgresql", "mariadb"])
@pytest.mark.parametrize("after", [True, False], ids=["after", "before"])
def test_the_answer_to_a_commit_is_lost(
    any_project: Project, server: Server, here: Path, *, after: bool
) -> None:
    url = prepared(any_project, server, f"commit{after:d}")
    port = make_url(url).port
    assert port is not None
    bodies = {
        "0002": ROW.format("two"),
        "0003": f"{ROW.format('three')}\n    {HERE}",
        "0004": ROW.format("four"),
    }
    with revisions(any_project, bodies):
        with cutting(port, here.exists, after=after) as through:
            proxied = url.replace(f":{port}/", f":{through}/")
            lost = any_project.flask("db", "upgrade", DATABASE_URL=proxied)
        current = any_project.flask("db", "current", DATABASE_URL=url).output.splitlines()
        told = outcomes(any_project, url)
        again = any_project.flask("db", "upgrade", DATABASE_URL=url)

    assert lost.status == 1
    assert "Traceback" not in lost.output
    assert "transaction is" not in lost.output  # what SQLAlchemy says then
    if after:
        assert "The connection was lost" in lost.output
        assert "The revision is committed. The database is at 0003." in lost.output
        assert "0003" in current
        assert told[:2] == [("upgrade 0003", "done"), ("upgrade 0002", "done")]
    else:
        assert "Revision 0003 failed: " in lost.output
        assert "The database is at 0002. Nothing of this revision was committed." in lost.output
        assert "0002" in current
        assert told[:2] == [("upgrade 0003", "failed"), ("upgrade 0002", "done")]
    assert again.status == 0, again.output
    names = any_project.query("SELECT name FROM roles ORDER BY id", DATABASE_URL=url)
    assert names == "[('two',), ('three',), ('four',)]"

"""Two branches that both add a revision: two heads, and how they become one."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import REVISION_BODY
from projects import Project, prepared


def git(project: Project, *arguments: str) -> None:
    """Run git in a project."""
    identity = ("-c", "user.name=Zoë", "-c", "user.email=zoe@example.org")
    command = ["git", *identity, *arguments]
    subprocess.run(command, cwd=project.path, env=project.environ, check=True, capture_output=True)


def revision(project: Project, name: str, after: str, *, commit: bool = True) -> Path:
    """Write a revision that makes a table, and commit it."""
    path = project.path / "migrations" / "versions" / f"{name}_test.py"
    body = f'op.create_table("{name}", sa.Column("id", sa.Integer(), primary_key=True))'
    text = REVISION_BODY.format(revision=name, before=1, body=body)
    text = text.replace('down_revision = "0001"', f'down_revision = "{after}"')
    text = text.replace("    pass", f'    op.drop_table("{name}")', 1)
    path.write_text(f'"""A table.\n\nRevises: {after}\n"""\n{text}', encoding="utf-8")
    if commit:
        git(project, "add", "--all")
        git(project, "commit", "--quiet", "--message", name)
    return path


@pytest.fixture
def merged(any_project: Project) -> Iterator[tuple[Project, str]]:
    """Return a project with a merged branch, `mine`, to which `main` had come meanwhile."""
    folder = any_project.path / "migrations" / "versions"
    kept = set(folder.glob("*.py"))
    url = prepared(any_project, None, f"heads{len(list(any_project.path.glob('instance/heads*')))}")
    git(any_project, "branch", "--move", "--force", "main")
    git(any_project, "add", "--all")
    git(any_project, "commit", "--quiet", "--allow-empty", "--message", "first")
    git(any_project, "checkout", "--quiet", "-b", "mine")
    revision(any_project, "mine1", "0001")
    revision(any_project, "mine2", "mine1")
    git(any_project, "checkout", "--quiet", "main")
    revision(any_project, "theirs", "0001")
    git(any_project, "checkout", "--quiet", "mine")
    git(any_project, "merge", "--quiet", "--no-edit", "main")
    yield any_project, url
    git(any_project, "checkout", "--quiet", "--force", "main")
    git(any_project, "branch", "--delete", "--force", "mine")
    git(any_project, "reset", "--quiet", "--hard", "HEAD~1")
    assert set(folder.glob("*.py")) == kept


def test_mine_is_put_after_theirs(merged: tuple[Project, str]) -> None:
    project, url = merged
    for command in (["migrate"], ["upgrade"], ["check"]):
        outcome = project.flask("db", *command, DATABASE_URL=url)
        assert outcome.status == 1
        assert "Traceback" not in outcome.output
        assert "There are 2 heads" in outcome.output
        assert "mine2  mine2_test.py, has not run here" in outcome.output
        assert "theirs  theirs_test.py, has not run here" in outcome.output
        assert "flask db rebase" in outcome.output
        assert "flask db merge heads" in outcome.output

    rebased = project.flask("db", "rebase", DATABASE_URL=url)
    assert rebased.status == 0, rebased.output
    assert "mine1_test.py: mine1 now comes after theirs" in rebased.output
    text = (project.path / "migrations" / "versions" / "mine1_test.py").read_text(encoding="utf-8")
    assert 'down_revision = "theirs"' in text
    assert "Revises: theirs\n" in text
    assert project.flask("db", "heads").output.split()[0] == "mine2"
    upgraded = project.flask("db", "upgrade", DATABASE_URL=url)
    assert upgraded.status == 0, upgraded.output
    again = project.flask("db", "rebase", DATABASE_URL=url)
    assert again.status == 1
    assert "There is 1 head, mine2: nothing to rebase." in again.output


def test_what_has_run_is_not_rewritten(merged: tuple[Project, str]) -> None:
    project, url = merged
    assert project.flask("db", "upgrade", "mine2", DATABASE_URL=url).status == 0
    has_run = project.flask("db", "rebase", DATABASE_URL=url)
    assert has_run.status == 1
    assert "mine2 has run on this database" in has_run.output
    assert "flask db downgrade 0001" in has_run.output

    checked = project.flask("db", "check", DATABASE_URL=url)
    assert "mine2  mine2_test.py, has run here" in checked.output
    git(project, "checkout", "--quiet", "main")
    git(project, "merge", "--quiet", "mine")  # both are shared now
    unclear = project.flask("db", "rebase", DATABASE_URL=url)
    named = project.flask("db", "rebase", "theirs", DATABASE_URL=url)
    git(project, "reset", "--quiet", "--hard", "HEAD~3")
    revision(project, "theirs", "0001")
    assert unclear.status == 1
    assert "is not known from git" in unclear.output
    assert named.status == 0, named.output
    assert "theirs now comes after mine2" in named.output

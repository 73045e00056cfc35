"""`flask db lint` as people meet it; tests/schema_guard/lint has its rules and their recipes."""

import json
from pathlib import Path

import pytest
from processes import revisions
from projects import Project

UNSAFE = "op.drop_column('users', 'email')\n    op.create_index('ix', 'users', ['created_at'])"
ALLOWED = """# schema_guard: allow irreversible-downgrade -- a test
    # schema_guard: allow drop-column -- nobody reads it
    op.drop_column('users', 'email')"""


def release(project: Project, *more: str) -> None:
    """Have a release, and maybe other settings."""
    path = project.path / "pyproject.toml"
    text = path.read_text(encoding="utf-8")
    assert "\nreleased = false\n" in text
    settings = "\n".join(["released = true", *more])
    path.write_text(text.replace("released = false", settings), encoding="utf-8")


def test_what_the_main_branch_has_is_not_judged(any_project: Project, tmp_path: Path) -> None:
    release(any_project)
    repository = {"GIT_DIR": str(tmp_path / "git"), "GIT_WORK_TREE": str(any_project.path)}
    # Nothing listens there: no server is asked.
    url = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing", **repository}

    def git(*arguments: str) -> None:
        who = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
        outcome = any_project.run("git", *who, *arguments, **repository)
        assert outcome.status == 0, outcome.output

    git("init", "-q", "-b", "main")
    with revisions(any_project, {"0002": UNSAFE}):
        everything = any_project.flask("db", "lint", **url)
        git("add", "migrations")
        git("commit", "-q", "-m", "shared")
        with revisions(any_project, {"0003": "op.drop_table('roles')"}):
            mine = any_project.flask("db", "lint", **url)
            one = any_project.flask("db", "lint", "0002", **url)
            both = any_project.flask("db", "lint", "0002:head", **url)
        shared = any_project.flask("db", "lint", **url)
    assert everything.status == 1
    assert "0002_test.py:14: drop-column: users.email" in everything.output
    assert "0002_test.py:15: index-not-concurrent: users.ix" in everything.output
    assert mine.status == 1
    assert "drop-table: roles" in mine.output
    assert "drop-column" not in mine.output
    assert "drop-column" in one.output
    assert "drop-table" not in one.output
    assert "drop-column" in both.output
    assert "drop-table" in both.output
    assert (shared.status, shared.output) == (0, "No findings in 0 revisions.\n")


@pytest.mark.parametrize("dialect", ["postgresql", "mysql", "mariadb", "sqlite"])
def test_any_dbms_can_be_judged_for(any_project: Project, dialect: str) -> None:
    release(any_project, 'server-version = "MariaDB 10.11"')  # of the project's own DBMS, not read
    with revisions(any_project, {"0002": UNSAFE}):
        outcome = any_project.flask("db", "lint", "0002", "--dialect", dialect)
    assert outcome.status == 1
    assert "drop-column: users.email" in outcome.output
    assert ("index-not-concurrent" in outcome.output) == (dialect == "postgresql")


def test_programs_and_github_are_told_too(any_project: Project) -> None:
    release(any_project)
    with revisions(any_project, {"0002": UNSAFE}):
        data = any_project.flask("db", "lint", "0002", "--format", "json")
        github = any_project.flask("db", "lint", "0002", "--format", "github")
    first = json.loads(data.output)[0]
    assert first["rule"] == "drop-column"
    assert first["path"] == "migrations/versions/0002_test.py"
    assert first["line"] == 14
    assert first["what"] == "users.email"
    docs, _, anchor = first["docs"].partition("#")
    assert f"\n### {anchor}\n" in (any_project.path / docs).read_text(encoding="utf-8")
    line = github.output.splitlines()[0]
    assert line.startswith(
        "::error file=migrations/versions/0002_test.py,line=14,title=drop-column%3A users.email::"
    )
    assert "%0A" in line


def test_an_allowance_silences_one_finding(any_project: Project) -> None:
    two = ALLOWED + "\n    op.drop_column('users', 'password_hash')"
    with revisions(any_project, {"0002": two}):
        outcome = any_project.flask("db", "lint", "0002")
    assert "users.password_hash" in outcome.output
    assert "users.email" not in outcome.output


def test_before_the_first_release_only_what_loses_or_fails_is_found(any_project: Project) -> None:
    with revisions(any_project, {"0002": UNSAFE}):
        early = any_project.flask("db", "lint", "0002", "--dialect", "postgresql")
        release(any_project)
        late = any_project.flask("db", "lint", "0002", "--dialect", "postgresql")
    assert early.status == late.status == 1
    assert "drop-column: users.email" in early.output
    assert "index-not-concurrent" not in early.output
    assert "to true before the first deployment" in early.output
    assert "index-not-concurrent" in late.output
    assert "released" not in late.output


def test_a_mistake_is_one_message(any_project: Project) -> None:
    unknown = any_project.flask("db", "lint", "nothing:head")
    with revisions(any_project, {"0002": "op.nonsense()"}):
        broken = any_project.flask("db", "lint", "0002")
    assert unknown.status == 1
    assert "nothing" in unknown.output
    assert "flask db history" in unknown.output
    assert broken.status == 1
    assert "0002_test.py:14: not-read: 0002" in broken.output
    assert "nonsense" in broken.output
    assert "Traceback" not in unknown.output + broken.output


def test_the_project_s_own_revision_is_clean(any_project: Project) -> None:
    for dialect in ("postgresql", "mysql", "sqlite"):
        outcome = any_project.flask("db", "lint", "0001", "--dialect", dialect)
        assert outcome.status == 0
        assert outcome.output.startswith(
            "No findings in 1 revision.\nOnly what loses data or fails"
        )


def test_the_rules_are_documented_where_the_project_keeps_them(any_project: Project) -> None:
    assert (Path(any_project.path) / "schema_guard" / "lint" / "RULES.md").exists()

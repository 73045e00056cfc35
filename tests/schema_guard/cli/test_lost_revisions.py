"""Another branch of git, on a database that has run the revisions of the first one."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from services import Service

Git = Callable[..., None]
FIRST = "op.create_table('users', sa.Column('id', sa.Integer, primary_key=True))"
ADD = "op.add_column('users', sa.Column('{0}', sa.String(20)))"
DROP = "with op.batch_alter_table('users') as batch:\n    batch.drop_column('{0}')"
REASON = "# schema_guard: allow drop-column -- a test"


@pytest.fixture
def git(service: Service) -> Git:
    """Return a function that runs git on the service's migrations."""
    folder = service.versions.parent

    def run(*words: str) -> None:
        identity = ("-c", "user.name=Zoë", "-c", "user.email=zoe@example.org")
        command = ["git", *identity, *words]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)

    run("init", "--quiet", "--initial-branch=main")
    return run


def commit(service: Service, git: Git, *numbers: int) -> None:
    """Write revisions that add a column each, and commit them."""
    for number in numbers:
        name = f"added{number}"
        service.write(number, ADD.format(name), f"{REASON}\n{DROP.format(name)}")
    git("add", "--all")
    git("commit", "--quiet", "--message", "é")


def invoke(service: Service, *words: str) -> tuple[int, str]:
    """Run a command of `flask db`."""
    vars(service.extension).pop("script_directory", None)
    result = service.app.test_cli_runner().invoke(args=["db", *words])
    return result.exit_code, result.output


@pytest.fixture
def switched(service: Service, git: Git) -> Service:
    """Return a service on main, whose database has run the branch `feature/Zoë`."""
    service.write(1, FIRST, "op.drop_table('users')")
    git("add", "--all")
    git("commit", "--quiet", "--message", "first")
    git("switch", "--quiet", "--create", "feature/Zoë")
    commit(service, git, 2, 3)
    service.upgrade()
    service.run("INSERT INTO users (id, added2) VALUES (1, 'é'), (2, NULL)")
    git("switch", "--quiet", "main")
    assert len(list(service.versions.glob("*.py"))) == 1
    return service


@pytest.mark.parametrize("dbms", ["sqlite"])
def test_every_command_says_the_same(switched: Service, git: Git) -> None:
    folder = switched.versions
    message = f"""Error: The database is at revision 0003, which is not in {folder}: \
it was run from the branch feature/Zoë. Nothing was changed.
Go back to that branch:
  git switch feature/Zoë
or undo 0002, 0003 (what was added is dropped), with the files that the database has stored:
  flask db downgrade 0001
or have the files here, as they were run:
  flask db log 0002 --output {folder}/0002.py
  flask db log 0003 --output {folder}/0003.py
or in development, start over: `flask --debug db drop`, `flask db prepare`.
"""
    commands = ["upgrade", "current", "check", "migrate", "prepare", "stamp 0001"]
    switched.models()
    assert [invoke(switched, *each.split()) for each in commands] == [(1, message)] * len(commands)

    git("branch", "--move", "feature/Zoë", "renamed")
    assert "the branch renamed." in invoke(switched, "upgrade")[1]
    git("branch", "--delete", "--force", "renamed")
    unnamed = invoke(switched, "upgrade")[1]
    assert "another branch or by a newer release, or its file was deleted" in unnamed
    assert "Run the code that has it, a newer release, say\nor undo 0002, 0003 (" in unnamed
    switched.run("DELETE FROM schema_history")
    unknown = invoke(switched, "prepare")[1]
    assert "it is another project's, or newer than this code." in unknown
    assert "downgrade" not in unknown


def test_a_downgrade_takes_the_files_that_are_kept(switched: Service, git: Git) -> None:
    switched.write(2, "pass", "pass")  # another revision of that name, on main
    mine = switched.versions / "mine.py"
    next(switched.versions.glob("0002_*.py")).rename(mine)
    mine.write_text(mine.read_text(encoding="utf-8").replace('"0002"', '"mine"'), encoding="utf-8")
    assert invoke(switched, "downgrade", "0001")[0] == 0
    assert switched.column("SELECT version_num FROM alembic_version") == ["0001"]
    assert switched.rows("SELECT * FROM users ORDER BY id") == [(1,), (2,)]
    assert invoke(switched, "upgrade")[0] == 0
    git("stash", "--quiet", "--include-untracked")


@pytest.mark.parametrize("dbms", ["sqlite"])
def test_one_step_and_back_on_the_branch(switched: Service, git: Git) -> None:
    switched.downgrade()
    assert switched.column("SELECT version_num FROM alembic_version") == ["0002"]
    git("switch", "--quiet", "feature/Zoë")
    vars(switched.extension).pop("script_directory", None)
    switched.upgrade()
    assert switched.column("SELECT added2 FROM users ORDER BY id") == ["é", None]


@pytest.mark.parametrize("dbms", ["sqlite"])
def test_a_kept_file_that_needs_its_branch(switched: Service) -> None:
    statement = (
        "UPDATE schema_history SET source = CAST(? || source AS BLOB) WHERE revision = '0003'"
    )
    with switched.engine.begin() as connection:
        connection.exec_driver_sql(statement, (b"import app.only_there\n",))
    status, said = invoke(switched, "downgrade", "0001")
    assert status == 1
    assert "The file of revision 0003, stored in the database, cannot be read here" in said
    assert switched.column("SELECT version_num FROM alembic_version") == ["0003"]


@pytest.mark.parametrize("dbms", ["sqlite"])
def test_paths_are_shown_from_the_working_directory(
    switched: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(switched.versions.parent.parent)
    assert "which is not in migrations/versions: it" in invoke(switched, "upgrade")[1]
    assert not list(Path.cwd().glob("*.py"))

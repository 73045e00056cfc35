"""Baked projects: commands run in them as a user would, copies, and databases for them."""

import fcntl
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import servers
from warm import READ_AT_START, Warm

TESTS = Path(__file__).resolve().parent

TEMPLATE = TESTS.parent

# Files that are copied into projects or run there.
PROGRAMS = TESTS / "programs"

SETUP_VARIABLE = "FLASK_MIGRATE_TEMPLATE_SETUP"


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    status: int
    output: str


def run(
    *command: str | Path, cwd: Path, environ: Mapping[str, str], stdin: str | None = None
) -> Outcome:
    """Run a command to its end; its standard output and errors come as one text."""
    result = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environ,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    return Outcome(result.returncode, result.stdout)


# By the folder of their .venv.
WARM: dict[Path, Warm] = {}


def end_warm() -> None:
    """End the processes that ran the commands of projects."""
    for warm in WARM.values():
        warm.close()


@dataclass(frozen=True)
class Project:
    """A baked project.

    Attributes:
        path: its folder.
        output: what cookiecutter and the hooks printed.
        environ: the environment of the commands that are run in it.
    """

    path: Path
    output: str
    environ: Mapping[str, str]

    def tool(self, name: str) -> Path:
        """Return the path of a program in the project's .venv."""
        return self.path / ".venv" / "bin" / name

    def run(self, *command: str | Path, stdin: str | None = None, **environ: str) -> Outcome:
        """Run a command in the project's folder, with these variables set beside the usual ones."""
        return run(*command, cwd=self.path, environ={**self.environ, **environ}, stdin=stdin)

    def flask(self, *arguments: str, stdin: str | None = None, **environ: str) -> Outcome:
        """Run the project's `flask`, in a process of its own."""
        return self.run_warm(str(self.tool("flask")), *arguments, stdin=stdin, **environ)

    def run_warm(self, *words: str, stdin: str | None = None, **environ: str) -> Outcome:
        """Run `flask` or `python -c` in a process that has the libraries imported already."""
        venv = (self.path / ".venv").resolve()
        python = venv / "bin" / "python"
        if not python.exists() or any(name.startswith(READ_AT_START) for name in environ):
            return self.run(*words, stdin=stdin, **environ)
        if venv not in WARM:
            WARM[venv] = Warm(python, self.environ)
        return Outcome(*WARM[venv].run(words, self.path, {**self.environ, **environ}, stdin))

    def setup(self, **environ: str) -> Outcome:
        """Run bin/setup by hand."""
        return self.run(sys.executable, "bin/setup", **environ)

    def install(self, *packages: str) -> None:
        """Install what the project does not have yet."""
        outcome = self.run("uv", "pip", "install", "--python", ".venv", *packages)
        assert outcome.status == 0, outcome.output

    def query(self, sql: str, **environ: str) -> str:
        """Return what a query of the project's database finds, as Python shows it."""
        code = (
            "import app, sqlalchemy; from app.extensions import db\n"
            "with app.create_app().app_context():\n"
            f"  print(db.session.execute(sqlalchemy.text({sql!r})).all())"
        )
        words = (str(self.tool("python")), "-c", code)
        outcome = self.run_warm(*words, FLASK_DEBUG="1", **environ)
        return outcome.output.strip()

    def settings(self) -> dict[str, str]:
        """Return .env as the project itself reads it."""
        lines = (self.path / ".env").read_text(encoding="utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


Baker = Callable[..., Project]

Builder = Callable[..., Project]


def cookiecutter(
    folder: Path,
    environ: Mapping[str, str],
    options: tuple[str, ...] = (),
    template: Path = TEMPLATE,
    **answers: Any,
) -> Outcome:
    """Run cookiecutter as a user does, with answers given on the command line."""
    given = [f"{question}={answer}" for question, answer in answers.items()]
    command = [sys.executable, "-m", "cookiecutter", str(template), "--no-input", *options]
    return run(*command, *given, cwd=folder, environ=environ)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process of the tests at a time into a block."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def copy_of(project: Project, folder: Path) -> Iterator[Project]:
    """Give a copy of a project that shares its .venv, and may be changed."""
    path = folder / project.path.name
    ignored = shutil.ignore_patterns(".venv", "*_cache")
    shutil.copytree(project.path, path, symlinks=True, ignore=ignored)
    (path / ".venv").symlink_to(project.path / ".venv")
    yield replace(project, path=path)
    shutil.rmtree(path)


def original_of(project: Project) -> Project:
    """Return the project that a project is a copy of."""
    return replace(project, path=(project.path / ".venv").resolve().parent)


def url_of(project: Project, server: servers.Server | None, name: str) -> str:
    """Return the URL of a database of the tests, for a project."""
    if server:
        return server.url(name)
    return f"sqlite:///{project.path}/instance/{servers.this_file()}{name}.db"


def prepared(
    project: Project, server: servers.Server | None, name: str, *, seeded: bool = False
) -> str:
    """Make a database at the project's revision, with the rows of `flask seed` if wanted.

    It is a copy: the project's commands make one for each server.

    Returns:
        Its URL.
    """
    url, first = url_of(project, server, name), "seeded" if seeded else "prepared"
    original = original_of(project)
    if server is None:
        path = original.path / "instance" / f"{first}.db"
        with locked(original.path.with_name("lock")):
            if not path.exists():
                make_database(original, f"sqlite:///{path}", seeded=seeded)
        shutil.copyfile(path, url.removeprefix("sqlite:///"))
        return url
    if first not in server.originals:
        server.originals.add(first)
        make_database(original, server.url_of_original(first), seeded=seeded)
    server.copy(first, name)
    return url


def make_database(project: Project, url: str, *, seeded: bool) -> None:
    """Have the project make a database."""
    for command in (["db", "prepare"], ["seed"])[: 2 if seeded else 1]:
        outcome = project.flask(*command, DATABASE_URL=url)
        assert outcome.status == 0, outcome.output


def assert_clean(project: Project, *, types: bool = True) -> None:
    """Check that a project's own linters and tests find nothing.

    Args:
        project: one that is set up.
        types: whether to run mypy, which is slow, and reads the same Python in every project.
    """
    tools = [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["pytest", "-q"]]
    for name, *arguments in [*tools, ["mypy"]] if types else tools:
        outcome = project.run(project.tool(name), *arguments)
        assert outcome.status == 0, outcome.output


REVISION = """
import sqlalchemy as sa
from alembic import op
from schema_guard.operations import backfill

revision = "{number:04}"
down_revision = "{before:04}"


{body}
"""


def follow_the_recipes(project: Project) -> None:
    """Run the revisions of docs/changing-the-schema.md on a user, up and down again."""
    page = (project.path / "docs" / "changing-the-schema.md").read_text(encoding="utf-8")
    require, rename = re.findall(r"```python\n(def upgrade.*?)```", page, re.DOTALL)
    assert "def downgrade" in rename
    require += "\n\ndef downgrade():\n    op.drop_column('users', 'locale')\n"
    versions = project.path / "migrations" / "versions"
    files = [versions / "0002_rename.py", versions / "0003_require.py"]
    for number, (path, body) in enumerate(zip(files, (rename, require), strict=True), 2):
        path.write_text(REVISION.format(number=number, before=number - 1, body=body))
    assert project.flask("seed").status == 0
    try:
        for arguments, query, rows in (
            (("upgrade",), "SELECT login, locale FROM users", "[('admin', 'en')]"),
            (("downgrade", "0001"), "SELECT username FROM users", "[('admin',)]"),
        ):
            outcome = project.flask("db", *arguments)
            assert outcome.status == 0, outcome.output
            assert project.query(query) == rows
    finally:
        for path in files:
            path.unlink()
    assert project.flask("db", "check").status == 0


def shared(module: str, value: str) -> Any:
    """Return a value of a module's fixture; the tests with it run in one process."""
    return pytest.param(value, marks=pytest.mark.xdist_group(f"{module}-{value}"))

"""What the tests share: baked projects, and a way to run commands in them as a user would."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import servers
from warm import READ_AT_START, Warm

# The template's folder holds what is baked into projects: no bytecode of schema_guard goes there.
sys.dont_write_bytecode = True

TESTS = Path(__file__).resolve().parent
TEMPLATE = TESTS.parent
# Files that are copied into projects or run there.
DATA = Path(__file__).with_name("data")
SETUP_VARIABLE = "FLASK_MIGRATE_TEMPLATE_SETUP"
# What would reach a project from the shell that runs the tests.
FOREIGN = ("FLASK_", "VIRTUAL_ENV", "DATABASE_URL", "SECRET_KEY", "PYTHONPATH", "COOKIECUTTER_")


@pytest.fixture(scope="session")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the environment of a user who has uv, and no settings of cookiecutter."""
    folder = tmp_path_factory.mktemp("cookiecutter")
    config = folder / "config.yaml"
    config.write_text(f'replay_dir: "{folder}"\ncookiecutters_dir: "{folder}"\n')
    clean = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    clean["COOKIECUTTER_CONFIG"] = str(config)
    clean["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), clean["PATH"]])
    # A user's Python writes bytecode, and buffers.
    clean.pop("PYTHONDONTWRITEBYTECODE", None)
    clean.pop("PYTHONUNBUFFERED", None)
    return clean


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


@pytest.fixture(scope="session", autouse=True)
def _end_warm() -> Iterator[None]:
    yield
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
    """Run the revisions that the project's README shows on a user, up and down again."""
    readme = (project.path / "README.md").read_text(encoding="utf-8")
    rename, require = re.findall(r"```python\n(def upgrade.*?)```", readme, re.DOTALL)
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


REVISION_BODY = """
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before:04}"


def downgrade():
    pass


def upgrade():
    {body}
"""


@contextmanager
def revisions(project: Project, bodies: dict[str, str]) -> Iterator[None]:
    """Add revisions to a project, and take them away again."""
    folder = project.path / "migrations" / "versions"
    paths = []
    for revision, body in bodies.items():
        text = REVISION_BODY.format(revision=revision, before=int(revision) - 1, body=body.strip())
        paths.append(folder / f"{revision}_test.py")
        paths[-1].write_text(text, encoding="utf-8")
    try:
        yield
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def start(project: Project, *arguments: str, **environ: str) -> "subprocess.Popen[str]":
    """Run the project's `flask` beside the test."""
    return subprocess.Popen(
        [str(project.tool("flask")), *arguments],
        cwd=project.path,
        env={**project.environ, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )


def read_until(process: "subprocess.Popen[str]", words: str) -> str:
    """Return the line of a process's output that holds some words."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if words in line:
            return line
    pytest.fail(f"it ended without saying {words!r}: {''.join(seen)}")


# Waits within the revision for as long as a file is there.
HOLD = """
    import pathlib, time
    op.execute("SELECT 1")
    while pathlib.Path("hold").exists():
        time.sleep(0.02)
"""


@contextmanager
def migrating(project: Project, url: str) -> Iterator[subprocess.Popen[str]]:
    """Have a process migrate for as long as the test wants."""
    hold = project.path / "hold"
    hold.touch()
    with revisions(project, {"0002": HOLD}):
        process = start(project, "db", "upgrade", DATABASE_URL=url)
        try:
            read_until(process, "0001 -> 0002")
            yield process
        finally:
            hold.unlink(missing_ok=True)
            process.communicate(timeout=60)


@dataclass(frozen=True)
class Answer:
    """What a service answered."""

    status: int
    text: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Service:
    """A running service.

    Attributes:
        url: where it answers, without a slash at the end.
    """

    url: str

    def get(self, path: str, accept: str = "text/html") -> Answer:
        """Request a path."""
        request = urllib.request.Request(self.url + path, headers={"Accept": accept})
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return Answer(response.status, response.read().decode(), dict(response.headers))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.read().decode(), dict(error.headers))


@contextmanager
def serve(
    project: Project,
    *command: str | Path,
    cwd: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> Iterator[Service]:
    """Serve a project, with `flask run` or the given command, until the block ends.

    `{port}` in the command stands for the port.
    """
    port = servers.free_port()
    words = command or (project.tool("flask"), "run", "--port", "{port}")
    with tempfile.TemporaryFile("w+") as log:  # a pipe that nobody reads would stop it one day
        process = subprocess.Popen(
            [str(word).format(port=port) for word in words],
            cwd=cwd or project.path,
            env={**project.environ, **(variables or {})},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        service = Service(f"http://127.0.0.1:{port}")
        try:
            deadline = time.monotonic() + 60
            while not answers(service):
                if process.poll() is not None or time.monotonic() > deadline:
                    process.kill()
                    log.seek(0)
                    pytest.fail(f"it does not serve: {log.read()}")
                time.sleep(0.05)
            yield service
        finally:
            process.terminate()
            process.wait(30)


def answers(service: Service) -> bool:
    """Return whether a service accepts requests yet."""
    try:
        return service.get("/healthz").status == 200
    except urllib.error.URLError:
        return False


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


@pytest.fixture(scope="session")
def bake(tmp_path_factory: pytest.TempPathFactory, environ: dict[str, str]) -> Baker:
    """Return a function that bakes a project in a folder of its own; setup is no by default."""

    def bake(
        variables: Mapping[str, str] | None = None, folder: Path | None = None, **answers: Any
    ) -> Project:
        answers = {"project_slug": "demo", "setup": "no", **answers}
        folder = folder or tmp_path_factory.mktemp("bake")
        outcome = cookiecutter(folder, {**environ, **(variables or {})}, **answers)
        assert outcome.status == 0, outcome.output
        return Project(folder / str(answers["project_slug"]), outcome.output, environ)

    return bake


Builder = Callable[..., Project]


def shared(module: str, value: str) -> Any:
    """Return a value of a module's fixture; the tests with it run in one process."""
    return pytest.param(value, marks=pytest.mark.xdist_group(f"{module}-{value}"))


@pytest.fixture(scope="session")
def build(
    tmp_path_factory: pytest.TempPathFactory, environ: Mapping[str, str], bake: Baker
) -> Builder:
    """Return a function that bakes a project and sets it up, once for all processes of the tests.

    Its folder holds `.venv`, and is nobody's to change: see `copy_of`.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    # Under `make coverage` what runs in the projects is measured too.
    tools = ["coverage"] if "COVERAGE_PROCESS_CONFIG" in os.environ else []

    def build(name: str, *packages: str) -> Project:
        folder = shared / f"shared-{name}"
        folder.mkdir(exist_ok=True)
        output = folder / "output"
        with locked(folder / "lock"):
            if not output.exists():
                project = bake(folder=folder, setup="yes")
                if tools or packages:
                    project.install(*tools, *packages)
                output.write_text(project.output, encoding="utf-8")
        return Project(folder / "demo", output.read_text(encoding="utf-8"), environ)

    return build


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


@pytest.fixture(scope="session")
def sqlite_project(build: Builder) -> Project:
    """Return the default project, set up. Tests do not change it."""
    return build("sqlite")


@pytest.fixture
def own_project(
    sqlite_project: Project, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    """Return the default project, set up, for one test to change."""
    with copy_of(sqlite_project, tmp_path_factory.mktemp("own")) as project:
        yield project


@pytest.fixture
def any_project(build: Builder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Return a SQLite project that can use every DBMS, and pytest-xdist, for one test to change."""
    original = build("any", "psycopg[binary]", "PyMySQL[rsa]", "pytest-xdist")
    with copy_of(original, tmp_path_factory.mktemp("any")) as project:
        yield project


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def dbms(request: pytest.FixtureRequest) -> str:
    """Return each DBMS in turn."""
    return str(request.param)


@pytest.fixture
def server(request: pytest.FixtureRequest, dbms: str) -> servers.Server | None:
    """Return its server; SQLite has none."""
    return None if dbms == "sqlite" else request.getfixturevalue(dbms)


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


@pytest.fixture(scope="session")
def postgresql() -> Iterator[servers.Server]:
    """Return a PostgreSQL server: a private one, or the one of TEST_POSTGRESQL_URL."""
    with servers.given("TEST_POSTGRESQL_URL") as given:
        if given:
            yield given
            return
        with servers.postgresql() as server:
            yield server


@pytest.fixture(scope="session")
def system_postgresql() -> Iterator[servers.Server]:
    """Run the PostgreSQL server of the system's packages, which is of another version."""
    with servers.postgresql(system=servers.system_postgresql()) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[servers.Server]:
    """Return a MariaDB or MySQL server: a private one, or the one of TEST_MYSQL_URL."""
    with servers.given("TEST_MYSQL_URL") as given:
        if given:
            yield given
            return
        with servers.mariadb() as server:
            yield server


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly, at the very end, what was not tested because something is not installed."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2] for report in skipped)
    not_tested = {why: count for why, count in reasons.items() if servers.NOT_TESTED in why}
    if not_tested:
        terminalreporter.section(servers.NOT_TESTED, red=True, bold=True)
        for why, count in not_tested.items():
            terminalreporter.line(f"{count} tests. {why.partition(servers.NOT_TESTED)[2]}")

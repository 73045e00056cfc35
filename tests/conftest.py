"""What the tests share: projects that are baked, and servers."""

import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import servers
from projects import (
    Baker,
    Builder,
    Project,
    cookiecutter,
    copy_of,
    end_warm,
    locked,
)

# The template's folder holds what is baked into projects: no bytecode of schema_guard goes there.
sys.dont_write_bytecode = True
# A shell's background job ignores Ctrl-C, and so would the commands that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

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


@pytest.fixture(scope="session", autouse=True)
def _end_warm() -> Iterator[None]:
    yield
    end_warm()


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

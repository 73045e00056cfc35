"""The post hook and bin/setup: what they do, and how they stop."""

import os
import re
import runpy
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
import servers
from projects import SETUP_VARIABLE, TEMPLATE, Baker, Outcome, Project, cookiecutter, run

STEPS = ["settings", "environment", "requirements", "database", "tools", "git"]
NO_NETWORK = {
    # Nothing listens on port 9; no cache and no other place to find packages.
    **dict.fromkeys(["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"], "http://127.0.0.1:9"),
    "UV_NO_CACHE": "1",
    "UV_HTTP_RETRIES": "0",
    "PIP_NO_CACHE_DIR": "1",
    "PIP_RETRIES": "1",
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_FIND_LINKS": "",
}


def done(output: str) -> list[str]:
    """Return the steps that were done."""
    return re.findall(r"^  (\w+)\.+ (?!failed).*\(\d+\.\d s\)$", output, re.MULTILINE)


def assert_stopped(outcome: Outcome, step: str, cause: str, project: Path) -> None:
    """Check that a set-up says where it stopped, why, and how to resume."""
    lines = outcome.output.splitlines()
    start = lines.index(f"Stopped at: {step}")
    assert re.search(cause, lines[start + 1].removeprefix("Cause:      "))
    (resumes,) = (line for line in lines[start + 2 :] if line.startswith("To resume:  "))
    assert str(project / "bin" / "setup").replace("'", "") in resumes.replace("'", "")
    assert "Traceback" not in outcome.output


def resume(outcome: Outcome | Project, environ: Mapping[str, str], folder: Path) -> Outcome:
    """Run the command that a stopped set-up names, as somebody who copies it into a shell."""
    command = re.findall(r"^To resume:  (.*)$", outcome.output, re.MULTILINE)[0]
    return run("sh", "-c", command, cwd=folder, environ=environ)


def snapshot(project: Path) -> dict[Path, int]:
    """Return every file with its time of change, but for caches, SQLite's log and lock."""
    passing = ("-wal", "-shm", "-lock")
    return {
        path: path.stat().st_mtime_ns
        for path in project.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.endswith(passing)
    }


@pytest.fixture
def no_uv(tmp_path: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a user who has git, and no uv."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("git", "sh"):
        (folder / name).symlink_to(str(shutil.which(name)))
    return {name: value for name, value in environ.items() if name != "UV"} | {"PATH": str(folder)}


def test_a_project_is_ready_when_cookiecutter_returns(sqlite_project: Project) -> None:
    assert done(sqlite_project.output) == STEPS
    told = sqlite_project.output.split("The project is ready. To go on:\n")[1].splitlines()
    assert told[0] == f"  cd {sqlite_project.path}"
    assert len(told) == 4
    for line in told[1:]:
        assert (sqlite_project.path / line.split()[0]).exists()
    assert (sqlite_project.path / ".git").is_dir()
    head = (sqlite_project.path / ".git" / "HEAD").read_text()
    assert head == "ref: refs/heads/main\n"  # what CI watches
    with sqlite3.connect(sqlite_project.path / "instance" / "demo.db") as connection:
        assert connection.execute("SELECT * FROM alembic_version").fetchall() == [("0001",)]


def test_secrets_are_private_and_not_in_git(sqlite_project: Project) -> None:
    path = sqlite_project.path / ".env"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = sqlite_project.settings()["SECRET_KEY"].strip("'")
    assert len(key) >= 32

    tracked = sqlite_project.run("git", "ls-files", "--others", "--exclude-standard").output
    assert ".env" not in tracked.split()
    assert "instance" not in tracked
    for name in tracked.split():
        assert key not in (sqlite_project.path / name).read_text(encoding="utf-8")


def test_a_second_run_changes_nothing(sqlite_project: Project) -> None:
    before = snapshot(sqlite_project.path)

    outcome = sqlite_project.setup()

    assert outcome.status == 0, outcome.output
    assert done(outcome.output) == STEPS
    assert snapshot(sqlite_project.path) == before


def test_what_a_step_waits_for_is_shown_at_once(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    setup = runpy.run_path(str(sqlite_project.path / "bin" / "setup"))
    code = "print('Waiting: for a server (1 of 30 s)'); print('migrated')"

    assert setup["run"]("a step", sys.executable, "-c", code) == "migrated"
    assert capsys.readouterr().out == "\n    Waiting: for a server (1 of 30 s) "


def test_a_step_that_takes_long_shows_what_it_is_at(
    sqlite_project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    setup = runpy.run_path(str(sqlite_project.path / "bin" / "setup"))
    waits = iter([False] * 11)  # eleven seconds at once, and none that is waited for
    monkeypatch.setattr(threading.Event, "wait", lambda *_: next(waits, True))
    progress = setup["Progress"]("tools")
    setup["Progress"].line = "Downloading mypy (12.3MiB)"

    progress.show()

    shown = "\n    10 s  Downloading mypy (12.3MiB)\n  tools........... "
    assert capsys.readouterr().out == shown
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    waits = iter([False] * 3)
    progress.show()
    *shown_in_place, last = capsys.readouterr().out.split("\r")[1:]
    assert [text.strip() for text in shown_in_place] == [
        "tools........... 2 s  Downloading mypy (12.3MiB)",
        "tools........... 3 s  Downloading mypy (12.3MiB)",
        "",
    ]
    assert last == "  tools........... "


def test_answering_no_installs_nothing_and_says_how_to_go_on(bake: Baker) -> None:
    project = bake(setup="no")

    assert (project.path / ".env").exists()
    assert not (project.path / ".venv").exists()
    assert "nothing is installed yet" in project.output
    assert str(project.path / "bin" / "setup") in project.output.splitlines()[-1]


def test_the_variable_overrides_the_answer_and_leaves_no_trace(bake: Baker) -> None:
    project = bake({SETUP_VARIABLE: "no"}, setup="yes")

    assert project.output == ""
    assert not (project.path / ".env").exists()
    assert not (project.path / ".venv").exists()


def test_overwriting_keeps_the_settings(bake: Baker, environ: Mapping[str, str]) -> None:
    project = bake()
    before = (project.path / ".env").read_text()

    refused = cookiecutter(project.path.parent, environ, project_slug="demo", setup="no")
    assert refused.status != 0
    assert "already exists" in refused.output
    outcome = cookiecutter(
        *(project.path.parent, environ, ("--overwrite-if-exists",)), project_slug="demo", setup="no"
    )

    assert outcome.status == 0, outcome.output
    assert ".env exists" in outcome.output
    assert (project.path / ".env").read_text() == before


@pytest.mark.parametrize(
    ("database", "url"),
    [
        ("sqlite", "sqlite:////srv/it's/#1 of 100%.db"),
        ("postgresql", "postgres://me:p%40ss@db/shop"),
        ("postgresql", "postgresql+psycopg2://db/shop"),
        ("mysql", "mariadb://me:$\\{@db/shop"),
        ("mysql", "mysql+mysqldb://me:${HOME}\\'@db/shop"),
    ],
)
def test_a_url_of_the_chosen_dbms_is_taken(bake: Baker, database: str, url: str) -> None:
    project = bake({"DATABASE_URL": url}, database=database)

    assert "with the DATABASE_URL of the environment" in project.output
    script = "from dotenv import dotenv_values as v; print(v('.env')['DATABASE_URL'])"
    read = project.run(
        "uv", "run", "--no-project", "--with", "python-dotenv", "python", "-c", script
    )
    # `${` would be expanded by whoever reads .env; in a URL %24 says the same.
    assert read.output.splitlines()[-1] == url.replace("${", "%24{")


@pytest.mark.parametrize("url", ["postgresql://db/theirs", "mysql://db/theirs", "nonsense"])
def test_a_url_of_another_dbms_is_not_taken(bake: Baker, url: str) -> None:
    project = bake({"DATABASE_URL": url})

    assert "the environment's DATABASE_URL is ignored, it is not sqlite" in project.output
    assert project.settings()["DATABASE_URL"] == "'sqlite:///demo.db'"


def test_other_projects_variables_do_not_reach_the_setup(bake: Baker, tmp_path: Path) -> None:
    for name in ("flask", "alembic", "app"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')")
    variables = {
        "VIRTUAL_ENV": str(tmp_path),
        "PYTHONPATH": str(tmp_path),
        "FLASK_APP": "theirs:app",
        "FLASK_DEBUG": "1",
        "SECRET_KEY": "short",
        "DATABASE_URL": "postgresql://theirs@127.0.0.1:9/theirs",
    }

    project = bake(variables, setup="yes")

    assert done(project.output) == STEPS, project.output
    assert "The project is ready" in project.output
    assert not (tmp_path / "bin").exists()


def test_a_folder_with_spaces_accents_and_quotes(
    tmp_path: Path, environ: Mapping[str, str], bake: Baker
) -> None:
    folder = tmp_path / "Ma boîte à 'outils'"
    folder.mkdir()

    project = bake(folder=folder, setup="yes")

    assert "The project is ready" in project.output
    change_folder = re.findall(r"^  (cd .*)$", project.output, re.MULTILINE)[0]
    command = f"{change_folder} && .venv/bin/flask db current && .venv/bin/pytest -q"
    outcome = run("sh", "-c", command, cwd=tmp_path, environ=environ)
    assert outcome.status == 0, outcome.output
    assert "0001 (head)" in outcome.output


def test_a_folder_in_a_repository_gets_none_of_its_own(
    tmp_path: Path, environ: Mapping[str, str], bake: Baker
) -> None:
    run("git", "init", "--quiet", tmp_path, cwd=tmp_path, environ=environ)

    project = bake({"PYTHONDONTWRITEBYTECODE": "1"}, folder=tmp_path, setup="yes")

    assert "repository exists" in project.output
    assert not (project.path / ".git").exists()
    # Bytecode of what the service imports is compiled all the same, and of nothing else.
    site = next(project.path.glob(".venv/lib/*/site-packages"))
    for package in ("flask", "sqlalchemy/orm", "alembic"):
        assert list(site.glob(f"{package}/__pycache__/*.pyc")), package
    assert not list(site.glob("pip/__pycache__/*.pyc"))


def test_without_uv(bake: Baker, no_uv: Mapping[str, str]) -> None:
    project = bake(no_uv, setup="yes")

    assert "The project is ready" in project.output
    assert project.run(project.tool("pytest"), "-q", **no_uv).status == 0
    assert run(project.tool("pip"), "check", cwd=project.path, environ=no_uv).status == 0


def test_a_fault_of_the_template_keeps_the_project(
    tmp_path: Path, environ: Mapping[str, str]
) -> None:
    kept = ("answer_checks.py", "cookiecutter.json", "hooks", "templates")
    for name in (*kept, "{{cookiecutter.project_slug}}"):
        source = TEMPLATE / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, tmp_path / name)
    (tmp_path / "{{cookiecutter.project_slug}}" / "bin" / "setup").write_text("1 / 0")

    outcome = cookiecutter(tmp_path, environ, template=tmp_path, project_slug="demo")

    assert outcome.status == 0
    assert "ZeroDivisionError" in outcome.output
    assert f"The project stays in {tmp_path / 'demo'}" in outcome.output
    assert (tmp_path / "demo" / "wsgi.py").exists()


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_no_network(bake: Baker, no_uv: Mapping[str, str], installer: str) -> None:
    # The missing network is a mock: a proxy at which nothing listens.
    project = bake({**(no_uv if installer == "pip" else {}), **NO_NETWORK}, setup="yes")

    by_hook = Outcome(0, project.output)
    assert_stopped(by_hook, "requirements", "[Cc]onnect", project.path)
    assert f"The project stays in {project.path}" in project.output
    assert done(project.output) == ["settings", "environment"]


def test_a_broken_venv_module(bake: Baker, tmp_path: Path, no_uv: Mapping[str, str]) -> None:
    # A module of the user's that Python imports at its start: it breaks every `python -m venv`.
    user = {**no_uv, "PYTHONUSERBASE": str(tmp_path)}
    found = run(sys.executable, "-m", "site", "--user-site", cwd=tmp_path, environ=user)
    site = Path(found.output.strip())
    site.mkdir(parents=True)
    (site / "usercustomize.py").write_text("import sys; sys.modules['venv'] = None\n")
    project = bake()

    outcome = project.setup(**user)

    assert outcome.status == 1
    assert_stopped(outcome, "environment", "python -m venv: .*venv", project.path)
    assert not (project.path / ".venv").exists()


@pytest.mark.parametrize("database", ["postgresql", "mysql"])
def test_an_unreachable_server(bake: Baker, database: str) -> None:
    port = servers.free_port()
    url = f"{database}://me:s3cret@127.0.0.1:{port}/shop"
    words = f"nothing listens at 127.0.0.1:{port}"

    project = bake({"DATABASE_URL": url}, database=database, setup="yes")

    by_hook = Outcome(0, project.output)
    assert_stopped(by_hook, "database", f"{words}.*DATABASE_URL", project.path)
    by_hand = project.setup()
    assert by_hand.status == 1
    assert_stopped(by_hand, "database", words, project.path)
    assert "s3cret" not in project.output + by_hand.output
    # The project's own tests need the server: one line, no wall of errors.
    tests = project.run(project.tool("pytest"), "-q")
    assert tests.status == 1
    assert "The tests need their database" in tests.output
    assert len(tests.output.splitlines()) < 5


def test_a_database_with_other_tables_is_never_touched(bake: Baker, tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE invoices (id INTEGER)")
    before = path.read_bytes()

    project = bake({"DATABASE_URL": f"sqlite:///{path}"}, setup="yes")

    by_hook = Outcome(0, project.output)
    assert_stopped(by_hook, "database", "did not make: invoices.*DATABASE_URL", project.path)
    assert path.read_bytes() == before

    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        connection.execute("INSERT INTO alembic_version VALUES ('abc123')")
    before = path.read_bytes()
    by_hand = project.setup()
    assert by_hand.status == 1
    assert_stopped(by_hand, "database", "revision abc123.*another project's", project.path)
    assert path.read_bytes() == before


def in_namespace(script: str, folder: Path, environ: Mapping[str, str]) -> Outcome:
    """Run a shell script that may mount file systems, which nobody else sees."""
    rights = [] if os.geteuid() == 0 else ["--map-root-user"]
    return run("unshare", "--mount", *rights, "sh", "-ec", script, cwd=folder, environ=environ)


def test_a_full_disk(tmp_path: Path, environ: Mapping[str, str]) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    bake = f"{sys.executable} -m cookiecutter {TEMPLATE} --no-input project_slug=demo"

    outcome = in_namespace(
        f"mount -t tmpfs -o size=3m none {disk}; cd {disk}; {bake}; ls -A demo/.env demo/bin/setup",
        tmp_path,
        environ,
    )

    assert outcome.status == 0, outcome.output
    assert_stopped(outcome, "requirements", "No space left", disk / "demo")
    assert outcome.output.endswith("demo/.env\ndemo/bin/setup\n")


def test_a_disk_too_full_for_the_settings(bake: Baker) -> None:
    project = bake()
    (project.path / ".env").unlink()
    # No file may grow: what a full disk does to the first byte written.
    code = (
        "import resource, signal, runpy, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0));"
        "runpy.run_path('bin/setup', run_name='__main__')"
    )

    outcome = project.run(sys.executable, "-c", code)

    assert outcome.status == 1
    assert_stopped(outcome, "settings", "File too large", project.path)
    assert not (project.path / ".env").exists()


def test_a_read_only_disk(bake: Baker) -> None:
    project = bake()
    (project.path / ".env").unlink()
    mount = f"mount --bind {project.path} {project.path}; mount -o remount,ro,bind {project.path}"

    outcome = in_namespace(
        f"{mount}; cd {project.path}; {sys.executable} bin/setup", project.path, project.environ
    )

    assert outcome.status == 1
    assert_stopped(outcome, "settings", "Read-only file system", project.path)


def test_ctrl_c_in_the_middle(tmp_path: Path, environ: Mapping[str, str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "cookiecutter", TEMPLATE, "--no-input", "project_slug=demo"],
        cwd=tmp_path,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    printed = b""
    while b"requirements" not in printed:
        printed += os.read(process.stdout.fileno(), 1000)
    # What a terminal does: every process in the foreground gets the signal.
    os.killpg(process.pid, signal.SIGINT)
    rest, _ = process.communicate(timeout=60)

    project = tmp_path / "demo"
    outcome = Outcome(process.returncode, (printed + rest).decode())
    assert_stopped(outcome, "requirements", "Ctrl-C", project)
    assert f"The project stays in {project}" in outcome.output
    resumed = resume(outcome, environ, tmp_path)
    assert resumed.status == 0, resumed.output
    assert done(resumed.output) == STEPS
    assert "The project is ready" in resumed.output

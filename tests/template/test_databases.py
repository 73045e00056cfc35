"""One project on the three DBMSs: it moves by DATABASE_URL, and behaves alike on each."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote_plus

import pytest
import servers
from processes import serve
from projects import PROGRAMS, Builder, Project, copy_of, url_of
from servers import Server
from sqlalchemy import make_url

# Two of the drivers are compiled.
DRIVERS = ["psycopg[binary]", "PyMySQL[rsa]", "psycopg2", "mysqlclient", "pytest-xdist"]
HEADERS = {"pg_config": "libpq-dev", "mysql_config": "default-libmysqlclient-dev pkg-config"}
OTHER_DRIVERS = {"postgresql": "postgresql+psycopg2", "mariadb": "mysql+mysqldb"}
NAME = "a@b:c%d'e\"f\\g#h é"


@pytest.fixture
def project(build: Builder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Return a project with every driver."""
    for program, package in HEADERS.items():
        if shutil.which(program) is None:
            servers.missing(f"A driver cannot be compiled: apt-get install {package}")
    with copy_of(build("drivers", *DRIVERS), tmp_path_factory.mktemp("drivers")) as project:
        yield project


def succeed(project: Project, *arguments: str, url: str) -> str:
    """Run the project's `flask` on a database; return what it printed."""
    outcome = project.flask(*arguments, DATABASE_URL=url)
    assert outcome.status == 0, outcome.output
    return outcome.output


@contextmanager
def kitchen_sink(project: Project) -> Iterator[Path]:
    """Add a module of models with a bit of everything; remove it, and its revisions."""
    module = project.path / "app" / "models" / "kitchen_sink.py"
    versions = project.path / "migrations" / "versions"
    kept = set(versions.iterdir())
    shutil.copy(PROGRAMS / "kitchen_sink.py", module)
    try:
        yield versions
    finally:
        module.unlink()
        for path in set(versions.glob("*.py")) - kept:
            path.unlink()


def test_the_project_moves_by_its_url(project: Project, server: Server | None) -> None:
    url = url_of(project, server, "moved")

    assert "created" in succeed(project, "db", "prepare", url=url)
    assert "No new upgrade operations" in succeed(project, "db", "check", url=url)
    for workers in ("3",) if server else ("0", "3"):
        outcome = project.run(
            *(project.tool("pytest"), "-q", "--numprocesses", workers), DATABASE_URL=url
        )
        assert outcome.status == 0, outcome.output
    with serve(project, variables={"DATABASE_URL": url}) as service:
        assert service.get("/readyz").status == 200


def test_everything_is_migrated_once_and_behaves_alike(
    project: Project, server: Server | None, dbms: str
) -> None:
    url = url_of(project, server, "sink")
    succeed(project, "db", "prepare", url=url)
    with kitchen_sink(project) as versions:
        succeed(project, "db", "migrate", "-m", "everything", url=url)
        (revision,) = (path for path in versions.glob("*.py") if "everything" in path.name)
        text = revision.read_text(encoding="utf-8")
        assert "app." not in text
        # Alembic would write what is right on this DBMS only.
        for default in ("sa.false()", "sa.func.now()"):
            assert f"server_default={default}" in text
        tools = [["ruff", "check", "."], ["ruff", "format", "--check"], ["flask", "db", "lint"]]
        tools += [["mypy"]] if dbms == "sqlite" else []  # slow, and of the same files
        for tool, *arguments in tools:
            outcome = project.run(project.tool(tool), *arguments)
            assert outcome.status == 0, outcome.output
        succeed(project, "db", "upgrade", url=url)

        assert "No new upgrade operations" in succeed(project, "db", "check", url=url)
        succeed(project, "db", "migrate", "-m", "nothing", url=url)
        assert not [path for path in versions.glob("*.py") if "nothing" in path.name]

        urls = [url]
        if dbms in OTHER_DRIVERS:
            other = make_url(url).set(drivername=OTHER_DRIVERS[dbms])
            urls.append(other.render_as_string(hide_password=False))
        for each in urls:
            outcome = project.run(
                *(project.tool("python"), PROGRAMS / "behaviour.py"),
                DATABASE_URL=each,
                PYTHONPATH=".",
            )
            assert outcome.output.splitlines()[-1] == "all alike", outcome.output
        succeed(project, "db", "downgrade", "0001", url=url)  # full of rows
        succeed(project, "db", "upgrade", url=url)


@pytest.mark.parametrize("dbms", ["mariadb"])
def test_an_empty_database_of_somebody_else_is_set_to_compare_as_the_others(
    project: Project, server: Server
) -> None:
    name = server.name("given")
    server.execute(f"CREATE DATABASE {name} CHARACTER SET latin1")
    password = server.create_user("tenant")
    user = server.quote(server.name("tenant"))
    rights = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, INDEX, REFERENCES"
    server.execute(f"GRANT {rights} ON {name}.* TO {user}@`%`")
    url = server.url("given", "tenant", password)

    outcome = project.flask("db", "prepare", DATABASE_URL=url)
    assert outcome.status == 1
    (statement,) = re.findall(r"^  (ALTER DATABASE .*);$", outcome.output, re.MULTILINE)
    assert "Traceback" not in outcome.output

    server.execute(statement)
    assert "migrated to 0001" in succeed(project, "db", "prepare", url=url)
    collations = (
        "SELECT DISTINCT collation_name FROM information_schema.columns"
        f" WHERE table_schema = '{name}' AND table_name = 'users' AND collation_name IS NOT NULL"
    )
    (collation,) = server.query(collations)
    assert re.fullmatch("utf8mb4_(nopad_bin|0900_bin)", collation)


@pytest.mark.parametrize("dbms", list(OTHER_DRIVERS))
def test_another_driver_by_its_url(project: Project, server: Server, dbms: str) -> None:
    url = make_url(server.url("driven")).set(drivername=OTHER_DRIVERS[dbms])
    text = url.render_as_string(hide_password=False)

    assert "created" in succeed(project, "db", "prepare", url=text)
    outcome = project.run(project.tool("pytest"), "-q", DATABASE_URL=text)
    assert outcome.status == 0, outcome.output


@pytest.mark.parametrize("dbms", list(OTHER_DRIVERS))
def test_names_of_any_characters(project: Project, server: Server) -> None:
    user = server.quote(server.name(NAME))
    password = "'p:@/%\\#é\"' $x"
    quoted = password.replace("'", "''")
    if server.is_postgresql:
        server.execute(f"CREATE ROLE {user} LOGIN CREATEDB PASSWORD '{quoted}'")
    else:
        quoted = quoted.replace("\\", "\\\\")
        server.execute(
            f"CREATE USER {user}@`%` IDENTIFIED BY '{quoted}'",
            f"GRANT ALL ON *.* TO {user}@`%`",
        )
    url = make_url(server.url(NAME, NAME, password)).render_as_string(hide_password=False)

    assert f"{server.name(NAME)}: created" in succeed(project, "db", "create", url=url)
    # In .env this time, as bin/setup writes it.
    env = project.path / ".env"
    shutil.copy(env, env.with_name(".env.kept"))
    try:
        env.unlink()
        pyproject = project.path / "pyproject.toml"
        text = pyproject.read_text(encoding="utf-8")
        default = make_url(url).get_backend_name()
        pyproject.write_text(
            text.replace('database-url = "sqlite:', f'database-url = "{default}:'), encoding="utf-8"
        )
        outcome = project.setup(DATABASE_URL=url)
        pyproject.write_text(text, encoding="utf-8")
        assert outcome.status == 0, outcome.output
        assert "migrated to 0001" in outcome.output
        assert "0001" in project.flask("db", "current").output
    finally:
        env.with_name(".env.kept").replace(env)
    outcome = project.flask("--debug", "db", "drop", DATABASE_URL=url)
    assert outcome.status == 1
    assert password not in outcome.output


@pytest.mark.parametrize("dbms", list(OTHER_DRIVERS))
def test_without_the_server_the_sql_that_makes_such_names_is_shown(
    project: Project, server: Server
) -> None:
    url = make_url(server.url(NAME, NAME, "x")).set(port=servers.free_port())
    text = url.render_as_string(hide_password=False)

    outcome = project.flask("db", "prepare", DATABASE_URL=text)
    assert outcome.status == 1
    user = server.quote(server.name(NAME))
    assert re.search(f"CREATE (ROLE|USER) {re.escape(user)}", outcome.output), outcome.output
    # And the tests end in a line, all workers together.
    tests = project.run(project.tool("pytest"), "-q", "-n", "2", DATABASE_URL=text)
    assert tests.status == 1
    assert "nothing listens at" in tests.output
    assert len(tests.output.splitlines()) < 5, tests.output


@pytest.mark.parametrize("dbms", list(OTHER_DRIVERS))
def test_unix_sockets(project: Project, server: Server) -> None:
    if server.program is None:
        pytest.skip("whose socket, of a server elsewhere?")
    url = make_url(server.url("socket"))
    folder = server.program.folder
    if server.is_postgresql:
        query = {"host": str(folder), "port": str(url.port)}
    else:
        query = {"unix_socket": str(folder / "socket")}
    local = url._replace(host=None, port=None).update_query_dict(query)

    text = local.render_as_string(hide_password=False)
    assert "created" in succeed(project, "db", "prepare", url=text)
    absent = text.replace(quote_plus(str(folder)), "/no/such/folder")
    outcome = project.flask("db", "prepare", DATABASE_URL=absent)
    assert outcome.status == 1
    assert "nothing listens at /no/such/folder" in outcome.output

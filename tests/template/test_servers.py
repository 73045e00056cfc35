"""Set-up on real servers, from cookiecutter to the second run of bin/setup."""

import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest
import servers
from processes import serve
from projects import Baker, Project, assert_clean, follow_the_recipes, shared
from servers import Server

# The fixture of the server, and the answer. PostgreSQL is there in two versions where the
# system has one of its own.
SERVERS = {"postgresql": "postgresql", "mariadb": "mysql"}
if servers.system_postgresql():
    SERVERS["system_postgresql"] = "postgresql"


@pytest.fixture(scope="module", params=[shared(__name__, name) for name in SERVERS])
def project(request: pytest.FixtureRequest, bake: Baker) -> tuple[Project, Server]:
    """Bake a project with each server's DATABASE_URL in the environment."""
    server: Server = request.getfixturevalue(request.param)
    variables = {"DATABASE_URL": server.url("shop")}
    return bake(variables, database=SERVERS[request.param], setup="yes"), server


def point_at(project: Project, url: str) -> None:
    """Write another DATABASE_URL into .env, as a user does."""
    path = project.path / ".env"
    quoted = url.replace("\\", "\\\\").replace("'", "\\'")
    text = re.sub(r"(?m)^DATABASE_URL=.*$", "", path.read_text(encoding="utf-8"))
    path.write_text(f"{text}DATABASE_URL='{quoted}'\n", encoding="utf-8")


@pytest.fixture
def elsewhere(project: tuple[Project, Server]) -> Iterator[tuple[Project, Server]]:
    """Let a test change .env, and put it back."""
    path = project[0].path / ".env"
    shutil.copy(path, path.with_name(".env.kept"))
    yield project
    path.with_name(".env.kept").replace(path)


def test_setup_creates_the_database_and_migrates_it(project: tuple[Project, Server]) -> None:
    baked, _ = project

    assert "DATABASE_URL of the environment" in baked.output
    assert re.search(r"database\.+ created \w+ database, migrated to 0001", baked.output)
    assert "The project is ready" in baked.output
    assert servers.PASSWORD not in baked.output
    current = baked.flask("db", "current")
    assert "0001 (head)" in current.output
    check = baked.flask("db", "check")
    assert check.status == 0, check.output
    assert "No new upgrade operations detected" in check.output


def test_a_second_setup_changes_nothing(project: tuple[Project, Server]) -> None:
    outcome = project[0].setup()

    assert outcome.status == 0, outcome.output
    assert "at 0001 already" in outcome.output


def test_the_page_and_readiness(project: tuple[Project, Server]) -> None:
    with serve(project[0], variables={"FLASK_DEBUG": "1"}) as service:
        assert service.get("/readyz").status == 200
        page = service.get("/")

    assert page.status == 200
    assert re.search(r"(PostgreSQL|MariaDB|MySQL) \d+\.\d+", page.text)


def test_down_and_up_again(project: tuple[Project, Server]) -> None:
    baked, _ = project
    for direction, target in (("downgrade", "base"), ("upgrade", "head")):
        outcome = baked.flask("db", direction, target)
        assert outcome.status == 0, outcome.output
    assert baked.flask("db", "check").status == 0


def test_ruff_and_its_own_tests_are_clean(
    project: tuple[Project, Server], request: pytest.FixtureRequest
) -> None:
    baked, _ = project
    if "system_postgresql" in request.node.name:  # the same files once more
        outcome = baked.run(baked.tool("pytest"), "-q")
        assert outcome.status == 0, outcome.output
    else:
        assert_clean(baked, types=False)


def test_the_recipes_of_the_docs_keep_the_data(project: tuple[Project, Server]) -> None:
    follow_the_recipes(project[0])


def test_seed(project: tuple[Project, Server]) -> None:
    baked, _ = project
    baked.flask("seed")
    again = baked.flask("seed")
    assert again.status == 0
    assert "is there already" in again.output
    assert baked.query("SELECT count(*) FROM users") == "[(1,)]"


@pytest.mark.parametrize("name", ["race1", "race2", "race3"])
def test_many_processes_create_the_database_once(
    project: tuple[Project, Server], name: str
) -> None:
    baked, server = project
    environ = {**baked.environ, "DATABASE_URL": server.url(name)}
    command = [str(baked.tool("flask")), "db", "create"]

    processes = [
        subprocess.Popen(
            command, cwd=baked.path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for _ in range(6)
    ]
    outputs = [process.communicate(timeout=60)[0].decode() for process in processes]

    assert [process.returncode for process in processes] == [0] * 6, outputs
    assert sum(f"{name}: created" in output for output in outputs) == 1, outputs


def test_a_wrong_password_is_one_line(elsewhere: tuple[Project, Server]) -> None:
    baked, server = elsewhere
    server.create_user("forgetful")
    point_at(baked, server.url("shop", "forgetful", "wr0ng"))

    outcome = baked.setup()

    assert outcome.status == 1
    assert f"does not let {server.name('forgetful')} in with this password" in outcome.output
    assert re.search("CREATE (ROLE|USER) .*forgetful", outcome.output)
    assert "wr0ng" not in outcome.output
    assert "Traceback" not in outcome.output


def test_no_right_to_create_the_database(elsewhere: tuple[Project, Server]) -> None:
    baked, server = elsewhere
    password = server.create_user("guest")
    point_at(baked, server.url("not_there", "guest", password))

    outcome = baked.setup()

    assert outcome.status == 1
    assert re.search(r"Cause: .*not_there.*([Pp]ermission denied|does not let)", outcome.output)
    assert password not in outcome.output
    assert "Traceback" not in outcome.output


def test_another_projects_database_is_never_touched(elsewhere: tuple[Project, Server]) -> None:
    baked, server = elsewhere
    server.execute(f"CREATE DATABASE {server.name('theirs')}")
    server.execute("CREATE TABLE invoices (id INT)", database="theirs")
    point_at(baked, server.url("theirs"))

    outcome = baked.setup()

    assert outcome.status == 1
    assert "invoices" in outcome.output
    assert "flask db stamp head" in outcome.output
    server.execute("INSERT INTO invoices VALUES (1)", database="theirs")
    with pytest.raises(Exception, match="alembic_version"):
        server.execute("SELECT * FROM alembic_version", database="theirs")

"""When the server is absent, starting, full, too old, guarded or restarted: on real servers."""

import json
import os
import re
import shutil
import socket
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import servers
import trustme
from processes import Service, serve
from projects import Baker, Outcome, Project, shared
from servers import Server
from sqlalchemy import URL, make_url
from sqlalchemy.exc import OperationalError

CONNECTIONS = 20
KINDS = {"postgresql": "postgresql", "mysql": "mariadb"}


@contextmanager
def private_server(database: str, folder: Path) -> Iterator[Server]:
    """Run a server with few connections and with TLS, whose authority is in a folder."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(folder / "authority.pem")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(folder / "certificate.pem")
    (folder / "key.pem").chmod(0o600)
    servers.hand_over(folder / "key.pem")
    if database == "postgresql":
        options = {
            "max_connections": str(CONNECTIONS),
            "ssl": "on",
            "ssl_cert_file": str(folder / "certificate.pem"),
            "ssl_key_file": str(folder / "key.pem"),
        }
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        system = servers.system_postgresql()
        if system is None:
            servers.missing("PostgreSQL with TLS is not installed: apt-get install postgresql")
        with servers.postgresql(*words, system=system) as server:
            yield server
    else:
        options = {
            "max-connections": str(CONNECTIONS),
            "ssl-ca": str(folder / "authority.pem"),
            "ssl-cert": str(folder / "certificate.pem"),
            "ssl-key": str(folder / "key.pem"),
        }
        with servers.mariadb(*(f"--{name}={value}" for name, value in options.items())) as server:
            yield server


@pytest.fixture(scope="module")
def authority() -> Iterator[Path]:
    """Return a folder for certificates, which servers can reach."""
    with servers.private_folder() as folder:
        yield folder


@pytest.fixture(scope="module", params=[shared(__name__, kind) for kind in KINDS])
def database(request: pytest.FixtureRequest) -> str:
    """Return the answers to the question of the database."""
    return str(request.param)


@pytest.fixture(scope="module")
def server(database: str, authority: Path) -> Iterator[Server]:
    """Run a server that the tests may stop."""
    with private_server(database, authority) as server:
        yield server


@pytest.fixture(scope="module")
def project(bake: Baker, database: str) -> Project:
    """Bake a project while no server listens where its DATABASE_URL says."""
    url = f"{database}://shop:s3cret@127.0.0.1:{servers.free_port()}/shop"
    return bake({"DATABASE_URL": url}, database=database, setup="yes")


def prepare(project: Project, url: str, *arguments: str, **environ: str) -> Outcome:
    """Run `flask db prepare` on a database."""
    return project.flask("db", "prepare", *arguments, DATABASE_URL=url, **environ)


def refused(outcome: Outcome) -> str:
    """Check that a command failed without a traceback; return its first line."""
    assert outcome.status == 1, outcome.output
    assert "Traceback" not in outcome.output
    assert "s3cret" not in outcome.output
    assert servers.PASSWORD not in outcome.output
    (line,) = re.findall(r"Error: .*", outcome.output)
    return str(line)


def test_set_up_without_a_server_says_how_to_get_one(project: Project, database: str) -> None:
    assert "The project stays in" in project.output
    assert re.search(r"Cause: .*nothing listens at 127\.0\.0\.1:\d+", project.output)
    assert "As an administrator of the server, once:" in project.output
    lines = {
        "postgresql": ['CREATE ROLE "shop" LOGIN CREATEDB', 'CREATE DATABASE "shop" OWNER "shop"'],
        "mysql": ["CREATE USER `shop`@`%`", "GRANT ALL ON `shop%`.* TO `shop`@`%`"],
    }
    for line in lines[database]:
        assert line in project.output
    assert "s3cret" not in project.output
    assert project.output.count("To resume:") == 1


def test_the_sql_it_shows_is_all_it_takes(project: Project, server: Server) -> None:
    shown = re.findall(r"^ +((?:CREATE|GRANT) .*);", project.output, re.MULTILINE)
    server.execute(*(line.replace("the one in DATABASE_URL", "s3cret") for line in shown))
    made = server.admin.set(database="shop", username="shop", password="s3cret")
    url = made.render_as_string(hide_password=False)

    outcome = prepare(project, url)
    assert outcome.status == 0, outcome.output
    tests = project.run(project.tool("pytest"), "-q", DATABASE_URL=url)
    assert tests.status == 0, tests.output


def test_docker_is_offered_where_it_is(project: Project, tmp_path: Path) -> None:
    # A mock: there is no Docker engine here. It answers what the command line asks.
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\ntest \"$*\" = 'compose version'\n")
    docker.chmod(0o755)
    path = os.pathsep.join([str(tmp_path), project.environ["PATH"]])

    outcome = project.setup(PATH=path)

    assert outcome.status == 1
    assert "Start it with `docker compose up -d db`" in outcome.output
    assert "CREATE" not in outcome.output

    docker.write_text("#!/bin/sh\nexit 1\n")  # a client without the plugin
    assert "docker compose" not in project.setup(PATH=path).output
    shutil.rmtree(tmp_path)


def test_an_unknown_host(project: Project, server: Server) -> None:
    url = make_url(server.url("lost")).set(host="no-such-host.invalid")

    line = refused(prepare(project, url.render_as_string(hide_password=False)))
    assert "no host has the name of no-such-host.invalid:" in line


@pytest.mark.parametrize(
    "database", [shared(__name__, "postgresql")], indirect=True
)  # PyMySQL waits for ever
def test_a_host_that_does_not_answer(project: Project, server: Server) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = make_url(server.url("lost")).set(port=silent.getsockname()[1])

        line = refused(prepare(project, with_query(url, {"connect_timeout": "2"})))
    assert "does not answer" in line


def test_a_server_without_a_free_connection(project: Project, server: Server) -> None:
    password = server.create_user("late")
    with ExitStack() as stack:
        # The administrator takes all that there are.
        with suppress(OperationalError):
            while True:
                stack.enter_context(servers.connect(server.admin))
        outcome = prepare(project, server.url("full", "late", password))

    assert "has no connection left" in refused(outcome)


def test_a_server_that_demands_tls(project: Project, server: Server, authority: Path) -> None:
    with demanding_tls(server):
        url = make_url(server.url("guarded"))
        without = {"sslmode": "disable"} if server.is_postgresql else {"ssl_disabled": "true"}
        line = refused(prepare(project, with_query(url, without)))
        assert "demands TLS" in line  # MariaDB does not tell it from a wrong password

        pem = str(authority / "authority.pem")
        checked = (
            {"sslmode": "verify-full", "sslrootcert": pem}
            if server.is_postgresql
            else {"ssl_ca": pem}
        )
        outcome = prepare(project, with_query(url, checked))
        assert outcome.status == 0, outcome.output
        secure = with_query(url, checked)
        tests = project.run(project.tool("pytest"), "-q", DATABASE_URL=secure)
        assert tests.status == 0, tests.output
        # The programs that dump connect with TLS too.
        file = str(authority / f"{url.get_backend_name()}.sql")
        assert project.flask("seed", DATABASE_URL=secure).status == 0
        saved = project.flask("db", "backup", file, DATABASE_URL=secure)
        assert saved.status == 0, saved.output
        restored = project.flask("db", "restore", file, "--yes", DATABASE_URL=secure)
        assert restored.status == 0, restored.output

        trustme.CA().cert_pem.write_to_path(authority / "another.pem")
        checked = {
            name: value.replace(pem, str(authority / "another.pem"))
            for name, value in checked.items()
        }
        wrong = with_query(url, checked)
        assert "shows another certificate" in refused(prepare(project, wrong))


def with_query(url: URL, query: dict[str, str]) -> str:
    """Return a URL with these parameters."""
    return url.update_query_dict(query).render_as_string(hide_password=False)


@contextmanager
def demanding_tls(server: Server) -> Iterator[None]:
    """Have a server refuse connections without TLS."""
    assert server.program is not None
    if server.is_postgresql:
        hba = server.program.folder / "data" / "pg_hba.conf"
        kept = hba.read_text()
        hba.write_text("hostssl all all all scram-sha-256\n")
        server.execute("SELECT pg_reload_conf()")
        yield
        hba.write_text(kept)
        server.execute("SELECT pg_reload_conf()")
    else:
        server.execute("SET GLOBAL require_secure_transport = ON")
        yield
        server.execute("SET GLOBAL require_secure_transport = OFF")


def test_a_server_that_is_too_old_is_left_as_it_is(project: Project, server: Server) -> None:
    # No older one can be installed here: the project is made to want a newer one.
    source = project.path / "schema_guard" / "dialects" / "base.py"
    text = source.read_text(encoding="utf-8")
    demanding, changes = re.subn(r'("(PostgreSQL|MariaDB)"): \([\d, ]+\)', r"\1: (99, 1)", text)
    assert changes == 2
    source.write_text(demanding, encoding="utf-8")
    try:
        line = refused(prepare(project, server.url("old")))
    finally:
        source.write_text(text, encoding="utf-8")

    assert re.search(r"is (PostgreSQL|MariaDB) \d+\.[\d.]+; the migrations need 99\.1", line)
    with pytest.raises(OperationalError):
        server.execute("SELECT 1", database="old")


def test_waiting_for_a_server_that_is_not_there_yet(project: Project, server: Server) -> None:
    server.stop()
    try:
        assert "nothing listens" in refused(prepare(project, server.url("later"), "--wait", "1.5"))
        with waiting(project, server.url("later"), "--wait", "60") as process:
            line = next_line(process)
            assert re.search(r"Waiting: nothing listens at .* \(0 of 60 s\)", line)
            server.start()
            output, _ = process.communicate(timeout=60)
    finally:
        server.start()

    assert process.returncode == 0, output
    assert "migrated to 0001" in output


# MariaDB listens when it is ready, not before.
@pytest.mark.parametrize("database", [shared(__name__, "postgresql")], indirect=True)
def test_waiting_for_a_server_that_starts_up(project: Project, server: Server) -> None:
    assert server.program is not None
    server.stop()
    hold = server.program.folder / "hold"
    hold.touch()
    (server.program.folder / "data" / "recovery.signal").touch()
    command = f"while [ -e {hold} ]; do sleep 0.1; done; exit 1"
    server.program.command += ["-c", f"restore_command={command}"]
    server.start(ready=False)
    try:
        with waiting(project, server.url("recovered")) as process:
            line = next_line(process)
            assert re.search(r"Waiting: .* is still starting up \(0 of 30 s\)", line)
            hold.unlink()
            output, _ = process.communicate(timeout=60)
    finally:
        hold.unlink(missing_ok=True)

    assert process.returncode == 0, output
    assert "migrated to 0001" in output


@contextmanager
def waiting(project: Project, url: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """Run `flask db prepare` beside the test."""
    with subprocess.Popen(
        [project.tool("flask"), "db", "prepare", *arguments],
        cwd=project.path,
        env={**project.environ, "DATABASE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def next_line(process: "subprocess.Popen[str]") -> str:
    """Return the next line that a process prints."""
    assert process.stdout is not None
    return process.stdout.readline()


def test_drop_wants_the_name_typed_back_and_debug(project: Project, server: Server) -> None:
    url = server.url("doomed")
    prepare(project, url)

    def drop(*options: str, typed: str) -> Outcome:
        return project.flask(*options, "db", "drop", stdin=typed, DATABASE_URL=url)

    assert "debug only" in refused(drop(typed=f"{server.name('doomed')}\n"))
    assert "not its name" in refused(drop("--debug", typed="shop\n"))
    assert drop("--debug", typed="").status == 1
    server.execute("SELECT * FROM alembic_version", database="doomed")

    outcome = drop("--debug", typed=f"{server.name('doomed')}\n")
    assert outcome.status == 0, outcome.output
    assert "doomed: dropped" in outcome.output
    with pytest.raises(OperationalError):
        server.execute("SELECT 1", database="doomed")
    assert "there was none" in drop("--debug", typed=f"{server.name('doomed')}\n").output


GUNICORN = ("-m", "gunicorn", "--bind", "127.0.0.1:{port}", "--workers", "3")


def test_a_restart_of_the_server_needs_none_of_the_service(
    project: Project, server: Server
) -> None:
    url = server.url("shop2")
    prepare(project, url)
    settings = {"DATABASE_URL": url, "SECRET_KEY": "x" * 32}
    with serve(
        project, project.tool("python"), *GUNICORN, "wsgi:app", variables=settings
    ) as service:
        assert statuses(service) == {200}
        server.stop()
        assert statuses(service) == {503}
        assert "does not answer" in service.get("/").text
        assert service.get("/healthz").status == 200
        server.start()
        assert statuses(service) == {200}

        assert server.kill("shop2") > 0
        assert statuses(service) == {200}


def statuses(service: Service) -> set[int]:
    """Return how many requests at once are answered, enough for every worker to get some."""
    with ThreadPoolExecutor(8) as threads:
        return set(threads.map(lambda _: service.get("/readyz").status, range(40)))


FORKED = """
import os

from wsgi import app
from app.extensions import db
from sqlalchemy import text


@app.get("/who")
def who():
    number = db.session.scalar(text({query!r}))
    return {{"process": os.getpid(), "session": number}}


with app.app_context():
    PARENT = who()  # the pool holds a connection when gunicorn forks
"""


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["", "preload"])
def test_every_worker_has_sessions_of_its_own(
    project: Project, server: Server, preload: tuple[str, ...]
) -> None:
    url = server.url("forked")
    prepare(project, url)
    # It takes its time, so that every worker gets to answer.
    postgresql = "SELECT pg_backend_pid() FROM pg_sleep(0.05)"
    query = postgresql if server.is_postgresql else "SELECT CONNECTION_ID() + SLEEP(0.05)"
    module = project.path / "forked.py"
    module.write_text(FORKED.format(query=query))
    settings = {"DATABASE_URL": url, "SECRET_KEY": "x" * 32, "PYTHONPATH": "."}
    command = [str(project.tool("python")), *GUNICORN, *preload, "forked:app"]
    try:
        with (
            serve(project, *command, variables=settings) as service,
            ThreadPoolExecutor(8) as threads,
        ):
            answers = list(threads.map(lambda _: service.get("/who"), range(60)))
    finally:
        module.unlink()

    assert {answer.status for answer in answers} == {200}
    workers = defaultdict(set)
    for answer in answers:
        who = json.loads(answer.text)
        workers[who["session"]].add(who["process"])
    assert len(set().union(*workers.values())) > 1
    assert all(len(processes) == 1 for processes in workers.values()), workers


SLOW = """
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.execute({sql!r})


def downgrade():
    pass
"""


def test_requests_are_limited_in_time_and_migrations_are_not(
    project: Project, server: Server
) -> None:
    url = server.url("slow")
    prepare(project, url)
    sql = "SELECT pg_sleep(1)" if server.is_postgresql else "SELECT SLEEP(1)"
    limit = {"DATABASE_URL": url, "STATEMENT_TIMEOUT": "0.3"}
    code = (
        "from wsgi import app; from app.extensions import db; from sqlalchemy import text\n"
        f"with app.app_context(): db.session.execute(text({sql!r}))"
    )

    request = project.run(project.tool("python"), "-c", code, PYTHONPATH=".", **limit)
    assert request.status == 1
    assert re.search("statement timeout|max_statement_time", request.output)

    revision = project.path / "migrations" / "versions" / "0002_slow.py"
    revision.write_text(SLOW.format(sql=sql))
    # Within one process a migration lifts the limit for itself, not for the requests after it.
    migrate = (
        "import flask_migrate\nwith app.app_context():\n  flask_migrate.upgrade(); print('up')\n "
    )
    both = code.replace("with app.app_context():", migrate)
    try:
        outcome = project.run(project.tool("python"), "-c", both, PYTHONPATH=".", **limit)
    finally:
        revision.unlink()
    assert "up" in outcome.output.splitlines(), outcome.output
    assert re.search("statement timeout|max_statement_time", outcome.output), outcome.output

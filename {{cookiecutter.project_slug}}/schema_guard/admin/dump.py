"""What a server's own programs write and read: pg_dump and psql, mariadb-dump and mariadb.

Promise: a dump is consistent while others write, and it is known how many rows of every table it
holds. Nothing secret is on a command line, where everybody on the machine could see it.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from schema_guard.core.errors import GuardError, cause
from schema_guard.core.store import count_rows
from schema_guard.dialects.base import backend, product

# What libpq reads from the environment, by its name in a URL.
LIBPQ = {
    "host": "PGHOST",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "connect_timeout": "PGCONNECT_TIMEOUT",
}
# What MySQL's programs read from a file, by its name in a URL.
CLIENT = {"unix_socket": "socket", "ssl_ca": "ssl-ca", "ssl_cert": "ssl-cert", "ssl_key": "ssl-key"}
DUMPED_ROW = re.compile(rb"INSERT INTO `((?:[^`]|``)+)` ")
# Seconds that a restore waits for others to let go of the database.
PATIENCE = 10

# All that is in a PostgreSQL database, but for what belongs to an extension.
DROP_ALL = """
    WITH own AS (SELECT objid FROM pg_depend WHERE deptype = 'e')
    SELECT format('DROP SCHEMA %I CASCADE', nspname) FROM pg_namespace
    WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public')
    AND oid NOT IN (SELECT objid FROM own)
    UNION ALL
    SELECT format('DROP %s IF EXISTS %s CASCADE', CASE relkind
        WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
        WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, oid::regclass) FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
    AND oid NOT IN (SELECT objid FROM own)
    UNION ALL
    SELECT format('DROP TYPE IF EXISTS %s CASCADE', oid::regtype) FROM pg_type
    WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd')
    AND oid NOT IN (SELECT objid FROM own)
    UNION ALL
    SELECT format('DROP ROUTINE IF EXISTS %s CASCADE', oid::regprocedure) FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace AND oid NOT IN (SELECT objid FROM own)
"""


def write(connection: Connection, path: Path) -> dict[str, int]:
    """Write all that a database holds to a file; return the rows of every table in it."""
    if connection.dialect.name == "postgresql":
        connection.execution_options(isolation_level="REPEATABLE READ")
        try:
            snapshot = connection.scalar(text("SELECT pg_export_snapshot()"))
            rows = count_rows(connection)
            arguments = [
                "--no-owner",
                "--no-privileges",
                f"--snapshot={snapshot}",
                f"--file={path}",
            ]
            _run(connection, ["pg_dump"], [*arguments, "--encoding=UTF8"])
        finally:
            connection.rollback()
            connection.execution_options(isolation_level=connection.default_isolation_level)
        return rows
    arguments = [
        # One line for every row, so that they can be counted, of the same moment as they are.
        *("--single-transaction", "--skip-extended-insert", "--no-autocommit"),
        *("--hex-blob", "--routines", "--triggers", "--no-tablespaces"),
        *("--default-character-set=utf8mb4", f"--result-file={path}"),
        str(connection.engine.url.database),
    ]
    _run(connection, _dump_programs(connection), arguments)
    names = inspect(connection).get_table_names()
    counted = _rows_of_dump(path)
    return {name: counted[name] for name in names}


def read(connection: Connection, path: Path) -> None:
    """Replace all that a database holds by what a file does.

    Raises:
        GuardError: it failed. PostgreSQL has undone all of it then, MySQL and MariaDB have not.
    """
    try:
        if connection.dialect.name == "postgresql":
            done = "Nothing was changed."
            _restore_postgresql(connection, path)
        else:
            done = "The database holds a part of it now: restore it again, or what it held before."
            _restore_mysql(connection, path)
    except (GuardError, SQLAlchemyError) as error:
        what = error.message if isinstance(error, GuardError) else f"{cause(error)}."
        raise GuardError(f"{path} was not restored. {what} {done}") from error


def _dump_programs(connection: Connection) -> list[str]:
    names = ["mysqldump", "mariadb-dump"]
    return names[::-1] if product(connection.dialect) == "MariaDB" else names


def _rows_of_dump(path: Path) -> Counter[str]:
    """Count the rows that a dump of MySQL or MariaDB inserts."""
    rows: Counter[str] = Counter()
    within_body = False  # of a trigger or routine, which may insert too
    with path.open("rb") as file:
        for line in file:
            if line.startswith(b"DELIMITER "):
                within_body = line.split()[1] != b";"
            elif not within_body and (match := DUMPED_ROW.match(line)):
                rows[match[1].decode().replace("``", "`")] += 1
    return rows


def _restore_postgresql(connection: Connection, path: Path) -> None:
    drops = list(connection.scalars(text(DROP_ALL)))
    connection.rollback()
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "restore.sql"
        with script.open("wb") as target, path.open("rb") as source:
            target.write(f"SET lock_timeout = '{PATIENCE}s';\n".encode())
            target.writelines(f"{drop};\n".encode() for drop in drops)
            # pg_dump 17 and later set it, whatever the server knows.
            target.writelines(
                line for line in source if not line.startswith(b"SET transaction_timeout")
            )
        arguments = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction"]
        _run(connection, ["psql"], [*arguments, "--output", os.devnull, f"--file={script}"])


def _restore_mysql(connection: Connection, path: Path) -> None:
    inspector = inspect(connection)
    quote = connection.dialect.identifier_preparer.quote_identifier
    drops = [f"DROP VIEW {quote(name)}" for name in inspector.get_view_names()]
    drops += [f"DROP TABLE {quote(name)}" for name in inspector.get_table_names()]
    connection.exec_driver_sql("SET foreign_key_checks = 0")
    for drop in drops:
        connection.exec_driver_sql(drop)
    connection.exec_driver_sql("SET foreign_key_checks = 1")
    connection.commit()
    clients = ["mariadb", "mysql"] if product(connection.dialect) == "MariaDB" else ["mysql"]
    arguments = ["--default-character-set=utf8mb4", str(connection.engine.url.database)]
    _run(connection, clients, arguments, source=path)


def _run(
    connection: Connection, programs: list[str], arguments: list[str], source: Path | None = None
) -> None:
    """Run the first of some programs that is installed, on the database of a connection."""
    found = next(filter(None, map(shutil.which, programs)), None)
    if found is None:
        raise GuardError(
            f"{programs[0]} is not installed here: install the client programs of"
            f" {product(connection.dialect)}."
        )
    with (
        _credentials(connection) as (environ, first),
        (source or Path(os.devnull)).open("rb") as file,
    ):
        outcome = subprocess.run(  # noqa: S603 - no shell, no user's words
            [found, *first, *arguments],
            env={**os.environ, **environ},
            stdin=file,
            capture_output=True,
            check=False,
        )
    if outcome.returncode != 0:
        words = " ".join(outcome.stderr.decode(errors="replace").split())
        raise GuardError(f"{Path(found).name} failed: {words}.")


@contextmanager
def _credentials(connection: Connection) -> Iterator[tuple[dict[str, str], list[str]]]:
    """Give what tells a server's program where to connect, and as whom: not its command line."""
    url = connection.engine.url
    query = {name: value for name, value in url.query.items() if isinstance(value, str)}
    if backend(connection.dialect) == "postgresql":
        known = {LIBPQ[name]: value for name, value in query.items() if name in LIBPQ}
        parts = {
            "PGHOST": url.host,
            "PGPORT": url.port,
            "PGDATABASE": url.database,
            "PGUSER": url.username,
            "PGPASSWORD": url.password,
        }
        yield {**known, **{name: str(value) for name, value in parts.items() if value}}, []
        return
    options = {CLIENT[name]: value for name, value in query.items() if name in CLIENT}
    options |= {} if "socket" in options else {"protocol": "tcp"}
    parts = {"host": url.host, "port": url.port, "user": url.username, "password": url.password}
    options |= {name: str(value) for name, value in parts.items() if value}
    with tempfile.TemporaryDirectory() as folder:  # only its owner may look into it
        file = Path(folder) / "client.cnf"
        escaped = {n: v.replace("\\", "\\\\").replace('"', '\\"') for n, v in options.items()}
        lines = [f'{name}="{value}"' for name, value in escaped.items()]
        file.write_text("\n".join(["[client]", *lines, ""]), encoding="utf-8")
        yield {}, [f"--defaults-extra-file={file}"]

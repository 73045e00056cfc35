"""Restoring a dump on the guard's own connection.

Promise: what is replaced is the database that the migration lock is held on, since the same
session does both; when its process is killed, nobody goes on loading. The server is sent SQL and
nothing else: a command of psql or of the mysql client in a file is not run.

PostgreSQL does all in one transaction. MySQL and MariaDB cannot: see interrupted.py.
"""

import re
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from schema_guard.core.errors import GuardError
from schema_guard.core.store import restore
from schema_guard.sql.open_quotes import MYSQL, POSTGRESQL, Quotes

# Seconds that a restore waits for others to let go of a table.
PATIENCE = 10
# About as many bytes are sent at once.
BLOCK = 2**18
# With these lines something else begins, if what was before has ended.
ENDS_A_PIECE = (b"--", b"COPY ", b"SELECT pg_catalog.lo")
ENDED = re.compile(rb";\s*\Z")
COPY = re.compile(rb"COPY .* FROM stdin;\r?\n", re.DOTALL)
# The insertion of one row in a dump of MySQL or MariaDB: into what, and the values.
ROW = re.compile(
    rb"(INSERT INTO `(?:[^`]|``)+` (?:\((?:`(?:[^`]|``)+`(?:, )?)+\) )?VALUES )"
    rb"(\((?:[^'\"`;]++|'(?:[^'\\]++|\\.|'')*+')*+)"
)

# All that is in a PostgreSQL database, but for what belongs to an extension.
DROP_ALL = """
    WITH own AS (SELECT objid FROM pg_depend WHERE deptype = 'e')
    SELECT format('DROP SCHEMA %I CASCADE', nspname) FROM pg_namespace
    WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public')
    AND oid NOT IN (SELECT objid FROM own)
    UNION ALL
    SELECT format('DROP %s IF EXISTS %s CASCADE', CASE relkind
        WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
        WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END, oid::regclass)
    FROM pg_class
    WHERE relnamespace = to_regnamespace('public')
    AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c')
    AND oid NOT IN (SELECT objid FROM own)
    UNION ALL
    SELECT format('DROP TYPE IF EXISTS %s CASCADE', oid::regtype) FROM pg_type
    WHERE typnamespace = to_regnamespace('public') AND typtype IN ('e', 'd', 'r')
    AND oid NOT IN (SELECT objid FROM own)
    UNION ALL
    SELECT format('DROP ROUTINE IF EXISTS %s CASCADE', oid::regprocedure) FROM pg_proc
    WHERE pronamespace = to_regnamespace('public') AND oid NOT IN (SELECT objid FROM own)
    UNION ALL
    SELECT format('SELECT lo_unlink(%s)', oid) FROM pg_largeobject_metadata
"""
SETTINGS = "SELECT name, current_setting(name) FROM pg_settings WHERE context = 'user'"
MYSQL_OBJECTS = {
    "TABLE": "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"
    " AND table_type NOT LIKE '%VIEW'",
    "VIEW": "SELECT table_name FROM information_schema.views WHERE table_schema = DATABASE()",
    "FUNCTION": "SELECT routine_name FROM information_schema.routines"
    " WHERE routine_schema = DATABASE() AND routine_type = 'FUNCTION'",
    "PROCEDURE": "SELECT routine_name FROM information_schema.routines"
    " WHERE routine_schema = DATABASE() AND routine_type = 'PROCEDURE'",
}


def load_postgresql(connection: Connection, lines: Iterator[bytes]) -> None:
    """Replace all that a PostgreSQL database holds, within the transaction at hand.

    Raises:
        DBAPIError: the server refuses a statement.
        ValueError: the file holds something else than SQL.
    """
    before = _settings(connection)
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{PATIENCE}s'")
    for drop in list(connection.scalars(text(DROP_ALL))):
        send(connection, f"{drop};".encode())
    for piece in pieces(lines):
        if COPY.fullmatch(piece):
            _copy(connection, piece, Data(lines))
        else:
            send(connection, piece)
    # What the dump has set for its session ends with it.
    after = _settings(connection)
    setting = text("SELECT pg_catalog.set_config(:name, :value, false)")
    for name, value in before.items():
        if after.get(name) != value:
            connection.execute(setting, {"name": name, "value": value})


def _settings(connection: Connection) -> dict[str, str]:
    """Return what a session of PostgreSQL is set to."""
    settings: list[Any] = list(connection.execute(text(SETTINGS)))
    return dict(settings)


def pieces(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Return the SQL of a dump of PostgreSQL, some statements at once; a COPY for itself.

    Args:
        lines: whoever gets a COPY takes its rows from here before the next piece.
    """
    quotes, piece = Quotes(POSTGRESQL), b""
    for line in lines:
        if not quotes.open:
            if line.startswith(ENDS_A_PIECE) and (not piece.strip() or ENDED.search(piece)):
                if piece.strip():
                    yield piece
                piece = b""
            if _is_left_out(line):
                continue
        quotes.feed(line)
        piece += line
        if not quotes.open and COPY.fullmatch(piece):
            yield piece
            piece = b""
    if quotes.open:
        raise ValueError("it ends in the middle of a statement")
    if piece.strip():
        yield piece


def _is_left_out(line: bytes) -> bool:
    """Return whether a line of a dump is not for the server.

    Raises:
        ValueError: it is a command of psql.
    """
    # Between these two psql runs no commands. Here none is run at all.
    if line.startswith((b"\\restrict ", b"\\unrestrict ")):
        return True
    if line.startswith(b"\\"):
        raise ValueError(f"It holds a command of psql: {line.strip().decode(errors='replace')}")
    # pg_dump 17 and later set it, whatever the server knows.
    return line.startswith((b"--", b"SET transaction_timeout"))


class Data:
    """The rows of a COPY, as a file that ends where they do."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        """Take the rows from the lines of a dump."""
        self.lines = lines
        self.buffer = bytearray()
        self.ended = False

    def read(self, size: int = BLOCK) -> bytes:
        """Return the next bytes; none at the end."""
        while not self.ended and len(self.buffer) < size:
            line = next(self.lines, None)
            if line is None:
                raise ValueError("it ends in the middle of a table's rows")
            if line.rstrip(b"\r\n") == b"\\.":
                self.ended = True
            else:
                self.buffer += line
        block = bytes(self.buffer[:size])
        del self.buffer[:size]
        return block

    def __iter__(self) -> Iterator[bytes]:
        """Return all bytes, in blocks."""
        while block := self.read():
            yield block


def load_mysql(connection: Connection, lines: Iterator[bytes]) -> None:
    """Run the statements of a dump of MySQL or MariaDB.

    Raises:
        DBAPIError: the server refuses a statement; those before are committed.
        ValueError: the file ends in the middle of a statement.
    """
    for statement in together(statements(lines)):
        send(connection, statement)


def statements(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Return the statements of a dump of MySQL or MariaDB, without their delimiters."""
    quotes, delimiter, statement = Quotes(MYSQL), b";", b""
    for line in lines:
        if not statement:
            whole = line.rstrip()
            if whole.endswith(b");") and ROW.fullmatch(whole[:-1]):
                yield whole[:-1]
                continue
            if line.startswith(b"DELIMITER "):
                delimiter = line.split()[1]
                continue
            if not line.strip() or line.startswith((b"-- ", b"--\n", b"--\r", b"#")):
                continue
        quotes.feed(line)
        statement += line
        ended = statement.rstrip()
        if not quotes.open and ended.endswith(delimiter):
            yield ended.removesuffix(delimiter)
            statement = b""
    if statement.strip():
        raise ValueError("it ends in the middle of a statement")


def together(found: Iterator[bytes]) -> Iterator[bytes]:
    """Join what inserts rows into the same table: one by one they take ten times longer."""
    into, size = b"", 0
    rows: list[bytes] = []
    for statement in found:
        row = ROW.fullmatch(statement)
        if rows and (row is None or row[1] != into or size > BLOCK):
            yield into + b",".join(rows)
            rows, size = [], 0
        if row is None:
            yield statement
            continue
        into = row[1]
        rows.append(row[2])
        size += len(row[2])
    if rows:
        yield into + b",".join(rows)


def drop_all_mysql(connection: Connection) -> None:
    """Drop all that a database of MySQL or MariaDB holds; either all tables, or none.

    Raises:
        SQLAlchemyError: somebody uses a table, or it may not be dropped.
    """
    quote = connection.dialect.identifier_preparer.quote_identifier
    connection.exec_driver_sql("SET foreign_key_checks = 0")
    try:
        for kind, query in MYSQL_OBJECTS.items():
            names = [
                quote(name) for name in connection.scalars(text(query)) if name != restore.name
            ]
            if names and kind == "TABLE":  # in one statement: it waits for all before it drops one
                names = [", ".join(names)]
            for name in names:
                connection.exec_driver_sql(f"DROP {kind} {name}")
    finally:
        connection.exec_driver_sql("SET foreign_key_checks = 1")
        connection.commit()


def send(connection: Connection, sql: bytes) -> None:
    """Run SQL as it stands, past SQLAlchemy, for which it would be text with placeholders."""
    driver: Any = connection.connection.driver_connection
    takes_bytes = connection.dialect.driver in {"psycopg", "psycopg2", "pymysql", "mysqldb"}
    cursor = driver.cursor()
    errors = connection.dialect.loaded_dbapi.Error
    try:
        cursor.execute(sql if takes_bytes else sql.decode())
    except errors as error:
        statement = sql.decode(errors="replace")
        raise DBAPIError.instance(statement, None, error, errors) from error
    finally:
        cursor.close()


def _copy(connection: Connection, statement: bytes, data: Data) -> None:
    """Send the rows of a COPY."""
    driver: Any = connection.connection.driver_connection
    cursor = driver.cursor()
    errors = connection.dialect.loaded_dbapi.Error
    try:
        if connection.dialect.driver == "psycopg":
            with cursor.copy(statement) as copy:
                for block in data:
                    copy.write(block)
        elif connection.dialect.driver == "psycopg2":
            cursor.copy_expert(statement, data)
        elif connection.dialect.driver == "pg8000":
            cursor.execute(statement.decode(), stream=data)
        else:
            raise GuardError(
                f"The driver {connection.dialect.driver} cannot restore: have DATABASE_URL begin"
                " with postgresql+psycopg."
            )
    except errors as error:
        raise DBAPIError.instance(statement.decode(), None, error, errors) from error
    finally:
        cursor.close()

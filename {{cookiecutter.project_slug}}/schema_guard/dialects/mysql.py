"""MySQL and MariaDB: what the guards ask of them."""

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.exc import DBAPIError

from schema_guard.core.errors import codes_of, shorten
from schema_guard.dialects.adapter import NAME, Adapter, ask_blockers
from schema_guard.dialects.server_connection import server_connection

# Or what does not fit is cut short, and NULL becomes 0, without a word.
STRICT = "SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')"
BLOCKERS = text("""
    SELECT concat('connection ', id, ' (', user, '@', host, '), in a transaction for ',
                  timestampdiff(SECOND, trx_started, convert_tz(now(), @@time_zone, 'SYSTEM')),
                  ' s: ', coalesce(info, 'idle'))
    FROM information_schema.innodb_trx
    JOIN information_schema.processlist ON id = trx_mysql_thread_id
    WHERE id <> connection_id() AND :statement <> ''
    ORDER BY trx_started
""")
TOKEN = re.compile(r"(?:`(?:[^`]|``)*`|[\w$]+)(?:\.(?:`(?:[^`]|``)*`|[\w$]+))?|[^\s\w]")
KINDS = {"TABLE", "VIEW", "TRIGGER", "PROCEDURE", "FUNCTION", "EVENT"}
# The numbers for a table, routine, trigger and event that do not exist.
MISSING = {1146, 1305, 1360, 1539}
COUNTER = re.compile(r" AUTO_INCREMENT=\d+")
# A time of 2004: one before has not all its digits yet, of which the highest is written last.
LEAST = 1 << 30


class MySQL(Adapter):
    """MySQL and MariaDB."""

    commits_ddl = True

    @contextmanager
    def connection(self, engine: Engine) -> Iterator[Connection]:
        """Give a connection of its own, and strict."""
        with server_connection(engine) as connection:
            connection.exec_driver_sql(STRICT)
            connection.commit()
            yield connection

    def migration_lock(self, connection: Connection) -> "MySQLLock":
        """Return a named lock."""
        return MySQLLock(connection)

    def limit_waits(self, connection: Connection, seconds: float) -> None:
        """Set the limits for the lock of a table, and for those of rows."""
        limit = max(1, round(seconds))
        connection.exec_driver_sql(
            f"SET lock_wait_timeout = {limit}, innodb_lock_wait_timeout = {limit}"
        )
        connection.commit()

    def blockers(self, connection: Connection, statement: str) -> list[str]:
        """Ask InnoDB who is in a transaction."""
        return ask_blockers(connection, BLOCKERS, statement)

    def parts(self, statement: str) -> list[str]:
        """Return what a statement names."""
        return named(statement)

    def definition(self, connection: Connection, part: str) -> str | None:
        """Ask for the statement that would make it."""
        try:
            row = connection.exec_driver_sql(f"SHOW CREATE {part}").one()
        except DBAPIError as error:
            if codes_of(error) & MISSING:
                return None
            raise
        return COUNTER.sub("", "\n".join(str(value) for value in row))

    def canceller(self, connection: Connection) -> Callable[[], None]:
        """Cancel by KILL QUERY, on another connection."""
        driver: Any = connection.connection.driver_connection
        number, engine = driver.thread_id(), connection.engine

        def cancel() -> None:
            other = engine.raw_connection()
            try:
                cursor = other.cursor()
                cursor.execute(f"KILL QUERY {number:d}")
                cursor.close()
            finally:
                other.invalidate()

        return cancel


def named(statement: str) -> list[str]:
    """Return what a statement changes, as in `TABLE users`; once each.

    Nothing if it names something twice, as a RENAME that swaps two tables: that may look as before.
    """
    tokens = TOKEN.findall(statement)
    words = [token.upper() for token in tokens]
    if "INDEX" in words[1:5] and "ON" in words and words[0] != "ALTER":
        return [f"TABLE {tokens[words.index('ON') + 1]}"]
    at = next((i for i, word in enumerate(words) if word in KINDS), None)
    if at is None:
        return []
    kind = "TABLE" if words[at] == "VIEW" else words[at]
    while words[at + 1 : at + 2] and words[at + 1] in {"IF", "NOT", "EXISTS"}:
        at += 1
    names = tokens[at + 1 : at + 2]
    if words[0] in {"DROP", "RENAME"}:
        for separator, name in zip(tokens[at + 2 :: 2], tokens[at + 3 :: 2], strict=False):
            if separator.upper() not in {",", "TO"}:
                break
            names.append(name)
    return [f"{kind} {name}" for name in names] if len(set(names)) == len(names) else []


@dataclass
class MySQLLock:
    """A named lock; MySQL and MariaDB keep them for the whole server.

    Of a session others see nothing but its locks that goes with it. So the time since when it holds
    this one is told by more of them, one for each binary digit of the seconds since 1970 that is 1.
    """

    connection: Connection
    digits: tuple[str, ...] = ()

    @cached_property
    def name(self) -> str:
        """The lock's name, in which the database's takes part: with a digit's 64 at most."""
        # Some servers take Shop and shop for one database.
        database = str(
            self._ask(text("IF(@@lower_case_table_names, LOWER(DATABASE()), DATABASE())"))[0]
        )
        return f"{NAME}.{hashlib.sha256(database.encode()).hexdigest()[:32]}"

    def acquire(self) -> bool:
        """Try GET_LOCK."""
        taken, now = self._ask(func.get_lock(self.name, 0), func.unix_timestamp())
        if taken != 1:
            return False
        self.digits = tuple(f"{self.name}.{bit}" for bit in range(32) if int(now) >> bit & 1)
        self._ask(*(func.get_lock(digit, 0) for digit in self.digits))
        return True

    def release(self) -> None:
        """Unlock."""
        self.connection.rollback()
        self._ask(*(func.release_lock(name) for name in (*self.digits, self.name)))

    def holder(self) -> str:
        """Ask the list of processes, and who holds which digit."""
        query = text(
            "SELECT id, user, host, info FROM information_schema.processlist"
            " WHERE id = IS_USED_LOCK(:name)"
        )
        row = self.connection.execute(query, {"name": self.name}).first()
        digits = self._ask(*(func.is_used_lock(f"{self.name}.{bit}") for bit in range(32)))
        since = sum(1 << bit for bit, owner in enumerate(digits) if row and owner == row.id)
        if row is None or since < LEAST:
            return "which has just begun or ended"
        what = f", in: {shorten(row.info)}" if row.info else ""
        start = f"{datetime.fromtimestamp(since, UTC):%Y-%m-%d %H:%M:%S} UTC"
        return f"{row.user}@{row.host} (connection {row.id}), since {start}{what}"

    def _ask(self, *functions: Any) -> Any:
        """Return what functions answer, and leave no transaction open behind."""
        answers = self.connection.execute(select(*functions)).one()
        self.connection.commit()
        return answers

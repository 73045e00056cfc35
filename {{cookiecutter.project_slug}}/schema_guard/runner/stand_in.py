"""Connections on which nothing is run: what a revision gets while it is only recorded.

Promise: no database is asked, every query finds nothing, and what is sent is noted.
"""

import itertools
import sqlite3
from collections.abc import Callable
from contextlib import nullcontext
from copy import copy
from typing import Any

from sqlalchemy import URL, Connection, Dialect, Engine, event
from sqlalchemy.dialects.mysql.base import MySQLDialect
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.engine.mock import MockConnection
from sqlalchemy.engine.result import IteratorResult, SimpleResultMetaData
from sqlalchemy.pool import StaticPool
from sqlalchemy.sql.elements import ClauseElement

from schema_guard import compat

# Of no driver: what they do beside sending SQL needs a server.
DRIVERLESS = {
    "mariadb": MySQLDialect,
    "mysql": MySQLDialect,
    "postgresql": PGDialect,
    "sqlite": SQLiteDialect,
}
# How the key of a new row is fetched without asking for rows.
BY_LAST_ID = {
    "dbapi": sqlite3,  # its errors
    "favor_returning_over_lastrowid": False,
    "insert_executemany_returning": False,
    "insert_executemany_returning_sort_by_parameter_order": False,
    "insert_returning": False,
    "postfetch_lastrowid": True,
    "preexecute_autoincrement_sequences": False,
    "use_insertmanyvalues": False,
}


class NoRows(IteratorResult[Any]):
    """What a query finds while nothing is run."""

    rowcount, lastrowid = 0, None

    def __init__(self) -> None:
        """Hold no rows."""
        super().__init__(SimpleResultMetaData(["nothing"]), iter([]))


class StandInConnection(MockConnection):
    """What `op.get_bind()` gives while nothing is run."""

    def __init__(self, dialect: Dialect, note: Callable[[Any], None]) -> None:
        """Stand in for a connection.

        Args:
            dialect: of the DBMS that the revision is recorded for.
            note: gets each statement.
        """

        def execute(statement: Any, _parameters: Any = None) -> NoRows:
            note(statement)
            return NoRows()

        super().__init__(dialect, execute)
        self.note = note

    def connect(self, **_: Any) -> Any:
        """Return what a session uses: it needs results that know what was compiled."""
        return SessionConnection(self.dialect, self.note)

    def exec_driver_sql(self, statement: str, *_: Any) -> Any:
        """Note a statement."""
        return self.execute(statement)  # type: ignore[arg-type]

    def scalar(self, statement: Any, *_: Any, **__: Any) -> None:
        """Note a statement."""
        self.execute(statement)

    def scalars(self, statement: Any, *_: Any, **__: Any) -> Any:
        """Note a statement."""
        return self.execute(statement).scalars()

    def begin(self) -> Any:
        """Return what can be entered; nothing begins."""
        return nullcontext(self)

    begin_nested = begin

    def in_transaction(self) -> bool:
        """Return that there is one, as there would be."""
        return True

    def commit(self) -> None:
        """Do nothing."""

    rollback = close = commit


class SessionConnection(Connection):
    """SQLAlchemy's own connection, on a driver that runs nothing."""

    def __init__(self, dialect: Dialect, note: Callable[[Any], None]) -> None:
        """Stand in for a connection, as `StandInConnection`."""
        make: Any = DRIVERLESS.get(dialect.name)
        plain = make() if make else copy(dialect)
        for name, value in BY_LAST_ID.items():
            setattr(plain, name, value)
        self.note, self.driver = note, Driver()
        pool = StaticPool(lambda: self.driver)  # type: ignore[arg-type]
        super().__init__(Engine(pool, plain, URL.create(dialect.name)))
        event.listen(self, "before_cursor_execute", self._describe)

    def execute(
        self, statement: Any, parameters: Any = None, *, execution_options: Any = None
    ) -> Any:
        """Note a statement; return a result without rows."""
        if isinstance(statement, ClauseElement) and "savepoint" not in statement.__visit_name__:
            self.note(statement)
        # A session that writes its objects expects each to be found.
        flushes = "compiled_cache" in (execution_options or {})
        self.driver.rowcount = int(flushes)
        return super().execute(statement, parameters, execution_options=execution_options)

    def _describe(
        self, _connection: Any, _cursor: Any, _sql: str, _values: Any, context: Any, _many: Any
    ) -> None:
        """Have a query find no rows, of the columns that it asks for."""
        names = compat.result_columns(context)
        self.driver.description = names and [(name, *[None] * 6) for name in names]


class Driver:
    """A driver's connection, and its cursor, which runs nothing."""

    description: Any = None
    numbers = itertools.count(1)

    def __init__(self) -> None:
        """Have changed nothing yet."""
        self.rowcount = self.lastrowid = 0
        self.notices: list[str] = []

    def cursor(self, *_: Any, **__: Any) -> "Driver":
        """Return a cursor."""
        return self

    def execute(self, _statement: str, _parameters: Any = ()) -> None:
        """Run nothing."""
        self.lastrowid = next(self.numbers)

    def executemany(self, _statement: str, parameters: Any) -> None:
        """Run nothing."""
        self.rowcount *= len(parameters)

    def fetchall(self) -> list[Any]:
        """Return no rows."""
        return []

    def fetchone(self) -> None:
        """Return no row."""

    def fetchmany(self, _size: int | None = None) -> list[Any]:
        """Return no rows."""
        return []

    def commit(self) -> None:
        """Do nothing."""

    rollback = close = commit

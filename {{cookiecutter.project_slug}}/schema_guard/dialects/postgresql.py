"""PostgreSQL: what the guards ask of it."""

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from sqlalchemy import Connection, Engine, text

from schema_guard.dialects.adapter import NAME, Adapter, ask_blockers
from schema_guard.dialects.server_connection import server_connection

# Nobody waits behind it, and it waits for every older transaction: what it has built by the end of
# an ordinary wait would have to be built again.
CONCURRENT = re.compile(r"\s*(CREATE|DROP)\s+(UNIQUE\s+)?INDEX\s+CONCURRENTLY\b", re.IGNORECASE)
PATIENCE = 600  # seconds
BLOCKERS = text("""
    SELECT format('process %s (%s), %s for %s s: %s', pid, application_name, state,
                  round(extract(epoch FROM clock_timestamp() - xact_start)), query)
    FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND xact_start IS NOT NULL AND pid IN (
        SELECT pid FROM pg_locks JOIN pg_class ON pg_class.oid = relation
        WHERE granted AND position(relname IN :statement) > 0)
    ORDER BY xact_start
""")
SCHEMA = text("""
    WITH spaces AS (
        SELECT oid FROM pg_namespace
        WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
    ), relations AS (
        SELECT oid, relkind FROM pg_class WHERE relnamespace IN (SELECT oid FROM spaces)
    )
    SELECT concat_ws(' ', oid::regclass, relkind) FROM relations
    UNION ALL
    SELECT concat_ws(' ', attrelid::regclass, attnum, attname,
                     format_type(atttypid, atttypmod), attnotnull,
                     pg_get_expr(adbin, adrelid), col_description(attrelid, attnum))
    FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE attrelid IN (SELECT oid FROM relations) AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT concat_ws(' ', pg_get_indexdef(indexrelid), indisvalid) FROM pg_index
    WHERE indexrelid IN (SELECT oid FROM relations)
    UNION ALL
    SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid), convalidated)
    FROM pg_constraint WHERE connamespace IN (SELECT oid FROM spaces)
    UNION ALL
    SELECT concat_ws(' ', enumtypid::regtype, enumsortorder, enumlabel) FROM pg_enum
    UNION ALL
    SELECT concat_ws(' ', pg_get_triggerdef(oid), tgenabled)
    FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL
    SELECT concat_ws(' ', oid::regprocedure, md5(prosrc)) FROM pg_proc
    WHERE pronamespace IN (SELECT oid FROM spaces)
    UNION ALL
    SELECT concat_ws(' ', oid::regclass, pg_get_viewdef(oid))
    FROM relations WHERE relkind IN ('v', 'm')
""")
INVALID_INDEXES = text(
    "SELECT relname FROM pg_index JOIN pg_class ON oid = indexrelid WHERE NOT indisvalid"
)


class PostgreSQL(Adapter):
    """PostgreSQL."""

    def connection(self, engine: Engine) -> AbstractContextManager[Connection]:
        """Give a connection of its own."""
        return server_connection(engine)

    def migration_lock(self, connection: Connection) -> "PostgreSQLLock":
        """Return an advisory lock."""
        return PostgreSQLLock(connection)

    def limit_waits(self, connection: Connection, seconds: float) -> None:
        """Set lock_timeout."""
        connection.exec_driver_sql(_limit(seconds))
        connection.commit()

    @contextmanager
    def patience(self, connection: Connection, statement: str, seconds: float) -> Iterator[None]:
        """Let CREATE and DROP INDEX CONCURRENTLY wait for minutes."""
        if not CONCURRENT.match(statement):
            yield
            return
        cursor = connection.connection.cursor()
        cursor.execute(_limit(max(PATIENCE, seconds)))
        try:
            yield
        finally:
            with suppress(connection.dialect.loaded_dbapi.Error):  # the connection is lost
                cursor.execute(_limit(seconds))
                cursor.close()

    def blockers(self, connection: Connection, statement: str) -> list[str]:
        """Ask pg_locks who has a table that the statement names."""
        return ask_blockers(connection, BLOCKERS, statement)

    def definition(self, connection: Connection, _part: str) -> str:
        """Ask the catalogs for all that there is."""
        return "\n".join(sorted(connection.scalars(SCHEMA)))

    def invalid_indexes(self, connection: Connection) -> list[str]:
        """Return what a CREATE INDEX CONCURRENTLY that failed has left."""
        return list(connection.scalars(INVALID_INDEXES))

    def canceller(self, connection: Connection) -> Callable[[], None]:
        """Cancel by the driver; psycopg waits in Python, and cancels by itself."""
        driver: Any = connection.connection.driver_connection
        waits_in_python = connection.dialect.driver == "psycopg"
        return lambda: None if waits_in_python else driver.cancel()


def _limit(seconds: float) -> str:
    return f"SET lock_timeout = {max(1, round(seconds * 1000))}"  # 0 would be for ever


@dataclass
class PostgreSQLLock:
    """An advisory lock; PostgreSQL keeps them apart by database."""

    connection: Connection

    @property
    def key(self) -> dict[str, int]:
        """The lock's number."""
        digest = hashlib.sha256(NAME.encode()).digest()
        return {"key": int.from_bytes(digest[:8], signed=True)}

    def acquire(self) -> bool:
        """Try `pg_try_advisory_lock`, and leave no transaction open behind."""
        taken = self.connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), self.key)
        self.connection.commit()
        return bool(taken)

    def release(self) -> None:
        """Unlock."""
        self.connection.rollback()
        self.connection.execute(text("SELECT pg_advisory_unlock(:key)"), self.key)
        self.connection.commit()

    def holder(self) -> str:
        """Ask pg_stat_activity."""
        query = text(
            "SELECT pid, usename, application_name, client_addr, backend_start"
            " FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE locktype = 'advisory' AND granted AND objsubid = 1"
            " AND (classid::bigint << 32 | objid::bigint) = :key"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        row = self.connection.execute(query, self.key).first()
        self.connection.commit()
        if row is None:
            return "which has just ended"
        start = row.backend_start.astimezone(UTC)
        return (
            f"{row.usename}@{row.client_addr or 'localhost'} ({row.application_name}, process"
            f" {row.pid}), since {start:%Y-%m-%d %H:%M:%S} UTC"
        )

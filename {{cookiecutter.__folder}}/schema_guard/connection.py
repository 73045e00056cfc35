"""The connection that migrations run on."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from schema_guard.server import backend, check_server

# A limit that protects requests would end a long migration half-way.
LIFT_LIMITS = {
    "postgresql": "SET statement_timeout = 0",
    # What is within the first comment only MariaDB reads, within the second only MySQL.
    "mysql": "SET /*M! max_statement_time = 0 */ /*!50708 max_execution_time = 0 */",
}


@contextmanager
def migration_connection(engine: Engine) -> Iterator[Connection]:
    """Give a connection for migrations: no limit of time, no foreign keys on SQLite.

    Args:
        engine: the application's, or a test's.

    Raises:
        GuardError: the server is older than what the migrations are tested on.
        SQLAlchemyError: it cannot be reached.
    """
    with engine.connect() as connection:
        check_server(connection)
        if connection.dialect.name == "sqlite":
            with _without_foreign_keys(connection):
                yield connection
            return
        # Its own from here on: what is set below reaches no request.
        connection.detach()
        if limit := LIFT_LIMITS.get(backend(connection.dialect)):
            connection.exec_driver_sql(limit)
            connection.commit()
        yield connection


@contextmanager
def _without_foreign_keys(connection: Connection) -> Iterator[None]:
    # Batch mode drops the old table, and its children would be deleted with it. Within a
    # transaction the PRAGMA does nothing: it goes past SQLAlchemy, which would begin one.
    cursor = connection.connection.cursor()
    (before,) = cursor.execute("PRAGMA foreign_keys").fetchone()
    cursor.execute("PRAGMA foreign_keys = OFF")
    try:
        yield
    finally:
        connection.rollback()
        cursor.execute(f"PRAGMA foreign_keys = {before}")
        cursor.close()

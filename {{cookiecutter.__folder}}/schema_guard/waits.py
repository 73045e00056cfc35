"""Bounded waits for the locks of tables.

Promise: a statement that changes the schema waits for no lock for longer than a few seconds,
because every request for that table waits behind it. It gives up, says who is in its way, lets
the requests through and tries again, a few times.

Where the DBMS can undo it, the whole revision is tried again. MySQL and MariaDB have committed
by then what came before: they try the statement alone.
"""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from flask import current_app
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from schema_guard.errors import codes_of, shorten
from schema_guard.server import backend

TRIES = 4
# Seconds between two tries, times their number: the requests get through meanwhile.
PAUSE = (0.5, 1.5)

# PostgreSQL: lock_not_available, deadlock_detected. MySQL: lock wait timeout, deadlock.
TIMEOUTS = {"55P03", "40P01", 1205, 1213, "SQLITE_BUSY", "SQLITE_BUSY_SNAPSHOT"}
# The one after which MySQL keeps the transaction, and the statement can be tried again.
STATEMENT_TIMEOUT = 1205

BLOCKERS = {
    "postgresql": """
        SELECT format('process %s (%s), %s for %s s: %s', pid, application_name, state,
                      round(extract(epoch FROM clock_timestamp() - xact_start)), query)
        FROM pg_stat_activity
        WHERE pid <> pg_backend_pid() AND xact_start IS NOT NULL AND pid IN (
            SELECT pid FROM pg_locks JOIN pg_class ON pg_class.oid = relation
            WHERE granted AND position(relname IN :statement) > 0)
        ORDER BY xact_start""",
    "mysql": """
        SELECT concat('connection ', id, ' (', user, '@', host, '), in a transaction for ',
                      timestampdiff(SECOND, trx_started, now()), ' s: ', coalesce(info, 'idle'))
        FROM information_schema.innodb_trx
        JOIN information_schema.processlist ON id = trx_mysql_thread_id
        WHERE id <> connection_id() AND :statement <> ''
        ORDER BY trx_started""",
}


def limit_waits(connection: Connection) -> None:
    """Set how long a statement of this connection waits for a lock."""
    seconds = lock_timeout()
    if connection.dialect.name == "sqlite":
        cursor = connection.connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {round(seconds * 1000)}")
        cursor.close()
        return
    limits = {
        "postgresql": f"SET lock_timeout = {max(1, round(seconds * 1000))}",  # 0 would be for ever
        "mysql": "SET lock_wait_timeout = {0}, innodb_lock_wait_timeout = {0}".format(
            max(1, round(seconds))
        ),
    }
    if limit := limits.get(backend(connection.dialect)):
        connection.exec_driver_sql(limit)
        connection.commit()


def lock_timeout() -> float:
    """Return the seconds that a statement waits for a lock."""
    return float(current_app.config.get("MIGRATION_LOCK_TIMEOUT", 5))


def is_lock_timeout(error: BaseException) -> bool:
    """Return whether a statement failed because somebody else holds a lock."""
    return bool(codes_of(error) & TIMEOUTS)


def pause(connection: Connection, statement: str, attempt: int) -> None:
    """Say who is in the way of a statement, and let the requests through."""
    click.echo(
        f"Waiting: no lock within {lock_timeout():g} s (try {attempt} of {TRIES}) for"
        f" {shorten(statement)}",
        err=True,
    )
    for blocker in blockers(connection, statement):
        click.echo(f"  In its way: {shorten(blocker)}", err=True)
    time.sleep(random.uniform(*PAUSE) * attempt)  # noqa: S311 - no secret


def blockers(connection: Connection, statement: str) -> list[str]:
    """Return who may be in the way of a statement, the oldest first."""
    query = BLOCKERS.get(backend(connection.dialect))
    if query is None:
        return ["another process, which writes to the file"]
    try:
        found = list(connection.scalars(text(query), {"statement": statement}))
    except SQLAlchemyError:  # MySQL shows other users' transactions to whom it trusts
        return ["somebody whom this user may not see"]
    return found or ["somebody who has just ended"]


@contextmanager
def retried_statements(connection: Connection) -> Iterator[None]:
    """Have MySQL and MariaDB try a statement again that got no lock."""
    if backend(connection.dialect) != "mysql":
        yield
        return

    def execute(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
        if context.root_connection is not connection:
            return False
        for attempt in range(1, TRIES + 1):
            try:
                cursor.execute(statement, parameters)
            except connection.dialect.loaded_dbapi.Error as error:
                if error.args[0] != STATEMENT_TIMEOUT or attempt == TRIES:
                    raise
                pause(connection, statement, attempt)
            else:
                break
        return True

    event.listen(connection.engine, "do_execute", execute)
    try:
        yield
    finally:
        event.remove(connection.engine, "do_execute", execute)


def may_be_tried_again(error: SQLAlchemyError, attempt: int, *, committed: bool) -> bool:
    """Return whether a revision that failed got no lock, and left nothing behind."""
    return (
        isinstance(error, DBAPIError)
        and is_lock_timeout(error)
        and not committed
        and attempt < TRIES
    )

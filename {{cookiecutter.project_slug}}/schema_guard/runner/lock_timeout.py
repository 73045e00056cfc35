"""Bounded waits for the locks of tables.

Promise: a statement that changes the schema waits for no lock for longer than a few seconds,
because every request for that table waits behind it. It gives up, says who is in its way, lets
the requests through and tries the revision again, a few times. What could not be undone of it is
not run again: see journal.py. Nobody waits behind an index that PostgreSQL makes or drops
CONCURRENTLY, which waits for every older transaction: it may wait for minutes.
"""

import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import click
from flask import current_app
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from schema_guard.core.errors import codes_of, shorten
from schema_guard.dialects.base import backend

TRIES = 4
# Seconds that CONCURRENTLY waits: what it has built by then would have to be built again.
PATIENCE = 600
CONCURRENT = re.compile(r"\s*(CREATE|DROP)\s+(UNIQUE\s+)?INDEX\s+CONCURRENTLY\b", re.IGNORECASE)
# Seconds between two tries, times their number: the requests get through meanwhile.
PAUSE = (0.5, 1.5)

# PostgreSQL: lock_not_available, deadlock_detected. MySQL: lock wait timeout, deadlock.
TIMEOUTS = {"55P03", "40P01", 1205, 1213, "SQLITE_BUSY", "SQLITE_BUSY_SNAPSHOT"}

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
        "postgresql": _limit(seconds),
        "mysql": "SET lock_wait_timeout = {0}, innodb_lock_wait_timeout = {0}".format(
            max(1, round(seconds))
        ),
    }
    if limit := limits.get(backend(connection.dialect)):
        connection.exec_driver_sql(limit)
        connection.commit()


def _limit(seconds: float) -> str:
    return f"SET lock_timeout = {max(1, round(seconds * 1000))}"  # 0 would be for ever


@contextmanager
def patience(connection: Connection, statement: str) -> Iterator[None]:
    """Let a statement wait for longer if nobody waits behind it."""
    if connection.dialect.name != "postgresql" or not CONCURRENT.match(statement):
        yield
        return
    cursor = connection.connection.cursor()
    cursor.execute(_limit(max(PATIENCE, lock_timeout())))
    try:
        yield
    finally:
        with suppress(connection.dialect.loaded_dbapi.Error):  # the connection is lost
            cursor.execute(_limit(lock_timeout()))
            cursor.close()


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


def may_be_tried_again(error: BaseException, attempt: int) -> bool:
    """Return whether a revision got no lock; what cannot be undone of it is in the journal."""
    return isinstance(error, DBAPIError) and is_lock_timeout(error) and attempt < TRIES

"""Bounded waits for the locks of tables.

Promise: a statement that changes the schema waits for no lock for longer than a few seconds,
because every request for that table waits behind it. It gives up, says who is in its way, lets
the requests through and tries the revision again, a few times. What could not be undone of it is
not run again: see journal.py. Nobody waits behind an index that PostgreSQL makes or drops
CONCURRENTLY, which waits for every older transaction: it may wait for minutes.
"""

import random
import time
from contextlib import AbstractContextManager

import click
from flask import current_app
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from schema_guard.core.errors import codes_of, shorten
from schema_guard.dialects.adapter import adapter

TRIES = 4
# Seconds between two tries, times their number: the requests get through meanwhile.
PAUSE = (0.5, 1.5)

# PostgreSQL: lock_not_available, deadlock_detected. MySQL: lock wait timeout, deadlock.
TIMEOUTS = {"55P03", "40P01", 1205, 1213, "SQLITE_BUSY", "SQLITE_BUSY_SNAPSHOT"}


def limit_waits(connection: Connection) -> None:
    """Set how long a statement of this connection waits for a lock."""
    adapter(connection.dialect).limit_waits(connection, lock_timeout())


def patience(connection: Connection, statement: str) -> AbstractContextManager[None]:
    """Let a statement wait for longer if nobody waits behind it."""
    return adapter(connection.dialect).patience(connection, statement, lock_timeout())


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
    for blocker in adapter(connection.dialect).blockers(connection, statement):
        click.echo(f"  Blocked by: {shorten(blocker)}", err=True)
    time.sleep(random.uniform(*PAUSE) * attempt)  # noqa: S311 - no secret


def may_be_tried_again(error: BaseException, attempt: int) -> bool:
    """Return whether a revision got no lock; what cannot be undone of it is in the journal."""
    return isinstance(error, DBAPIError) and is_lock_timeout(error) and attempt < TRIES

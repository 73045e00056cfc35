"""One migrator at a time.

Promise: while one process migrates a database no other one does; it waits, for a bounded
time, and says for whom. A process that dies frees the lock, since it is never kept in a table:

- PostgreSQL: an advisory lock of the session. The session that holds it is the one that
  migrates, so it can lose neither without the other; unlike the lock of a transaction it
  outlives `autocommit_block()`. It is tried again and again, never waited for within a
  statement: CREATE INDEX CONCURRENTLY waits for all statements that are older.
- MySQL, MariaDB: GET_LOCK, of the session likewise.
- SQLite: a lock of the operating system on a file beside the database.

Not reached: sessions through PgBouncer in transaction mode, and other nodes of a Galera
cluster or of a replicated SQLite. There, migrate from one place, on one node.
"""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import click
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from schema_guard.core.errors import GuardError
from schema_guard.core.redaction import shown
from schema_guard.dialects.adapter import Lock, adapter

# Seconds between two tries; a little at random, or many that wait would try as one.
PAUSE = (0.1, 0.3)
# Seconds between two lines that say for whom a process waits.
REPEAT = 10


@contextmanager
def migration_lock(connection: Connection, wait: float) -> Iterator[None]:
    """Hold the lock on a database.

    Args:
        connection: the one that migrates, outside a transaction.
        wait: seconds to wait for another migrator.

    Raises:
        GuardError: another one holds the lock for longer.
    """
    lock = adapter(connection.dialect).migration_lock(connection)
    if lock is None:
        yield
        return
    acquire(lock, f"Another migration of {shown(connection.engine.url)} runs", wait)
    try:
        yield
    finally:
        with suppress(SQLAlchemyError):  # a session that is lost has lost its lock too
            lock.release()


def acquire(lock: Lock, running: str, wait: float) -> None:
    """Take a lock, and say for whom it is waited.

    Args:
        lock: of a database, or of a process.
        running: what is so while somebody else holds it, as in `Another migration of ... runs`.
        wait: seconds to wait.

    Raises:
        GuardError: somebody else holds it for longer.
    """
    started = said = time.monotonic()
    while not lock.acquire():
        now = time.monotonic()
        if now - started >= wait:
            raise GuardError(
                f"{running}: {lock.holder()}. Waited {wait:g} seconds; nothing was changed. Try"
                " again when it has ended. If it hangs, end it: what it has not committed is rolled"
                " back."
            )
        if said == started or now - said >= REPEAT:
            said = now
            click.echo(f"Waiting: another migration runs, {lock.holder()}", err=True)
        time.sleep(random.uniform(*PAUSE))  # noqa: S311 - no secret

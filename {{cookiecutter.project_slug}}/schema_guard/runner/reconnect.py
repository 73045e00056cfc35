"""A connection that was lost is made again, to look what there is.

Promise: what is seen then is final. The new session has the migration lock, which the lost one has
given back only with its end: what that one was about to commit is committed, or is not.
"""

import time

from sqlalchemy import Connection, literal, select
from sqlalchemy.exc import SQLAlchemyError

from schema_guard.dialects.adapter import adapter
from schema_guard.runner.interrupts import Session

PAUSE = 0.1


class StillUnknownError(Exception):
    """The database does not answer, or the lost session has not ended."""


def regain(connection: Connection, session: Session, seconds: float) -> None:
    """Have a connection without a transaction, on which the migration lock is held.

    Args:
        connection: the one that migrates, in whatever state.
        session: what it ran on when it took the lock.
        seconds: how long to try.

    Raises:
        StillUnknownError: it took longer.
    """
    deadline = time.monotonic() + seconds
    while not _holds(connection, session):
        if time.monotonic() > deadline:
            raise StillUnknownError
        time.sleep(PAUSE)


def _holds(connection: Connection, session: Session) -> bool:
    try:
        connection.rollback()
        connection.scalar(select(literal(1)))  # or it would be lost with the next statement
        connection.rollback()
        if connection.connection.driver_connection is session.driver:
            return True
        sqlite = connection.dialect.name == "sqlite"  # whose lock is the process's
        lock = None if sqlite else adapter(connection.dialect).migration_lock(connection)
        if lock is None or lock.acquire():
            session.take(connection)
            return True
        session.cancel()
    except SQLAlchemyError:
        pass
    return False

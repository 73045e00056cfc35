"""The connection that migrations run on.

Promise: one migrator at a time; no limit that protects requests ends a migration half-way; it runs
alike whatever engine the application has: on SQLite in transactions, with foreign keys off while
tables are rebuilt; on servers in transactions that see what others have committed, and strictly.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from alembic.util import CommandError
from flask import current_app
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from schema_guard.admin import restore_marker
from schema_guard.core.model_errors import is_of_models
from schema_guard.dialects.adapter import adapter
from schema_guard.dialects.base import check_server
from schema_guard.dialects.connection_errors import connection_failed
from schema_guard.runner.interrupted_restore import refuse_interrupted_restore
from schema_guard.runner.interrupts import cancellable
from schema_guard.runner.lock import migration_lock
from schema_guard.runner.lock_timeout import limit_waits
from schema_guard.runner.threads import one_thread


class _Held(threading.local):
    """The connection with which a thread holds the lock, while Alembic runs on it."""

    connection: Connection | None = None


_held = _Held()


@contextmanager
def migration_connection(
    engine: Engine, *, locked: bool, restoring: bool = False
) -> Iterator[Connection]:
    """Give a connection for migrations: that of this thread if it holds the lock already.

    Args:
        engine: the application's, or a test's.
        locked: whether to hold the migration lock all the time, see `exclusive`.
        restoring: whether a restore that is not complete is no reason to stop.

    Raises:
        GuardError: the server cannot be reached, or is older than what the migrations are tested
            on; or another migration, or a restore, has the lock for too long; or a restore was
            interrupted; or a statement fails.
        SQLAlchemyError: the models are not what they should be, see core/model_errors.py.
    """
    outer = _held.connection
    if outer is not None and outer.engine.url == engine.url:
        outer.rollback()  # or Alembic would take its transaction for somebody else's
        yield outer
        return
    connected = False
    try:
        with adapter(engine.dialect).connection(engine) as connection, cancellable(connection):
            check_server(connection)
            connected = True
            if locked:
                with exclusive(connection, restoring=restoring):
                    yield connection
                return
            restores = restore_marker.exists(connection)
            connection.rollback()
            if restores:
                with exclusive(connection):  # wait for it if it is running
                    pass
            yield connection
    except SQLAlchemyError as error:
        if is_of_models(error):
            raise
        raise connection_failed(engine.url, error, connected=connected) from error


@contextmanager
def exclusive(connection: Connection, *, restoring: bool = False) -> Iterator[None]:
    """Hold the migration lock, as everything does that changes the schema.

    Args:
        connection: from `migration_connection`, outside a transaction.
        restoring: whether a restore that is not complete is no reason to stop.

    Raises:
        GuardError: another migration has it for too long, or a restore is not complete.
    """
    if _held.connection is connection:
        yield
        return
    wait = float(current_app.config.get("MIGRATION_WAIT", 60))
    outer = _held.connection
    # In this order, as `flask_migrate.upgrade` takes them: another one could wait for ever.
    with one_thread(wait), migration_lock(connection, wait):
        if not restoring:
            refuse_interrupted_restore(connection)
        limit_waits(connection)
        _held.connection = connection
        try:
            yield
        finally:
            _held.connection = outer


def changes_schema(context: Any) -> bool:
    """Return whether Alembic was called to upgrade, downgrade or stamp, and not just to look.

    Args:
        context: `alembic.context`, as env.py has it.
    """
    try:
        context.get_revision_argument()
    except KeyError:
        return False
    except CommandError:  # there is one, and Alembic will say that it does not exist
        return True
    return True

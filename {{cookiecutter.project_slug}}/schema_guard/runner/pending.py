"""Whether there is anything to do, looked up without the migration lock.

Promise: who has nothing to do waits for nobody. Replicas whose database is at head start at once,
while another process holds the lock, to migrate to a newer release, say. Only what is committed is
seen. So a database that is half-way, where statements that change the schema cannot be undone, is
never taken for one at head: the journal, or the note of a restore, says so before the first of them
runs. It is looked for after the revision has been read, which may be a part of a backup.
"""

from collections.abc import Sequence
from typing import Any

from alembic.util import CommandError
from sqlalchemy import Connection, select
from sqlalchemy.exc import SQLAlchemyError

from schema_guard import compat
from schema_guard.admin import restore_marker
from schema_guard.core.options import options_of
from schema_guard.core.store import is_own, journal, stored
from schema_guard.dialects.sqlite_connection import refuse_leftovers
from schema_guard.revisions.script_directory import current_heads
from schema_guard.runner import history
from schema_guard.runner.lock_timeout import limit_waits


def at_head(connection: Connection, heads: Sequence[str]) -> bool:
    """Return whether a database is at the heads of the code, and nothing is half-way.

    What cannot be looked up now, since whoever has the lock is changing it, is not.

    Args:
        connection: from `migration_connection`, outside a transaction.
        heads: at least one; a database that no migration has made is at none.
    """
    limit_waits(connection)
    try:
        return bool(heads) and set(current_heads(connection)) == set(heads) and not half(connection)
    except SQLAlchemyError:
        return False  # with the lock it will be seen what is the matter
    finally:
        connection.rollback()


def has_nothing_to_do(context: Any, connection: Connection) -> bool:
    """Return whether an upgrade that Alembic was called for has no revision to run.

    Args:
        context: `alembic.context`, configured.
        connection: as for `at_head`.

    Raises:
        GuardError: there are revisions that were edited after they were run; or another tool died
            while it rebuilt a table.
    """
    migration_context = context.get_context()
    plan = compat.plan_of(migration_context)
    # Whoever allows edited revisions has them recorded.
    allows = options_of(context.config).allow_edited
    if compat.command_of(migration_context) != "upgrade" or allows:
        return False
    limit_waits(connection)
    try:
        current = migration_context.get_current_heads()
        if not current or half(connection) or list(plan(current, migration_context)):
            return False
        if connection.dialect.name == "sqlite":
            refuse_leftovers(connection)
        history.report_changes(connection, context.script, allowed=False)
    except (SQLAlchemyError, CommandError):
        return False  # as above
    finally:
        connection.rollback()
    return True


def half(connection: Connection) -> bool:
    """Return whether a revision or a restore is half-way: it is being run, or was stopped."""
    if restore_marker.exists(connection):
        return True
    kept = stored(connection, journal)
    if kept is None:
        return False
    return (
        connection.execute(select(kept.c.number).where(is_own(kept)).limit(1)).first() is not None
    )

"""What to do about the usual errors of Alembic and of a DBMS, with the revisions at hand."""

import re

from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from schema_guard.core.errors import NOT_ALLOWED, GuardError, codes_of, disk_full
from schema_guard.revisions.heads import refuse_two
from schema_guard.revisions.script_directory import current_heads
from schema_guard.runner.lock_timeout import is_lock_timeout
from schema_guard.runner.lost_revisions import refuse_lost


def explain(error: CommandError, connection: Connection, scripts: ScriptDirectory) -> GuardError:
    """Return Alembic's error, with where the database and the code are, and what to type.

    Raises:
        GuardError: there is more to say, of revisions that are not here or of several heads.
    """
    connection.rollback()
    current = current_heads(connection)
    connection.rollback()
    heads = scripts.get_heads()
    words = str(error).rstrip(".")
    at, head = ", ".join(current) or "base", ", ".join(heads) or "base"
    where = f"The database is at {at}, the code's head is {head}."
    missing = re.match(r"Can't locate revision identified by '(.*)'", words)
    if missing and missing[1] in current:
        refuse_lost(connection, scripts)
    if missing:
        return GuardError(f"There is no revision {missing[1]}: see `flask db history`. {where}")
    if words.startswith("Target database is not up to date") or "heads" in words:
        refuse_two(scripts, current)
        return GuardError(f"{where} Run `flask db upgrade` first, then this again.")
    return GuardError(f"{words}. {where}")


def remedy(error: BaseException, user: str | None) -> str:
    """Return what to do about a revision that failed, before it is run again."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return "See why the server ended the connection"
    if disk_full(error):
        return "Make room on the disk of the database"
    if is_lock_timeout(error):
        return "End what blocks it, or wait for a quieter time"
    if codes_of(error) & NOT_ALLOWED:
        return f"Have an administrator allow it to {user}" if user else "Make the file writable"
    return "Correct the revision"

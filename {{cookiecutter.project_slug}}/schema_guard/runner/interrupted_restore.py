"""A restore that was interrupted.

Promise: while a database holds a part of a backup only, no command takes it for what it was.
"""

from sqlalchemy import Connection

from schema_guard.admin import restore_marker
from schema_guard.core.errors import GuardError
from schema_guard.core.redaction import shown


def refuse_interrupted_restore(connection: Connection) -> None:
    """Refuse a database of which a restore is not complete; under the lock that restores hold.

    Raises:
        GuardError: it is so; the way on is said.
    """
    row = restore_marker.read(connection)
    connection.rollback()
    if row is None:
        return
    since = f"{row.started_at:%Y-%m-%d %H:%M:%S} UTC"
    before = f", {row.previous}" if row.previous else ""
    raise GuardError(
        f"A restore of {row.file} into {shown(connection.engine.url)}, begun {since}, was"
        " interrupted: the database may hold a part of it only. Nothing was changed. Run it again,"
        f" or restore the backup taken before it{before}:\n  flask db restore {row.file}"
    )

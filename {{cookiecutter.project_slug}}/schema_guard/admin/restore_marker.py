"""The note of a restore that is not complete, on MySQL and MariaDB: they commit every statement.

It is a table that is made first and dropped last. PostgreSQL and SQLite restore all or nothing.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, insert, inspect, select

from schema_guard.core.store import create, restore
from schema_guard.dialects.base import backend


def begin(connection: Connection, file: Path, previous: Path | None) -> None:
    """Note that a restore begins, and commit.

    Args:
        connection: to the database, which holds the migration lock.
        file: what is restored.
        previous: the backup of what there is; None if there was nothing. After a restore that is
            not complete, the backup of before that one is kept.
    """
    earlier = read(connection)
    kept = earlier.previous if earlier else str(previous) if previous else None
    started = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    create(connection, restore)
    connection.execute(delete(restore))
    row = {"file": str(file.absolute()), "previous": kept, "started_at": started}
    connection.execute(insert(restore), row)
    connection.commit()


def end(connection: Connection) -> None:
    """Note that a restore is complete, or has changed nothing."""
    restore.drop(connection)
    connection.commit()


def exists(connection: Connection) -> bool:
    """Return whether there is a note: a restore is running, or was interrupted."""
    return backend(connection.dialect) == "mysql" and inspect(connection).has_table(restore.name)


def read(connection: Connection) -> Any:
    """Return the row of a restore that is not complete; None if there is none."""
    return connection.execute(select(restore)).first() if exists(connection) else None

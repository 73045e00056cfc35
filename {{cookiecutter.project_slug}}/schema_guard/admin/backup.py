"""Copies of the database: before it is migrated, and on demand.

Promise: before a revision changes a SQLite database that holds rows, there is a copy of it; where
there is no room for one, nothing is changed. A backup is consistent while others write. A restore
replaces the whole database, is verified by the rows of every table, and leaves a copy of what was
there before.

SQLite's are made by its backup API. Those of servers are SQL, made by the server's own programs,
which never get a password on their command line; the last line tells the revision, and how many
rows each table has.
"""

import json
import re
import shutil
import sqlite3
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flask import current_app
from sqlalchemy import Connection

from schema_guard.admin import dump
from schema_guard.core.errors import GuardError
from schema_guard.core.redaction import shown
from schema_guard.core.store import count_rows, holds_rows
from schema_guard.dialects.base import product
from schema_guard.revisions.script_directory import current_heads

# The argument of `-x` that asks for a backup first.
BACKUP = "backup"
TRAILER = "-- schema_guard: "
# Seconds that a restore waits for others to let go of the database.
PATIENCE = 10


@dataclass(frozen=True)
class Contents:
    """What a backup holds: the revision, and the number of rows of every table."""

    revision: str
    rows: dict[str, int]

    def __str__(self) -> str:
        """Tell it in a few words."""
        return (
            f"revision {self.revision}, {sum(self.rows.values())} rows in {len(self.rows)} tables"
        )


def backup_first(connection: Connection, *, asked: bool) -> Path | None:
    """Back up a database that is about to be migrated, if it holds rows.

    Args:
        connection: to the database, with no transaction that matters.
        asked: whether to back up a server's too, which takes its time.

    Returns:
        The file; None where there was nothing to save.

    Raises:
        GuardError: there is no room for it, or it failed. Nothing was changed.
    """
    keep = int(current_app.config.get("MIGRATION_BACKUPS", 5))
    if not asked and (connection.dialect.name != "sqlite" or keep == 0):
        return None
    if not _folder(connection) or not holds_rows(connection):
        return None
    path = backup(connection)
    for old in backups(connection)[max(keep, 1) :]:
        old.unlink(missing_ok=True)
    return path


def backup(connection: Connection, path: Path | None = None) -> Path:
    """Write a backup.

    Args:
        connection: to the database, with no transaction that matters.
        path: a file that does not exist; by default one with revision and time in its name, in the
            folder `backups` beside a SQLite database, in that of the instance for a server's.

    Returns:
        The file.

    Raises:
        GuardError: it failed; there is no file then.
    """
    connection.rollback()
    revision = ", ".join(current_heads(connection)) or "base"
    connection.rollback()
    if path is None:
        path = _new(connection, revision)
    elif path.exists():
        raise GuardError(f"{path} exists already: name another file. Nothing was written.")
    part = path.with_name(f"{path.name}.part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        if connection.dialect.name == "sqlite":
            _copy_sqlite(connection, part)
        else:
            contents = Contents(revision, dump.write(connection, part))
            with part.open("a", encoding="ascii") as file:
                file.write(f"{TRAILER}{json.dumps(contents.__dict__)}\n")
        part.chmod(0o600)
        part.replace(path)
    except (OSError, sqlite3.Error) as error:
        raise GuardError(
            f"No backup of {shown(connection.engine.url)} in {path.parent}: {error}."
            " Nothing was changed. Make room there, or have it writable."
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return path


def backups(connection: Connection) -> list[Path]:
    """Return the backups of a database that are where they are by default, the newest first."""
    folder = _folder(connection)
    if folder is None:
        return []
    name = re.escape(_name(connection))
    # A revision's name has no dash: those of shop-2.db are not shop.db's.
    pattern = re.compile(rf"{name}-[\w.+]+-(\d{{8}}T\d{{12}}Z)\.(db|sql)")
    matches = ((pattern.fullmatch(path.name), path) for path in folder.glob("*"))
    found = [(match[1], path) for match, path in matches if match]
    return [path for _, path in sorted(found, reverse=True)]


def restore(connection: Connection, path: Path) -> Contents:
    """Replace a database by a backup.

    Args:
        connection: to the database, which holds the migration lock.
        path: what `backup` has written.

    Returns:
        What the database holds now.

    Raises:
        GuardError: the file is no backup, or the restore failed.
    """
    wanted = contents(connection, path)
    connection.rollback()
    if connection.dialect.name == "sqlite":
        _restore_sqlite(connection, path)
    else:
        dump.read(connection, path)
    found = count_rows(connection)
    connection.rollback()
    wrong = {
        name: (rows, found.get(name, 0))
        for name, rows in wanted.rows.items()
        if found.get(name, 0) != rows
    }
    if wrong:
        lines = [f"  {name}: {now} rows instead of {then}" for name, (then, now) in wrong.items()]
        raise GuardError("\n".join([f"{path} was restored, but not all of it:", *lines]))
    return wanted


def contents(connection: Connection, path: Path) -> Contents:
    """Return what a backup holds.

    Raises:
        GuardError: it is none, it is damaged, or it is of another DBMS.
    """
    if not path.is_file():
        raise GuardError(f"There is no file {path}. Nothing was changed.")
    read = _contents_of_sqlite if connection.dialect.name == "sqlite" else _contents_of_dump
    try:
        return read(path)
    except (OSError, sqlite3.Error, ValueError, TypeError) as error:
        raise GuardError(
            f"{path} is no complete backup of a {product(connection.dialect)} database: {error}."
            " Nothing was changed."
        ) from error


def _contents_of_dump(path: Path) -> Contents:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 2**20))
        last = file.read().rstrip(b"\n").rpartition(b"\n")[2].decode("ascii", "replace")
    if not last.startswith(TRAILER):
        raise ValueError("it has no last line that tells its rows")
    return Contents(**json.loads(last.removeprefix(TRAILER)))


def _folder(connection: Connection) -> Path | None:
    """Return where backups go; None for a database in memory."""
    if connection.dialect.name != "sqlite":
        return Path(current_app.instance_path) / "backups"
    databases = connection.exec_driver_sql("PRAGMA database_list").all()
    connection.rollback()
    file = {name: path for _, name, path in databases}["main"]
    return Path(file).parent / "backups" if file else None


def _name(connection: Connection) -> str:
    return Path(connection.engine.url.database or "").stem


def _new(connection: Connection, revision: str) -> Path:
    folder = _folder(connection)
    if folder is None:
        raise GuardError("A database in memory cannot be backed up.")
    taken = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    suffix = "db" if connection.dialect.name == "sqlite" else "sql"
    short = re.sub(r"[^\w.]+", "+", revision)
    return folder / f"{_name(connection)}-{short}-{taken}.{suffix}"


def _copy_sqlite(connection: Connection, path: Path) -> None:
    source: Any = connection.connection.driver_connection
    (pages,) = source.execute("PRAGMA page_count").fetchone()
    (size,) = source.execute("PRAGMA page_size").fetchone()
    free, wanted = shutil.disk_usage(path.parent).free, 2 * pages * size
    if free < wanted:  # the copy, and as much again for the tables that a migration rebuilds
        raise OSError(f"{wanted:,} bytes are needed, {free:,} are free")
    target = sqlite3.connect(path)
    try:
        source.backup(target)
    finally:
        target.close()


def _contents_of_sqlite(path: Path) -> Contents:
    source = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        (state,) = source.execute("PRAGMA quick_check(1)").fetchone()
        if state != "ok":
            raise ValueError(state)
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        names = [name for (name,) in source.execute(query)]
        if "alembic_version" not in names:
            raise ValueError("it has no table alembic_version")
        revisions = [name for (name,) in source.execute("SELECT version_num FROM alembic_version")]
        quoted = {name: name.replace('"', '""') for name in names}
        rows = {
            name: source.execute(f'SELECT count(*) FROM "{quoted[name]}"').fetchone()[0]  # noqa: S608 - quoted
            for name in names
        }
        return Contents(", ".join(revisions) or "base", rows)
    finally:
        source.close()


def _restore_sqlite(connection: Connection, path: Path) -> None:
    target: Any = connection.connection.driver_connection
    deadline = time.monotonic() + PATIENCE

    def give_up(_status: int, _remaining: int, _total: int) -> None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"others have been using the database for {PATIENCE} s")

    source = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        source.backup(target, progress=give_up, sleep=0.05)
    except (sqlite3.Error, TimeoutError) as error:
        raise GuardError(f"{path} was not restored: {error}. Nothing was changed.") from error
    finally:
        source.close()

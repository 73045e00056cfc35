"""Copies of the database: before it is migrated, and on demand.

Promise: before a revision changes a SQLite database that holds rows, there is a copy of it; where
there is no room for one, nothing is changed. A backup is consistent while others write, and nobody
but its owner can read it. A restore replaces the whole database, the one that DATABASE_URL names,
is verified by the rows of every table, and leaves a copy of what was there before.

SQLite's are copies of the file (sqlite_copy.py). Those of servers are SQL, which the server's own
program writes (dump.py), and which is restored on the guard's own connection (load.py).
"""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click
from flask import current_app
from sqlalchemy import Connection, Dialect
from sqlalchemy.exc import SQLAlchemyError

from schema_guard.admin import dump, load, restore_marker, sqlite_copy
from schema_guard.admin.dump import Contents, told
from schema_guard.core.errors import GuardError, cause
from schema_guard.core.private_files import existing, private_file, private_folder
from schema_guard.core.progress import BYTES, Progress
from schema_guard.core.redaction import shown
from schema_guard.core.store import all_tables, count_rows, holds_rows
from schema_guard.dialects.base import backend, product
from schema_guard.revisions.script_directory import current_heads


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
    if not _is_wanted(connection, asked=asked):
        return None
    path = backup(connection)
    for old in backups(connection)[max(_kept(), 1) :]:
        try:
            old.unlink(missing_ok=True)
        except OSError as error:  # there is the new one, which counts
            click.echo(f"Warning: {old} was not deleted: {cause(error)}.", err=True)
    return path


def check_backup(connection: Connection, *, asked: bool) -> None:
    """Find out whether `backup_first` can make a backup; nothing is written.

    Raises:
        GuardError: there is no room for it, or no folder, or no program.
    """
    folder = _folder(connection)
    if folder is None or not _is_wanted(connection, asked=asked):
        return
    if connection.dialect.name != "sqlite":
        dump.find_program(connection)
        return
    try:
        sqlite_copy.check_room(connection, existing(folder))
    except OSError as error:
        raise _no_backup(connection, folder, error) from error


def _kept() -> int:
    return int(current_app.config.get("MIGRATION_BACKUPS", 5))


def _is_wanted(connection: Connection, *, asked: bool) -> bool:
    """Return whether an upgrade makes a backup first."""
    if not asked and (connection.dialect.name != "sqlite" or _kept() == 0):
        return False
    return bool(_folder(connection)) and holds_rows(connection)


def _no_backup(connection: Connection, folder: Path, error: Exception) -> GuardError:
    return GuardError(
        f"No backup of {shown(connection.engine.url)} in {folder}: {cause(error)}. Nothing was"
        " changed. Make room there, or have it writable."
    )


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
    folder, now = _folder(connection), datetime.now(UTC)
    revision = told(current_heads(connection))
    connection.rollback()  # SQLite would wait for ever for the end of a transaction that writes
    chosen = path or _file(connection, folder, revision, now)
    try:
        if path is None:
            private_folder(chosen.parent)
        chosen.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if chosen.exists():
            raise GuardError(f"{path} exists already: name another file. Nothing was written.")
        with private_file(chosen) as part:
            write = sqlite_copy.write if connection.dialect.name == "sqlite" else dump.write
            revision = write(connection, part)
        if path is None:  # somebody has migrated it meanwhile
            chosen = chosen.replace(_file(connection, folder, revision, now))
    except (OSError, sqlite3.Error) as error:
        raise _no_backup(connection, chosen.parent, error) from error
    return chosen


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


def contents(dialect: Dialect, path: Path) -> Contents:
    """Return what a backup holds.

    Args:
        dialect: of the database that it is for.
        path: what `backup` has written.

    Raises:
        GuardError: it is none, it is damaged, or it is of another DBMS.
    """
    if not path.is_file():
        raise GuardError(f"There is no file {path}. Nothing was changed.")
    kind = backend(dialect)
    try:
        return sqlite_copy.contents(path) if kind == "sqlite" else dump.contents(path, kind)
    except (OSError, sqlite3.Error, ValueError, TypeError) as error:
        name = "MySQL or MariaDB" if kind == "mysql" else product(dialect)
        raise GuardError(
            f"{path} is no complete backup of a {name} database: {error}. Nothing was changed."
        ) from error


def restore(connection: Connection, path: Path, wanted: Contents) -> None:
    """Replace a database by a backup; keep a backup of what it held.

    Args:
        connection: to the database, which holds the migration lock.
        path: what `backup` has written.
        wanted: what it holds, from `contents`.

    Raises:
        GuardError: it failed; it is said what the database holds now.
    """
    previous = None
    if restore_marker.read(connection) is None and holds_rows(connection):
        # Nothing is deleted to make room: it may be the one asked for.
        previous = backup(connection)
        click.echo(f"What it replaces is in {previous}")
    connection.rollback()
    kinds = {"sqlite": _restore_sqlite, "postgresql": _restore_postgresql}
    run = kinds.get(connection.dialect.name)
    if run is None:
        _restore_mysql(connection, path, wanted, previous)
        return
    try:
        run(connection, path, wanted)
    except (OSError, ValueError, sqlite3.Error, SQLAlchemyError, GuardError) as error:
        raise _failed(path, error, "Nothing was changed.") from error


def _restore_sqlite(connection: Connection, path: Path, wanted: Contents) -> None:
    sqlite_copy.restore(connection, path)
    _compare(connection, wanted)


def _restore_postgresql(connection: Connection, path: Path, wanted: Contents) -> None:
    with connection.begin(), _lines(path) as lines:
        load.load_postgresql(connection, lines)
        _compare(connection, wanted)


@contextmanager
def _lines(path: Path) -> Iterator[Iterator[bytes]]:
    """Give the lines of a backup, and show how many of them are restored."""
    with path.open("rb") as file, Progress("Restore", BYTES, path.stat().st_size) as progress:
        yield progress.lines(file)


def _restore_mysql(
    connection: Connection, path: Path, wanted: Contents, previous: Path | None
) -> None:
    was_whole = restore_marker.read(connection) is None
    connection.rollback()
    restore_marker.begin(connection, path, previous)
    before = all_tables(connection)
    connection.commit()
    part = "The database holds a part of it now: restore it again, or what it held before."
    try:
        load.drop_all_mysql(connection)
        with _lines(path) as lines, connection.begin():
            load.load_mysql(connection, lines)
        _compare(connection, wanted)
    except (OSError, ValueError, SQLAlchemyError, GuardError) as error:
        if was_whole and _same_tables(connection, before):
            restore_marker.end(connection)
            raise _failed(path, error, "Nothing was changed.") from error
        raise _failed(path, error, part) from error
    restore_marker.end(connection)


def _same_tables(connection: Connection, before: list[tuple[str | None, str]]) -> bool:
    """Return whether a database has the tables that it had, as far as can be known."""
    if connection.invalidated:
        return False
    connection.rollback()
    found = all_tables(connection)
    connection.rollback()
    return bool(before) and found == before


def _failed(path: Path, error: Exception, what: str) -> GuardError:
    reason = error.message if isinstance(error, GuardError) else f"{cause(error)}."
    return GuardError(f"{path} was not restored. {reason} {what}")


def _compare(connection: Connection, wanted: Contents) -> None:
    """Compare the rows of every table with those of a backup.

    Raises:
        GuardError: a table has others.
    """
    found = count_rows(connection)
    default = connection.dialect.default_schema_name
    wrong = []
    for name, then in wanted.rows.items():
        # Older backups have no schema in a name.
        now = found.get(name, found.get(f"{default}.{name}", 0))
        if now != then:
            wrong.append(f"  {name}: {now} rows instead of {then}")
    if wrong:
        raise GuardError("\n".join(["The rows differ from the backup:", *wrong, ""]))


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


def _file(connection: Connection, folder: Path | None, revision: str, now: datetime) -> Path:
    """Return the file that a backup goes to by default."""
    if folder is None:
        raise GuardError("A database in memory cannot be backed up.")
    taken = now.strftime("%Y%m%dT%H%M%S%fZ")
    suffix = "db" if connection.dialect.name == "sqlite" else "sql"
    short = re.sub(r"[^\w.]+", "+", revision)
    return folder / f"{_name(connection)}-{short}-{taken}.{suffix}"

"""Copies of SQLite databases, by SQLite's own way of making them.

Promise: a copy is consistent while others write, and a database is replaced as a whole or not at
all: it is one transaction, which is rolled back if its process is killed.
"""

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from schema_guard.admin.dump import Contents, told
from schema_guard.core.store import version_table

# Seconds that a restore waits for others to let go of the database.
PATIENCE = 10
# How many are copied at once: some milliseconds pass until a signal is seen.
PAGES = 1000


def write(connection: Connection, path: Path) -> str:
    """Copy a database into a file that exists.

    Args:
        connection: to the database, outside a transaction.
        path: the file.

    Returns:
        The revision that it is at there.

    Raises:
        OSError: there is no room for it.
        sqlite3.Error: it failed.
    """
    source: Any = connection.connection.driver_connection
    check_room(connection, path.parent)
    # Nobody needs a journal of a copy that is thrown away if it fails.
    with closing(_opened(path, "rw")) as target:
        target.execute("PRAGMA journal_mode = OFF")
        with _reading(source):
            source.backup(target, pages=PAGES, progress=_let_signals_in)
        return _revision(target)


@contextmanager
def _reading(source: Any) -> Iterator[None]:
    """Have a copy that is made in several steps be of one moment, and not begin again."""
    source.execute("BEGIN")
    try:
        source.execute("SELECT 1 FROM sqlite_master").fetchone()
        yield
    finally:
        source.execute("ROLLBACK")


def _let_signals_in(_status: int, _remaining: int, _total: int) -> None:
    """Do nothing, in Python, where a signal interrupts."""


def check_room(connection: Connection, folder: Path) -> None:
    """Check that a copy has room in a folder.

    Raises:
        OSError: it has none.
    """
    source: Any = connection.connection.driver_connection
    (pages,) = source.execute("PRAGMA page_count").fetchone()
    (size,) = source.execute("PRAGMA page_size").fetchone()
    free, wanted = shutil.disk_usage(folder).free, 2 * pages * size
    if free < wanted:  # the copy, and as much again for the tables that a migration rebuilds
        raise OSError(f"{wanted:,} bytes are needed, {free:,} are free")


def _revision(database: sqlite3.Connection) -> str:
    """Return where a database is, as a backup says it."""
    versions = version_table()
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    if database.execute(query, (versions,)).fetchone() is None:
        return told(())
    rows = database.execute(f"SELECT version_num FROM {_quoted(versions)}")  # noqa: S608 - quoted
    return told(name for (name,) in rows)


def _quoted(name: str) -> str:
    return '"{}"'.format(name.replace('"', '""'))


def contents(path: Path) -> Contents:
    """Return what a copy holds.

    Raises:
        sqlite3.Error: it is none.
        ValueError: it is damaged, or somebody writes to it.
    """
    for end in ("-wal", "-journal"):
        beside = path.with_name(path.name + end)
        if beside.is_file() and beside.stat().st_size:
            raise ValueError(f"{beside.name} beside it holds changes that are not in it yet")
    with closing(_opened(path, "ro&immutable=1")) as source:
        (state,) = source.execute("PRAGMA quick_check(1)").fetchone()
        if state != "ok":
            raise ValueError(state)
        query = (
            "SELECT name FROM sqlite_master WHERE type = 'table'"
            r" AND name NOT LIKE 'sqlite\_%' ESCAPE '\'"
        )
        names = [name for (name,) in source.execute(query)]
        if version_table() not in names:
            raise ValueError(f"it has no table {version_table()}")
        rows = {
            name: source.execute(f"SELECT count(*) FROM {_quoted(name)}").fetchone()[0]  # noqa: S608 - quoted
            for name in names
        }
        return Contents(_revision(source), rows)


def restore(connection: Connection, path: Path) -> None:
    """Replace a database by a copy.

    Raises:
        sqlite3.Error: it failed; nothing was changed.
        TimeoutError: others have been using the database; nothing was changed.
        ValueError: the copy is the database.
    """
    target: Any = connection.connection.driver_connection
    databases = target.execute("PRAGMA database_list").fetchall()
    file = {name: path for _, name, path in databases}["main"]
    if file and path.samefile(file):
        raise ValueError("it is the database itself")
    deadline = time.monotonic() + PATIENCE

    def give_up(status: int, _remaining: int, _total: int) -> None:
        nonlocal deadline
        if status not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            deadline = time.monotonic() + PATIENCE
        elif time.monotonic() > deadline:
            raise TimeoutError(f"others have been using the database for {PATIENCE} s")

    with closing(_opened(path, "ro&immutable=1")) as source:
        sizes = [one.execute("PRAGMA page_size").fetchone() for one in (source, target)]
        if sizes[0] != sizes[1]:  # with a write-ahead log the size of its pages cannot change
            target.execute("PRAGMA journal_mode = DELETE")
        source.backup(target, pages=PAGES, progress=give_up, sleep=0.05)


def _opened(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True)

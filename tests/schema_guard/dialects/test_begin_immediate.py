"""A transaction of SQLite that waits for another writer."""

import _thread
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from schema_guard.dialects.sqlite_connection import begin_immediate


@pytest.fixture
def writers(tmp_path: Path) -> Iterator[tuple[sqlite3.Connection, sqlite3.Connection]]:
    """Return two connections to a database; the first one writes."""
    path = tmp_path / "shop.db"
    with (
        closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as first,
        closing(sqlite3.connect(path, isolation_level=None)) as second,
    ):
        first.execute("BEGIN IMMEDIATE")
        yield first, second


def test_ctrl_c_ends_the_wait(writers: tuple[sqlite3.Connection, sqlite3.Connection]) -> None:
    _, second = writers
    second.execute("PRAGMA busy_timeout = 600000")
    threading.Timer(0.2, _thread.interrupt_main).start()
    with pytest.raises(KeyboardInterrupt):
        begin_immediate(second)
    assert not second.in_transaction
    assert second.execute("PRAGMA busy_timeout").fetchone() == (600000,)


def test_it_begins_when_the_other_one_has_ended(
    writers: tuple[sqlite3.Connection, sqlite3.Connection],
) -> None:
    first, second = writers
    second.execute("PRAGMA busy_timeout = 600000")
    threading.Timer(0.2, first.execute, ("ROLLBACK",)).start()
    begin_immediate(second)
    assert second.in_transaction


def test_the_wait_is_bounded(writers: tuple[sqlite3.Connection, sqlite3.Connection]) -> None:
    _, second = writers
    second.execute("PRAGMA busy_timeout = 50")
    with pytest.raises(sqlite3.OperationalError, match="database is locked"):
        begin_immediate(second)

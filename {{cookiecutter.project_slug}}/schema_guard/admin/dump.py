"""Backups of servers: SQL that the server's own program writes, and a last line about it.

Promise: a dump is consistent while others write, it is of the very database that the guard's
connection is on, and it is known how many rows of every table it holds. The last line tells that,
the revision, and a checksum of all before: what was cut short or damaged is not restored.
"""

import hashlib
import json
import re
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, func, select, table, text

from schema_guard.admin.client_programs import mysqldump, pg_dump
from schema_guard.core.errors import GuardError
from schema_guard.core.progress import BYTES, Progress
from schema_guard.core.store import all_tables, count_rows, version_table
from schema_guard.revisions.script_directory import current_heads

TRAILER = b"-- schema_guard: "
# As much of the end of a file holds the last line.
LONGEST_TRAILER = 2**22
# Within as many bytes a dump says that it is one.
FRAME = 4096
DUMPED_ROW = re.compile(rb"INSERT INTO `((?:[^`]|``)+)` ")
DUMPED_REVISION = re.compile(rb"VALUES \('([^']*)'\)")
# What a dump of the program itself begins with, and ends with.
FRAMES = {
    "postgresql": (rb"-- PostgreSQL database dump\r?\n", rb"-- PostgreSQL database dump complete"),
    "mysql": (rb"-- (MySQL|MariaDB) dump ", rb"-- Dump completed"),
}


@dataclass(frozen=True)
class Contents:
    """What a backup holds.

    Attributes:
        revision: as `flask db current` tells it; `base` if there is none.
        rows: the number of rows of every table.
        sha256: of the dump; of an older backup it is not known.
    """

    revision: str
    rows: dict[str, int]
    sha256: str = ""

    def __str__(self) -> str:
        """Tell it in a few words."""
        return (
            f"revision {self.revision}, {sum(self.rows.values())} rows in {len(self.rows)} tables"
        )


@dataclass
class Dump:
    """What a program writes, and what it is known to hold when all lines have been read."""

    lines: Iterator[bytes]
    rows: dict[str, int]
    revisions: list[str]


def told(revisions: Iterable[str]) -> str:
    """Return where a database is, as a backup says it."""
    return ", ".join(revisions) or "base"


def find_program(connection: Connection) -> None:
    """Check that the program that dumps is there.

    Raises:
        GuardError: it is not, or is too old.
    """
    find = pg_dump if connection.dialect.name == "postgresql" else mysqldump
    find(connection)
    connection.rollback()


def write(connection: Connection, path: Path) -> str:
    """Write all that a server's database holds to a file that exists.

    Returns:
        The revision that it is at there.

    Raises:
        GuardError: the program failed, or another database answered it.
        OSError: the file cannot be written.
    """
    begin = _dump_postgresql if connection.dialect.name == "postgresql" else _dump_mysql
    with path.open("r+b") as file:
        checksum = hashlib.sha256()
        with begin(connection) as dump, Progress("Backup", BYTES) as progress:
            for line in progress.lines(dump.lines):
                checksum.update(line)
                file.write(line)
        contents = Contents(told(dump.revisions), dump.rows, checksum.hexdigest())
        file.write(TRAILER + json.dumps(asdict(contents)).encode() + b"\n")
    return contents.revision


@contextmanager
def _dump_postgresql(connection: Connection) -> Iterator[Dump]:
    """Give the lines of a dump, the rows and the revision of the same moment.

    It imports the snapshot of the guard's transaction, which no other database knows.
    """
    program = pg_dump(connection)
    connection.execution_options(isolation_level="REPEATABLE READ")
    try:
        snapshot = connection.scalar(text("SELECT pg_export_snapshot()"))
        rows, revisions = count_rows(connection), current_heads(connection)
        arguments = ["--no-owner", "--no-privileges", f"--snapshot={snapshot}", "--encoding=UTF8"]
        with program.output(*arguments) as lines:
            yield Dump(lines, rows, list(revisions))
    finally:
        connection.rollback()
        connection.execution_options(isolation_level=connection.default_isolation_level)


@contextmanager
def _dump_mysql(connection: Connection) -> Iterator[Dump]:
    """Give the lines of a dump; its rows are counted, and its revision found, as they are read.

    Every row is read on the condition that the guard's session holds a lock of a random name,
    which no other server knows; where it does not, the program fails.
    """
    program = mysqldump(connection)
    token = f"schema_guard.{secrets.token_hex(16)}"
    number = connection.scalar(text("SELECT CONNECTION_ID()"))
    database = connection.scalar(text("SELECT DATABASE()"))
    connection.scalar(text("SELECT GET_LOCK(:token, 0)"), {"token": token})
    names = [name for _, name in all_tables(connection)]
    versions = version_table()
    at_revision = versions in names and connection.scalar(
        select(func.count()).select_from(table(versions))
    )
    connection.commit()
    arguments = [
        # One line for every row, so that they can be counted, of the same moment as they are.
        *("--single-transaction", "--skip-extended-insert", "--no-autocommit"),
        *("--hex-blob", "--routines", "--triggers", "--no-tablespaces"),
        "--default-character-set=utf8mb4",
        f"--where=IF(IS_USED_LOCK('{token}') = {number}, 1, (SELECT 1 UNION SELECT 2))",
    ]
    dump = Dump(iter(()), dict.fromkeys(names, 0), [])
    try:
        with program.output(*arguments, str(database)) as lines:
            dump.lines = _counting(lines, dump, versions)
            yield dump
        if at_revision and not dump.rows[versions]:  # without rows there was nothing to refuse
            raise GuardError(f"{program.name} has connected to another server.")
    finally:
        connection.rollback()
        connection.scalar(text("SELECT RELEASE_LOCK(:token)"), {"token": token})
        connection.commit()


def _counting(lines: Iterator[bytes], dump: Dump, versions: str) -> Iterator[bytes]:
    """Pass on the lines of a dump of MySQL or MariaDB, and count the rows that it inserts.

    Args:
        lines: of the program.
        dump: gets the rows, and the revisions.
        versions: the table of the revisions.
    """
    found: Counter[str] = Counter()
    within_body = False  # of a trigger or routine, which may insert too
    for line in lines:
        if line.startswith(b"DELIMITER "):
            within_body = line.split()[1] != b";"
        elif not within_body and (match := DUMPED_ROW.match(line)):
            name = match[1].decode().replace("``", "`")
            found[name] += 1
            if name == versions and (revision := DUMPED_REVISION.search(line)):
                dump.revisions.append(revision[1].decode())
        yield line
    dump.rows.update({name: found[name] for name in dump.rows})


def contents(path: Path, backend: str) -> Contents:
    """Return what a backup of a server's database holds, all of which is read.

    Raises:
        ValueError: it is none, or damaged.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        size = path.stat().st_size
        file.seek(max(0, size - LONGEST_TRAILER))
        end = file.read()
        last = end.rstrip(b"\n").rpartition(b"\n")[2]
        if not last.startswith(TRAILER):
            raise ValueError("it has no last line with the number of its rows")
        found = Contents(**json.loads(last.removeprefix(TRAILER)))
        at = end.rindex(last)
        body = size - len(end) + at
        file.seek(0)
        begins, ends = FRAMES[backend]
        if not re.search(begins, file.read(min(body, FRAME))):
            raise ValueError("it does not begin as one")
        if not re.search(ends, end[max(0, at - FRAME) : at]):
            raise ValueError("it does not end as one")
        if found.sha256 and found.sha256 != _sha256(file, body):
            raise ValueError("it was changed after it was made, or is damaged")
    return found


def _sha256(file: IO[bytes], size: int) -> str:
    """Return the checksum of the first bytes of a file."""
    checksum: Any = hashlib.sha256()
    file.seek(0)
    while size and (block := file.read(min(size, 2**20))):
        checksum.update(block)
        size -= len(block)
    return str(checksum.hexdigest())

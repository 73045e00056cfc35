"""The record: which revision was run when, how long, by whom; and whether its file has changed.

Promise: `schema_history` tells what happened to the database, failures too: "done" is what was
committed. A revision that was
edited or deleted after it was run here is not passed over in silence: what other databases get is
not what this one has. Its file as it was run can be had back.
"""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import click
from alembic.script import Script, ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, func, insert, select
from sqlalchemy.exc import DBAPIError

from schema_guard.core.errors import GuardError
from schema_guard.core.process import whoami
from schema_guard.core.store import VERSION, history, is_own, make_tables, service, stored
from schema_guard.revisions.checksum import digest, means_the_same
from schema_guard.revisions.script_directory import current_heads, wanted_heads
from schema_guard.runner.step import Step


@dataclass
class Run:
    """A revision that is being run."""

    step: Step
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC).replace(tzinfo=None))
    started: float = field(default_factory=time.monotonic)

    def end(self, outcome: str, note: str | None = None) -> dict[str, Any]:
        """Return the row that records it."""
        source = self.step.source
        return {
            "revision": self.step.revision,
            "direction": self.step.direction,
            "started_at": self.started_at,
            "seconds": round(time.monotonic() - self.started, 3),
            "by_whom": by_whom(),
            "outcome": outcome,
            "checksum": digest(source) if source else None,
            "source": source or None,
            "note": note,
            "version_table": service(),
        }


def by_whom() -> str:
    """Return who runs this, as the record keeps it."""
    return whoami()[:255]


class Record:
    """The rows of `schema_history` that a command writes, each in the transaction of its revision.

    So it says "done" of what is committed, and of nothing else. A thousand quick revisions are not
    slowed by it: the statement is made once, and goes straight to the driver.
    """

    def __init__(self, connection: Connection) -> None:
        """Record on a connection."""
        self.connection = connection
        self.before = 0  # the last row of earlier commands

    def begin(self) -> None:
        """Have `committed` tell of what is recorded from now on."""
        self.before = self.connection.scalar(select(func.max(history.c.id))) or 0

    def add(self, row: dict[str, Any]) -> None:
        """Record a row, within the transaction at hand."""
        if not self.connection.in_transaction():
            self.connection.begin()
        sql, parameters = self._insert(row)
        cursor = self.connection.connection.cursor()
        try:
            cursor.execute(sql, parameters)
        except self._driver.Error as error:
            raise DBAPIError.instance(sql, None, error, self._driver.Error) from error
        finally:
            cursor.close()

    def committed(self) -> list[tuple[str, str]]:
        """Return which revisions this command has run, with their direction, and committed."""
        columns = history.c
        query = select(columns.revision, columns.direction).where(
            columns.id > self.before, columns.by_whom == by_whom(), columns.outcome == "done"
        )
        return [(row.revision, row.direction) for row in self.connection.execute(query)]

    @property
    def _driver(self) -> Any:
        return self.connection.dialect.loaded_dbapi

    @cached_property
    def _statement(self) -> tuple[str, list[str] | None, dict[str, Any]]:
        """Return the SQL, the order of its values, and what makes values the driver's."""
        dialect = self.connection.dialect
        columns = [column for column in history.c if not column.primary_key]
        names = [column.name for column in columns]
        compiled: Any = insert(history).inline().compile(dialect=dialect, column_keys=names)
        kinds = {column.name: column.type.dialect_impl(dialect) for column in columns}
        ways = {name: kind.bind_processor(dialect) for name, kind in kinds.items()}
        order = list(compiled.positiontup) if compiled.positional else None
        return compiled.string, order, {name: way for name, way in ways.items() if way}

    def _insert(self, row: dict[str, Any]) -> tuple[str, Any]:
        sql, order, ways = self._statement
        row = {"version": VERSION, **row}
        values = {name: ways[name](value) if name in ways else value for name, value in row.items()}
        return sql, values if order is None else [values[name] for name in order]


def upgrades(step: Any) -> bool:
    """Return whether one of Alembic's steps runs a revision's `upgrade`."""
    return getattr(step, "revision", None) is not None and bool(step.is_upgrade)


def begin(step: Any) -> Run:
    """Return the record of one of Alembic's steps, which begins."""
    script: Script | None = getattr(step, "revision", None)
    if script is None:
        return Run(Step(", ".join(step.to_) or "base", "stamp"))
    direction = "upgrade" if step.is_upgrade else "downgrade"
    with open(script.path, "rb") as file:  # noqa: PTH123 - making a Path takes longer
        return Run(Step(script.revision, direction, file.read()))


def report_changes(
    connection: Connection, scripts: ScriptDirectory, *, allowed: bool | None
) -> None:
    """Say which revisions were edited or deleted after they were run on this database.

    Args:
        connection: to the database.
        scripts: the revisions of the code.
        allowed: None to warn; False to refuse; True to take what there is now for what was run.

    Raises:
        GuardError: there are such revisions, and they were not allowed.
    """
    found = changes(connection, scripts)
    connection.rollback()
    if found and allowed:
        make_tables(connection)
    for change in found:
        if allowed is None:
            click.echo(f"Warning: {change}.", err=True)
        elif allowed:
            click.echo(f"Allowed: {change}.", err=True)
            record = Record(connection)
            record.add(Run(change.step).end("done"))
    if found and allowed is False:
        lines = "".join(f"\n  {change}" for change in found)
        raise GuardError(
            "These revisions changed after they were applied here, so another database would become"
            f" a different one:{lines}\n"
            "Nothing was changed. Put the files back as they were, and make the change a"
            " new revision; or, if the schema is the same, `flask db upgrade --allow-edited`, which"
            " records them as they are now."
        )
    connection.commit()


def rows(connection: Connection) -> list[Any]:
    """Return the record, the newest first; nothing where no migration has run."""
    record = stored(connection, history)
    if record is None:
        return []
    told = [column for column in record.c if column.name != "source"]
    query = select(*told).where(is_own(record)).order_by(record.c.id.desc())
    return list(connection.execute(query))


def source_of(connection: Connection, revision: str) -> bytes:
    """Return the file of a revision as it was last run on this database.

    Raises:
        GuardError: it was not, as far as is known.
    """
    record = stored(connection, history)
    source: bytes | None = None
    if record is not None:
        columns = record.c
        kept = select(columns.source).where(
            *(columns.revision == revision, columns.outcome == "done", is_own(record)),
            columns.source.is_not(None),
        )
        source = connection.scalar(kept.order_by(columns.id.desc()).limit(1))
    if source is None:
        raise GuardError(f"There is no record of revision {revision}: see `flask db log`.")
    return source


@dataclass(frozen=True)
class Change:
    """A revision that is not what was run."""

    step: Step
    when: datetime

    def __str__(self) -> str:
        """Tell it in a line."""
        what = f"revision {self.step.revision} was {self.step.direction} after it was run here"
        return f"{what}, {self.when:%Y-%m-%d %H:%M} UTC"


def changes(connection: Connection, scripts: ScriptDirectory) -> list[Change]:
    """Return the revisions that were edited or deleted after they were run on this database."""
    found, current = [], current_heads(connection)
    # Then Alembic cannot go on, and lost_revisions.py says why.
    is_elsewhere = any(_path(scripts, name) is None for name in current)
    for revision, row in applied(connection).items():
        path = _path(scripts, revision)
        if path is None and is_elsewhere:
            continue
        if path is None:
            found.append(Change(Step(revision, "deleted"), row.started_at))
            continue
        source = path.read_bytes()
        if digest(source) == row.checksum:
            continue
        run = _source(connection, row.id)
        if run is None or not means_the_same(run, source):
            found.append(Change(Step(revision, "edited", source), row.started_at))
    return found


def _source(connection: Connection, number: int) -> bytes | None:
    """Return the file that a row of the record keeps; version 1 kept none."""
    record = stored(connection, history)
    if record is None:
        return None
    source: bytes | None = connection.scalar(select(record.c.source).where(record.c.id == number))
    return source


def applied(connection: Connection) -> dict[str, Any]:
    """Return when which revision was run that has not been undone, and its file's checksum."""
    record = stored(connection, history)
    if record is None:
        return {}
    columns = record.c
    query = (
        select(
            columns.id, columns.revision, columns.direction, columns.checksum, columns.started_at
        )
        .where(columns.outcome == "done", is_own(record))
        .order_by(columns.id)
    )
    found: dict[str, Any] = {}
    for row in connection.execute(query):
        if row.direction == "stamp":  # a person has said what there is
            found.clear()
        elif row.direction in {"downgrade", "deleted"}:
            found.pop(row.revision, None)
        elif row.direction in {"upgrade", "edited"}:
            found[row.revision] = row
    return found


def is_newer(connection: Connection, scripts: ScriptDirectory) -> bool:
    """Return whether a database has moved on from where this code wants it.

    So it is between a release's migration and the end of the last old process: the record says that
    it was where the code wants it, and then came to a revision that the code does not know.
    """
    unknown = {name for name in current_heads(connection) if _path(scripts, name) is None}
    if not unknown:
        return False
    order: dict[str, int] = {}
    for row in reversed(rows(connection)):
        names = row.revision.split(", ")  # a stamp may be of several
        if row.outcome == "done" and row.direction == "downgrade":
            order.pop(names[0], None)
        elif row.outcome == "done" and row.direction in {"upgrade", "stamp", "restore"}:
            order |= dict.fromkeys(names, row.id)
    heads = set(wanted_heads(scripts))
    if not heads | unknown <= order.keys():
        return False
    return max(order[name] for name in heads) < min(order[name] for name in unknown)


def lost(connection: Connection, scripts: ScriptDirectory) -> list[str]:
    """Return the revisions that were run on this database and have no file, in that order."""
    return [revision for revision in applied(connection) if _path(scripts, revision) is None]


def knows(scripts: ScriptDirectory, revision: str) -> bool:
    """Return whether the code has a revision, or whether it is `base`."""
    return revision == "base" or _script(scripts, revision) is not None


def _path(scripts: ScriptDirectory, revision: str) -> Path | None:
    script = _script(scripts, revision)
    path = Path(script.path) if script else None
    return path if path and path.is_file() else None


def _script(scripts: ScriptDirectory, revision: str) -> Script | None:
    try:
        script = scripts.get_revision(revision)
    except CommandError:
        return None
    return script if script.revision == revision else None  # not one like it

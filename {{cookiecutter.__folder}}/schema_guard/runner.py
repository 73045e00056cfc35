"""Running revisions, each all or nothing, and saying what there is if one fails.

Promise: a revision that fails leaves nothing behind where the DBMS can undo it (SQLite,
PostgreSQL). What it could not undo is named: what MySQL and MariaDB commit with every statement
that changes the schema, and PostgreSQL within `autocommit_block()`. On SQLite no revision is
kept that orphans a child row.
"""

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.util import CommandError
from sqlalchemy import Connection, event, inspect, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from schema_guard.advice import explain, remedy
from schema_guard.connection import changes_schema
from schema_guard.errors import GuardError, cause, shorten
from schema_guard.server import backend
from schema_guard.waits import (
    may_be_tried_again,
    pause,
    retried_statements,
)

# What MySQL and MariaDB commit by themselves, with all that came before it.
DDL = re.compile(r"\s*(ALTER|CREATE|DROP|RENAME|TRUNCATE)\b", re.IGNORECASE)
READING = re.compile(r"\s*(SELECT|PRAGMA|BEGIN|DESCRIBE|SHOW|SET|EXPLAIN)\b", re.IGNORECASE)


def run_migrations(context: Any, connection: Connection, settings: dict[str, Any]) -> None:
    """Run what Alembic was called for.

    Args:
        context: `alembic.context`, as env.py has it.
        connection: from `migration_connection`.
        settings: for `context.configure`.

    Raises:
        GuardError: a revision failed; what is kept of it is said.
    """
    try:
        if changes_schema(context):
            _run_guarded(context, connection, settings)
        else:
            context.configure(connection=connection, **settings)
            with context.begin_transaction():
                context.run_migrations()
    except CommandError as error:
        raise explain(error, connection, context.script) from error


def _run_guarded(context: Any, connection: Connection, settings: dict[str, Any]) -> None:
    with ExitStack() as stack:
        statements = stack.enter_context(record_statements(connection))
        stack.enter_context(retried_statements(connection))
        completed: list[Callable[..., None]] = [statements.clear]
        if connection.dialect.name == "sqlite":
            refuse_leftovers(connection)
            foreign_keys = stack.enter_context(ForeignKeys(connection).watch())
            completed.insert(0, foreign_keys.check)
        applied = [*as_list(settings.pop("on_version_apply", [])), *completed]
        for attempt in itertools.count(1):
            statements.clear()
            context.configure(connection=connection, on_version_apply=applied, **settings)
            try:
                with _immediately(connection), context.begin_transaction():
                    context.run_migrations()
            except SQLAlchemyError as error:
                statements.commit_before(error)
                if not may_be_tried_again(error, attempt, committed=bool(statements.committed)):
                    raise failure(connection, error, statements) from error
                pause(connection, str(getattr(error, "statement", "")), attempt)
                connection.rollback()
            else:
                return


def as_list(value: Any) -> list[Any]:
    """Return a list of one thing or of several."""
    return list(value) if isinstance(value, list | tuple) else [value]


@contextmanager
def _immediately(connection: Connection) -> Iterator[None]:
    """Have SQLite's transactions wait for other writers when they begin; see app/engine.py."""
    connection.execution_options(begin_immediate=True)
    try:
        yield
    finally:
        connection.rollback()
        connection.execution_options(begin_immediate=False)


def refuse_leftovers(connection: Connection) -> None:
    """Refuse a SQLite database in which another tool died while it rebuilt a table."""
    names = inspect(connection).get_table_names()
    connection.rollback()
    for name in names:
        original = name.removeprefix("_alembic_tmp_")
        if original != name:
            raise GuardError(
                f"The database {connection.engine.url.render_as_string()} holds {name}, which a"
                f" migration that died has left. Nothing was changed. If {original} holds all its"
                f" rows, `DROP TABLE {name}`; else rename it to {original}."
            )


@dataclass
class ForeignKeys:
    """SQLite's foreign keys, which are off while tables are rebuilt."""

    connection: Connection
    before: Counter[tuple[str, str]] | None = None

    @contextmanager
    def watch(self) -> Iterator["ForeignKeys"]:
        """Look at what there is before the first statement that changes something."""

        def look(_connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
            if self.before is None and not READING.match(statement):
                self.before = self.violations()

        event.listen(self.connection, "before_cursor_execute", look)
        try:
            yield self
        finally:
            event.remove(self.connection, "before_cursor_execute", look)

    def violations(self) -> Counter[tuple[str, str]]:
        """Return how many rows of which table have no parent in which other one."""
        cursor = self.connection.connection.cursor()
        rows = cursor.execute("PRAGMA foreign_key_check").fetchall()
        cursor.close()
        return Counter((child, parent) for child, _, parent, _ in rows)

    def check(self, step: MigrationInfo, **_: Any) -> None:
        """Refuse a revision that orphaned rows; what was so before is not its fault."""
        for (child, parent), rows in (self.violations() - (self.before or Counter())).items():
            raise GuardError(
                f"Revision {step.up_revision_id} would leave {rows} rows of {child} without their"
                f" row in {parent}. Nothing of it was kept. Have it change those rows too."
            )


@dataclass
class Statements:
    """What was run since the last revision that is complete.

    Attributes:
        run: the statements.
        committed: how many of them no rollback can undo.
        commits_ddl: whether the server commits DDL, with all that came before it.
    """

    run: list[str] = field(default_factory=list)
    committed: int = 0

    commits_ddl: bool = False

    def commit_before(self, error: SQLAlchemyError) -> None:
        """Note that MySQL committed what came before a failing statement, if that was DDL."""
        if self.commits_ddl and DDL.match(getattr(error, "statement", None) or ""):
            self.committed = len(self.run)

    def clear(self, **_: Any) -> None:
        """Begin with the next revision."""
        self.run.clear()
        self.committed = 0


@contextmanager
def record_statements(connection: Connection) -> Iterator[Statements]:
    """Record what runs on a connection."""
    statements = Statements(commits_ddl=backend(connection.dialect) == "mysql")

    def record(current: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if READING.match(statement):
            return
        statements.run.append(statement)
        autocommit = current.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
        if autocommit or (statements.commits_ddl and DDL.match(statement)):
            statements.committed = len(statements.run)

    def commit(_connection: Connection) -> None:
        statements.committed = len(statements.run)

    listeners: dict[str, Callable[..., None]] = {"after_cursor_execute": record, "commit": commit}
    for name, listener in listeners.items():
        event.listen(connection, name, listener)
    try:
        yield statements
    finally:
        for name, listener in listeners.items():
            event.remove(connection, name, listener)


def failure(connection: Connection, error: SQLAlchemyError, statements: Statements) -> GuardError:
    """Return the error for a revision that failed: which, where, why, and what there is now."""
    lines = [f"{place(error)} failed: {cause(error)}."]
    if isinstance(error, DBAPIError) and error.statement:
        lines.append(f"Statement:  {shorten(error.statement)}")
    try:
        connection.rollback()
        at = ", ".join(MigrationContext.configure(connection).get_current_heads()) or "base"
        leftovers = invalid(connection)
        connection.rollback()
    except SQLAlchemyError:
        lines.append(
            "The connection is lost. When the database answers again, `flask db current` tells"
            " where it is."
        )
        return GuardError("\n".join(lines))
    committed = statements.run[: statements.committed]
    if committed:
        lines.append(f"The database is at {at}, and of this revision these were kept:")
        lines += [f"            {shorten(statement)}" for statement in committed]
    else:
        lines.append(f"The database is at {at}; nothing of this revision was kept.")
    lines += [f"            The index {name} is invalid: drop it." for name in leftovers]
    what = remedy(error, connection.engine.url.username, committed=bool(committed))
    lines.append(f"{what}, then run the command again.")
    return GuardError("\n".join(lines))


def place(error: BaseException) -> str:
    """Return the revision that raised an error, with its file and line."""
    found = "The migration"
    traceback = error.__traceback__
    while traceback is not None:
        names = traceback.tb_frame.f_globals
        if "revision" in names and "down_revision" in names:
            path = Path(traceback.tb_frame.f_code.co_filename)
            found = f"Revision {names['revision']} ({path.name}, line {traceback.tb_lineno})"
        traceback = traceback.tb_next
    return found


def invalid(connection: Connection) -> list[str]:
    """Return the indexes that a CREATE INDEX CONCURRENTLY which failed has left."""
    if connection.dialect.name != "postgresql":
        return []
    query = text("SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid")
    return list(connection.scalars(query))

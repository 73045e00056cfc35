"""Running revisions, each all or nothing, and saying what there is if one fails.

Promise: a revision that fails leaves nothing behind where the DBMS can undo it (SQLite,
PostgreSQL). What it could not undo is named, and not run again: what MySQL and MariaDB commit with
every statement that changes the schema, and PostgreSQL within `autocommit_block()`. On SQLite no
revision is kept that orphans a child row.
"""

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import click
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from schema_guard import compat
from schema_guard.admin.backup import backup_first
from schema_guard.core.errors import GuardError
from schema_guard.core.listeners import listening
from schema_guard.core.options import options_of
from schema_guard.core.store import make_tables
from schema_guard.dialects.adapter import adapter
from schema_guard.dialects.sqlite_connection import IMMEDIATE, refuse_leftovers
from schema_guard.runner import data_loss, definite_order, history, resume
from schema_guard.runner.data_loss import LossError, Losses
from schema_guard.runner.error_hints import explain
from schema_guard.runner.failure_report import ended
from schema_guard.runner.first_error import FirstError
from schema_guard.runner.interrupts import Session, is_interrupted
from schema_guard.runner.journal import Journal
from schema_guard.runner.lock_timeout import may_be_tried_again, pause
from schema_guard.runner.progress import report_step
from schema_guard.runner.sessions import OwnConnections

# What Alembic runs otherwise meanwhile.
IMPLEMENTATIONS: dict[Any, Any] = {
    **data_loss.IMPLEMENTATIONS,
    **definite_order.IMPLEMENTATIONS,
}
READING = re.compile(r"\s*(SELECT|PRAGMA|BEGIN)\b", re.IGNORECASE)


def run_guarded(context: Any, connection: Connection, settings: dict[str, Any]) -> None:
    """Run revisions.

    Args:
        context: `alembic.context`, configured.
        connection: which holds the migration lock.
        settings: for `context.configure`.

    Raises:
        GuardError: a revision failed; what is kept of it is said.
    """
    resume.refuse_anothers(connection)
    losses = Losses(connection)
    run = GuardedRun(connection, Journal(connection), history.Record(connection), losses)
    losses.is_resuming = run.journal.is_resuming
    run.journal.resume = losses.resume = resume.way(options_of(context.config).resume)
    with ExitStack() as stack:
        stack.enter_context(
            compat.installed(implementations=IMPLEMENTATIONS, copies=definite_order.DefiniteBatch)
        )
        stack.enter_context(run.journal.watch())
        stack.enter_context(losses.watch())
        stack.enter_context(run.errors.watch())
        stack.enter_context(run.own.watch())
        try:
            if connection.dialect.name == "sqlite":
                refuse_leftovers(connection, resume.noted(connection))
                run.foreign_keys = stack.enter_context(ForeignKeys(connection).watch())
            _run_until_there_is_a_lock(run, context, settings)
        except BaseException as error:
            told = ended(run, error)
            if told is error:
                raise
            raise told from error


def _run_until_there_is_a_lock(run: "GuardedRun", context: Any, settings: dict[str, Any]) -> None:
    """Run what Alembic was called for, again while tables are in use."""
    connection = run.connection
    for attempt in itertools.count(1):
        connection.rollback()  # or Alembic would take the transaction for somebody else's
        if attempt > 1:
            context.configure(connection=connection, **settings)
        run.follow(context)
        try:
            with _immediately(connection), context.begin_transaction():
                context.run_migrations()
                connection.commit()  # a revision that commits has left Alembic's transaction
        except LossError as error:
            run.undo()  # no transaction waits for a person
            if not run.losses.ask(error):
                raise
        except Exception as error:
            first = run.errors.of(error)
            if stuck := run.journal.earlier.ends_as_before(first):
                raise stuck from error
            if not is_interrupted() and (stuck := run.journal.earlier.fails_now(first)):
                raise stuck from error
            if is_interrupted() or not may_be_tried_again(first, attempt):
                raise
            run.undo()
            pause(connection, str(getattr(first, "statement", "")), attempt)
        else:
            connection.commit()
            return


@dataclass
class GuardedRun:
    """The revisions of one command: their journal and their record."""

    connection: Connection
    journal: Journal
    record: history.Record
    losses: Losses
    foreign_keys: "ForeignKeys | None" = None
    current: history.Run | None = None
    completed: list[tuple[str, str]] = field(default_factory=list)
    recordable: bool = False  # the record is of this version
    prepared: bool = False
    back_up: bool = False
    reasons: list[str] = field(default_factory=list)  # against running anything
    schema: int | None = None

    def __post_init__(self) -> None:
        """Remember the session that holds the migration lock."""
        self.session = Session(self.connection)
        self.errors = FirstError(self.connection)
        self.own = OwnConnections(self.connection)

    def follow(self, context: Any) -> None:
        """Have each of Alembic's steps told to `begin` before it is run."""
        migration_context = context.get_context()
        plan = compat.plan_of(migration_context)
        options = options_of(context.config)
        self.back_up = options.backup
        self.losses.allowed |= set(options.allow_loss)
        allowed = options.allow_edited
        command = compat.command_of(migration_context)
        if command != "stamp":  # a function of somebody's own is taken for an upgrade
            refuses = command != "downgrade" or allowed
            try:
                history.report_changes(
                    self.connection, context.script, allowed=allowed if refuses else None
                )
            except GuardError as error:
                self.reasons = [error.message]

        def steps(heads: Any, migration: MigrationContext) -> Iterator[Any]:
            try:
                pending = list(plan(heads, migration))
            except CommandError as error:  # several heads, or no such revision
                if not self.reasons:
                    raise
                from schema_guard.runner import preflight  # noqa: PLC0415 - seldom needed

                with preflight.noted(self.reasons):
                    raise explain(error, self.connection, context.script) from error
                raise preflight.in_the_way(self.reasons) from error
            if self.reasons and not pending:
                raise GuardError(self.reasons[0])
            if command != "stamp" and not pending:
                resume.refuse_half_done(self.connection)
            for number, step in enumerate(pending):
                if number == 0 and history.upgrades(step) and not self.prepared:
                    from schema_guard.runner import preflight  # noqa: PLC0415 - seldom needed

                    self.connection.commit()  # Alembic has made its table
                    preflight.refuse(
                        self.losses, pending, context.script, self.reasons, back_up=self.back_up
                    )
                self.begin(step, first=number == 0)
                step.migration_fn = self.recorded(step.migration_fn)
                yield step

        compat.replace_plan(migration_context, steps)

    def begin(self, step: Any, *, first: bool) -> None:
        """Begin with one of Alembic's steps."""
        self.current = history.begin(step)
        stamps = self.current.step.direction == "stamp"
        self.losses.active = self.current.step.direction == "upgrade"
        if not self.prepared:  # once, however often it is tried
            self.connection.commit()  # Alembic has made its table
            make_tables(self.connection)
            self.recordable = True
            path = None if stamps else backup_first(self.connection, asked=self.back_up)
            if path:
                click.echo(f"Backup: {path}", err=True)
            self.record.begin()
            self.connection.rollback()
            self.prepared = True
        if not self.connection.in_transaction():  # of several revisions
            self.schema = adapter(self.connection.dialect).schema_version(self.connection)
        if not stamps:
            self.journal.begin(self.current.step, first=first)

    def recorded(self, migrate: Callable[..., None]) -> Callable[..., None]:
        """Return a step's function that records the step in its transaction."""

        @wraps(migrate)  # Alembic logs its name
        def run(**arguments: Any) -> None:
            with self.journal.note(), self.losses.note(), self.own.bound():
                migrate(**arguments)
            self.complete()

        return run

    def complete(self) -> None:
        """Record the present step."""
        if self.current is None:
            return
        if is_interrupted():  # and the revision has caught it: what it left out is not known
            raise KeyboardInterrupt
        if self.foreign_keys:
            self.foreign_keys.check(self.current.step.revision)
        if self.current.step.direction == "stamp":
            self.journal.forget()
        else:
            self.journal.complete()
        self.completed.append((self.current.step.revision, self.current.step.direction))
        row = self.current.end("done", self.losses.take())
        self.record.add(row)
        report_step(row)

    def undo(self) -> None:
        """Forget what the transaction at hand did."""
        self.journal.stop()
        self.connection.rollback()

    def record_end(self, outcome: str, note: str) -> None:
        """Record that the present step failed, or was interrupted, if the database takes it."""
        if self.current is None or not self.recordable:
            return
        self.undo()
        try:
            self.record.add(self.current.end(outcome, note))
            self.connection.commit()
        except SQLAlchemyError:  # this user may not write, say; that it failed is said in any case
            self.connection.rollback()


@contextmanager
def _immediately(connection: Connection) -> Iterator[None]:
    """Have SQLite's transactions wait for other writers when they begin."""
    connection.execution_options(**{IMMEDIATE: True})
    try:
        yield
    finally:
        connection.rollback()
        connection.execution_options(**{IMMEDIATE: False})


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

        with listening((self.connection, "before_cursor_execute", look)):
            yield self

    def violations(self) -> Counter[tuple[str, str]]:
        """Return how many rows of which table have no parent in which other one."""
        cursor = self.connection.connection.cursor()
        rows = cursor.execute("PRAGMA foreign_key_check").fetchall()
        cursor.close()
        return Counter((child, parent) for child, _, parent, _ in rows)

    def check(self, revision: str) -> None:
        """Refuse a revision that orphaned rows; what was so before is not its fault."""
        if self.before is None:  # nothing has changed anything
            return
        for (child, parent), rows in (self.violations() - self.before).items():
            raise GuardError(
                f"Revision {revision} would leave {rows} rows of {child} without their"
                f" row in {parent}. Have it change those rows too."
            )

"""Going on with a revision that was stopped half-way.

Promise: a revision of which a part can no longer be undone, since MySQL and MariaDB commit with
every statement that changes the schema, and PostgreSQL's `autocommit_block()` with every one, is
completed by running the command again, whether it failed or was killed: what has run is not run
twice, what has not is. Where that cannot be known, nothing is run, and it is said what there is.

How: rows of `schema_journal` are committed together with what they tell of.

- What runs in a transaction is noted in the same transaction, just before it is committed.
- A statement that commits by itself is noted before it runs, with how the schema looks. If no
  statement follows in the journal, the schema decides whether it has run; see schema_snapshot.py.
- Within `autocommit_block()` an INSERT, UPDATE or DELETE gets a transaction of its own, with its
  note.

The next run calls the same `upgrade()`. A statement that the journal knows is not sent to the
server: the revision gets the number of rows and the id that it got before. What only reads is run.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from sqlalchemy import Connection, event, insert
from sqlalchemy.exc import SQLAlchemyError

from schema_guard.core.errors import GuardError, shorten
from schema_guard.core.store import journal
from schema_guard.dialects.base import backend
from schema_guard.runner import resume, schema_snapshot
from schema_guard.runner.journal_entry import (
    ALL_OR_NOTHING,
    CHANGES_ROWS,
    COMMITS,
    PASSED,
    TEMPORARY,
    Entry,
    Step,
    by_hand,
    digest,
    tell,
)
from schema_guard.runner.lock_timeout import patience

# The execution option of a statement that may run as often as it likes: none notes it.
REPEATABLE = "repeatable"


class Journal:
    """The statements of the running revision that no rollback can undo."""

    def __init__(self, connection: Connection) -> None:
        """Keep a journal of what runs on a connection."""
        self.connection = connection
        self.commits_ddl = backend(connection.dialect) == "mysql"
        self.errors = connection.dialect.loaded_dbapi.Error
        self.step: Step | None = None
        self.earlier: list[Entry] = []  # what an earlier run did and this one has not come to
        self.edited = False
        self.pending: list[Entry] = []  # what the transaction at hand did
        self.savepoints: dict[str, int] = {}
        self.written = 0
        self.paused = True

    def begin(self, step: Step, *, first: bool) -> None:
        """Begin with a revision, or go on with it; outside a transaction.

        Args:
            step: the revision.
            first: whether it is the first of this run; the next ones cannot be half-way.
        """
        self.pending, self.written, self.step = [], 0, None
        if first:
            self.earlier, self.edited = resume.read(self.connection, step)
            self.written = len(self.earlier)
            resume.take_back(self.connection, self.written)
        self.step = step

    @contextmanager
    def watch(self) -> Iterator["Journal"]:
        """Keep the journal of what runs meanwhile."""
        engine = self.connection.engine
        listeners: list[tuple[Any, str, Callable[..., Any]]] = [
            (engine, "do_execute", self._instead_of("do_execute")),
            (engine, "do_executemany", self._instead_of("do_executemany")),
            (engine, "do_execute_no_params", self._instead_of("do_execute_no_params")),
            (self.connection, "commit", self._commit),
            (self.connection, "rollback", self._rollback),
            (self.connection, "savepoint", self._savepoint),
            (self.connection, "rollback_savepoint", self._rollback_savepoint),
        ]
        for target, name, listener in listeners:
            event.listen(target, name, listener)
        try:
            yield self
        finally:
            for target, name, listener in listeners:
                event.remove(target, name, listener)

    @contextmanager
    def note(self) -> Iterator[None]:
        """Note what runs meanwhile: a revision, not what Alembic does about it."""
        self.paused = False
        try:
            yield
        finally:
            self.paused = True

    def complete(self) -> None:
        """Forget a revision that is complete, within its last transaction."""
        if self.earlier:
            raise self._lost(f"does not come to `{self.earlier[0].statement}`")
        if self.written:
            self._run(journal.delete())
        self.step = None

    def stop(self) -> Step | None:
        """Note nothing more; return the revision that was running."""
        step, self.step, self.earlier = self.step, None, []
        return step

    def forget(self) -> None:
        """Forget what there is: a person has decided, by `flask db stamp`."""
        self.step, self.earlier = None, []
        self._run(journal.delete())

    def _instead_of(self, name: str) -> Callable[..., bool]:
        """Return a listener that runs a statement in place of the dialect's own function."""

        def run(cursor: Any, statement: str, *arguments: Any) -> bool:
            *parameters, context = arguments
            send = partial(getattr(context.dialect, name), cursor, statement, *arguments)
            return self._through(send, cursor, statement, (*parameters, None)[0], context)

        return run

    def _through(
        self, run: Callable[[], Any], cursor: Any, statement: str, parameters: Any, context: Any
    ) -> bool:
        """Run a statement or not, and note it; return whether that was done here."""
        if (
            self.step is None
            or self.paused
            or context.root_connection is not self.connection
            or PASSED.match(statement)
            or context.execution_options.get(REPEATABLE)
        ):
            return False
        if COMMITS.match(statement):
            self._write()
            return False
        entry = Entry(sys.intern(shorten(statement)), digest(statement, parameters))
        if self.earlier:
            self._skip(entry, cursor, context)
            return True
        options = context.root_connection.get_execution_options()
        alone = options.get("isolation_level") == "AUTOCOMMIT"
        if CHANGES_ROWS.match(statement):
            if not alone:
                run()
                self._note_answer(entry, cursor)
                self.pending.append(entry)
            else:
                self._in_transaction(run, entry, cursor)
        elif alone or (self.commits_ddl and not TEMPORARY.match(statement)):
            self._run_noted(run, entry, statement)
        else:
            run()
            self.pending.append(entry)
        return True

    def _run_noted(self, run: Callable[[], Any], entry: Entry, statement: str) -> None:
        """Run a statement that commits by itself, and what came before it."""
        with self._pause():
            entry.before = schema_snapshot.look(self.connection, statement)
        self.pending.append(entry)
        self._write()
        try:
            with patience(self.connection, statement):
                run()
        except self.errors:
            if ALL_OR_NOTHING.match(statement):
                self._withdraw()
            raise
        if entry.before == "{}":  # nobody could tell later
            number = self.written - 1
            self._run(journal.update().where(journal.c.number == number).values(before=None))
            with self._pause():
                self.connection.exec_driver_sql("COMMIT")

    def _withdraw(self) -> None:
        """Take back the note of a statement of which the server says that it failed."""
        self.written -= 1
        with suppress(SQLAlchemyError):  # the connection is lost: then it stays unknown
            self._run(journal.delete().where(journal.c.number == self.written))
            with self._pause():
                self.connection.exec_driver_sql("COMMIT")

    def _in_transaction(self, run: Callable[[], Any], entry: Entry, cursor: Any) -> None:
        cursor.execute("BEGIN")
        try:
            run()
            self._note_answer(entry, cursor)
            self.pending.append(entry)
            self._write()
        except BaseException:  # a signal too must leave no transaction open; it goes on up
            with suppress(self.errors):  # a connection that is lost has rolled back
                self._end("ROLLBACK")
            raise
        self._end("COMMIT")

    def _end(self, word: str) -> None:
        cursor = self.connection.connection.cursor()
        cursor.execute(word)
        cursor.close()

    def _commit(self, _connection: Connection) -> None:
        if self.step is not None and not self.paused:
            self._write()

    def _rollback(self, _connection: Connection) -> None:
        self.pending.clear()

    def _savepoint(self, _connection: Connection, name: str) -> None:
        self.savepoints[name] = len(self.pending)

    def _rollback_savepoint(self, _connection: Connection, name: str, _context: None) -> None:
        del self.pending[self.savepoints[name] :]

    def _write(self) -> None:
        step = self.step
        if step is None or not self.pending:
            return
        rows = [
            {
                "number": number,
                "revision": step.revision,
                "direction": step.direction,
                "source": None if number else step.source,
                "statement": entry.statement,
                "digest": entry.digest,
                "before": entry.before,
                "affected": entry.affected,
                "last_id": entry.last_id,
            }
            for number, entry in enumerate(self.pending, self.written)
        ]
        self._run(insert(journal), rows)
        self.written += len(rows)
        self.pending = []

    def _skip(self, entry: Entry, cursor: Any, context: Any) -> None:
        """Answer a statement that has run as it was answered then."""
        # One that looks for itself what there is leaves out what has run.
        come = self.earlier[:1] if self.edited else self.earlier
        place = next((i for i, done in enumerate(come) if done.digest == entry.digest), None)
        if place is None:
            raise self._lost(f"now comes to `{entry.statement}` there")
        done = self.earlier[place]
        returning = getattr(context.compiled, "effective_returning", ())
        if returning or TEMPORARY.match(entry.statement):
            raise self._lost(f"needs what `{done.statement}` gave")
        del self.earlier[: place + 1]
        context._rowcount = done.affected  # noqa: SLF001 - some drivers' cursors have it read-only
        if done.last_id is not None:
            cursor.lastrowid = done.last_id

    def _lost(self, what: str) -> GuardError:
        step = self.stop()
        assert step is not None  # noqa: S101 - for the type checker
        edited = " It was edited since." if self.edited else ""
        self.connection.rollback()
        entries, _ = resume.read(self.connection, step)
        return GuardError(
            f"The {step.direction} of revision {step.revision} was stopped half-way, and {what}."
            f"{edited} {tell(entries)}\n{by_hand(step)}"
        )

    def _note_answer(self, entry: Entry, cursor: Any) -> None:
        entry.affected = cursor.rowcount
        if self.commits_ddl:
            entry.last_id = cursor.lastrowid

    def _run(self, statement: Any, rows: Any = None) -> None:
        with self._pause():
            self.connection.execute(statement, rows)

    @contextmanager
    def _pause(self) -> Iterator[None]:
        before, self.paused = self.paused, True
        try:
            yield
        finally:
            self.paused = before

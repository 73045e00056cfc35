"""Going on with a revision that was interrupted.

Promise: a revision of which a part can no longer be undone, since MySQL and MariaDB commit with
every statement that changes the schema, and PostgreSQL's `autocommit_block()` with every one, is
completed by running the command again, whether it failed or was killed: it ends as one that was
only paused. Where that cannot be known, nothing is run, and it is said what there is.

How: rows of `schema_journal` are committed together with what they tell of.

- What runs in a transaction is noted in the same transaction, just before it is committed.
- A statement that commits by itself is noted before it runs, with how the schema looks. If no
  statement follows in the journal, the schema decides whether it has run; see schema_snapshot.py.
- Within `autocommit_block()` an INSERT, UPDATE or DELETE gets a transaction of its own, with its
  note.

What a revision does comes from what it was answered: how often a loop runs, whether a column is
missing. So all that was answered is noted too, in the same order: the rows of queries and of
RETURNING, errors that the revision has caught, what a savepoint took back.

The next run calls the same `upgrade()`. As long as it comes to what the journal has next, nothing
is sent to the server: the revision gets the answer that it got before, and so comes to the same
again, and behind the last row of the journal to what has not run yet. (To ask again instead, and
go on where the answers allow it, would be wrong without a word: `if "a" not in columns:` add it and
fill it, killed in between, finds the column and does not fill it.)

It ends, before anything is run, where the revision comes to something else than it did, or where
an answer decides that is not kept (see answers.py) and now is another one. Not noted is what only
concerns the session, and what is `repeatable()`: that runs every time, as `backfill` does.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection, insert
from sqlalchemy.exc import SQLAlchemyError

from schema_guard.core.errors import codes_of, shorten
from schema_guard.core.listeners import Listener, listening
from schema_guard.core.options import RERUN
from schema_guard.core.store import journal, service
from schema_guard.dialects.adapter import adapter
from schema_guard.runner import answers, resume, schema_snapshot
from schema_guard.runner.journal_entry import (
    ALL_OR_NOTHING,
    CHANGES_ROWS,
    COMMITS,
    FAILED,
    READ,
    READS,
    ROLLBACK,
    SAVEPOINT,
    SESSION,
    STATEMENT,
    TEMPORARY,
    UNDONE,
    VARIABLE,
    Entry,
    digest,
    words_of,
)
from schema_guard.runner.lock_timeout import patience
from schema_guard.runner.repeatable import REPEATABLE, is_repeatable
from schema_guard.runner.resume import Earlier
from schema_guard.runner.step import Step

# MySQL's number for a deadlock: the whole transaction is rolled back.
DEADLOCK = 1213


@dataclass
class Sent:
    """A statement that is sent.

    Attributes:
        run: sends it.
        words: it, from its first word on.
    """

    run: Callable[[], Any]
    cursor: Any
    context: Any
    statement: str
    words: str


class Journal:
    """The statements of the running revision that no rollback can undo, and what they answered."""

    def __init__(self, connection: Connection) -> None:
        """Keep a journal of what runs on a connection."""
        self.connection = connection
        self.commits_ddl = adapter(connection.dialect).commits_ddl
        self.errors = connection.dialect.loaded_dbapi.Error
        self.resume = ""  # how a person has the first revision go on, if it was interrupted
        self.step: Step | None = None
        self.earlier = Earlier()
        self.pending: list[Entry] = []  # what the transaction at hand did
        self.savepoints: dict[str, int] = {}
        self.written = 0
        self.failed: int | None = None  # the number of a statement that has failed since
        self.room = 0  # for answers
        self.paused = True

    def begin(self, step: Step, *, first: bool) -> None:
        """Begin with a revision, or go on with it; outside a transaction.

        Args:
            step: the revision.
            first: whether it is the first of this run; the next ones cannot be interrupted.
        """
        self.step, self.earlier, self.failed = None, Earlier(), None
        self.pending, self.savepoints, self.room = [], {}, answers.TOTAL
        if first:
            self.earlier = resume.read(self.connection, step, self.resume)
            resume.take_back(self.connection, self.earlier.number)
            if self.resume == RERUN:  # a further try goes on after this one
                self.resume = ""
        self.written = self.earlier.number
        self.step = step

    @contextmanager
    def watch(self) -> Iterator["Journal"]:
        """Keep the journal of what runs meanwhile."""
        engine = self.connection.engine
        listeners: list[Listener] = [
            (engine, "do_execute", self._instead_of("do_execute")),
            (engine, "do_executemany", self._instead_of("do_executemany")),
            (engine, "do_execute_no_params", self._instead_of("do_execute_no_params")),
            (self.connection, "commit", self._commit),
            (self.connection, "rollback", self._rollback),
        ]
        with listening(*listeners):
            yield self

    @contextmanager
    def note(self) -> Iterator[None]:
        """Note what runs meanwhile: a revision, not what Alembic does about it."""
        self.paused = False
        try:
            yield
        finally:
            self.paused = True

    def is_resuming(self) -> bool:
        """Return whether the revision has not come to the end of what an earlier run did."""
        return bool(self.earlier.left) and not self.earlier.skips

    def complete(self) -> None:
        """Forget a revision that is complete, within its last transaction."""
        self.earlier.end()
        if self.written:
            self._run(journal.delete())
        self.step = None

    def stop(self) -> Step | None:
        """Note nothing more; return the revision that was running."""
        step, self.step, self.earlier = self.step, None, Earlier()
        return step

    def forget(self) -> None:
        """Forget what there is: a person has decided, by `flask db stamp`."""
        self.stop()
        self._run(journal.delete())

    def _instead_of(self, name: str) -> Callable[..., bool]:
        """Return a listener that runs a statement in place of the dialect's own function."""

        def run(cursor: Any, statement: str, *arguments: Any) -> bool:
            *parameters, context = arguments
            send = partial(getattr(context.dialect, name), cursor, statement, *arguments)
            sent = Sent(send, cursor, context, statement, words_of(statement))
            noted = self.step is not None and not self.paused
            if not noted or context.root_connection is not self.connection:
                return False
            if self.earlier.lost is not None:  # the revision has caught it
                raise self.earlier.lost
            return self._through(sent, (*parameters, None)[0])

        return run

    def _through(self, sent: Sent, parameters: Any) -> bool:
        """Run a statement or not, and note it; return whether that was done here."""
        if is_repeatable() or sent.context.execution_options.get(REPEATABLE):
            if self._commits(sent.words) and not SESSION.match(sent.words):
                self._write()
            self.earlier.repeat(changes=not READS.match(sent.words))
            return False
        variable = self.commits_ddl and VARIABLE.match(sent.words)
        if not variable and self._passes(sent.words):
            return False
        entry = Entry(sys.intern(shorten(sent.statement)), digest(sent.statement, parameters))
        entry.kind = READ if variable or READS.match(sent.words) else STATEMENT
        done = self.earlier.find(entry.digest)
        if done is not None and self.earlier.give(done, sent.cursor, sent.context):
            return True
        if entry.kind == STATEMENT:
            self.earlier.admit(entry.statement)
        try:
            self._send(sent, entry, done)
        except self.errors as error:
            self._fail(entry, error)
            raise
        if variable:  # its answer is in no rows
            entry.answer = answers.UNKNOWN
        return True

    def _send(self, sent: Sent, entry: Entry, done: Entry | None) -> None:
        if entry.kind == STATEMENT and self._commits(sent.words):
            self._run_noted(sent, entry)
        elif entry.kind == STATEMENT and self._alone():
            self._in_transaction(sent, entry)
        else:
            sent.run()
            self._keep(entry, sent, done)
            self._add(entry, done)

    def _alone(self) -> bool:
        """Return whether every statement is committed by itself."""
        return self.connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"

    def _commits(self, words: str) -> bool:
        """Return whether a statement commits by itself, and what came before it."""
        if READS.match(words) or CHANGES_ROWS.match(words):
            return False
        return self._alone() or (self.commits_ddl and not TEMPORARY.match(words))

    def _passes(self, words: str) -> bool:
        """Return whether a statement is about the session or the transaction, and heed it."""
        if COMMITS.match(words):
            self._write()
            return True
        if mark := SAVEPOINT.match(words):
            self.savepoints[mark[1]] = len(self.pending)
            return True
        if back := ROLLBACK.match(words):
            self._undo(self.savepoints.get(back[1], len(self.pending)) if back[1] else 0)
            return True
        return SESSION.match(words) is not None

    def _run_noted(self, sent: Sent, entry: Entry) -> None:
        """Run a statement that commits by itself, and what came before it."""
        with self._pause():
            entry.before = schema_snapshot.look(self.connection, sent.words)
        self.pending.append(entry)
        self._write()
        try:
            with patience(self.connection, sent.words):
                sent.run()
        except self.errors:
            self.failed = self.written - 1
            if ALL_OR_NOTHING.match(sent.words):
                self._withdraw()
            raise
        if entry.before == "{}" or sent.cursor.description is not None:  # nobody could tell later
            self._keep(entry, sent)
            values = {"before": None, "answer": entry.answer, "affected": entry.affected}
            number = self.written - 1
            self._run(journal.update().where(journal.c.number == number).values(values))
            with self._pause():
                self.connection.exec_driver_sql("COMMIT")

    def _withdraw(self) -> None:
        """Take back the note of a statement of which the server says that it failed."""
        with suppress(SQLAlchemyError):  # the connection is lost: then it stays unknown
            self._forget_failed()
            with self._pause():
                self.connection.exec_driver_sql("COMMIT")

    def _forget_failed(self) -> None:
        if self.failed is not None:
            self._run(journal.delete().where(journal.c.number == self.failed))
            self.failed = None

    def _in_transaction(self, sent: Sent, entry: Entry) -> None:
        """Run a statement in a transaction of its own, with its note."""
        before = self.pending, self.written, self.failed
        sent.cursor.execute("BEGIN")
        try:
            sent.run()
            self._keep(entry, sent)
            self.pending = [*self.pending, entry]
            self._write()
            self._end("COMMIT")
        except BaseException:  # a signal too must leave no transaction open; it goes on up
            self.pending, self.written, self.failed = before
            with suppress(self.errors):  # a connection that is lost has rolled back
                self._end("ROLLBACK")
            raise

    def _end(self, word: str) -> None:
        cursor = self.connection.connection.cursor()
        cursor.execute(word)
        cursor.close()

    def _commit(self, _connection: Connection) -> None:
        if self.step is not None and not self.paused:
            self._write()

    def _rollback(self, _connection: Connection) -> None:
        self._undo(0)

    def _undo(self, mark: int) -> None:
        """Note that statements were taken back; what they answered may have decided something."""
        for entry in self.pending[mark:]:
            if entry.kind == STATEMENT:
                entry.kind = UNDONE

    def _write(self) -> None:
        step = self.step
        if (
            step is None
            or self.earlier.lost
            or all(entry.kind != STATEMENT for entry in self.pending)
        ):
            return
        self._forget_failed()
        whose = service()
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
                "kind": entry.kind,
                "answer": entry.answer,
                "version_table": whose,
            }
            for number, entry in enumerate(self.pending, self.written)
        ]
        self._run(insert(journal), rows)
        self.written += len(rows)
        self.pending, self.savepoints = [], {}

    def _keep(self, entry: Entry, sent: Sent, done: Entry | None = None) -> None:
        """Keep what a statement answered; of one that is compared, what is kept already."""
        if sent.cursor.description is not None:
            rows = answers.take(sent.cursor, sent.context)
            entry.answer = (
                answers.digest(rows) if done else answers.encode(sent.cursor, rows, self.room)
            )
            self.room -= len(entry.answer)
        if entry.kind == STATEMENT:
            entry.affected = sent.cursor.rowcount
            entry.last_id = sent.cursor.lastrowid if self.commits_ddl else None

    def _add(self, entry: Entry, done: Entry | None) -> None:
        """Note what was run; unless the journal has it, or has noted something after it."""
        if done is not None:
            if entry.answer == answers.UNKNOWN or entry.answer != done.answer:
                self.earlier.doubt(entry.statement)
        elif self.earlier.left and entry.kind != STATEMENT:
            self.earlier.doubt(entry.statement)
        else:
            self.pending.append(entry)

    def _fail(self, entry: Entry, error: BaseException) -> None:
        """Note that a statement failed: the revision may catch that, and do something else."""
        entry.kind, entry.before, entry.answer = FAILED, None, answers.encode_error(error)
        if DEADLOCK in codes_of(error):
            self._undo(0)
        self._add(entry, None)

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

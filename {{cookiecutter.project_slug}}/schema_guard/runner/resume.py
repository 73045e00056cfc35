"""What an earlier run left of a revision that was interrupted.

Promise: what the journal says of it is what there is, or nothing is run.
"""

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from schema_guard import compat
from schema_guard.core.errors import GuardError, cause
from schema_guard.core.options import RERUN, SKIP
from schema_guard.core.store import is_own, journal, make_tables, stored
from schema_guard.revisions.checksum import means_the_same
from schema_guard.runner import answers, schema_snapshot
from schema_guard.runner.journal_entry import (
    FAILED,
    READ,
    STATEMENT,
    TEMPORARY,
    Entry,
    tell,
    ways,
)
from schema_guard.runner.lock_timeout import is_lock_timeout
from schema_guard.runner.step import Step

# What Alembic's batch mode does when a copy of a table fails; one that succeeds is renamed.
GIVEN_UP = re.compile(r"DROP TABLE (\S*_alembic_tmp_\S+)")


@dataclass
class Earlier:
    """What an earlier run did, and what this one gets of it.

    Attributes:
        step: the revision.
        entries: all that the journal has.
        number: of the first row of the journal that tells of nothing.
        edited: whether the revision's file was edited since.
        skips: whether a person has said that what is recorded is to be left out, wherever it comes.
        left: what this run has not come to yet.
        unsure: a query that may answer otherwise than it did then.
        lost: why this run cannot go on, whatever the revision catches.
        given_error: the last error that was given again, and its statement.
        repeated: whether this run has changed something, which is repeatable.
    """

    step: Step = field(default_factory=lambda: Step("", ""))
    entries: list[Entry] = field(default_factory=list)
    number: int = 0
    edited: bool = False
    skips: bool = False
    unsure: str | None = None
    lost: GuardError | None = None
    given_error: tuple[BaseException, str] | None = None
    repeated: bool = False

    def __post_init__(self) -> None:
        """Begin with the first."""
        self.left = deque(self.entries)

    @property
    def kept(self) -> list[Entry]:
        """The statements that are committed."""
        return [entry for entry in self.entries if entry.kind == STATEMENT]

    def find(self, digest: str) -> Entry | None:
        """Return what a statement is in the earlier run, which had come to it next.

        A query that has not come again is passed over: what it decided has come.
        """
        for place, done in enumerate(self.left):
            if done.digest == digest:
                if self.skips:
                    del self.left[place]
                else:
                    for _ in range(place + 1):
                        self.left.popleft()
                return done
            if done.kind != READ and not self.skips:
                return None
        return None

    def give(self, done: Entry, cursor: Any, context: Any) -> bool:
        """Answer a statement as it was answered then; return whether that can be done.

        Raises:
            Exception: the driver's, if the statement failed then.
            GuardError: it cannot be done, and would be needed.
        """
        dialect, answer = context.dialect, done.answer
        if done.kind == FAILED and self.skips:  # nothing of it was kept
            return False
        if done.kind == FAILED:
            error = answers.decode_error(answer or b"", dialect.loaded_dbapi.Error)
            if error is None:
                raise self.lose(f"it needs the error of `{done.statement}`")
            self.given_error = error, done.statement
            raise error
        known = answer is None or answer.startswith(answers.GIVEN)
        if done.kind == READ and not known:
            return False
        returning = getattr(context.compiled, "effective_returning", ()) and answer is None
        if returning or not known or TEMPORARY.match(done.statement):
            raise self.lose(f"it needs what `{done.statement}` gave")
        compat.set_rowcount(context, done.affected)
        if done.last_id is not None:
            cursor.lastrowid = done.last_id
        if answer is not None:
            answers.give(context, *answers.decode(answer))
        return True

    def admit(self, statement: str) -> None:
        """Let a statement run that the earlier run did not come to.

        Raises:
            GuardError: the earlier run came to something else; or it is not known whether it would
                have come to this.
        """
        if self.left and not self.skips:
            raise self.lose(f"it now comes to `{statement}` there")
        self._decide()

    def repeat(self, *, changes: bool) -> None:
        """Let a statement run that may be repeated.

        Raises:
            GuardError: it is not known whether the earlier run would have come to it.
        """
        if not self.left:
            self._decide()
        self.repeated |= changes and self.number > 0

    def end(self) -> None:
        """Let a revision be complete.

        Raises:
            GuardError: it is not, or that is not known.
        """
        if self.lost is not None:  # and the revision has caught it
            raise self.lost
        if self.left and not self.skips:
            raise self.lose(f"it does not come to `{self.left[0].statement}`")
        self._decide()

    def ends_as_before(self, error: BaseException) -> GuardError | None:
        """Return why a revision cannot go on that ends with an error which it was given again."""
        given, statement = self.given_error or (None, "")
        if given is None or getattr(error, "orig", error) is not given:
            return None
        return self.lose(f"it ends with the error that `{statement}` gave then")

    def fails_now(self, error: BaseException) -> GuardError | None:
        """Return why a revision cannot go on that fails before it comes to where it was.

        As where a query that is not kept, or a backfill, needs a table that was being rebuilt. A
        lock that is not free and a lost connection are of the moment: it can be run again.
        """
        of_the_moment = is_lock_timeout(error) or getattr(error, "connection_invalidated", False)
        if not self.left or self.skips or of_the_moment or isinstance(error, GuardError):
            return None
        what = f"it fails before it comes to `{self.left[0].statement}`, with: {cause(error)}"
        return self.lose(what)

    def doubt(self, statement: str) -> None:
        """Remember a query that was not answered as it was then."""
        if self.left and not self.skips:
            self.unsure = self.unsure or statement

    def _decide(self) -> None:
        if self.unsure is not None:
            raise self.lose(f"`{self.unsure}` may answer otherwise than it did then")

    def lose(self, what: str) -> GuardError:
        """Return why it cannot go on; nothing is run any more."""
        edited = " It was edited since." if self.edited else ""
        self.lost = GuardError(
            f"The {self.step.direction} of revision {self.step.revision} was interrupted, and"
            f" cannot continue: {what}.{edited} {tell(self.kept)}\n"
            f"{ways(self.step, repeated=self.repeated)}"
        )
        return self.lost


def way(given: Iterable[str]) -> str:
    """Return how a person has an interrupted revision go on; empty if nothing was said.

    Raises:
        GuardError: there is no such way.
    """
    ways = sorted(set(given))
    if not ways:
        return ""
    if len(ways) > 1 or ways[0] not in {RERUN, SKIP}:
        raise GuardError(
            f"resume={','.join(ways)} is not a way to go on with a revision. Nothing was"
            f" run. Say resume={RERUN} or resume={SKIP}."
        )
    return ways[0]


def refuse_anothers(connection: Connection) -> None:
    """Refuse to run anything while a revision of another service in this database is interrupted.

    Raises:
        GuardError: one is; the journal is its.
    """
    kept = stored(connection, journal)
    row = None if kept is None else connection.execute(select(kept).where(~is_own(kept))).first()
    connection.rollback()
    if row is not None:
        raise GuardError(
            f"Another service in this database, whose revisions are in {row.version_table}, was"
            f" interrupted in revision {row.revision}. Nothing was run. Run its {row.direction}"
            " again first."
        )


def read(connection: Connection, step: Step, resume: str = "") -> Earlier:
    """Return what there is of a revision.

    Args:
        connection: to the database.
        step: the revision.
        resume: RERUN or SKIP, if a person has said so.

    Raises:
        GuardError: another revision was interrupted, or it cannot be known what has run.
    """
    kept = stored(connection, journal)  # the check before an upgrade comes before its upgrade
    query = None if kept is None else select(kept).order_by(kept.c.number)
    rows = [] if query is None else connection.execute(query).all()
    if not rows:
        return Earlier()
    entries = [
        Entry(r.statement, r.digest, r.before, r.affected, r.last_id, r.kind or STATEMENT, r.answer)
        for r in rows
    ]
    half = Step(rows[0].revision, rows[0].direction, rows[0].source)
    is_this = (half.revision, half.direction) == (step.revision, step.direction)
    if is_this and resume == RERUN:
        return Earlier()
    last = entries[-1]
    if last.before is not None:
        has_run = schema_snapshot.has_run(connection, last.statement, last.before)
        if has_run is None and resume != SKIP:
            raise GuardError(
                f"The {half.direction} of revision {half.revision} was interrupted, and"
                f" it cannot be known whether its last statement has run:\n"
                f"            {last.statement}\n{tell(entries[:-1])}\n{ways(half)}"
            )
        if has_run is False:
            entries.pop()
    while entries and entries[-1].kind != STATEMENT:  # nothing that was kept came of it
        entries.pop()
    entries = _without_given_up(entries)
    if not entries:  # the statement that it came to failed, and nothing was before it
        return Earlier()
    if is_this:
        number = rows[len(entries) - 1].number + 1
        # Version 1 of the journal kept no file.
        edited = half.source is None or not means_the_same(half.source, step.source)
        return Earlier(step, entries, number, edited, skips=resume == SKIP)
    raise GuardError(
        f"The {half.direction} of revision {half.revision} was interrupted."
        f" {tell(entries)}\nRun `flask db {half.direction}` to complete it; or"
        " undo by hand what was committed, then `flask db stamp --purge`, with the revision"
        " that the database is then at."
    )


def _without_given_up(entries: list[Entry]) -> list[Entry]:
    """Leave out, at the end, a copy of a table that Alembic has dropped because it failed.

    It has to be made anew: the error would be given again, for ever.
    """
    dropped = GIVEN_UP.fullmatch(entries[-1].statement) if entries else None
    begins = f"CREATE TABLE {dropped[1]} " if dropped else ""
    for number in range(len(entries) - 1, -1, -1):
        if begins and entries[number].statement.startswith(begins):
            return entries[:number]
    return entries


def refuse_half_done(connection: Connection) -> None:
    """Refuse a database of which a revision is half done, though a command has none to run.

    Raises:
        GuardError: one is; the way on is said.
    """
    if stored(connection, journal) is None:
        return
    read(connection, Step("", ""))
    make_tables(connection)  # another version may have made them
    take_back(connection, 0)  # of what there is, nothing was kept


def noted(connection: Connection) -> str:
    """Return the statements of the journal, as people see them."""
    kept = stored(connection, journal)
    return "" if kept is None else "\n".join(connection.scalars(select(kept.c.statement)))


def take_back(connection: Connection, number: int) -> None:
    """Forget the statements from a number on, with the invalid index that one has left."""
    undone = journal.c.number >= number
    for statement in connection.scalars(select(journal.c.statement).where(undone)):
        index = schema_snapshot.half_made(connection, statement)
        if index and statement.upper().startswith("CREATE"):
            connection.exec_driver_sql(f'DROP INDEX "{index}"')
    connection.execute(journal.delete().where(undone))
    connection.commit()

"""What is said, and recorded, of migrations that ended early: where, why, what there is now.

Promise: what was committed is looked up, not assumed; after a lost connection on another one.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from schema_guard.core.errors import GuardError, cause, shorten
from schema_guard.dialects.adapter import adapter
from schema_guard.revisions.script_directory import current_heads
from schema_guard.runner.error_hints import remedy
from schema_guard.runner.interrupts import AGAIN, Interrupted, is_interrupted, signal_name
from schema_guard.runner.journal_entry import Entry, tell
from schema_guard.runner.reconnect import StillUnknownError, regain
from schema_guard.runner.resume import read
from schema_guard.runner.schema_snapshot import half_made

if TYPE_CHECKING:
    from schema_guard.runner.runner import GuardedRun

# Seconds to connect again: where a server may be replaced by another one, and where only a person
# or a container's platform waits for the process to end.
REPLACED, INTERRUPTED = 30, 5
UNKNOWN = (
    "It is not known what was committed: the database does not answer. When it does, run `flask db"
    " current` and `flask db log`."
)


@dataclass
class Found:
    """What there is after a run ended.

    Attributes:
        at: the revisions that the database is at.
        committed: the revisions that this run has committed, each with its direction.
        undone: those that it has completed, and that were rolled back with the last one.
        complete: whether the one that it was in is committed.
        kept: the statements that are committed of the one that it was in.
        changed: whether the schema has changed though none is.
    """

    at: str
    committed: list[tuple[str, str]] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)
    complete: bool = False
    kept: list[Entry] = field(default_factory=list)
    changed: bool = False

    def __str__(self) -> str:
        """Say it in sentences, of which the last one may end in a list."""
        lines = [f"The database is at {self.at}."]
        if self.undone:
            lines.append(f"Rolled back with it, in the same transaction: {', '.join(self.undone)}.")
        if self.changed:
            lines.append(
                "The schema has changed though: the application's connections commit every"
                " statement. `flask db check` shows what differs."
            )
        elif not self.complete:
            lines.append(tell(self.kept))
        return " ".join(lines)


def ended(run: "GuardedRun", error: BaseException) -> BaseException:
    """Record how a run ended, and return the error that says so.

    Args:
        run: the migrations.
        error: what ended them.
    """
    if is_interrupted(error):
        return _interrupted(run, error)
    if isinstance(error, CommandError):  # Alembic's; it has run nothing
        run.record_end("failed", str(error))
        return error
    first = run.errors.of(error)
    if isinstance(first, GuardError):
        return _refused(run, first)
    return _failed(run, first, _where(run, error))


def _failed(run: "GuardedRun", error: BaseException, where: str) -> GuardError:
    """Record that a run failed, and say why, and what there is."""
    lines = [f"{where} failed: {cause(error)}."]
    statement = str(getattr(error, "statement", None) or "")
    if isinstance(error, DBAPIError) and statement:
        lines.append(f"Statement:  {shorten(statement)}")
    try:
        found = look(run, REPLACED)
    except StillUnknownError:
        return GuardError("\n".join([*lines, UNKNOWN]))
    except GuardError as unsure:
        run.record_end("failed", "\n".join(lines))
        return GuardError("\n".join([*lines, unsure.message]))
    what = remedy(error, run.connection.engine.url.username)
    if found.complete:
        lines[0] = f"The connection was lost at the end of the last revision: {cause(error)}."
        lines.append(f"The revision is committed. {found}")
        return GuardError("\n".join([*lines, f"{what}, then run the command again."]))
    run.record_end("failed", "\n".join(lines))
    lines.append(str(found))
    for name in adapter(run.connection.dialect).invalid_indexes(run.connection):
        own = name == half_made(run.connection, statement)
        todo = "the next run drops it" if own else "drop it"
        lines.append(f"            The index {name} is invalid: {todo}.")
    run.connection.rollback()
    goes_on = ": it continues after what was committed" if found.kept else ""
    lines.append(f"{what}, then run the command again{goes_on}.")
    return GuardError("\n".join(lines))


def _refused(run: "GuardedRun", error: GuardError) -> GuardError:
    """Record that a guard stopped a run, which has said why; say what there is."""
    try:
        found = look(run, REPLACED)
    except StillUnknownError:
        return _with(error, UNKNOWN)
    except GuardError:  # it is this one
        found = None
    run.record_end("failed", error.message)
    said = found is None or any(part.statement in error.message for part in found.kept)
    return error if said or not run.prepared else _with(error, str(found))


def _with(error: GuardError, more: str) -> GuardError:
    """Return an error, of its kind, with another line."""
    vars(error)["message"] = f"{error.message}\n{more}"
    return error


def _interrupted(run: "GuardedRun", error: BaseException) -> Interrupted:
    """Record that somebody has interrupted a run, and say how far it came."""
    note = f"{_where(run, error)} was interrupted by {signal_name()}."
    try:
        found = look(run, INTERRUPTED)
    except StillUnknownError:
        return Interrupted(UNKNOWN)
    except GuardError as unsure:
        run.record_end("interrupted", note)
        return Interrupted(unsure.message)
    if not found.complete:
        run.record_end("interrupted", note)
    running = f"{_where(run, error)} was running. " if run.prepared and not found.complete else ""
    return Interrupted(f"Committed so far: {_names(found.committed)}. {running}{found}\n{AGAIN}")


def _names(steps: list[tuple[str, str]]) -> str:
    named = [name if way == "upgrade" else f"{way} of {name}" for name, way in steps]
    return ", ".join(named) or "nothing"


def look(run: "GuardedRun", seconds: float) -> Found:
    """Return what there is, with no transaction at hand.

    Raises:
        StillUnknownError: the database has not answered for so many seconds.
        GuardError: it cannot be known of the last statement whether it has run.
    """
    run.journal.stop()
    regain(run.connection, run.session, seconds)
    found = Found(", ".join(current_heads(run.connection)) or "base")
    if run.prepared and run.current:
        step = run.current.step
        found.committed = run.record.committed()
        found.complete = (step.revision, step.direction) in found.committed
        rolled_back = (
            name for name, *_ in (done for done in run.completed if done not in found.committed)
        )
        found.undone = [name for name in rolled_back if name != step.revision]
        if not found.complete:
            found.kept = read(run.connection, step).kept
            found.changed = (
                not found.kept
                and adapter(run.connection.dialect).schema_version(run.connection) != run.schema
            )
    run.connection.rollback()
    return found


def _where(run: "GuardedRun", error: BaseException) -> str:
    running = f"Revision {run.current.step.revision}" if run.current else "The migration"
    return place(error) or running


def place(error: BaseException) -> str:
    """Return the revision that raised an error, with its file and line; empty if none did."""
    found = ""
    traceback = error.__traceback__
    while traceback is not None:
        names = traceback.tb_frame.f_globals
        if "revision" in names and "down_revision" in names:
            path = Path(traceback.tb_frame.f_code.co_filename)
            found = f"Revision {names['revision']} ({path.name}, line {traceback.tb_lineno})"
        traceback = traceback.tb_next
    return found

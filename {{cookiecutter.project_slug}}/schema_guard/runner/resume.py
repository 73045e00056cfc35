"""What an earlier run left of a revision that is half-way.

Promise: what the journal says of it is what there is, or nothing is run.
"""

from sqlalchemy import Connection, select

from schema_guard.core.errors import GuardError
from schema_guard.core.store import journal
from schema_guard.revisions.checksum import means_the_same
from schema_guard.runner import schema_snapshot
from schema_guard.runner.journal_entry import Entry, Step, by_hand, tell


def read(connection: Connection, step: Step) -> tuple[list[Entry], bool]:
    """Return what there is of a revision, and whether its file was edited since.

    Raises:
        GuardError: another revision is half-way, or it cannot be known.
    """
    rows = connection.execute(select(journal).order_by(journal.c.number)).all()
    if not rows:
        return [], False
    entries = [Entry(r.statement, r.digest, r.before, r.affected, r.last_id) for r in rows]
    half = Step(rows[0].revision, rows[0].direction, rows[0].source)
    last = entries[-1]
    if last.before is not None:
        has_run = schema_snapshot.has_run(connection, last.statement, last.before)
        if has_run is None:
            raise GuardError(
                f"The {half.direction} of revision {half.revision} was stopped half-way, and"
                f" it cannot be known whether its last statement has run:\n"
                f"            {last.statement}\n{tell(entries[:-1])}\n{by_hand(half)}"
            )
        if not has_run:
            entries.pop()
    if (half.revision, half.direction) == (step.revision, step.direction):
        # Version 1 of the journal kept no file.
        return entries, half.source is None or not means_the_same(half.source, step.source)
    if not entries:  # the statement that it came to failed, and nothing was before it
        return [], False
    raise GuardError(
        f"The {half.direction} of revision {half.revision} was stopped half-way."
        f" {tell(entries)}\nRun `flask db {half.direction}` to complete it; or"
        " undo by hand what was kept, then `flask db stamp --purge`, with the revision"
        " that the database is then at."
    )


def take_back(connection: Connection, kept: int) -> None:
    """Forget the statement after those that were kept, with the invalid index that it left."""
    undone = journal.c.number >= kept
    for statement in connection.scalars(select(journal.c.statement).where(undone)):
        index = schema_snapshot.half_made(connection, statement)
        if index and statement.upper().startswith("CREATE"):
            connection.exec_driver_sql(f'DROP INDEX "{index}"')
    connection.execute(journal.delete().where(undone))
    connection.commit()

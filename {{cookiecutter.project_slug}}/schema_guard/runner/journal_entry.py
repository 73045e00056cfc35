"""What the statements of a revision are to its journal."""

import hashlib
import re
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from schema_guard.runner.step import Step

# What stands before the first word: comments, and brackets around a SELECT.
LEADING = re.compile(r"(?:\s|\(|--[^\n]*(?:\n|$)|/\*(?!M?!).*?\*/)+", re.DOTALL)
# What only asks.
READS = re.compile(
    r"(DESC|DESCRIBE|EXPLAIN|SELECT|SHOW|TABLE|VALUES|WITH(?!.*\b(INSERT|UPDATE|DELETE|MERGE)\b)"
    r"|PRAGMA\s+(\S+\.)?(foreign_key_(check|list)|index_|table_))",
    re.IGNORECASE | re.DOTALL,
)
# What sets something for its session or asks for it: it is run every time.
SESSION = re.compile(
    r"(PRAGMA(?!\s+(\S+\.)?(foreign_key_(check|list)|index_|table_))|RELEASE|SET|USE)\b"
    r"|SELECT\b.*\b(connection_id|get_lock|is_used_lock|pg_advisory\w+"
    r"|pg_backend_pid|pg_try_advisory\w+|release_all_locks|release_lock|set_config)\s*\(",
    re.IGNORECASE | re.DOTALL,
)
# What takes an answer along within the session of MySQL and MariaDB, where no rows show it.
VARIABLE = re.compile(
    r"SET\s.*(?<!@)@\w+\s*:?=.*\(|SELECT\b.*(@\w+\s*:=|\bINTO\s+@)", re.IGNORECASE | re.DOTALL
)
SAVEPOINT = re.compile(r"SAVEPOINT\s+(\S+)", re.IGNORECASE)
ROLLBACK = re.compile(
    r"ROLLBACK\b(?:\s+(?:WORK|TRANSACTION))?(?:\s+TO\s+(?:SAVEPOINT\s+)?(\S+))?", re.IGNORECASE
)
# What ends a transaction in words.
COMMITS = re.compile(r"(BEGIN|COMMIT|END|LOCK|START|UNLOCK)\b", re.IGNORECASE)
CHANGES_ROWS = re.compile(r"(INSERT|UPDATE|DELETE|MERGE|REPLACE|WITH)\b", re.IGNORECASE)
# What shows in no schema, but leaves nothing where it fails.
ALL_OR_NOTHING = re.compile(r"TRUNCATE\b", re.IGNORECASE)
TEMPORARY = re.compile(r"CREATE\s+(OR\s+REPLACE\s+)?(TEMP|TEMPORARY)\b", re.IGNORECASE)
# Values that are new with every run of a revision.
NEW_EACH_TIME = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
NOTHING = "Nothing of this revision was committed."
# What a row of the journal tells of: a statement that was kept, a query, a statement that failed,
# and one that a savepoint took back. All of them have answered the revision.
STATEMENT, READ, FAILED, UNDONE = "statement", "read", "failed", "undone"


@dataclass(slots=True)
class Entry:
    """A statement, and what it answered.

    Attributes:
        before: how the schema looked, where it decides whether the statement has run.
        affected: the number of rows; -1 if the driver does not tell.
        last_id: of an INSERT, MySQL and MariaDB.
        kind: what it tells of.
        answer: rows or an error, as answers.py writes them; None if there were none.
    """

    statement: str
    digest: str
    before: str | None = None
    affected: int = -1
    last_id: int | None = None
    kind: str = STATEMENT
    answer: bytes | None = None


def words_of(statement: str) -> str:
    """Return a statement from its first word on."""
    found = LEADING.match(statement)
    return statement[found.end() :] if found else statement


def digest(statement: str, parameters: Any) -> str:
    """Return what tells a statement from others: its words and values."""
    return hashlib.sha256(f"{statement}\n{_lasting(parameters)!r}".encode()).hexdigest()


def _lasting(value: Any) -> Any:
    """Return values without those that are new with every run, such as the time."""
    if isinstance(value, dict):
        return {name: _lasting(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_lasting(part) for part in value]
    if isinstance(value, datetime | date | time):
        return type(value).__name__
    if isinstance(value, str) or hasattr(value, "hex"):
        return NEW_EACH_TIME.sub("UUID", str(value))
    return value


def tell(entries: list[Entry]) -> str:
    """Return what there is of a revision, for people."""
    lines = [f"            {entry.statement}" for entry in entries if entry.kind == STATEMENT]
    return "\n".join(["Committed so far of this revision:", *lines]) if lines else NOTHING


def ways(step: Step, *, repeated: bool = False) -> str:
    """Return what a person can do where the journal does not help.

    Args:
        step: the revision.
        repeated: whether something was run now, which is repeatable.
    """
    here, before = step.revision, f"the revision before {step.revision}"
    undone, completed = (before, here) if step.direction == "upgrade" else (here, before)
    command = f"flask db {step.direction}"
    run = "Only what is repeatable" if repeated else "Nothing"
    return (
        f"{run} was run now. Choose one:\n"
        f"    {command} --resume=rerun  runs all of it again, if it may run twice\n"
        f"    {command} --resume=skip   leaves out what was committed, and runs the rest\n"
        f"    by hand: undo what was committed, and `flask db stamp --purge` with {undone};"
        f" or complete it, and stamp {completed}. Then run the command again."
    )

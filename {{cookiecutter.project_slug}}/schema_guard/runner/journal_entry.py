"""What the statements of a revision are to its journal."""

import hashlib
import re
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

# What reads, or sets something for its session, and so is run every time.
PASSED = re.compile(
    r"\s*(DESCRIBE|EXPLAIN|PRAGMA|ROLLBACK|SAVEPOINT|RELEASE|SELECT|SET|SHOW|USE"
    r"|WITH(?!.*\b(INSERT|UPDATE|DELETE|MERGE)\b))\b",
    re.IGNORECASE | re.DOTALL,
)
# What ends a transaction in words.
COMMITS = re.compile(r"\s*(BEGIN|COMMIT|END|LOCK|START|UNLOCK)\b", re.IGNORECASE)
CHANGES_ROWS = re.compile(r"\s*(INSERT|UPDATE|DELETE|MERGE|REPLACE|WITH)\b", re.IGNORECASE)
# What shows in no schema, but leaves nothing where it fails.
ALL_OR_NOTHING = re.compile(r"\s*TRUNCATE\b", re.IGNORECASE)
TEMPORARY = re.compile(r"\s*CREATE\s+(OR\s+REPLACE\s+)?(TEMP|TEMPORARY)\b", re.IGNORECASE)
# Values that are new with every run of a revision.
NEW_EACH_TIME = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
NOTHING = "Nothing of this revision was kept."


@dataclass(frozen=True)
class Step:
    """A revision that is run up or down.

    Attributes:
        source: its file; empty where there is none, as for a stamp.
    """

    revision: str
    direction: str
    source: bytes = b""


@dataclass(slots=True)
class Entry:
    """A statement, and what it answered.

    Attributes:
        before: how the schema looked, where it decides whether the statement has run.
        affected: the number of rows; -1 if the driver does not tell.
        last_id: of an INSERT, MySQL and MariaDB.
    """

    statement: str
    digest: str
    before: str | None = None
    affected: int = -1
    last_id: int | None = None


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
    lines = [f"            {entry.statement}" for entry in entries]
    return "\n".join(["Of this revision these were kept:", *lines]) if lines else NOTHING


def by_hand(step: Step) -> str:
    """Return what a person can do where the journal does not help."""
    here, before = step.revision, f"the revision before {step.revision}"
    undone, completed = (before, here) if step.direction == "upgrade" else (here, before)
    return (
        "Nothing was run now. Either undo by hand what was kept, and `flask db stamp --purge` with"
        f" {undone}; or complete it by hand, and stamp {completed}. Then run the command again."
    )

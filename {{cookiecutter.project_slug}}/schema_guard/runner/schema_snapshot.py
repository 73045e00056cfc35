"""How the schema looks, to tell whether a statement has run.

Where a process died between a statement that cannot be undone and its record, only the schema
knows: it looks as before, or it does not. MySQL and MariaDB are asked for the definitions of what
the statement names, PostgreSQL and SQLite for all of them.
"""

import hashlib
import json
import re

from sqlalchemy import Connection

from schema_guard.dialects.adapter import adapter

# What shows in the schema. Anything else (CALL, DO, TRUNCATE) leaves no trace that can be told
# from another one's.
VISIBLE = re.compile(r"\s*(ALTER|COMMENT|CREATE|DROP|RENAME)\b", re.IGNORECASE)
# What may be run twice.
REPEATABLE = re.compile(
    r"\s*(ANALYZE|CHECK|FLUSH|GRANT|OPTIMIZE|REFRESH|REINDEX|REPAIR|REVOKE|VACUUM)\b", re.IGNORECASE
)
INDEX = re.compile(
    r"\s*(CREATE|DROP)\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\s+(?:IF\s+(?:NOT\s+)?EXISTS\s+)?"
    r'(?P<quote>"?)(?P<name>[^\s"]+)(?P=quote)',
    re.IGNORECASE,
)


def look(connection: Connection, statement: str) -> str:
    """Return how what a statement changes looks now, as JSON; empty if that does not show."""
    if not VISIBLE.match(statement):
        return json.dumps({"": None} if REPEATABLE.match(statement) else {})
    return json.dumps(_look(connection, adapter(connection.dialect).parts(statement)))


def has_run(connection: Connection, statement: str, before: str) -> bool | None:
    """Return whether a statement has run since the schema looked so; None if it cannot be told."""
    looked = json.loads(before)
    if half_made(connection, statement):
        return False
    looks = _look(connection, list(looked))
    changed = {looked[name] != looks[name] for name in looked}
    return changed.pop() if len(changed) == 1 else None


def half_made(connection: Connection, statement: str) -> str | None:
    """Return the invalid index that a CREATE or DROP INDEX CONCURRENTLY has left on PostgreSQL."""
    index = INDEX.match(statement)
    if index is None:
        return None
    name: str = index["name"] if index["quote"] else index["name"].lower()
    return name if name in adapter(connection.dialect).invalid_indexes(connection) else None


def _look(connection: Connection, names: list[str]) -> dict[str, str | None]:
    dbms = adapter(connection.dialect)
    return {name: _digest(dbms.definition(connection, name)) if name else None for name in names}


def _digest(definition: str | None) -> str | None:
    return definition and hashlib.sha256(definition.encode()).hexdigest()

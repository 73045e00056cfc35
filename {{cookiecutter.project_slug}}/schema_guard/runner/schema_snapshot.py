"""How the schema looks, to tell whether a statement has run.

Where a process died between a statement that cannot be undone and its record, only the schema
knows: it looks as before, or it does not. MySQL and MariaDB are asked for the definitions of what
the statement names, PostgreSQL and SQLite for all of them.
"""

import hashlib
import json
import re

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from schema_guard.core.errors import codes_of
from schema_guard.dialects.base import backend

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
TOKEN = re.compile(r"(?:`(?:[^`]|``)*`|[\w$]+)(?:\.(?:`(?:[^`]|``)*`|[\w$]+))?|[^\s\w]")
KINDS = {"TABLE", "VIEW", "TRIGGER", "PROCEDURE", "FUNCTION", "EVENT"}
# MySQL's numbers for a table, routine, trigger and event that do not exist.
MISSING = {1146, 1305, 1360, 1539}
COUNTER = re.compile(r" AUTO_INCREMENT=\d+")

SCHEMA = {
    "postgresql": """
        WITH spaces AS (
            SELECT oid FROM pg_namespace
            WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
        ), relations AS (
            SELECT oid, relkind FROM pg_class WHERE relnamespace IN (SELECT oid FROM spaces)
        )
        SELECT concat_ws(' ', oid::regclass, relkind) FROM relations
        UNION ALL
        SELECT concat_ws(' ', attrelid::regclass, attnum, attname,
                         format_type(atttypid, atttypmod), attnotnull,
                         pg_get_expr(adbin, adrelid), col_description(attrelid, attnum))
        FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE attrelid IN (SELECT oid FROM relations) AND attnum > 0 AND NOT attisdropped
        UNION ALL
        SELECT concat_ws(' ', pg_get_indexdef(indexrelid), indisvalid) FROM pg_index
        WHERE indexrelid IN (SELECT oid FROM relations)
        UNION ALL
        SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid), convalidated)
        FROM pg_constraint WHERE connamespace IN (SELECT oid FROM spaces)
        UNION ALL
        SELECT concat_ws(' ', enumtypid::regtype, enumsortorder, enumlabel) FROM pg_enum
        UNION ALL
        SELECT concat_ws(' ', pg_get_triggerdef(oid), tgenabled)
        FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL
        SELECT concat_ws(' ', oid::regprocedure, md5(prosrc)) FROM pg_proc
        WHERE pronamespace IN (SELECT oid FROM spaces)
        UNION ALL
        SELECT concat_ws(' ', oid::regclass, pg_get_viewdef(oid))
        FROM relations WHERE relkind IN ('v', 'm')
    """,
    "sqlite": "SELECT type || name || coalesce(sql, '') FROM sqlite_master",
}


def look(connection: Connection, statement: str) -> str:
    """Return how what a statement changes looks now, as JSON; empty if that does not show."""
    if not VISIBLE.match(statement):
        return json.dumps({"": None} if REPEATABLE.match(statement) else {})
    mysql = backend(connection.dialect) == "mysql"
    return json.dumps(_look(connection, named(statement) if mysql else ["schema"]))


def has_run(connection: Connection, statement: str, before: str) -> bool | None:
    """Return whether a statement has run since the schema looked so; None if it cannot be told."""
    looked = json.loads(before)
    if half_made(connection, statement):
        return False
    looks = _look(connection, list(looked))
    changed = {looked[name] != looks[name] for name in looked}
    return changed.pop() if len(changed) == 1 else None


def schema_version(connection: Connection) -> int | None:
    """Return a number of SQLite's that every change of the schema raises; None of a server."""
    if connection.dialect.name != "sqlite":
        return None
    cursor = connection.connection.cursor()  # past SQLAlchemy, which would begin a transaction
    (version,) = cursor.execute("PRAGMA schema_version").fetchone()
    cursor.close()
    return int(version)


def half_made(connection: Connection, statement: str) -> str | None:
    """Return the invalid index that a CREATE or DROP INDEX CONCURRENTLY has left on PostgreSQL."""
    index = INDEX.match(statement)
    if index is None:
        return None
    name: str = index["name"] if index["quote"] else index["name"].lower()
    return name if name in invalid_indexes(connection) else None


def _look(connection: Connection, names: list[str]) -> dict[str, str | None]:
    if names == ["schema"]:
        lines = connection.scalars(text(SCHEMA[connection.dialect.name]))
        return {"schema": _digest("\n".join(sorted(lines)))}
    return {name: _definition(connection, name) if name else None for name in names}


def invalid_indexes(connection: Connection) -> list[str]:
    """Return the indexes that a CREATE INDEX CONCURRENTLY which failed has left."""
    if connection.dialect.name != "postgresql":
        return []
    query = "SELECT relname FROM pg_index JOIN pg_class ON oid = indexrelid WHERE NOT indisvalid"
    return list(connection.scalars(text(query)))


def named(statement: str) -> list[str]:
    """Return what a statement of MySQL or MariaDB changes, as in `TABLE users`; once each.

    Nothing if it names something twice, as a RENAME that swaps two tables: that may look as before.
    """
    tokens = TOKEN.findall(statement)
    words = [token.upper() for token in tokens]
    if "INDEX" in words[1:5] and "ON" in words and words[0] != "ALTER":
        return [f"TABLE {tokens[words.index('ON') + 1]}"]
    at = next((i for i, word in enumerate(words) if word in KINDS), None)
    if at is None:
        return []
    kind = "TABLE" if words[at] == "VIEW" else words[at]
    while words[at + 1 : at + 2] and words[at + 1] in {"IF", "NOT", "EXISTS"}:
        at += 1
    names = tokens[at + 1 : at + 2]
    if words[0] in {"DROP", "RENAME"}:
        for separator, name in zip(tokens[at + 2 :: 2], tokens[at + 3 :: 2], strict=False):
            if separator.upper() not in {",", "TO"}:
                break
            names.append(name)
    return [f"{kind} {name}" for name in names] if len(set(names)) == len(names) else []


def _definition(connection: Connection, name: str) -> str | None:
    try:
        row = connection.exec_driver_sql(f"SHOW CREATE {name}").one()
    except DBAPIError as error:
        if codes_of(error) & MISSING:
            return None
        raise
    return _digest(COUNTER.sub("", "\n".join(str(value) for value in row)))


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()

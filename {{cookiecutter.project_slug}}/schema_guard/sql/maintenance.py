"""Statements about what is kept with tables: checks, triggers, policies, partitions, storage."""

import re
from collections.abc import Callable, Iterator

from schema_guard.sql.raw import Operations, Raw, raw, raw_action
from schema_guard.sql.tokens import NAME, WHOLE, bare, parts

# A setting and the values that have the server check less, or replicas miss something.
OFF = r"'?(?:0|off|false|no)'?"
ON = r"'?(?:1|on|true|yes)'?"
SETTINGS = {
    "check_constraint_checks": OFF,
    "foreign_key_checks": OFF,
    "session_replication_role": r"'?replica'?",
    "sql_log_bin": OFF,
    "sql_mode": r"(?!.*(?:STRICT_|TRADITIONAL|DEFAULT|@))'.*'",
    "unique_checks": OFF,
}
PRAGMAS = {
    "foreign_keys": OFF,
    "ignore_check_constraints": ON,
    "journal_mode": r"'?(?:off|memory)'?",
    "synchronous": OFF,
    "writable_schema": ON,
}
ASSIGNMENT = re.compile(
    r"(?:SESSION\s+|LOCAL\s+|GLOBAL\s+|PERSIST\s+)?(?:@@(?:\w+\.)?)?(?P<name>\w+)\s*(?::?=|\bTO\b)\s*"
    r"(?P<value>.*)",
    re.IGNORECASE | re.DOTALL,
)


def _set(found: re.Match[str], sql: str) -> Operations:
    """Return whether checks are switched off by one of the assignments of a SET."""
    for each in parts(found["assignments"], ","):
        given = ASSIGNMENT.match(each)
        wanted = SETTINGS.get(given["name"].lower()) if given else None
        if given and wanted and re.fullmatch(wanted, given["value"].strip(), re.IGNORECASE):
            yield Raw("checks-off", sql, name=given["name"])
            return
    yield Raw("harmless", sql)


def _pragma(found: re.Match[str], sql: str) -> Operations:
    wanted = PRAGMAS.get(found["name"].lower())
    off = wanted and re.fullmatch(wanted, (found["value"] or "").strip(), re.IGNORECASE)
    yield Raw("checks-off" if off else "harmless", sql, name=found["name"])


def _each(kind: str) -> Callable[[re.Match[str], str], Operations]:
    """Return what makes a statement of a kind for each table that it names."""

    def make(found: re.Match[str], sql: str) -> Operations:
        for each in parts(found["tables"], ","):
            yield Raw(kind, sql, each)

    return make


def _of_table(kind: str) -> Callable[[re.Match[str], str, str | None], Operations]:
    def make(found: re.Match[str], table: str, schema: str | None) -> Iterator[Raw]:
        facts = {name: bare(value) for name, value in found.groupdict().items() if value}
        yield from raw_action(kind, found[0], table, schema, **facts)

    return make


def _vacuum(found: re.Match[str], sql: str) -> Operations:
    full = re.search(r"\bFULL\b", found["options"] or "", re.IGNORECASE)
    yield Raw("vacuum", sql, found["table"], full=bool(full))


def _reindex(found: re.Match[str], sql: str) -> Operations:
    words = f"{found['options'] or ''} {found['concurrently'] or ''}"
    concurrently = bool(re.search(r"\bCONCURRENTLY\b", words, re.IGNORECASE))
    yield Raw(
        "reindex", sql, what=found["what"].upper(), name=found["name"], concurrently=concurrently
    )


def _nothing(_found: re.Match[str], _table: str, _schema: str | None) -> Operations:
    yield from ()


T, N = NAME.format("table"), NAME.format("name")
LIST = rf"{WHOLE}(?:\s*,\s*{WHOLE})*"
STATEMENTS = (
    (r"SET (?!TRANSACTION\b|CONSTRAINTS\b)(?P<assignments>.*)", _set),
    (
        r"SELECT\b.*\bset_config\s*\(\s*(?P<name>'session_replication_role')\s*,\s*'replica'.*",
        raw("checks-off"),
    ),
    (r"PRAGMA (?:\w+\.)?(?P<name>\w+)\s*(?:[=(]\s*(?P<value>[^)]*)\)?)?\s*$", _pragma),
    (
        (
            r"REINDEX\s*(?P<options>\([^)]*\))?\s*(?P<what>INDEX|TABLE|SCHEMA|DATABASE|SYSTEM) "
            rf"(?P<concurrently>CONCURRENTLY )?{N}\s*$"
        ),
        _reindex,
    ),
    (
        (
            rf"VACUUM\b\s*(?P<options>\([^)]*\)|(?:(?:FULL|FREEZE|VERBOSE|ANALYZE)\b\s*)*)\s*{T}?\s*"
            r"(?:\([^)]*\))?$"
        ),
        _vacuum,
    ),
    (rf"CLUSTER\b\s*(?:\([^)]*\)\s*|VERBOSE\s*)?{T}?(?: USING {N})?\s*$", raw("cluster")),
    (
        (
            rf"REFRESH MATERIALIZED VIEW (?P<concurrently>CONCURRENTLY )?{N}"
            r"(?P<empty> WITH NO DATA)?(?: WITH DATA)?\s*$"
        ),
        raw("refresh"),
    ),
    (
        (
            rf"OPTIMIZE (?:NO_WRITE_TO_BINLOG |LOCAL )?TABLES? (?P<tables>{LIST})"
            r"(?: (?:NO)?WAIT(?: \d+)?)?\s*$"
        ),
        _each("optimize"),
    ),
    (
        (
            r"CREATE (?:OR REPLACE )?(?:DEFINER\s*=\s*\S+ )?(?:TEMP(?:ORARY)? )?(?:CONSTRAINT )?"
            rf"TRIGGER (?:IF NOT EXISTS )?{N} .*?\bON {T}"
        ),
        raw("trigger"),
    ),
    (rf"DROP TRIGGER (?:IF EXISTS )?{N}(?: ON {T})?", raw("trigger")),
    (rf"(?:CREATE|ALTER|DROP) POLICY (?:IF EXISTS )?{N} ON {T}", raw("policy")),
    (rf"MERGE INTO (?:ONLY )?{T}", raw("merge")),
)
ACTIONS = (
    (rf"(?:DISABLE|ENABLE REPLICA) (?:TRIGGER|RULE) {N}", _of_table("checks-off")),
    (r"ENABLE (?:ALWAYS )?(?:TRIGGER|RULE)\b", _nothing),
    (r"(?:ENABLE|DISABLE|(?:NO )?FORCE) ROW LEVEL SECURITY", _of_table("policy")),
    (rf"ATTACH PARTITION {N} (?P<bounds>.*)", _of_table("attach")),
    (
        rf"DETACH PARTITION (?:IF EXISTS )?{N}(?P<concurrently> CONCURRENTLY)?(?: FINALIZE)?",
        _of_table("detach"),
    ),
    (r"SET (?:TABLESPACE|LOGGED|UNLOGGED|ACCESS METHOD)\b.*", _of_table("rewrite")),
)

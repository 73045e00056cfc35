"""Raw SQL, read as the operations that it comes to.

Only what migrations are made of is read, and only as far as the rules need it. What is not known
stays `Raw`, which a rule tells; nothing that is dangerous is taken for harmless.
"""

import re
from collections.abc import Iterator
from typing import Any

from alembic.ddl.postgresql import CreateExcludeConstraintOp
from alembic.operations import ops
from alembic.operations.ops import MigrateOperation
from sqlalchemy import Column, DefaultClause, ForeignKey, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import NullType, TypeEngine

PART = r'(?:"[^"]+"|`[^`]+`|\[[^\]]+\]|[\w$]+)'
WHOLE = rf"{PART}(?:\.{PART})*"
NAME = rf"(?P<{{}}>{WHOLE})"
COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
TEXT = re.compile(r"'(?:[^']|'')*'")
# What stops nobody for long, and loses nothing.
HARMLESS = re.compile(
    r"(ANALYZE|COMMENT\s+ON|CREATE\s+(OR\s+REPLACE\s+)?(EXTENSION|FUNCTION|SCHEMA|SEQUENCE"
    r"|TABLE|TEMP(ORARY)?|TYPE|VIEW)|DESCRIBE|DROP\s+(FUNCTION|SEQUENCE|TYPE|VIEW)|EXPLAIN|GRANT"
    r"|ALTER\s+(SEQUENCE|VIEW|FUNCTION)|ALTER\s+INDEX\s.*\sRENAME\s|INSERT|PRAGMA|REVOKE|SELECT|SET"
    r"|SHOW|WITH(?!.*\b(UPDATE|DELETE|MERGE)\b))\b",
    re.IGNORECASE | re.DOTALL,
)
DEFAULT = re.compile(r"\bDEFAULT\s+(\([^)]*\)|'(?:[^']|'')*'|[^\s(]+(?:\([^)]*\))?)", re.IGNORECASE)
REFERENCES = rf"\bREFERENCES\s+({WHOLE})(?:\s*\(([^)]*)\))?"
TRANSACTION = re.compile(r"(BEGIN|COMMIT|END|ROLLBACK|START\s+TRANSACTION)\b", re.IGNORECASE)


class Raw(MigrateOperation):
    """SQL of some kind, such as `update` or `unknown`."""

    def __init__(self, kind: str, sql: str, of: str | None = None, **facts: Any) -> None:
        """Take the statement, and the table that it is about."""
        self.kind, self.sql, self.facts = kind, sql, facts
        schema, name = _split(of) if of else (None, None)
        self.schema, self.table_name = schema, name


class Rebuild(MigrateOperation):
    """A table that Alembic's batch mode copies."""

    def __init__(self, of: str, schema: str | None) -> None:
        """Take the table."""
        self.table_name, self.schema = of, schema


def read(sql: str) -> Iterator[MigrateOperation]:
    """Return the operations that SQL comes to; nothing for what is harmless."""
    for statement in _parts(COMMENT.sub(" ", sql), ";"):
        yield from _read(statement)


def _read(sql: str) -> Iterator[MigrateOperation]:
    for pattern, make in STATEMENTS:
        found = pattern.match(sql)
        if found:
            yield from make(found, sql)
            return
    if TRANSACTION.match(sql):
        yield Raw("transaction", sql)
    elif not HARMLESS.match(sql):
        yield Raw("unknown", sql)


def _parts(sql: str, separator: str) -> Iterator[str]:
    """Return what stands between separators that are in no text, body or brackets."""
    depth, start = 0, 0
    hidden = re.sub(
        r"'(?:[^']|'')*'|\$(\w*)\$.*?\$\1\$", lambda m: "x" * len(m[0]), sql, flags=re.DOTALL
    )
    for place, character in enumerate(hidden):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == separator and depth == 0:
            yield sql[start:place].strip()
            start = place + 1
    if sql[start:].strip():
        yield sql[start:].strip()


def _split(name: str) -> tuple[str | None, str]:
    """Return the schema and the last part of a name, without quotes."""
    *schema, last = [part.strip('`"[]') for part in re.findall(PART, name)] or [""]
    return ".".join(schema) or None, last


def _bare(name: str) -> str:
    return _split(name)[1]


def _columns(words: str) -> list[str]:
    found = (re.match(WHOLE, part) for part in _parts(words, ","))
    return [_bare(each[0]) if each else "(expression)" for each in found]


def _create_index(found: re.Match[str], _sql: str) -> Iterator[MigrateOperation]:
    schema, table = _split(found["table"])
    kind = (found["kind"] or "").strip().upper()
    options: dict[str, Any] = {"postgresql_concurrently": bool(found["concurrently"])}
    if kind in {"FULLTEXT", "SPATIAL"}:
        options["mysql_prefix"] = kind
    name, unique = _bare(found["name"] or ""), kind == "UNIQUE"
    yield ops.CreateIndexOp(
        name, table, _columns(found["columns"]), schema=schema, unique=unique, **options
    )


def _drop_index(found: re.Match[str], _sql: str) -> Iterator[MigrateOperation]:
    table = _bare(found["table"]) if found["table"] else None
    for name in _parts(found["names"], ","):
        concurrently = bool(found["concurrently"])
        yield ops.DropIndexOp(_bare(name), table, postgresql_concurrently=concurrently)


def _drop_table(found: re.Match[str], _sql: str) -> Iterator[MigrateOperation]:
    for each in _parts(
        re.sub(r"\b(CASCADE|RESTRICT)\b", "", found["names"], flags=re.IGNORECASE), ","
    ):
        schema, name = _split(each)
        yield ops.DropTableOp(name, schema=schema)


def _rename_table(found: re.Match[str], _sql: str) -> Iterator[MigrateOperation]:
    schema, name = _split(found["old"])
    yield ops.RenameTableOp(name, _bare(found["new"]), schema=schema)


def _alter_table(found: re.Match[str], sql: str) -> Iterator[MigrateOperation]:
    schema, table = _split(found["table"])
    for action in _parts(found["actions"], ","):
        if re.match(r"(ALGORITHM|LOCK)\s*=?", action, re.IGNORECASE):
            if re.match(r"LOCK\s*=?\s*(SHARED|EXCLUSIVE)", action, re.IGNORECASE):
                yield Raw("lock", sql, found["table"])
            continue
        for pattern, make in ACTIONS:
            matched = pattern.match(action)
            if matched:
                yield from make(matched, table, schema)
                break
        else:
            yield Raw("unknown", sql, found["table"])


def _changes_rows(kind: str) -> Any:
    def make(found: re.Match[str], sql: str) -> Iterator[MigrateOperation]:
        plain = TEXT.sub("''", sql)
        everything = kind == "truncate" or not re.search(r"\bWHERE\b", plain, re.IGNORECASE)
        yield Raw(kind, sql, found["table"], everything=everything)

    return make


def _raw(kind: str) -> Any:
    def make(found: re.Match[str], sql: str) -> Iterator[MigrateOperation]:
        facts = {name: _bare(value) for name, value in found.groupdict().items() if value}
        yield Raw(kind, sql, facts.pop("table", None), **facts)

    return make


def _add_column(found: re.Match[str], table: str, schema: str | None) -> Iterator[Any]:
    words = found["rest"]
    upper = TEXT.sub("''", words).upper()
    kind: TypeEngine[Any] = NullType()
    if re.match(r"JSON\b", upper):
        kind = postgresql.JSON()
    column: Column[Any] = Column(_bare(found["column"]), kind)
    column.nullable = "NOT NULL" not in upper and "PRIMARY KEY" not in upper
    default = re.search(
        r"\bDEFAULT\s+((?:\([^)]*\)|'(?:[^']|'')*'|[^\s(]+(?:\([^)]*\))?))", words, re.IGNORECASE
    )
    if default:
        column.server_default = DefaultClause(text(default[1].replace(":", r"\:")))
    facts = {
        "counted": bool(re.search(r"\b(\w*SERIAL|AUTO_INCREMENT|AS\s+IDENTITY)\b", upper)),
        "generated": bool(re.search(r"\b(STORED|PERSISTENT)\b", upper)),
        "unique": bool(re.search(r"\b(UNIQUE|PRIMARY\s+KEY)\b", upper)),
        "checked": bool(re.search(r"\bCHECK\b", upper)),
    }
    refers = re.search(REFERENCES, words, re.IGNORECASE)
    if refers:
        target = ".".join(filter(None, _split(refers[1])))
        column.append_foreign_key(ForeignKey(f"{target}.{_bare(refers[2] or 'id')}"))
    column.info.update(facts)
    yield ops.AddColumnOp(table, column, schema=schema)


def _add_constraint(found: re.Match[str], table: str, schema: str | None) -> Iterator[Any]:
    name, words = _bare(found["name"] or ""), found["rest"]
    upper = TEXT.sub("''", words).upper()
    valid: Any = {"postgresql_not_valid": True} if "NOT VALID" in upper else {}
    inside = words[words.find("(") + 1 : words.find(")")]
    if "USING INDEX" in upper:
        return
    if upper.startswith("FOREIGN"):
        target = re.search(REFERENCES, words, re.IGNORECASE)
        of_schema, of = _split(target[1]) if target else (None, "?")
        theirs = _columns(target[2] or "id") if target else []
        kw = {"source_schema": schema, "referent_schema": of_schema, **valid}
        yield ops.CreateForeignKeyOp(name, table, of, _columns(inside), theirs, **kw)
    elif upper.startswith("CHECK"):
        condition = words[words.find("(") + 1 : words.rfind(")")].replace(":", r"\:")
        yield ops.CreateCheckConstraintOp(name, table, condition, schema=schema, **valid)
    elif upper.startswith("UNIQUE"):
        yield ops.CreateUniqueConstraintOp(name, table, _columns(inside), schema=schema)
    elif upper.startswith("PRIMARY"):
        yield ops.CreatePrimaryKeyOp(name, table, _columns(inside), schema=schema)
    else:
        elements: Any = [(inside, "&&")]
        yield CreateExcludeConstraintOp(name, table, elements, schema=schema)


def _alter_column(found: re.Match[str], table: str, schema: str | None) -> Iterator[Any]:
    column, words = _bare(found["column"]), found["rest"].upper()
    if re.match(r"(SET\s+DATA\s+)?TYPE\b", words):
        yield ops.AlterColumnOp(table, column, schema=schema, modify_type=NullType())
    elif re.match(r"(SET|DROP)\s+NOT\s+NULL", words):
        nullable = words.startswith("DROP")
        yield ops.AlterColumnOp(table, column, schema=schema, modify_nullable=nullable)
    elif re.match(r"DROP\s+DEFAULT", words):
        yield ops.AlterColumnOp(table, column, schema=schema, modify_server_default=None)
    elif re.match(r"SET\s+DEFAULT", words):
        default = text(found["rest"][11:].strip().replace(":", r"\:"))
        yield ops.AlterColumnOp(table, column, schema=schema, modify_server_default=default)
    else:
        yield Raw("unknown", f"ALTER COLUMN {found[0]}", table)


def _drop_column(found: re.Match[str], table: str, schema: str | None) -> Iterator[Any]:
    yield ops.DropColumnOp(table, _bare(found["column"]), schema=schema)


def _rename_column(found: re.Match[str], table: str, schema: str | None) -> Iterator[Any]:
    new = _bare(found["new"])
    yield ops.AlterColumnOp(table, _bare(found["column"]), schema=schema, modify_name=new)


def _rename_to(found: re.Match[str], table: str, schema: str | None) -> Iterator[Any]:
    yield ops.RenameTableOp(table, _bare(found["new"]), schema=schema)


def _drop_constraint(found: re.Match[str], table: str, schema: str | None) -> Iterator[Any]:
    yield ops.DropConstraintOp(_bare(found["name"]), table, schema=schema)


def _validate(found: re.Match[str], table: str, schema: str | None) -> Iterator[Any]:
    of = f"{schema}.{table}" if schema else table
    yield Raw("validate", found[0], of, name=_bare(found["name"]))


def _nothing(_found: re.Match[str], _table: str, _schema: str | None) -> Iterator[Any]:
    yield from ()


def _compiled(*pairs: tuple[str, Any]) -> list[tuple[re.Pattern[str], Any]]:
    flags = re.IGNORECASE | re.DOTALL
    return [(re.compile(words.replace(" ", r"\s+"), flags), make) for words, make in pairs]


T, C, N = NAME.format("table"), NAME.format("column"), NAME.format("name")
OLD, NEW = NAME.format("old"), NAME.format("new")
LIST = rf"(?P<names>{WHOLE}(?:\s*,\s*{WHOLE})*)"
AFTER_INDEX = r"(?:INCLUDE|WHERE|WITH|NULLS|ALGORITHM|LOCK|TABLESPACE|USING|COMMENT|$)"
CREATE_INDEX = (
    r"CREATE (?P<kind>UNIQUE |FULLTEXT |SPATIAL )?INDEX (?P<concurrently>CONCURRENTLY )?"
    rf"(?:IF NOT EXISTS )?(?:{N} )?ON (?:ONLY )?{T}\s*(?:USING \w+\s*)?"
    rf"\((?P<columns>.*?)\)\s*{AFTER_INDEX}"
)
STATEMENTS = _compiled(
    (CREATE_INDEX, _create_index),
    (
        rf"DROP INDEX (?P<concurrently>CONCURRENTLY )?(?:IF EXISTS )?{LIST}(?: ON {T})?",
        _drop_index,
    ),
    (r"DROP TABLE (?:IF EXISTS )?(?P<names>.*)", _drop_table),
    (rf"RENAME TABLE {OLD} TO {NEW}\s*$", _rename_table),
    (rf"ALTER TABLE (?:IF EXISTS )?(?:ONLY )?{T} (?P<actions>.*)", _alter_table),
    (rf"ALTER TYPE {N} ADD VALUE (?:IF NOT EXISTS )?(?P<value>'[^']*')", _raw("add-value")),
    (rf"ALTER TYPE {N} RENAME VALUE (?P<old>'[^']*') TO (?P<value>'[^']*')", _raw("rename-value")),
    (rf"ALTER SCHEMA {N} RENAME TO {NEW}", _raw("rename-schema")),
    (rf"CREATE (?:OR REPLACE )?VIEW {N} AS ", _raw("view")),
    (rf"TRUNCATE (?:TABLE )?(?:ONLY )?{T}", _changes_rows("truncate")),
    (rf"DELETE FROM (?:ONLY )?{T}", _changes_rows("delete")),  # noqa: S608 - a pattern
    (rf"UPDATE (?:ONLY )?{T}", _changes_rows("update")),
    (rf"LOCK TABLES? {T}", _raw("lock")),
)
END = r"(?: (?:CASCADE|RESTRICT))?\s*$"
ACTIONS = _compiled(
    (
        rf"ADD (?:CONSTRAINT {N} )?(?P<rest>(?:FOREIGN|CHECK|UNIQUE|PRIMARY|EXCLUDE)\b.*)",
        _add_constraint,
    ),
    (
        rf"ADD (?:COLUMN )?(?:IF NOT EXISTS )?(?!(?:INDEX|KEY|FULLTEXT|SPATIAL)\b){C} (?P<rest>.*)",
        _add_column,
    ),
    (rf"ALTER (?:COLUMN )?(?!(?:INDEX|CONSTRAINT|CHECK)\b){C} (?P<rest>.*)", _alter_column),
    (rf"DROP (?:CONSTRAINT|FOREIGN KEY|CHECK) (?:IF EXISTS )?{N}", _drop_constraint),
    (
        rf"DROP (?:COLUMN )?(?:IF EXISTS )?(?!(?:INDEX|KEY|PRIMARY|PARTITION)\b){C}{END}",
        _drop_column,
    ),
    (rf"RENAME COLUMN {C} TO {NEW}", _rename_column),
    (r"RENAME (?:CONSTRAINT|INDEX|KEY)\b", _nothing),
    (rf"RENAME (?:TO |AS )?{NEW}", _rename_to),
    (rf"VALIDATE CONSTRAINT {N}", _validate),
    (r"COMMENT\b|SET \(|RESET \(|OWNER TO\b|(?:ENABLE|DISABLE) (?:ROW|TRIGGER)\b", _nothing),
)

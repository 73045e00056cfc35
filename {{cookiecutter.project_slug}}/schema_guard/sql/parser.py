"""Raw SQL, read as the operations that it comes to.

Only what migrations are made of is read, and only as far as the guards need it. What is not known
stays `Raw`, of a kind that a rule tells; nothing that is dangerous is taken for harmless.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from alembic.ddl.postgresql import CreateExcludeConstraintOp
from alembic.operations import ops
from alembic.operations.ops import MigrateOperation
from sqlalchemy import Column, DefaultClause, ForeignKey, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import NullType, TypeEngine

from schema_guard.sql import maintenance, mysql_actions
from schema_guard.sql.raw import Operations, Raw, ReadColumnOp, escaped, raw, raw_action
from schema_guard.sql.tokens import (
    BACK,
    DEFAULT,
    NAME,
    WHOLE,
    bare,
    columns_of,
    outside,
    parts,
    split_name,
    statements,
)

# What stops nobody for long, and loses nothing.
HARMLESS = re.compile(
    r"(ANALYZE|COMMENT\s+ON|CREATE\s+(EXTENSION|FUNCTION|PROCEDURE|SCHEMA|SEQUENCE|TYPE)"
    r"|CREATE\s+OR\s+REPLACE\s+(FUNCTION|PROCEDURE)|DESCRIBE|DROP\s+(SEQUENCE|TYPE)(?!.*\bCASCADE\b)"
    r"|EXPLAIN(?!\s*\(?\s*ANALY[SZ]E)|GRANT|ALTER\s+SEQUENCE|ALTER\s+INDEX\s.*\sRENAME\s|INSERT"
    r"|PRAGMA|SELECT|SET|SHOW|VALUES|WITH(?!.*\b(UPDATE|DELETE|MERGE)\b))\b",
    re.IGNORECASE | re.DOTALL,
)
TRANSACTION = re.compile(r"(BEGIN|COMMIT|END|ROLLBACK|START\s+TRANSACTION)\b", re.IGNORECASE)
NOT_VALID, USING_INDEX = re.compile(r"\bNOT\s+VALID\b"), re.compile(r"\bUSING\s+INDEX\b")
REFERENCES = re.compile(rf"\bREFERENCES\s+({WHOLE})(?:\s*\(([^)]*)\))?", re.IGNORECASE)


def read(sql: str, backend: str) -> Iterator[tuple[MigrateOperation, str]]:
    """Return the operations that SQL comes to, each with the statement that it is from.

    Args:
        sql: statements.
        backend: `postgresql`, `mysql` or `sqlite`, whose quotes and comments they have.
    """
    for statement in statements(sql, backend):
        own = statement.translate(BACK)
        for operation in _read(statement):
            yield operation, own


def _read(sql: str) -> Operations:
    for pattern, make in compiled(STATEMENTS):
        found = pattern.match(sql)
        if found:
            yield from make(found, sql)
            return
    if TRANSACTION.match(sql):
        yield Raw("transaction", sql)
    else:
        yield Raw("harmless" if HARMLESS.match(sql) else "unknown", sql)


def _create_index(found: re.Match[str], _sql: str) -> Operations:
    schema, table = split_name(found["table"])
    kind = (found["kind"] or "").strip().upper()
    options: dict[str, Any] = {"postgresql_concurrently": bool(found["concurrently"])}
    if kind in {"FULLTEXT", "SPATIAL"}:
        options["mysql_prefix"] = kind
    name, unique = bare(found["name"] or ""), kind == "UNIQUE"
    yield ops.CreateIndexOp(
        name, table, columns_of(found["columns"]), schema=schema, unique=unique, **options
    )


def _drop_index(found: re.Match[str], _sql: str) -> Operations:
    table = bare(found["table"]) if found["table"] else None
    for name in parts(found["names"], ","):
        concurrently = bool(found["concurrently"])
        yield ops.DropIndexOp(bare(name), table, postgresql_concurrently=concurrently)


def _drop_table(found: re.Match[str], _sql: str) -> Operations:
    for each in parts(found["names"], ","):
        whole = re.match(WHOLE, each)
        schema, name = split_name(whole[0] if whole else each)
        yield ops.DropTableOp(name, schema=schema)


def _rename_tables(found: re.Match[str], _sql: str) -> Operations:
    for pair in parts(found["pairs"], ","):
        old, new = re.split(r"\s+TO\s+", pair, flags=re.IGNORECASE)
        schema, name = split_name(old)
        yield ops.RenameTableOp(name, bare(new), schema=schema)


def _alter_table(found: re.Match[str], sql: str) -> Operations:
    schema, table = split_name(found["table"])
    for action in parts(found["actions"], ","):
        if re.match(r"(ALGORITHM|LOCK)\b", action, re.IGNORECASE):
            if re.match(r"LOCK\s*=?\s*(SHARED|EXCLUSIVE)", action, re.IGNORECASE):
                yield Raw("lock", sql, found["table"])
            continue
        for pattern, make in compiled(ACTIONS):
            matched = pattern.match(action)
            if matched:
                yield from make(matched, table, schema)
                break
        else:
            yield Raw("unknown", sql, found["table"])


def _changes_rows(kind: str) -> Callable[[re.Match[str], str], Operations]:
    def make(found: re.Match[str], sql: str) -> Operations:
        everything = kind == "truncate" or not re.search(r"\bWHERE\b", outside(sql), re.IGNORECASE)
        for each in parts(found["tables"] if kind == "truncate" else found["table"], ","):
            yield Raw(kind, sql, each, everything=everything)

    return make


def _add_column(found: re.Match[str], table: str, schema: str | None) -> Operations:
    words = found["rest"]
    upper = outside(words).upper()
    kind: TypeEngine[Any] = postgresql.JSON() if re.match(r"JSON\b", upper) else NullType()
    column: Column[Any] = Column(bare(found["column"]), kind)
    column.nullable = not re.search(r"\bNOT\s+NULL\b|\bPRIMARY\s+KEY\b", upper)
    default = DEFAULT.search(words)
    if default:
        column.server_default = DefaultClause(text(escaped(default[1])))
    refers = REFERENCES.search(words)
    if refers:
        target = ".".join(filter(None, split_name(refers[1])))
        column.append_foreign_key(ForeignKey(f"{target}.{bare(refers[2] or 'id')}"))
    patterns = {
        "counted": r"\b(\w*SERIAL|AUTO_INCREMENT|AS\s+IDENTITY)\b",
        "generated": r"\b(STORED|PERSISTENT)\b",
        "unique": r"\b(UNIQUE|PRIMARY\s+KEY)\b",
        "virtual": r"\bVIRTUAL\b",
        "checked": r"\bCHECK\b",
    }
    facts = {name for name, words in patterns.items() if re.search(words, upper)}
    yield ReadColumnOp(table, column, facts, schema=schema)


def _add_constraint(found: re.Match[str], table: str, schema: str | None) -> Operations:
    name, words = bare(found["name"] or "") or None, found["rest"]
    upper = outside(words).upper()
    valid: Any = {"postgresql_not_valid": True} if NOT_VALID.search(upper) else {}
    inside = words[words.find("(") + 1 : words.find(")")]
    if USING_INDEX.search(upper):
        return
    if upper.startswith("FOREIGN"):
        target = REFERENCES.search(words)
        of_schema, of = split_name(target[1]) if target else (None, "?")
        theirs = columns_of(target[2] or "id") if target else []
        kw = {"source_schema": schema, "referent_schema": of_schema, **valid}
        yield ops.CreateForeignKeyOp(name, table, of, columns_of(inside), theirs, **kw)
    elif upper.startswith("CHECK"):
        condition = escaped(words[words.find("(") + 1 : words.rfind(")")])
        yield ops.CreateCheckConstraintOp(name, table, condition, schema=schema, **valid)
    elif upper.startswith("UNIQUE"):
        yield ops.CreateUniqueConstraintOp(name, table, columns_of(inside), schema=schema)
    elif upper.startswith("PRIMARY"):
        yield ops.CreatePrimaryKeyOp(name, table, columns_of(inside), schema=schema)
    else:
        elements: Any = [(inside, "&&")]
        yield CreateExcludeConstraintOp(name, table, elements, schema=schema)


def _alter_column(found: re.Match[str], table: str, schema: str | None) -> Operations:
    column, words = bare(found["column"]), found["rest"]
    change = re.match(
        r"(?:(SET\s+DATA\s+)?(?P<type>TYPE)\b|(?P<null>SET|DROP)\s+NOT\s+NULL"
        r"|DROP\s+(?P<drop>DEFAULT)|SET\s+DEFAULT\s+(?P<default>.*))",
        words,
        re.IGNORECASE | re.DOTALL,
    )
    changes: dict[str, Any] = {}
    if change is None:
        yield from raw_action("unknown", found[0], table, schema)
        return
    if change["type"]:
        changes["modify_type"] = NullType()
    elif change["null"]:
        changes["modify_nullable"] = change["null"].upper() == "DROP"
    else:
        default = change["default"]
        changes["modify_server_default"] = text(escaped(default)) if default else None
    yield ops.AlterColumnOp(table, column, schema=schema, **changes)


def _drop_column(found: re.Match[str], table: str, schema: str | None) -> Operations:
    yield ops.DropColumnOp(table, bare(found["column"]), schema=schema)


def _rename_column(found: re.Match[str], table: str, schema: str | None) -> Operations:
    new = bare(found["new"])
    yield ops.AlterColumnOp(table, bare(found["column"]), schema=schema, modify_name=new)


def _rename_to(found: re.Match[str], table: str, schema: str | None) -> Operations:
    yield ops.RenameTableOp(table, bare(found["new"]), schema=schema)


def _drop_constraint(found: re.Match[str], table: str, schema: str | None) -> Operations:
    yield ops.DropConstraintOp(bare(found["name"]), table, schema=schema)


def _validate(found: re.Match[str], table: str, schema: str | None) -> Operations:
    yield from raw_action("validate", found[0], table, schema, name=bare(found["name"]))


def _nothing(_found: re.Match[str], _table: str, _schema: str | None) -> Operations:
    yield from ()


@cache
def compiled(pairs: tuple[tuple[str, Any], ...]) -> list[tuple[re.Pattern[str], Any]]:
    """Return patterns in which a blank stands for any; once they are needed."""
    flags = re.IGNORECASE | re.DOTALL
    return [(re.compile(words.replace(" ", r"\s+"), flags), make) for words, make in pairs]


T, C, N = NAME.format("table"), NAME.format("column"), NAME.format("name")
OLD, NEW = NAME.format("old"), NAME.format("new")
TEMPORARY = r"(?:(?:GLOBAL |LOCAL )?TEMP(?:ORARY)? |UNLOGGED )?"
NO_COLUMN = r"(?!(?:CONSTRAINT|INDEX|KEY|FULLTEXT|SPATIAL|PARTITION)\b)"
LIST = rf"{WHOLE}(?:\s*,\s*{WHOLE})*"
RENAME = rf"{WHOLE} TO {WHOLE}"
CREATE_INDEX = (
    r"CREATE (?P<kind>UNIQUE |FULLTEXT |SPATIAL )?INDEX (?P<concurrently>CONCURRENTLY )?"
    rf"(?:IF NOT EXISTS )?(?:(?!ON\b){N} )?(?:USING \w+ )?ON (?:ONLY )?{T}\s*(?:USING \w+\s*)?"
    r"\((?P<columns>.*?)\)\s*"
    r"(?:INCLUDE|WHERE|WITH|NULLS|ALGORITHM|LOCK|TABLESPACE|USING|COMMENT|$)"
)
STATEMENTS = (
    *maintenance.STATEMENTS,
    (CREATE_INDEX, _create_index),
    (
        rf"DROP INDEX (?P<concurrently>CONCURRENTLY )?(?:IF EXISTS )?(?P<names>{LIST})(?: ON {T})?",
        _drop_index,
    ),
    (r"DROP (?:TEMPORARY )?TABLE (?:IF EXISTS )?(?P<names>.*)", _drop_table),
    (
        rf"RENAME TABLES? (?P<pairs>{WHOLE} TO {WHOLE}(?:\s*,\s*{WHOLE} TO {WHOLE})*)\s*$",
        _rename_tables,
    ),
    (rf"ALTER TABLE (?:IF EXISTS )?(?:ONLY )?{T} (?P<actions>.*)", _alter_table),
    (rf"CREATE {TEMPORARY}TABLE (?:IF NOT EXISTS )?{T}", raw("create-table")),
    (rf"ALTER TYPE {N} ADD VALUE (?:IF NOT EXISTS )?(?P<value>'[^']*')", raw("add-value")),
    (rf"ALTER TYPE {N} RENAME VALUE (?P<old>'[^']*') TO (?P<value>'[^']*')", raw("rename-value")),
    (rf"ALTER SCHEMA {N} RENAME TO {NEW}", raw("rename-schema")),
    (rf"CREATE (?:OR REPLACE |MATERIALIZED )?VIEW (?:IF NOT EXISTS )?{N}", raw("view")),
    (rf"TRUNCATE (?:TABLE )?(?:ONLY )?(?P<tables>{LIST})", _changes_rows("truncate")),
    (rf"DELETE FROM (?:ONLY )?{T}", _changes_rows("delete")),  # noqa: S608 - a pattern
    (rf"UPDATE (?:ONLY )?{T}", _changes_rows("update")),
    (rf"LOCK (?:TABLES? )?(?:ONLY )?{T}", raw("lock")),
)
END = r"(?: (?:CASCADE|RESTRICT))?\s*$"
ACTIONS = (
    *mysql_actions.ACTIONS,
    *maintenance.ACTIONS,
    (
        rf"ADD (?:CONSTRAINT {N} )?(?P<rest>(?:FOREIGN|CHECK|UNIQUE|PRIMARY|EXCLUDE)\b.*)",
        _add_constraint,
    ),
    (rf"ADD (?:COLUMN )?(?:IF NOT EXISTS )?{NO_COLUMN}{C} (?P<rest>.*)", _add_column),
    (rf"ALTER (?:COLUMN )?(?!(?:INDEX|CONSTRAINT|CHECK)\b){C} (?P<rest>.*)", _alter_column),
    (rf"DROP (?:CONSTRAINT|FOREIGN KEY|CHECK) (?:IF EXISTS )?{N}", _drop_constraint),
    (
        rf"DROP (?:COLUMN )?(?:IF EXISTS )?(?!(?:INDEX|KEY|PRIMARY|PARTITION)\b){C}{END}",
        _drop_column,
    ),
    (rf"RENAME COLUMN {C} TO {NEW}", _rename_column),
    (r"RENAME (?:CONSTRAINT|INDEX|KEY)\b", _nothing),
    (rf"RENAME (?!(?:TO|AS)\b){C} TO {NEW}", _rename_column),
    (rf"RENAME (?:TO |AS )?{NEW}", _rename_to),
    (rf"VALIDATE CONSTRAINT {N}", _validate),
    (r"COMMENT\b|(?:RE)?SET\s*\(|OWNER TO\b|AUTO_INCREMENT\b|DEFAULT CHAR", _nothing),
)

"""What MySQL's and MariaDB's ALTER TABLE knows beside the standard's actions."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from alembic.operations import ops
from sqlalchemy import (
    CHAR,
    JSON,
    BigInteger,
    Date,
    DateTime,
    Double,
    Enum,
    Integer,
    Numeric,
    SmallInteger,
    String,
    Text,
    text,
)
from sqlalchemy.types import NullType, TypeEngine

from schema_guard.sql.raw import Operations, Raw, escaped, raw_action
from schema_guard.sql.tokens import BACK, DEFAULT, NAME, bare, columns_of, outside

TYPE = re.compile(
    r"(?P<name>\w+)\s*(?:\((?P<inside>[^()]*)\))?(?P<rest>.*)", re.IGNORECASE | re.DOTALL
)
OTHER_FORM = re.compile(r"^\s*(UNSIGNED|ZEROFILL|BINARY|VARYING)\b", re.IGNORECASE)
COLLATION = re.compile(r"\b(?:CHARACTER\s+SET|CHARSET|COLLATE)\s*=?\s*([\w']+)", re.IGNORECASE)
VALUE = re.compile(r"'((?:[^']|'')*)'")
PLAIN: dict[str, type[TypeEngine[Any]]] = {
    "BIGINT": BigInteger,
    "DATE": Date,
    "DOUBLE": Double,
    "INT": Integer,
    "INTEGER": Integer,
    "JSON": JSON,
    "SMALLINT": SmallInteger,
}
Make = Callable[[list[Any], dict[str, Any]], TypeEngine[Any]]
MAKE: dict[str, Make] = {
    "CHAR": lambda numbers, more: CHAR(*numbers[:1], **more),
    "DATETIME": lambda numbers, _: NullType() if numbers else DateTime(),
    "DECIMAL": lambda numbers, _: Numeric(*numbers[:1], *numbers[1:2]),
    "TEXT": lambda numbers, more: NullType() if numbers else Text(**more),
    "VARCHAR": lambda numbers, more: String(*numbers[:1], **more),
}


def _type(words: str) -> TypeEngine[Any]:
    """Return a type as SQLAlchemy has it; NullType for what is not known."""
    found = TYPE.match(words)
    if found is None or OTHER_FORM.match(found["rest"]):
        return NullType()
    name, inside = found["name"].upper(), found["inside"] or ""
    collation = COLLATION.search(found["rest"])
    if name == "ENUM" and collation is None:
        return Enum(*(each.translate(BACK).replace("''", "'") for each in VALUE.findall(inside)))
    numbers: list[Any] = [int(each) for each in re.findall(r"\d+", inside)]
    collated = {"collation": collation[1]} if collation else {}
    make = MAKE.get(name)
    return make(numbers, collated) if make else PLAIN.get(name, NullType)()


def _modify(found: re.Match[str], table: str, schema: str | None) -> Operations:
    """Return what a column becomes: MODIFY and CHANGE say all of it anew."""
    old, words = bare(found["column"]), found["rest"]
    new = bare(found["new"]) if "new" in found.groupdict() else old
    upper = outside(words).upper()
    default = DEFAULT.search(words)
    # Numbering existing rows writes the table anew.
    counted: Any = {"modify_autoincrement": True} if "AUTO_INCREMENT" in upper else {}
    yield ops.AlterColumnOp(
        table,
        old,
        schema=schema,
        modify_type=_type(words),
        modify_nullable=not re.search(r"\bNOT\s+NULL\b|\bPRIMARY\s+KEY\b", upper),
        modify_server_default=text(escaped(default[1])) if default else None,
        modify_name=new if new != old else None,
        **counted,
    )


def _add_index(found: re.Match[str], table: str, schema: str | None) -> Operations:
    kind = (found["kind"] or "").strip().upper()
    special: Any = {"mysql_prefix": kind} if kind in {"FULLTEXT", "SPATIAL"} else {}
    name = bare(found["name"] or "") or None
    columns = columns_of(found["columns"])
    yield ops.CreateIndexOp(name, table, columns, schema=schema, **special)


def _drop_index(found: re.Match[str], table: str, schema: str | None) -> Operations:
    yield ops.DropIndexOp(bare(found["name"]), table, schema=schema)


def _drop_primary_key(_found: re.Match[str], table: str, schema: str | None) -> Operations:
    yield ops.DropConstraintOp("PRIMARY", table, type_="primary", schema=schema)


def _raw(kind: str) -> Callable[[re.Match[str], str, str | None], Operations]:
    def make(found: re.Match[str], table: str, schema: str | None) -> Iterator[Raw]:
        yield from raw_action(kind, found[0], table, schema)

    return make


C, N, NEW = NAME.format("column"), NAME.format("name"), NAME.format("new")
ACTIONS = (
    (rf"MODIFY (?:COLUMN )?(?:IF EXISTS )?{C} (?P<rest>.*)", _modify),
    (rf"CHANGE (?:COLUMN )?(?:IF EXISTS )?{C} {NEW} (?P<rest>.*)", _modify),
    (
        (
            rf"ADD (?P<kind>FULLTEXT |SPATIAL )?(?:INDEX|KEY)\s*(?:IF NOT EXISTS )?(?:{N}\s*)?"
            r"(?:USING \w+\s*)?\((?P<columns>.*)\)"
        ),
        _add_index,
    ),
    (rf"ADD (?P<kind>FULLTEXT |SPATIAL ){N}?\s*\((?P<columns>.*)\)", _add_index),
    (rf"DROP (?:INDEX|KEY) (?:IF EXISTS )?{N}", _drop_index),
    (r"DROP PRIMARY KEY", _drop_primary_key),
    (r"CONVERT TO (?:CHARACTER SET|CHARSET) .*", _raw("convert")),
    (r"(?:FORCE|ENGINE\s*=?\s*InnoDB|ROW_FORMAT\s*=?\s*\w+)\s*$", _raw("rebuild")),
)

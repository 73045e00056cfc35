"""Server defaults, compared by what they mean: every DBMS writes one in words of its own."""

import re
from decimal import Decimal, InvalidOperation
from typing import Any

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, DefaultClause

NOW = {"now()", "current_timestamp", "current_timestamp()", "current_timestamp(6)", "now(6)"}
CAST = re.compile(r"::[\w\s\".()\[\]]+$")
TEXT = re.compile(r"'((?:[^']|'')*)'", re.DOTALL)
WORDS = {"true": "1", "false": "0", "null": None}


def compare_default(
    context: MigrationContext,
    there: Column[Any],
    model: Column[Any],
    found: str | None,
    _wanted: object,
    _rendered: str | None,
) -> bool | None:
    """Return whether a server default has changed; Alembic's `compare_server_default`.

    Returns:
        None for expressions that are not the same words: Alembic asks the server.
    """
    if not all(isinstance(each.server_default, DefaultClause | None) for each in (there, model)):
        return None  # computed columns and identities are not compared here
    if found and found.startswith("nextval(") and model is model.table.autoincrement_column:
        return False  # a sequence that is called what table or column were called once
    wanted = _sql(context, model)
    values = [_value(sql) for sql in (found, wanted)]
    if all(value is not _EXPRESSION for value in values):
        return values[0] != values[1]
    if any(value is not _EXPRESSION for value in values):
        return True
    words = [_stripped(sql or "").lower() for sql in (found, wanted)]
    same = words[0] == words[1] or set(words) <= NOW
    return False if same else None


def _sql(context: MigrationContext, model: Column[Any]) -> str | None:
    """Return a model's default as SQL."""
    default = model.server_default
    if not isinstance(default, DefaultClause):
        return None
    if isinstance(default.arg, str):
        return "'{}'".format(default.arg.replace("'", "''"))
    return str(default.arg.compile(dialect=context.dialect, compile_kwargs={"literal_binds": True}))


_EXPRESSION = object()


def _value(sql: str | None) -> object:
    """Return the value that SQL stands for; None for NULL."""
    if sql is None:
        return None
    words = _stripped(sql)
    if found := TEXT.fullmatch(words):
        text = found[1].replace("''", "'").replace("\\\\", "\\")
    elif words.lower() in WORDS:
        return _number(WORDS[words.lower()])
    else:
        text = words
        if _number(text) is text:
            return _EXPRESSION
    return _number(WORDS.get(text.lower(), text))


def _number(text: str | None) -> object:
    """Return a number for what reads as one, else the text: '0' and 0.00 are the same default."""
    try:
        return Decimal(text) if text else text
    except InvalidOperation:
        return text


def _stripped(sql: str) -> str:
    """Return SQL without the parentheses around it, and PostgreSQL's casts."""
    words = CAST.sub("", sql.strip())
    while words.startswith("(") and words.endswith(")"):
        words = CAST.sub("", words[1:-1].strip())
    return words

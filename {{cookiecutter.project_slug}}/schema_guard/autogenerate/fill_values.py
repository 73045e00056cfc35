"""Values that a person types for rows that have none, as Python for a revision."""

import json
import uuid
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any

from sqlalchemy import Column, types

from schema_guard.core.errors import GuardError

YES_OR_NO = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
TIMES = (date, datetime, time)


def model_default(column: Column[Any]) -> str | None:
    """Return what a model gives to new rows, as a person would type it; None if it does not."""
    value = getattr(column.default, "arg", None)
    if value is None or callable(value):
        return None
    if isinstance(value, Enum):
        return value.name
    return "''" if value == "" else str(value)


def fill_value(column: Column[Any], words: str, dialect: str) -> str:
    """Return a value for a column, as Python.

    Args:
        column: of the model.
        words: what was typed. `''` is the empty text, `now` a time.
        dialect: the DBMS, by its name.

    Raises:
        GuardError: it is none for such a column.
    """
    kind = column.type
    if isinstance(kind, types.Enum):
        python: Any = Enum
    elif isinstance(kind, types.JSON):
        python = dict
    else:
        python = python_type(kind)
    if words == "now" and python in TIMES:
        return "sa.func.now()"
    if python not in READERS:
        raise GuardError(
            f"{column}: a value of its type, {kind}, cannot be given here. Nothing was written."
            " Make it nullable first, fill it in a revision of your own, then make it NOT NULL."
        )
    read, wanted = READERS[python]
    if isinstance(kind, types.Enum):
        names: list[str] = list(kind.enums)
        read, wanted = dict(zip(names, names, strict=True)).__getitem__, f"one of {names}"
    try:
        value = read(words)
    except (KeyError, ValueError, ArithmeticError):
        raise GuardError(
            f"{column} cannot hold {words!r}; it takes {wanted}. Nothing was written."
        ) from None
    if python is bool:
        return "sa.true()" if value else "sa.false()"
    return repr(value) if python in PLAIN else _literal(value, dialect)


def python_type(kind: types.TypeEngine[Any]) -> Any:
    """Return the type of Python that a type of column has; None if it has none."""
    try:
        return kind.python_type
    except NotImplementedError:
        return None


def _text(words: str) -> str:
    return "" if words in {"''", '""'} else words


def _time(python: Any) -> Callable[[str], str]:
    """Return what reads a time, and writes it as SQLite keeps it."""

    def read(words: str) -> str:
        value = python.fromisoformat(words)
        if python is date:
            return str(value)
        # Python leaves out a fraction of 0, and a zone cannot be kept everywhere.
        value = value.replace(tzinfo=None)
        return f"{value}" if value.microsecond else f"{value}.000000"

    return read


PLAIN = {str, int, float, Enum}
# What reads what is typed for a type of Python, and what is said if it cannot.
READERS: dict[Any, tuple[Callable[[str], Any], str]] = {
    str: (_text, "a text"),
    int: (int, "a whole number"),
    float: (float, "a number"),
    Enum: (str, ""),
    bool: (lambda words: YES_OR_NO[words.lower()], "true or false"),
    Decimal: (lambda words: str(Decimal(words)), "a number"),
    uuid.UUID: (lambda words: uuid.UUID(words).hex, "a UUID"),
    dict: (lambda words: json.dumps(json.loads(words)), "JSON"),
    date: (_time(date), "`now`, or a date as in 2026-01-31"),
    datetime: (_time(datetime), "`now`, or a time as in 2026-01-31T12:00:00"),
    time: (_time(time), "a time as in 12:00:00"),
}


def _literal(words: str, dialect: str) -> str:
    """Return a value as SQL, which every DBMS turns into the type of the column."""
    words = words.replace("'", "''")
    if dialect in {"mysql", "mariadb"}:
        words = words.replace("\\", "\\\\")
    return "sa.literal_column({!r})".format(f"'{words}'")

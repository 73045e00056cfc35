"""Changes of a column's type that touch no row.

Where the new type holds all that the old one held, in the same form, the DBMS changes a note about
the column. Anything else rewrites the table, and blocks writes (PostgreSQL: reads too) meanwhile.
"""

from typing import Any

from sqlalchemy import CHAR, DateTime, Enum, LargeBinary, Numeric, String, Text, Time
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeDecorator

from schema_guard import compat

# MySQL and MariaDB write the length of a value in one byte up to here, then in two.
ONE_BYTE = 255
BYTES_PER_CHARACTER = 4  # utf8mb4


def widens(old: Any, new: Any, backend: str) -> bool:
    """Return whether a change of type leaves the rows as they are.

    Sources: PostgreSQL's manual on ALTER TABLE; MySQL's on online DDL; MariaDB's on InnoDB online
    DDL. Where nothing is known of the old type it is taken to rewrite.

    Args:
        old: the type until now; None if it is not known.
        new: the type from now on.
        backend: `postgresql` or `mysql`.
    """
    rule = {"postgresql": _postgresql, "mysql": _mysql}.get(backend)
    if old is None or rule is None:
        return False
    return rule(_plain(old, backend), _plain(new, backend))


def _plain(kind: Any, backend: str) -> Any:
    """Return a type as this DBMS has it."""
    dialects = ("mysql", "mariadb") if backend == "mysql" else (backend,)
    variants = compat.variants(kind)
    kind = next((variants[name] for name in dialects if name in variants), kind)
    return kind.impl_instance if isinstance(kind, TypeDecorator) else kind


def _postgresql(old: Any, new: Any) -> bool:
    if repr(old) == repr(new):
        return True
    if _is_text(old) and _is_text(new) and old.collation == new.collation:
        return _at_least(old.length, new.length)
    if isinstance(old, Numeric) and isinstance(new, Numeric) and type(old) is type(new):
        return _at_least(old.precision, new.precision) and (
            old.scale == new.scale or (new.precision is None and new.scale is None)
        )
    if isinstance(old, DateTime | Time) and isinstance(new, type(old)):
        precisions = (getattr(each, "precision", None) for each in (old, new))
        return old.timezone == new.timezone and _at_least(*precisions)
    bytea = isinstance(old, LargeBinary) and isinstance(new, LargeBinary)
    return bytea or (isinstance(old, postgresql.CIDR) and isinstance(new, postgresql.INET))


def _mysql(old: Any, new: Any) -> bool:
    if repr(old) == repr(new):
        return True
    if isinstance(old, Enum | mysql.ENUM) and isinstance(new, Enum | mysql.ENUM):
        # New values at the end; the number of one is kept in a byte, or in two.
        return new.enums[: len(old.enums)] == old.enums and len(new.enums) <= ONE_BYTE
    if not all(_is_text(each) and each.length and not _is_long(each) for each in (old, new)):
        return False
    sides = {each.length * BYTES_PER_CHARACTER <= ONE_BYTE for each in (old, new)}
    return old.length <= new.length and len(sides) == 1 and old.collation == new.collation


def _is_text(kind: Any) -> bool:
    """Return whether a type is text that is not padded, and has no list of values."""
    return isinstance(kind, String) and not isinstance(kind, Enum | CHAR | postgresql.CITEXT)


def _is_long(kind: Any) -> bool:
    return isinstance(kind, Text | mysql.TINYTEXT | mysql.MEDIUMTEXT | mysql.LONGTEXT)


def _at_least(old: int | None, new: int | None) -> bool:
    """Return whether a limit is not lowered; None is none."""
    return new is None or (old is not None and old <= new)

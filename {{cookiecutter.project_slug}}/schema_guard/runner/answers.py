"""What statements answered, kept as text, to be given again.

An answer is the rows of a query or of RETURNING, or the driver's error. It is taken before the
driver's values become Python's by the types of a query, and so is the same for text and models.
JSON, and not pickle: who can write to the database shall not run code where migrations run.

Only so much is kept. Of a larger answer, or of one with values of a driver's own types, there is a
digest, which can tell whether it is another one now; of what is streamed there is nothing.
"""

import hashlib
import json
import zlib
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from typing import Any
from uuid import UUID

from sqlalchemy.engine.cursor import (
    BufferedRowCursorFetchStrategy,
    FullyBufferedCursorFetchStrategy,
)
from sqlalchemy.engine.interfaces import ExecuteStyle

from schema_guard import compat

ROWS = 50_000  # that are held in memory to look at them
BYTES = 2**18  # of one answer
TOTAL = 2**24  # of all answers of a revision

# How an answer begins: with the rest compressed, or of which it is a digest; or nothing is known.
GIVEN, ERROR, DIGEST, UNKNOWN = b"=", b"!", b"#", b"?"

Description = list[tuple[str, Any]]


def take(cursor: Any, context: Any) -> list[Any] | None:
    """Return the rows of an answer, which the revision still gets; None if they are too many."""
    if compat.on_server(context):
        return None
    rows = list(cursor.fetchmany(ROWS))
    if len(rows) < ROWS:
        give(context, cursor.description, rows)
        return rows
    context.cursor_fetch_strategy = BufferedRowCursorFetchStrategy(
        cursor, context.execution_options, initial_buffer=deque(rows)
    )
    return None


def give(context: Any, description: Any, rows: list[Any]) -> None:
    """Have the revision get these rows."""
    context.cursor_fetch_strategy = FullyBufferedCursorFetchStrategy(None, description, rows)
    if context.execute_style is ExecuteStyle.INSERTMANYVALUES:  # SQLAlchemy collects their pages
        context.fetchall_for_returning = lambda _cursor: rows


def encode(cursor: Any, rows: list[Any] | None, room: int = BYTES) -> bytes:
    """Return what is kept of an answer.

    Args:
        cursor: that gave it.
        rows: as from `take`.
        room: how many bytes may be kept.
    """
    if rows is None:
        return UNKNOWN
    try:
        names = [
            [name, code if isinstance(code, int) else None] for name, code, *_ in cursor.description
        ]
        kept = GIVEN + _packed([names, [_plain(tuple(row)) for row in rows]])
    except TypeError:
        return digest(rows)
    return kept if len(kept) <= min(BYTES, room) else digest(rows)


def digest(rows: list[Any] | None) -> bytes:
    """Return what tells an answer from others."""
    if rows is None:
        return UNKNOWN
    found = hashlib.sha256()
    for row in rows:
        found.update(repr([bytes(v) if isinstance(v, memoryview) else v for v in row]).encode())
    return DIGEST + found.hexdigest().encode()


def decode(answer: bytes) -> tuple[Description, list[Any]]:
    """Return the description and the rows of an answer that is kept."""
    names, rows = _unpacked(answer)
    return [(name, code, *[None] * 5) for name, code in names], [_value(row) for row in rows]


def encode_error(error: BaseException) -> bytes:
    """Return what is kept of a driver's error."""
    kind = type(error)
    try:
        arguments = _plain(tuple(error.args))
    except TypeError:
        arguments = _plain((str(error),))
    names = {name: getattr(error, name, None) for name in ("sqlite_errorname", "sqlite_errorcode")}
    return ERROR + _packed([kind.__module__, kind.__qualname__, arguments, names])


def decode_error(answer: bytes, root: type[BaseException]) -> BaseException | None:
    """Return a driver's error; None if the driver has no such class.

    Args:
        answer: that is kept.
        root: the driver's `Error`.
    """
    module, name, arguments, names = _unpacked(answer)
    for kind in _kinds(root):
        if (kind.__module__, kind.__qualname__) == (module, name):
            error = kind(*_value(arguments))
            for attribute, value in names.items():
                if value is not None:
                    setattr(error, attribute, value)
            return error
    return None


def _kinds(root: type[BaseException]) -> Iterator[type[BaseException]]:
    yield root
    for kind in root.__subclasses__():
        yield from _kinds(kind)


def _packed(value: Any) -> bytes:
    return zlib.compress(json.dumps(value, separators=(",", ":")).encode())


def _unpacked(answer: bytes) -> Any:
    return json.loads(zlib.decompress(answer[1:]))


# How values are written that JSON does not know, and read.
TYPES: dict[type, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    bytes: (lambda value: b64encode(value).decode(), b64decode),
    memoryview: (lambda value: b64encode(value).decode(), b64decode),
    timedelta: (
        lambda value: [value.days, value.seconds, value.microseconds],
        lambda parts: timedelta(*parts),
    ),
    tuple: (lambda value: [_plain(part) for part in value], lambda v: tuple(map(_value, v))),
    list: (lambda value: [_plain(part) for part in value], lambda v: list(map(_value, v))),
    dict: (
        lambda value: [[_plain(name), _plain(part)] for name, part in value.items()],
        lambda pairs: {_value(name): _value(part) for name, part in pairs},
    ),
    **{kind: (kind.isoformat, kind.fromisoformat) for kind in (date, datetime, time)},
    **{
        kind: (str, kind)
        for kind in (
            Decimal,
            IPv4Address,
            IPv4Interface,
            IPv4Network,
            IPv6Address,
            IPv6Interface,
            IPv6Network,
            UUID,
        )
    },
}
BY_NAME = {kind.__name__: read for kind, (_, read) in TYPES.items()}


def _plain(value: Any) -> Any:
    kind = type(value)
    if value is None or kind in {bool, int, float, str}:
        return value
    if kind not in TYPES:
        raise TypeError(kind)
    return {kind.__name__: TYPES[kind][0](value)}


def _value(plain: Any) -> Any:
    if not isinstance(plain, dict):
        return plain
    ((name, value),) = plain.items()
    return BY_NAME[name](value)

"""Blocks of a revision that may run as often as they like."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# The execution option of a single statement of that kind.
REPEATABLE = "repeatable"
_inside: ContextVar[bool] = ContextVar("inside", default=False)


@contextmanager
def repeatable() -> Iterator[None]:
    """Say that a block may run as often as it likes; for revisions.

    Nothing in it is noted in the journal: after an interruption the whole block runs again, and its
    queries are answered by the database as it then is. So it has to look for what is left to do,
    and what comes after it must not depend on how often it ran::

        with repeatable(), op.get_context().autocommit_block():
            while ids := op.get_bind().scalars(some_rows_without_a_value).all():
                op.execute(give_them_a_value(ids))
    """
    token = _inside.set(True)
    try:
        yield
    finally:
        _inside.reset(token)


def is_repeatable() -> bool:
    """Return whether what runs now is in such a block."""
    return _inside.get()

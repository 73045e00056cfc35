"""Listeners for SQLAlchemy's events that go as they have come."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from sqlalchemy import event

Listener = tuple[Any, str, Callable[..., Any]]


@contextmanager
def listening(*listeners: Listener) -> Iterator[None]:
    """Listen meanwhile.

    Args:
        listeners: each to what it listens, the event's name, and the function.
    """
    with ExitStack() as stack:
        for listener in listeners:
            event.listen(*listener)
            stack.callback(event.remove, *listener)
        yield

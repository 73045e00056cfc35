"""One migrator at a time in a process, too.

Promise: a thread that calls `flask_migrate.upgrade()`, or anything else that has Alembic read or
change a database, waits for the thread that does, for a bounded time, and says for whom.

Why: what `alembic.context` and `alembic.op` lead to is kept in those modules, once for all threads.
A second thread would take them from the first one in the middle of a revision.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from alembic.runtime.environment import EnvironmentContext
from flask import current_app, has_app_context

from schema_guard.core.process import whoami
from schema_guard.runner.lock import acquire

RUNNING = "Another migration runs in this process"


class ThreadLock:
    """A lock of the process, which its holder may take again; see `lock.Lock`."""

    def __init__(self) -> None:
        """Begin free."""
        self._lock = threading.RLock()
        self._holder = ""

    def acquire(self) -> bool:
        """Take the lock if no other thread has it."""
        taken = self._lock.acquire(blocking=False)
        if taken:
            thread = threading.current_thread().name
            self._holder = (
                f"{whoami()}, thread {thread}, since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
            )
        return taken

    def release(self) -> None:
        """Give it back, once for each time that it was taken."""
        self._lock.release()

    def holder(self) -> str:
        """Return which thread has it."""
        return self._holder


_process = ThreadLock()


@contextmanager
def one_thread(wait: float) -> Iterator[None]:
    """Keep other threads of this process from migrating.

    Args:
        wait: seconds to wait for one that does.

    Raises:
        GuardError: one does for longer.
    """
    acquire(_process, RUNNING, wait)
    try:
        yield
    finally:
        _process.release()


def guard_environments() -> None:
    """Have each of Alembic's environments wait for that of another thread; once for all.

    Alembic's own `with EnvironmentContext(...)` is where it takes the modules, before env.py runs.
    """
    if getattr(EnvironmentContext.__enter__, "guarded", False):
        return
    enter, leave = EnvironmentContext.__enter__, EnvironmentContext.__exit__

    def guarded_enter(environment: EnvironmentContext) -> EnvironmentContext:
        wait = current_app.config.get("MIGRATION_WAIT", 60) if has_app_context() else 60
        acquire(_process, RUNNING, float(wait))
        try:
            return enter(environment)
        except BaseException:
            _process.release()
            raise

    def guarded_leave(environment: EnvironmentContext, *error: Any) -> None:
        try:
            leave(environment, *error)
        finally:
            _process.release()

    guarded_enter.guarded = True  # type: ignore[attr-defined]
    EnvironmentContext.__enter__ = guarded_enter  # type: ignore[method-assign]
    EnvironmentContext.__exit__ = guarded_leave  # type: ignore[method-assign]

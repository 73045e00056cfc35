"""Ctrl-C and SIGTERM, which a container gets when it is stopped, are ordinary ends of a command.

Promise: a command that is interrupted ends at once, wherever it is: in Python, in a statement, at a
question, or while it waits. The statement ends on the server too. A second signal ends the process
whatever it does.

How: the handler of both signals raises KeyboardInterrupt, in the main thread, as soon as Python
runs there. Drivers may be in C until the server answers. So the signals also wake a thread, which
has the server cancel the statement: the driver returns, and Python runs. A signal that comes just
before the system is asked to wait, for an answer at a question say, does not end that wait: the
thread sends it again until Python has run.
"""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click
from sqlalchemy import Connection

from schema_guard.core.errors import GuardError
from schema_guard.dialects.adapter import adapter

NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
# What each does unless somebody else has decided: only then it is ours to handle.
DEFAULTS: dict[signal.Signals, Any] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
}
# Seconds that a second signal gives Python to end the process in order.
LAST_CHANCE = 1
# Seconds after which a signal that Python has not taken is sent again.
AGAIN_AFTER = 0.2
# Seconds that the process waits for the server to be told what to cancel.
PATIENCE = 5
# What a shell adds to a signal's number for the exit status.
BY_SIGNAL = 128
AGAIN = "Run it again to continue."


class Interrupted(KeyboardInterrupt):
    """A command was interrupted; says what was committed, in sentences."""


class CommandInterruptedError(GuardError):
    """How a command says that it was interrupted."""

    def __init__(self, number: int, what: str) -> None:
        """Take the signal's number, and what there is now."""
        super().__init__(f"Interrupted by {NAMES[signal.Signals(number)]}. {what}")
        self.number = number

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """The status of a process that a signal has ended, as shells tell it."""
        return BY_SIGNAL + self.number

    def show(self, file: Any = None) -> None:
        """Print it: that somebody has interrupted a command is no error."""
        click.echo(self.message, file=file, err=file is None)


class Watch:
    """The signals that a command gets, and what has to be cancelled then."""

    def __init__(self) -> None:
        """Expect none yet."""
        self.received: list[int] = []
        self.cancel: Callable[[], None] | None = None
        self.reader, self.writer = socket.socketpair()
        self.writer.settimeout(0)  # as Python demands
        self.main = threading.get_ident()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.cancelling: threading.Thread | None = None
        self.cancelled = threading.Event()
        self.over = threading.Event()
        self.resent = 0  # that the thread has not seen come yet
        self.resending = False

    def handle(self, number: int, _frame: object) -> None:
        """Interrupt the main thread; called by Python between two of its steps."""
        if self.received and self.resending:
            return  # our own, when Python had taken the first one after all
        self.received.append(number)
        # Or what is asked of the database after it, to say what there is, would be cancelled too.
        self.cancelled.wait(PATIENCE)
        raise KeyboardInterrupt

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Handle the signals meanwhile."""
        ours = [number for number, usual in DEFAULTS.items() if signal.getsignal(number) is usual]
        self.thread.start()
        wakes = signal.set_wakeup_fd(self.writer.fileno(), warn_on_full_buffer=False)
        for number in ours:
            signal.signal(number, self.handle)
        try:
            yield
        finally:
            self.over.set()
            if self.cancelling is not None:
                self.cancelling.join(PATIENCE)
            for number in ours:
                signal.signal(number, DEFAULTS[number])
            signal.set_wakeup_fd(wakes)
            self.writer.close()
            self.thread.join()
            self.reader.close()

    def _read(self) -> None:
        """Take signals as they come, whatever the main thread does."""
        count = 0
        while byte := self.reader.recv(1):
            number = byte[0]
            if number not in NAMES:
                continue
            if self.resent:
                self.resent -= 1
                continue
            count += 1
            if count == 1:
                self.cancelling = threading.Thread(target=self._cancel, args=(number,), daemon=True)
                self.cancelling.start()
            else:
                timer = threading.Timer(LAST_CHANCE, self._end, (count, number))
                timer.daemon = True
                timer.start()

    def _cancel(self, number: int) -> None:
        if self.cancel is not None:
            self.cancel()
        self.cancelled.set()
        if not hasattr(signal, "pthread_kill"):  # Windows, where a console ends its own waits
            return
        while not self.over.wait(AGAIN_AFTER) and not self.received:
            self.resending = True
            self.resent += 1
            signal.pthread_kill(self.main, number)

    def _end(self, count: int, number: int) -> None:
        """End the process if the main thread has not taken the signal: it is somewhere in C."""
        if len(self.received) < count:
            os._exit(BY_SIGNAL + number)


_watch: Watch | None = None


@contextmanager
def interruptible() -> Iterator[None]:
    """Have Ctrl-C and SIGTERM interrupt a command in order; in the main thread.

    Raises:
        CommandInterruptedError: it was interrupted.
    """
    global _watch  # noqa: PLW0603 - signals are of the whole process
    outer = _watch
    if outer is not None or threading.current_thread() is not threading.main_thread():
        yield
        return
    _watch = Watch()
    try:
        with _watch.installed():
            yield
    except BaseException as error:
        # After a signal any other error comes of it: a cancelled statement, a question's Abort.
        if not is_interrupted(error):
            raise
        number = _watch.received[0] if _watch.received else signal.SIGINT
        what = str(error) if isinstance(error, Interrupted) else AGAIN
        raise CommandInterruptedError(number, what) from error
    finally:
        _watch = None


def is_interrupted(error: BaseException | None = None) -> bool:
    """Return whether a signal came, or an error is that of one."""
    return isinstance(error, KeyboardInterrupt) or bool(_watch and _watch.received)


def signal_name() -> str:
    """Return what somebody has interrupted this command with."""
    return NAMES[signal.Signals(_watch.received[0])] if _watch and _watch.received else "Ctrl-C"


@contextmanager
def cancellable(connection: Connection) -> Iterator[None]:
    """Have the statement that runs on a connection cancelled by a signal."""
    watch, session = _watch, Session(connection)
    if watch is None:
        yield
        return
    before, watch.cancel = watch.cancel, session.cancel
    try:
        yield
    finally:
        watch.cancel = before


class Session:
    """What a connection runs on, as another thread knows it."""

    def __init__(self, connection: Connection) -> None:
        """See `take`."""
        self.take(connection)

    def take(self, connection: Connection) -> None:
        """Take what a connection runs on now."""
        self.driver = connection.connection.driver_connection
        self._cancel = adapter(connection.dialect).canceller(connection)

    def cancel(self) -> None:
        """Cancel what runs; in any thread, and without an error: it may have ended by itself."""
        with suppress(Exception):
            self._cancel()

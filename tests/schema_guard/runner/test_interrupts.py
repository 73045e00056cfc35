"""A signal is taken wherever the main thread is."""

import os
import signal
import threading
from pathlib import Path

import pytest
from schema_guard.runner import interrupts
from servers import wait_until


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_that_does_not_end_the_wait_of_the_main_thread(number: signal.Signals) -> None:
    """As where it comes just before the thread begins to wait."""
    reader, writer = os.pipe()
    state = Path(f"/proc/self/task/{threading.get_native_id()}/stat")

    def send() -> None:
        watch = interrupts._watch  # noqa: SLF001 - whose thread takes the signal
        assert watch is not None
        assert watch.thread.ident is not None
        wait_until(lambda: state.read_text().rpartition(")")[2].split()[0] == "S")
        signal.pthread_kill(watch.thread.ident, number)

    @interrupts.interruptible()
    def wait() -> None:
        threading.Thread(target=send).start()
        os.read(reader, 1)

    with pytest.raises(interrupts.CommandInterruptedError) as interrupted:
        wait()
    os.close(reader)
    os.close(writer)

    assert interrupted.value.exit_code == 128 + number
    assert signal.getsignal(number) is interrupts.DEFAULTS[number]


def test_what_follows_is_not_cancelled_too(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = threading.Event()
    too_soon = []

    def cancel() -> None:
        too_soon.append(looked.wait(0.2))  # as long as a server at some distance takes

    @interrupts.interruptible()
    def work() -> None:
        monkeypatch.setattr(interrupts._watch, "cancel", cancel)  # noqa: SLF001 - as `cancellable` does
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            looked.set()
            raise

    with pytest.raises(interrupts.CommandInterruptedError):
        work()

    assert looked.is_set()
    assert too_soon == [False]

"""Threads of one process are migrators too."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import flask_migrate
import pytest
from schema_guard import GuardError
from schema_guard.runner.connection import migration_connection
from servers import wait_until
from services import Service

THREADS = 8
HELD = """
import pathlib, time
pathlib.Path({0!r}).with_name("holding").touch()
while pathlib.Path({0!r}).exists():
    time.sleep(0.01)
"""


def test_one_thread_at_a_time_applies_every_revision_once(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    service.write(1, 'op.create_table("applied", sa.Column("number", sa.Integer()))', "pass")
    for number in range(2, 6):
        service.write(number, f'op.execute("INSERT INTO applied VALUES ({number})")', "pass")
    barrier = threading.Barrier(THREADS)

    def migrate(number: int) -> None:
        with service.app.app_context():
            barrier.wait()
            if number % 2:
                flask_migrate.upgrade()
                return
            # As `flask db prepare` does: the lock first, then Alembic.
            with migration_connection(service.engine, locked=True):
                flask_migrate.upgrade()

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(migrate, range(THREADS)))

    assert sorted(service.column("SELECT number FROM applied")) == [2, 3, 4, 5]
    assert "Waiting: another migration runs, " in capsys.readouterr().err


@pytest.mark.parametrize("dbms", ["sqlite"])
@pytest.mark.parametrize("call", [flask_migrate.upgrade, flask_migrate.current])
def test_a_thread_is_told_for_whom_it_waits(service: Service, call: Callable[[], None]) -> None:
    hold = service.versions.parent / "hold"
    hold.touch()
    service.write(1, HELD.format(str(hold)), "pass")
    thread = threading.Thread(target=service.upgrade, name="the first one")
    thread.start()
    try:
        wait_until(hold.with_name("holding").exists)
        service.app.config["MIGRATION_WAIT"] = 0.1
        with service.app.app_context(), pytest.raises(GuardError) as refusal:
            call()
    finally:
        hold.unlink()
        thread.join()

    assert refusal.value.message.startswith("Another migration runs in this process: ")
    assert "thread the first one, since 20" in refusal.value.message
    assert "Waited 0.1 seconds; nothing was changed." in refusal.value.message

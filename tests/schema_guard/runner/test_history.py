"""The record says "done" of what was committed, and of nothing else."""

import os
import signal

import pytest
from click import ClickException
from services import Service
from sqlalchemy import event


def done(service: Service) -> list[str]:
    """Return the revisions that the record says are done."""
    query = "SELECT revision FROM schema_history WHERE outcome = 'done' ORDER BY id"
    return [str(revision) for revision in service.column(query)]


@pytest.mark.parametrize("dbms", ["postgresql"])
def test_revisions_of_one_transaction_that_is_rolled_back(service: Service) -> None:
    service.extension.configure_args["transaction_per_migration"] = False
    service.write(1, "op.create_table('people', sa.Column('id', sa.Integer()))", "pass")
    service.upgrade()
    service.write(2, 'op.execute("INSERT INTO people VALUES (1)")', "pass")
    service.write(3, 'op.execute("INSERT INTO nowhere VALUES (1)")', "pass")

    with pytest.raises(ClickException) as error:
        service.upgrade()

    assert "The database is at 0001." in error.value.message
    assert "Rolled back with it, in the same transaction: 0002." in error.value.message
    assert "Nothing of this revision was committed." in error.value.message
    assert done(service) == ["0001"]
    assert service.rows("SELECT * FROM people") == []
    service.write(3, 'op.execute("INSERT INTO people VALUES (2)")', "pass")
    service.upgrade()
    assert done(service) == ["0001", "0002", "0003"]


def upgrade_until(service: Service, statement: str) -> None:
    """Upgrade, in a process that is killed before a statement."""
    service.engine.dispose()
    process = os.fork()
    if process == 0:

        def kill(_connection: object, _cursor: object, next_one: str, *_: object) -> None:
            if next_one == statement:
                os.kill(os.getpid(), signal.SIGKILL)

        event.listen(service.engine, "before_cursor_execute", kill)
        try:
            service.upgrade()
        finally:
            os._exit(1)
    _, status = os.waitpid(process, 0)
    assert os.WIFSIGNALED(status)


def test_quick_revisions_that_are_killed(service: Service) -> None:
    service.write(1, "op.create_table('people', sa.Column('id', sa.Integer()))", "pass")
    service.upgrade()
    for number in range(2, 31):
        service.write(number, f"op.execute('INSERT INTO people VALUES ({number})')", "pass")
    for number in (3, 9, 10, 24):
        upgrade_until(service, f"INSERT INTO people VALUES ({number})")
        assert service.column("SELECT version_num FROM alembic_version") == [f"{number - 1:04}"]
        assert done(service) == [f"{before:04}" for before in range(1, number)]

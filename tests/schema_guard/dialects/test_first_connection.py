"""A thread that connects while another one makes the engine's first connection."""

import threading

import pytest
import sqlalchemy as sa
from schema_guard.runner.connection import migration_connection
from services import Service, connect_args
from sqlalchemy import Connection


@pytest.mark.parametrize("dbms", ["postgresql", "mariadb"])
def test_a_second_thread_knows_the_server_that_the_first_is_asking(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = sa.create_engine(service.engine.url, connect_args=connect_args(service.engine.url))
    asking, done = threading.Event(), threading.Event()
    initialize = engine.dialect.initialize

    def slowly(connection: Connection) -> None:
        if not asking.is_set():
            asking.set()
            assert done.wait(60)
        initialize(connection)

    monkeypatch.setattr(engine.dialect, "initialize", slowly)
    first = threading.Thread(target=lambda: engine.connect().close())
    first.start()
    try:
        assert asking.wait(60)
        with service.app.app_context(), migration_connection(engine, locked=True) as connection:
            assert engine.dialect.server_version_info
            assert engine.dialect.default_schema_name
            assert not connection.in_transaction()
    finally:
        done.set()
        first.join()
        engine.dispose()

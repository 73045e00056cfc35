"""What the tests of schema_guard share: a service on an empty database."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import Server
from services import Service
from sqlalchemy import URL, make_url

numbers = itertools.count(1)


@pytest.fixture
def database(server: Server | None, tmp_path: Path) -> Iterator[URL]:
    """Return an empty database of the test's own."""
    if server is None:
        yield make_url(f"sqlite:///{tmp_path}/service.db")
        return
    name = f"empty{next(numbers)}"
    quoted = server.quote(server.name(name))
    server.execute(f"CREATE DATABASE {quoted}")
    yield make_url(server.url(name))
    server.execute(f"DROP DATABASE {quoted}")


@pytest.fixture
def service(database: URL, tmp_path: Path) -> Iterator[Service]:
    """Return a service on an empty database."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    service = Service(folder, database)
    yield service
    service.engine.dispose()

"""What the tests share: an application on a test database that the migrations made.

The database is one of its own, never the development one: a file in a temporary folder for
SQLite, `<name>_test` on the server that DATABASE_URL names for the others. Under pytest-xdist
every worker has its own.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import flask_migrate
import pytest
from click import ClickException
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner
from pytest_alembic.config import Config
from sqlalchemy import URL, Connection, Engine, MetaData, create_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from app import create_app
from app.config import settings
from app.extensions import db
from schema_guard.testing import create_database, script_directory, wanted_heads

# PostgreSQL cuts a name at 63 characters without a word.
LONGEST_NAME = 40


def pytest_sessionstart(session: pytest.Session) -> None:
    """Under pytest-xdist, look for the server first: each worker would fail in many lines."""
    url: URL = settings(strict=False)["SQLALCHEMY_DATABASE_URI"]
    on_server = url.get_backend_name() != "sqlite"
    if on_server and session.config.pluginmanager.hasplugin("dsession"):
        make_database("test", Path())


def make_database(name: str, folder: Path) -> URL:
    """Return the URL of a test database, made if it is missing."""
    url: URL = settings(strict=False)["SQLALCHEMY_DATABASE_URI"]
    if url.get_backend_name() == "sqlite":
        url = url.set(database=str(folder / f"{name}.db"))
    else:
        worker = os.environ.get("PYTEST_XDIST_WORKER", "")
        parts = [(url.database or "")[:LONGEST_NAME], name, *([worker] if worker else [])]
        url = url.set(database="_".join(parts))
    try:
        create_database(url)
    except ClickException as error:
        reason, *_ = error.message.splitlines()
        pytest.exit(f"The tests need their database. {reason}", returncode=1)
    return url


def make_engine(url: URL) -> Engine:
    """Return an engine on a test database, without what an earlier run left there."""
    engine = create_engine(url, poolclass=NullPool)
    leftovers = MetaData()
    leftovers.reflect(engine)
    leftovers.drop_all(engine)
    return engine


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """Return the application, its test database migrated to head."""
    url = make_database("test", tmp_path_factory.mktemp("database"))
    make_engine(url)
    app = create_app({"TESTING": True, "SQLALCHEMY_DATABASE_URI": url})
    with app.app_context():
        flask_migrate.upgrade(revision=app.config["MIGRATION_TARGET"])
        # A commit ends a savepoint, not the transaction that the connection is in already.
        db.session.configure(join_transaction_mode="create_savepoint")
        engine = db.engine
    yield app
    engine.dispose()


@pytest.fixture
def head(app: Flask) -> str:
    """Return the newest revision, or those of several branches."""
    with app.app_context():
        return ", ".join(wanted_heads(script_directory()))


@pytest.fixture
def transaction(app: Flask) -> Iterator[None]:
    """Run the test in a transaction that is rolled back, with all that the application commits."""
    with app.app_context():
        # Flask-SQLAlchemy looks here for what its sessions use: an engine, or a connection.
        engines = cast("dict[str | None, Engine | Connection]", db.engines)
        engine = db.engine
    with engine.connect() as connection, connection.begin() as outer:
        engines[None] = connection
        yield
        engines[None] = engine
        outer.rollback()


@pytest.fixture
def session(app: Flask, transaction: None) -> Iterator[Session]:
    """Return the database session that the application uses, within its context."""
    with app.app_context():
        yield db.session()


@pytest.fixture
def client(app: Flask, transaction: None) -> FlaskClient:
    """Return a client that makes requests without a server."""
    return app.test_client()


@pytest.fixture
def runner(app: Flask, transaction: None) -> FlaskCliRunner:
    """Return a runner for the `flask` commands."""
    return app.test_cli_runner()


@pytest.fixture(scope="session")
def migrations_url(tmp_path_factory: pytest.TempPathFactory) -> URL:
    """Return the database in which the migrations themselves are tested, up and down."""
    return make_database("migrations_test", tmp_path_factory.mktemp("database"))


@pytest.fixture
def alembic_config(app: Flask) -> Iterator[Config]:
    """Give pytest-alembic the configuration that `flask db` uses."""
    with app.app_context():
        config = app.extensions["migrate"].migrate.get_config()
        yield Config(alembic_config=config)


@pytest.fixture
def alembic_engine(migrations_url: URL) -> Engine:
    """Give pytest-alembic an empty database."""
    return make_engine(migrations_url)

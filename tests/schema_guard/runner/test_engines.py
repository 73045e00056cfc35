"""The guard sets its connection itself: it relies on nothing of the application's engine."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from projects import PROGRAMS
from schema_guard import GuardError
from services import MIGRATIONS, NO_WAY_BACK, PROJECT, Service
from sqlalchemy import Engine, create_engine, inspect
from sqlalchemy.pool import StaticPool


def hand_in(config: Any, engine: Engine) -> Any:
    """Have Alembic use an engine."""
    config.attributes["connection"] = engine
    return config


def test_sqlite_keeps_nothing_of_a_revision_that_fails_or_is_killed(tmp_path: Path) -> None:
    command: list[str | Path] = [sys.executable, "-W", "error", PROGRAMS / "engines.py"]
    command += [MIGRATIONS, tmp_path]
    environ = {**os.environ, "PYTHONPATH": str(PROJECT)}
    outcome = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)

    assert outcome.returncode == 0, outcome.stderr
    assert int(outcome.stdout) >= 11


BASE = """
op.create_table("people", sa.Column("name", sa.String(4)))
op.execute("INSERT INTO people VALUES (NULL), ('Zoë')")
assert op.get_bind().get_isolation_level() == "READ COMMITTED"
"""
FAILS = """
op.execute("INSERT INTO people VALUES ('kept')")
op.execute("INSERT INTO people VALUES ('too long')")
"""
REQUIRED = 'op.alter_column("people", "name", existing_type=sa.String(4), nullable=False)'


@pytest.mark.parametrize("dbms", ["postgresql", "mariadb"])
@pytest.mark.parametrize("level", ["AUTOCOMMIT", "SERIALIZABLE"])
def test_a_server_is_strict_and_commits_no_half(service: Service, level: str) -> None:
    arguments = dict(service.app.config["SQLALCHEMY_ENGINE_OPTIONS"]["connect_args"])
    arguments.pop("init_command", None)  # MariaDB of the tests is not strict
    theirs = create_engine(service.engine.url, isolation_level=level, connect_args=arguments)
    service.extension.migrate.configure(lambda config: hand_in(config, theirs))
    service.write(1, BASE, NO_WAY_BACK)
    service.upgrade()
    for upgrade in (FAILS, REQUIRED):
        service.write(2, upgrade, NO_WAY_BACK)
        with pytest.raises(GuardError, match="Nothing of this revision was committed"):
            service.upgrade()
        assert sorted(service.column("SELECT coalesce(name, '-') FROM people")) == ["-", "Zoë"]
    theirs.dispose()


@pytest.mark.parametrize("dbms", ["sqlite"])
def test_no_migration_runs_in_somebody_elses_transaction(service: Service) -> None:
    service.write(1, 'op.create_table("people", sa.Column("id", sa.Integer()))', NO_WAY_BACK)
    theirs = create_engine("sqlite://", poolclass=StaticPool)
    with theirs.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        service.extension.migrate.configure(lambda config: hand_in(config, theirs))
        with pytest.raises(GuardError, match="in which no migration can run"):
            service.upgrade()
    service.upgrade()
    assert inspect(theirs).get_table_names().count("people") == 1
    theirs.dispose()

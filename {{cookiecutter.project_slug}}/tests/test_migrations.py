"""The migrations as code: one head, up and down, like the models, and safe for what runs."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask.testing import FlaskCliRunner
from pytest_alembic.runner import MigrationContext as AlembicRunner
from pytest_alembic.tests import (
    test_model_definitions_match_ddl,
    test_single_head_revision,
    test_up_down_consistency,
    test_upgrade,
)
from sqlalchemy import Engine, inspect

from app.extensions import Base
from schema_guard.testing import OWN_TABLES, include_name

__all__ = [
    "test_model_definitions_match_ddl",
    "test_single_head_revision",
    "test_up_down_consistency",
    "test_upgrade",
]


def test_downgrade_to_base_leaves_no_table(
    alembic_runner: AlembicRunner, alembic_engine: Engine
) -> None:
    alembic_runner.migrate_up_to("heads")
    with alembic_engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": include_name})
        assert compare_metadata(context, Base.metadata) == []

    alembic_runner.migrate_down_to("base")

    tables = set(inspect(alembic_engine).get_table_names())
    assert tables - OWN_TABLES == {"alembic_version"}


def test_new_revisions_stop_nobody_and_lose_nothing(runner: FlaskCliRunner) -> None:
    result = runner.invoke(args=["db", "lint"])
    assert result.exit_code == 0, result.output

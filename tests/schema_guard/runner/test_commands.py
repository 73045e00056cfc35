"""Which command of Alembic's runs, and what is guarded when it is none of them."""

from typing import Any

import pytest
import sqlalchemy as sa
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from schema_guard import GuardError
from services import Service

TABLE = "op.create_table('things', sa.Column('id', sa.Integer, primary_key=True))"


def run_by_hand(service: Service) -> None:
    """Upgrade as Alembic's cookbook does, with a function of one's own."""
    with service.app.app_context():
        config: Any = service.extension.migrate.get_config()
        scripts = ScriptDirectory.from_config(config)

        def steps(current: Any, _context: object) -> Any:
            return scripts._upgrade_revs("head", current)  # noqa: SLF001 - as the cookbook does

        with EnvironmentContext(config, scripts, fn=steps, destination_rev="head"):
            scripts.run_env()


@pytest.mark.parametrize("dbms", ["sqlite", "postgresql", "mariadb"])
def test_a_function_of_ones_own_is_guarded_as_an_upgrade(service: Service) -> None:
    service.write(1, TABLE, "op.drop_table('things')")
    service.write(2, "op.execute('INSERT INTO things VALUES (1)')", "pass")
    run_by_hand(service)
    assert service.rows("SELECT id FROM things") == [(1,)]
    recorded = service.rows("SELECT revision, outcome FROM schema_history ORDER BY id")
    assert recorded == [("0001", "done"), ("0002", "done")]

    service.insert("things", [{"id": 2}])
    service.write(3, "op.drop_table('things')", "pass")
    with pytest.raises(GuardError, match="things"):
        run_by_hand(service)
    assert service.rows("SELECT count(*) FROM things") == [(2,)]

    service.write(3, "pass", "pass")
    service.write(2, "op.execute('INSERT INTO things VALUES (7)')", "pass")
    with pytest.raises(GuardError, match="revision 0002 was edited"):
        run_by_hand(service)
    assert sa.inspect(service.engine).has_table("things")
    assert service.rows("SELECT version_num FROM alembic_version") == [("0002",)]

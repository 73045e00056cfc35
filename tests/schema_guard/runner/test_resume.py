"""Going on with a revision that failed, where its own error is a part of what it did."""

import pytest
import sqlalchemy as sa
from schema_guard import GuardError
from services import Service

MADE = (
    "op.create_table('things', sa.Column('id', sa.Integer, primary_key=True),"
    " sa.Column('a', sa.Integer))\n"
    "op.execute('INSERT INTO things (id) VALUES (1)')"
)
COPIED = """
with op.get_context().autocommit_block():
    op.execute('UPDATE things SET id = id + 1')
    with op.batch_alter_table("things", recreate="always") as batch_op:
        batch_op.alter_column("a", existing_type=sa.Integer, nullable=False)
"""


def test_a_copy_of_a_table_that_failed_is_made_anew(service: Service) -> None:
    service.write(1, MADE, "pass")
    service.write(2, COPIED, "pass")
    for _ in range(2):
        with pytest.raises(GuardError, match="failed") as failed:
            service.upgrade()
        assert "INSERT INTO _alembic_tmp_things" in failed.value.message, failed.value.message
    service.run("UPDATE things SET a = 5")
    service.upgrade()
    assert service.rows("SELECT id, a FROM things") == [(2, 5)]
    (column,) = [c for c in sa.inspect(service.engine).get_columns("things") if c["name"] == "a"]
    assert not column["nullable"]


CLEANS_UP = """
with op.get_context().autocommit_block():
    op.execute("UPDATE things SET a = 1")
    try:
        op.execute("INSERT INTO things (id) SELECT min(id) FROM wanted")
    except Exception:
        op.execute("UPDATE things SET a = 0")
        raise
"""


@pytest.mark.parametrize("resume", ["rerun", "skip"])
def test_an_error_that_is_given_again_is_no_way_on(service: Service, resume: str) -> None:
    service.write(1, MADE, "pass")
    service.write(2, CLEANS_UP, "pass")
    with pytest.raises(GuardError, match="wanted"):
        service.upgrade()
    service.run("CREATE TABLE wanted (id INTEGER)")
    service.run("INSERT INTO wanted VALUES (7)")
    if service.dialect == "mysql":
        service.run("DELETE FROM things WHERE id > 1")
    again = r"it ends with the error that `INSERT INTO things .*` gave then"
    for _ in range(2):
        with pytest.raises(GuardError, match=again) as refused:
            service.upgrade()
        assert f"--resume={resume}" in refused.value.message
        assert service.rows("SELECT id, a FROM things ORDER BY id") == [(1, 0)]
    service.upgrade(f"resume={resume}")
    assert service.rows("SELECT id FROM things ORDER BY id") == [(1,), (7,)]
    assert service.rows("SELECT version_num FROM alembic_version") == [("0002",)]

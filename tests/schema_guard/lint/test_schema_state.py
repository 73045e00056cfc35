"""What the linter knows of the schema before a revision."""

import subprocess

import pytest
from click import ClickException
from samples import run_base, write_base
from services import NO_WAY_BACK, Service


@pytest.mark.parametrize("dbms", ["postgresql", "mariadb"])
@pytest.mark.parametrize(("column", "new"), [("email", "String(200)"), ("age", "Integer()")])
def test_a_type_that_holds_more_is_no_finding(service: Service, column: str, new: str) -> None:
    write_base(service)
    body = f"op.alter_column('users', '{column}', type_=sa.{new}, existing_nullable=True)"
    if service.dialect == "mysql":
        body = f"from schema_guard.operations import online\nwith online():\n    {body}"
    service.write(2, body, NO_WAY_BACK)
    assert service.findings() == []
    run_base(service)
    service.upgrade()


def test_the_schema_before_is_known(service: Service) -> None:
    write_base(service)
    add = "op.add_column('users', sa.Column('x', sa.Integer))"
    service.write(2, add, "op.drop_column('users', 'x')")
    require = "op.alter_column('users', 'x', existing_type=sa.Integer(), nullable=False)"
    service.write(3, require, NO_WAY_BACK)
    assert "old-code-breaks" in service.findings("0002:0003")
    assert "old-code-breaks" not in service.findings("0003")
    with pytest.raises(ClickException, match="nothing"):
        service.lint("nothing:head")


def git(service: Service, *arguments: str) -> None:
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *arguments], cwd=service.versions, check=True, capture_output=True)


MAKES = """
op.create_table("fresh", sa.Column("id", sa.Integer, primary_key=True), sa.Column("a", sa.Integer))
op.add_column("users", sa.Column("x", sa.Integer, server_default="1"))
"""
CHANGES = """
op.alter_column("fresh", "a", existing_type=sa.Integer(), new_column_name="b", nullable=False)
op.create_index("ix_b", "fresh", ["b"])
op.drop_index("ix_b", "fresh")
op.create_check_constraint("ck", "fresh", "b > 0")
op.rename_table("fresh", "newer")
op.execute("UPDATE newer SET b = 1 WHERE b > 1")
with op.batch_alter_table("newer", recreate="always") as batch:
    batch.drop_column("b")
op.drop_table("newer")
"""
USED = "op.alter_column('users', 'name', existing_type=sa.String(50), new_column_name='label')"


@pytest.mark.parametrize("dbms", ["sqlite"])
@pytest.mark.parametrize("dialect", ["postgresql", "mysql", "sqlite"])
def test_a_table_that_the_main_branch_has_not_is_not_in_use(service: Service, dialect: str) -> None:
    git(service, "init", "-q", "-b", "main")
    write_base(service)
    git(service, "add", ".")
    git(service, "commit", "-q", "-m", "one")
    service.write(2, MAKES, "op.drop_column('users', 'x')\nop.drop_table('fresh')")
    service.write(3, CHANGES, NO_WAY_BACK)
    service.write(4, USED, NO_WAY_BACK)
    found = service.lint(None, dialect)
    assert found.revisions == ["0002", "0003", "0004"]
    named = [
        (each.rule, each.what) for path, each in found.findings if not path.name.startswith("0002")
    ]
    assert named == [("rename-column", "users.name")]
    assert service.findings("0003", dialect) == []  # alone, or in any range
    assert service.findings("base:0003", dialect) == service.findings("0002", dialect)

    git(service, "add", ".")
    git(service, "commit", "-q", "-m", "released")
    assert {"rename-column", "drop-table"} <= set(service.findings("0003", dialect))

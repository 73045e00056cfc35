"""What the linter knows of the schema before a revision."""

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

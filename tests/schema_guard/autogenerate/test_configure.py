"""What the application gives to Migrate, and how a written revision looks."""

import subprocess
import sys
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate.rewriter import Rewriter
from alembic.operations import ops
from samples import fill, posts, users
from services import Service


def test_a_revision_is_clean(service: Service) -> None:
    ini = service.versions.parent / "alembic.ini"
    ini.write_text(service.settings, encoding="utf-8")
    service.models(users(), posts())
    fill(service)
    service.models(
        users("login", 64, sa.Column("phone", sa.String(20), nullable=False)), posts("users.login")
    )
    service.migrate("rename=users.name:login", "fill=users.phone:''")
    commands = [["check", "--ignore", "INP001,D"], ["format", "--check"]]
    for command in commands:
        program = [sys.executable, "-m", "ruff", *command, str(service.versions)]
        subprocess.run(program, check=True)


class Point(sa.types.UserDefinedType[str]):
    """A type of the service's own."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Return how it is called in SQL."""
        return "VARCHAR(40)"


def test_what_the_application_gives_to_migrate_adds_to_the_guards(service: Service) -> None:
    seen: list[Any] = []

    def note(_context: object, _revision: object, directives: list[Any]) -> None:
        seen.extend(directives)

    service.extension.configure_args = {
        "include_name": lambda name, kind, _: kind != "table" or name != "legacy",
        "process_revision_directives": note,
        "render_item": lambda _kind, item, _: "sa.Text()" if isinstance(item, Point) else False,
        "compare_type": False,
        "render_as_batch": True,
    }
    service.models(
        users(
            "name",
            64,
            sa.Column("at", Point()),
            sa.Column("on", sa.Boolean, server_default=sa.false()),
        )
    )
    service.run("CREATE TABLE legacy (id INTEGER)")
    text = service.migrate()
    assert text is not None
    assert len(seen) == 1
    assert "legacy" not in text
    assert "sa.Text()" in text
    assert "sa.false()" in text  # as the guards render it
    service.upgrade()
    assert service.migrate() is None  # not a word of schema_history


def test_a_type_of_the_services_own_is_imported(service: Service) -> None:
    service.models(users("name", 64, sa.Column("at", Point())))
    text = service.migrate()
    assert text is not None
    assert f"import {__name__}" in text
    service.upgrade()


def test_a_published_recipe_gets_what_it_gets_from_flask_migrate(service: Service) -> None:
    """The cookbook's recipes take directives[0], though there may be nothing to write."""
    seen: list[bool] = []

    def recipe(_context: object, _revision: object, directives: list[Any]) -> None:
        script = directives[0]
        seen.append(script.upgrade_ops.is_empty())
        if script.upgrade_ops.is_empty() and len(seen) == 2:
            script.upgrade_ops.ops = [ops.ExecuteSQLOp("SELECT 1")]

    service.extension.configure_args = {"process_revision_directives": recipe}
    service.models(users())
    assert service.migrate()
    service.upgrade()
    filled = service.migrate()
    assert filled is not None
    assert "op.execute('SELECT 1')" in filled
    service.upgrade()
    assert service.migrate() is None
    assert seen == [False, True, True]


@pytest.mark.parametrize("dbms", ["postgresql"])
def test_a_rewriter_finds_what_is_in_blocks(service: Service) -> None:
    writer = Rewriter()

    @writer.rewrites(ops.CreateIndexOp)
    def _rename(_context: object, _revision: object, op: ops.CreateIndexOp) -> ops.CreateIndexOp:
        op.index_name = f"the_{op.index_name}"
        return op

    service.extension.configure_args = {"process_revision_directives": writer}
    service.models(
        ("users", sa.Column("id", sa.Integer, primary_key=True), sa.Column("a", sa.Text))
    )
    service.migrate()
    service.upgrade()
    a = sa.Column("a", sa.Text, index=True)
    service.models(("users", sa.Column("id", sa.Integer, primary_key=True), a))
    text = service.migrate()
    assert text is not None
    assert text.index("autocommit_block") < text.index("the_ix_users_a")

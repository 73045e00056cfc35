"""A database of which something is half done is never taken for one with nothing to do."""

from collections.abc import Iterator

import flask_migrate
import pytest
import sqlalchemy as sa
from schema_guard import GuardError
from servers import Server
from services import Service
from sqlalchemy import URL, make_url

TWO = (
    "op.add_column('things', sa.Column('a', sa.Integer))\n"
    "op.add_column('things', sa.Column('b', sa.Integer))"
)
BACK = "op.drop_column('things', 'a')\nop.drop_column('things', '{}')"
CREATE = "op.create_table('things', sa.Column('id', sa.Integer, primary_key=True))"


@pytest.fixture
def database(server: Server) -> Iterator[URL]:
    """Return a database whose user has a plain password: `prepare` connects by the URL alone."""
    quoted, user = server.quote(server.name("db")), server.quote(server.name("user"))
    server.execute(f"CREATE DATABASE {quoted}")
    password = server.create_user("user")
    server.execute(f"GRANT ALL ON {quoted}.* TO {user}")
    yield make_url(server.url("db", "user", password))
    server.execute(f"DROP DATABASE {quoted}", f"DROP USER {user}")


def prepare(service: Service) -> tuple[int, str]:
    """Run `flask db prepare`; return its exit status and what it said."""
    outcome = service.app.test_cli_runner().invoke(args=["db", "prepare"])
    return outcome.exit_code, outcome.output


@pytest.mark.parametrize("dbms", ["mariadb"])
def test_a_downgrade_of_the_head_that_is_half_done(service: Service) -> None:
    service.write(1, CREATE, "pass")
    service.write(2, TWO, BACK.format("none"))
    service.upgrade()
    with pytest.raises(GuardError, match="none"):
        service.downgrade()
    half_done = r"downgrade of revision 0002 was interrupted\. Committed so far of this revision:"
    with pytest.raises(GuardError, match=half_done) as refusal:
        service.upgrade()
    assert "Run `flask db downgrade` to complete it; or" in refusal.value.message
    status, output = prepare(service)
    assert status == 1
    assert "Run `flask db downgrade` to complete it; or" in output

    service.write(2, TWO, BACK.format("b"))
    service.downgrade()
    service.upgrade()
    assert prepare(service)[0] == 0


@pytest.mark.parametrize("dbms", ["mariadb"])
def test_an_upgrade_that_is_half_done_and_a_downgrade_to_where_it_is(service: Service) -> None:
    service.write(1, CREATE, "pass")
    service.write(2, TWO.replace("'b'", "'a'"), "pass")
    with pytest.raises(GuardError, match="'a'"):
        service.upgrade()
    with (
        service.app.app_context(),
        pytest.raises(GuardError, match="Run `flask db upgrade` to complete it"),
    ):
        flask_migrate.downgrade(revision="0001")

    service.write(2, TWO, "pass")
    service.upgrade()
    assert {"a", "b"} <= {
        column["name"] for column in sa.inspect(service.engine).get_columns("things")
    }


@pytest.mark.parametrize("dbms", ["mariadb"])
def test_what_came_to_nothing_is_forgotten(service: Service) -> None:
    service.write(1, CREATE, "pass")
    service.write(2, "pass", "op.drop_column('things', 'none')")
    service.upgrade()
    with pytest.raises(GuardError, match="none"):
        service.downgrade()
    assert service.rows("SELECT direction FROM schema_journal") == [("downgrade",)]
    service.upgrade()
    assert service.rows("SELECT direction FROM schema_journal") == []

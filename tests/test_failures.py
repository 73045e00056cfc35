"""A revision that fails: what is kept of it, and what the user is told."""

import re

import pytest
from conftest import Project, revisions, url_of
from servers import Server

HALF = """
    op.create_table("half", sa.Column("id", sa.Integer()))
    op.execute("INSERT INTO roles (name, description) VALUES ('half', '')")
    op.execute("INSERT INTO nowhere VALUES ('100%')")
"""


def fail(project: Project, url: str, body: str) -> str:
    """Upgrade to a revision that fails; return what is said."""
    prepared = project.flask("db", "prepare", DATABASE_URL=url)
    assert prepared.status == 0, prepared.output
    with revisions(project, {"0002": body}):
        outcome = project.flask("db", "upgrade", DATABASE_URL=url)
        current = project.flask("db", "current", DATABASE_URL=url)
    assert outcome.status == 1
    assert "Traceback" not in outcome.output
    assert "0001" in current.output
    assert "0002" not in current.output
    return outcome.output[outcome.output.index("Error: ") :]


def test_it_is_undone_or_what_is_kept_is_named(
    any_project: Project, server: Server | None, dbms: str
) -> None:
    url = url_of(any_project, server, "half")

    said = fail(any_project, url, HALF)

    assert re.search(r"Revision 0002 \(0002_test\.py, line 12\) failed: .*nowhere", said)
    assert "Statement:  INSERT INTO nowhere VALUES ('100%')" in said
    again = any_project.query("SELECT count(*) FROM roles WHERE name = 'half'", DATABASE_URL=url)
    assert again == "[(0,)]"
    half = any_project.query("SELECT count(*) FROM half", DATABASE_URL=url)
    if dbms == "mariadb":
        assert "The database is at 0001, and of this revision these were kept:" in said
        assert "CREATE TABLE half" in said
        assert "INSERT INTO roles" not in said  # it was rolled back
        assert half == "[(0,)]"
    else:
        assert "The database is at 0001; nothing of this revision was kept." in said
        assert "[(" not in half


@pytest.mark.parametrize("dbms", ["postgresql"])
def test_an_index_that_failed_is_named(any_project: Project, server: Server) -> None:
    url = url_of(any_project, server, "invalid")
    body = """
    op.execute("INSERT INTO roles (name, description) VALUES ('a', 'same'), ('b', 'same')")
    with op.get_context().autocommit_block():
        op.create_index("ix_twice", "roles", ["description"], unique=True,
                        postgresql_concurrently=True)
"""

    said = fail(any_project, url, body)

    assert "could not create unique index" in said
    assert "The index ix_twice is invalid: drop it." in said
    assert "these were kept" in said


def test_a_revision_that_orphans_rows_is_undone(any_project: Project) -> None:
    url = url_of(any_project, None, "orphans")
    assert any_project.flask("db", "prepare", DATABASE_URL=url).status == 0
    assert any_project.flask("seed", DATABASE_URL=url).status == 0

    said = fail(any_project, url, "op.execute(\"DELETE FROM roles WHERE name = 'admin'\")")

    assert "1 rows of users without their row in roles" in said
    roles = any_project.query("SELECT count(*) FROM roles", DATABASE_URL=url)
    assert roles == "[(2,)]"


def test_orphans_that_were_there_before_are_not_blamed_on_a_revision(any_project: Project) -> None:
    url = url_of(any_project, None, "orphaned")
    assert any_project.flask("db", "prepare", DATABASE_URL=url).status == 0
    code = (
        "import sqlite3, sys; connection = sqlite3.connect(sys.argv[1])\n"
        'connection.execute("INSERT INTO users (username, email, role_id, created_at)"\n'
        "  \" VALUES ('zoë', 'z', 99, '2026-01-01')\"); connection.commit()"
    )
    path = url.removeprefix("sqlite:///")
    assert any_project.run(any_project.tool("python"), "-c", code, path).status == 0

    body = """
    with op.batch_alter_table("users") as batch_op:
        batch_op.alter_column("email", type_=sa.Text())
"""
    with revisions(any_project, {"0002": body}):
        outcome = any_project.flask("db", "upgrade", DATABASE_URL=url)
    assert outcome.status == 0, outcome.output
    users = any_project.query("SELECT username, role_id FROM users", DATABASE_URL=url)
    assert users == "[('zoë', 99)]"


def test_leftovers_of_a_tool_that_died_are_reported(any_project: Project) -> None:
    url = url_of(any_project, None, "leftovers")
    assert any_project.flask("db", "prepare", DATABASE_URL=url).status == 0
    made = any_project.query("SELECT 1", DATABASE_URL=url)
    assert made == "[(1,)]"
    path = url.removeprefix("sqlite:///")
    sql = "CREATE TABLE _alembic_tmp_users (id)"
    code = f"import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute({sql!r})"
    assert any_project.run(any_project.tool("python"), "-c", code, path).status == 0

    said = fail_to_upgrade(any_project, url)

    assert "_alembic_tmp_users, which a migration that died has left" in said
    assert "Nothing was changed" in said


def fail_to_upgrade(project: Project, url: str) -> str:
    """Upgrade in vain; return what is said."""
    outcome = project.flask("db", "upgrade", DATABASE_URL=url)
    assert outcome.status == 1
    assert "Traceback" not in outcome.output
    return outcome.output


@pytest.mark.parametrize("command", ["upgrade", "current", "check", "downgrade", "migrate"])
def test_a_server_that_is_not_there_is_one_line(any_project: Project, command: str) -> None:
    url = "postgresql://me:s3cret@127.0.0.1:1/shop"

    outcome = any_project.flask("db", command, DATABASE_URL=url)

    assert outcome.status == 1
    assert "nothing listens at 127.0.0.1:1" in outcome.output
    assert "Traceback" not in outcome.output
    assert "s3cret" not in outcome.output

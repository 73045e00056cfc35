"""A revision that fails: what is kept of it, and what the user is told."""

import re

import pytest
from processes import migrating, revisions
from projects import Project, prepared, url_of
from servers import Server

HALF = """
    op.create_table("half", sa.Column("id", sa.Integer()))
    op.execute("INSERT INTO roles (name, description) VALUES ('half', '')")
    op.execute("INSERT INTO nowhere VALUES ('100%')")
"""


def fail(project: Project, url: str, body: str) -> str:
    """Upgrade to a revision that fails; return what is said."""
    made = project.flask("db", "prepare", DATABASE_URL=url)
    assert made.status == 0, made.output
    with revisions(project, {"0002": body}):
        outcome = project.flask("db", "upgrade", DATABASE_URL=url)
        current = project.flask("db", "current", DATABASE_URL=url)
    assert outcome.status == 1
    assert "Traceback" not in outcome.output
    assert "0001" in current.output.splitlines()
    assert "1 revision is pending: 0002. Run: flask db upgrade" in current.output
    return outcome.output[outcome.output.index("Error: ") :]


def test_it_is_undone_or_what_is_kept_is_named(
    any_project: Project, server: Server | None, dbms: str
) -> None:
    url = url_of(any_project, server, "half")

    said = fail(any_project, url, HALF)

    assert re.search(r"Revision 0002 \(0002_test\.py, line 16\) failed: .*nowhere", said)
    assert "Statement:  INSERT INTO nowhere VALUES ('…')" in said
    again = any_project.query("SELECT count(*) FROM roles WHERE name = 'half'", DATABASE_URL=url)
    assert again == "[(0,)]"
    half = any_project.query("SELECT count(*) FROM half", DATABASE_URL=url)
    if dbms == "mariadb":
        assert "The database is at 0001. Committed so far of this revision:" in said
        assert "CREATE TABLE half" in said
        assert "INSERT INTO roles" not in said  # it was rolled back
        assert "it continues after what was committed" in said
        assert half == "[(0,)]"
    else:
        assert "The database is at 0001. Nothing of this revision was committed." in said
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

    assert "unique violation (23505), constraint ix_twice" in said
    assert "same" not in said.partition("The database is at")[0]
    assert "The index ix_twice is invalid: the next run drops it." in said
    assert "Committed so far of this revision:" in said


def test_a_revision_that_orphans_rows_is_undone(any_project: Project) -> None:
    url = prepared(any_project, None, "orphans", seeded=True)

    said = fail(any_project, url, "op.execute(\"DELETE FROM roles WHERE name = 'admin'\")")

    assert "Revision 0002 would leave 1 rows of users without their row in roles" in said
    roles = any_project.query("SELECT count(*) FROM roles", DATABASE_URL=url)
    assert roles == "[(2,)]"


def test_orphans_that_were_there_before_are_not_blamed_on_a_revision(any_project: Project) -> None:
    url = prepared(any_project, None, "orphaned")
    code = (
        "import sqlite3, sys; connection = sqlite3.connect(sys.argv[1])\n"
        'connection.execute("INSERT INTO users (username, email, role_id, created_at)"\n'
        "  \" VALUES ('zoë', 'z', 99, '2026-01-01')\"); connection.commit()"
    )
    path = url.removeprefix("sqlite:///")
    assert any_project.run(any_project.tool("python"), "-c", code, path).status == 0
    for revision in ("base", "0001"):
        stamped = any_project.flask("db", "stamp", revision, DATABASE_URL=url)
        assert stamped.status == 0, stamped.output

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
    url = prepared(any_project, None, "leftovers")
    made = any_project.query("SELECT 1", DATABASE_URL=url)
    assert made == "[(1,)]"
    path = url.removeprefix("sqlite:///")
    sql = "CREATE TABLE _alembic_tmp_users (id)"
    code = f"import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute({sql!r})"
    assert any_project.run(any_project.tool("python"), "-c", code, path).status == 0

    said = refused(any_project, url, "upgrade")

    assert "_alembic_tmp_users, which a migration that died has left" in said
    assert "Nothing was changed" in said


@pytest.mark.parametrize("command", ["upgrade", "current", "check", "downgrade", "migrate"])
def test_a_server_that_is_not_there_is_one_line(any_project: Project, command: str) -> None:
    url = "postgresql://me:s3cret@127.0.0.1:1/shop"

    outcome = any_project.flask("db", command, DATABASE_URL=url)

    assert outcome.status == 1
    assert "nothing listens at 127.0.0.1:1" in outcome.output
    assert "Traceback" not in outcome.output
    assert "s3cret" not in outcome.output


def test_a_revision_that_is_not_there_any_more(any_project: Project, server: Server | None) -> None:
    url = prepared(any_project, server, "gone")
    with revisions(any_project, {"0002": "pass"}):
        assert any_project.flask("db", "upgrade", DATABASE_URL=url).status == 0

    for command in ("upgrade", "check"):
        said = refused(any_project, url, command)
        assert "The database is at revision 0002, which is not in migrations/versions: it" in said
        assert "flask db downgrade 0001" in said


@pytest.mark.parametrize("dbms", ["sqlite"])
def test_files_of_revisions_that_are_wrong(any_project: Project, server: None) -> None:
    url = prepared(any_project, server, "files")
    with revisions(any_project, {"0002": "pass", "0003": "pass"}):
        folder = any_project.path / "migrations" / "versions"
        second, other = folder / "0002_test.py", folder / "0002_other.py"
        text = second.read_text(encoding="utf-8")
        second.unlink()
        for command in ("upgrade", "prepare", "check", "migrate", "lint", "heads", "history"):
            said = refused(any_project, url, command)
            assert "There is no file of revision 0002, on which others build" in said
            assert "flask db log 0002 --output migrations/versions/0002.py" in said

        second.write_text(text, encoding="utf-8")
        wrong = {
            text: "Two files in migrations/versions are revision 0002",
            "def (": "0002_other.py, line 1, cannot be read: SyntaxError: invalid syntax",
            f"{text}\nimport nowhere\n": "cannot be read: ModuleNotFoundError: No module named",
            "import flask\nflask.request.path\n": "0002_other.py, line 2, cannot be read",
            text.replace('revision = "0002"', 'revision = "x"').replace(
                "def downgrade", "depends_on = 'gone'\n\n\ndef downgrade"
            ): "There is no file of revision gone",
        }
        try:
            for number, (words, message) in enumerate(wrong.items()):
                # Of another length, or Python would take what it has compiled in this second.
                other.write_text(f"{words}\n{'#' * number}", encoding="utf-8")
                for command in ("upgrade", "prepare", "heads"):
                    assert message in refused(any_project, url, command)
                told = any_project.flask("db", "heads", "--verbose", DATABASE_URL=url)
                assert "Traceback" in told.output
        finally:
            other.unlink()
        assert "0002" not in any_project.flask("db", "log", DATABASE_URL=url).output


def test_a_revision_that_commits_is_complete(
    any_project: Project, server: Server | None, dbms: str
) -> None:
    url = prepared(any_project, server, "commits")
    body = """
    op.create_table("committed", sa.Column("id", sa.Integer(), primary_key=True))
    op.get_bind().commit()
    op.execute("INSERT INTO committed VALUES (1)")
"""
    with revisions(any_project, {"0002": body}):
        upgraded = any_project.flask("db", "upgrade", DATABASE_URL=url)
        assert upgraded.status == 0, upgraded.output
        assert "0002 (head)" in any_project.flask("db", "current", DATABASE_URL=url).output
        again = any_project.flask("db", "upgrade", DATABASE_URL=url)
        assert again.status == 0, f"{dbms}: {again.output}"
        assert "Running upgrade" not in again.output
    assert any_project.query("SELECT id FROM committed", DATABASE_URL=url) == "[(1,)]"


def test_a_database_that_is_behind(any_project: Project, server: Server | None) -> None:
    url = prepared(any_project, server, "behind")
    with revisions(any_project, {"0002": "pass"}):
        for command in (["migrate", "-m", "x"], ["check"]):
            said = refused(any_project, url, *command)
            assert "The database is at 0001, the code's head is 0002." in said
            assert "Run `flask db upgrade` first" in said
        for command in (["upgrade", "nonsense"], ["stamp", "nonsense"]):
            said = refused(any_project, url, *command)
            assert "There is no revision nonsense: see `flask db history`" in said


@pytest.mark.parametrize("dbms", ["postgresql", "mariadb"])
def test_a_user_who_may_only_read(any_project: Project, server: Server) -> None:
    prepared(any_project, server, "reader")
    password = server.create_user("readonly")
    user = server.quote(server.name("readonly"))
    if server.is_postgresql:
        grant = f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user}"
        server.execute(grant, database="reader")
    else:
        server.execute(f"GRANT SELECT ON {server.name('reader')}.* TO {user}@`%`")
    theirs = server.url("reader", "readonly", password)
    body = 'op.add_column("users", sa.Column("phone", sa.String(20)))'

    with revisions(any_project, {"0002": body}):
        said = refused(any_project, theirs, "upgrade")
        assert any_project.flask("db", "current", DATABASE_URL=theirs).status == 0

    assert server.name("readonly") in said
    assert " may not do what revisions need:\n  revision 0002 " in said
    assert "Nothing was changed. Have an administrator run:" in said


@pytest.mark.parametrize("dbms", ["postgresql", "mariadb"])
def test_a_connection_that_is_ended(any_project: Project, server: Server) -> None:
    url = prepared(any_project, server, "ended")
    with migrating(any_project, url) as process:
        assert server.kill("ended") > 0
        (any_project.path / "hold").unlink()
        output, _ = process.communicate(timeout=60)

        assert process.returncode == 1, output
        assert "Traceback" not in output
        assert "The database is at 0001. Nothing of this revision was committed." in output
        assert "See why the server ended the connection" in output
        assert any_project.flask("db", "upgrade", DATABASE_URL=url).status == 0


def refused(project: Project, url: str, *command: str) -> str:
    """Run a command of `flask db` in vain; return what is said."""
    outcome = project.flask("db", *command, DATABASE_URL=url)
    assert outcome.status == 1, outcome.output
    assert "Traceback" not in outcome.output
    return outcome.output

"""The record of what was run, revisions that changed since, and interrupted ones."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from processes import revisions, serve
from projects import Project, prepared, url_of
from servers import Server, connect
from sqlalchemy import make_url

TWO = """
    op.create_table("half", sa.Column("id", sa.Integer(), primary_key=True))
    op.execute("INSERT INTO half VALUES (1)")
    op.create_index("ix_half", "half", ["id"])
    op.execute("INSERT INTO nowhere VALUES (1)")


def downgrade():
    op.drop_table("half")
"""


@pytest.fixture
def url(any_project: Project, server: Server | None, request: pytest.FixtureRequest) -> str:
    """Return a database at 0001, one for each test."""
    return prepared(any_project, server, re.sub(r"\W.*", "", request.node.name)[-30:])


def run_sql(url: str, statement: str) -> None:
    """Run a statement as the administrator, by hand."""
    with connect(make_url(url)) as connection:
        connection.exec_driver_sql(statement.replace("%", "%%"))


def revision_file(project: Project) -> Path:
    """Return the file of revision 0002."""
    return project.path / "migrations" / "versions" / "0002_test.py"


def edit(project: Project, before: str, after: str) -> None:
    """Change revision 0002."""
    path = revision_file(project)
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after), encoding="utf-8")


def test_the_log_tells_what_was_run(any_project: Project, url: str) -> None:
    with revisions(any_project, {"0002": TWO}):
        assert any_project.flask("db", "upgrade", DATABASE_URL=url).status == 1
        edit(any_project, "nowhere VALUES (1)", "half VALUES (2)")
        for command in (["upgrade"], ["downgrade"], ["stamp", "0002"], ["stamp", "0001"]):
            outcome = any_project.flask("db", *command, DATABASE_URL=url)
            assert outcome.status == 0, outcome.output
        log = any_project.flask("db", "log", DATABASE_URL=url).output

    line = r"^2\d{3}-\d\d-\d\d \d\d:\d\d:\d\d UTC  (\w+) (\w+)  (\w+)  \d+\.\d{3} s  \S+@.+$"
    assert re.findall(line, log, re.MULTILINE) == [
        ("stamp", "0001", "done"),
        ("stamp", "0002", "done"),
        ("downgrade", "0002", "done"),
        ("upgrade", "0002", "done"),
        ("upgrade", "0002", "failed"),
        ("upgrade", "0001", "done"),
    ]
    assert re.search(r"    Revision 0002 \(0002_test.py, line \d+\) failed: .*nowhere", log)


@pytest.mark.parametrize("dbms", ["sqlite"])
def test_no_log_where_no_migration_has_run(any_project: Project, server: None) -> None:
    url = url_of(any_project, server, "no_log")
    log = any_project.flask("db", "log", DATABASE_URL=url)
    assert (log.status, log.output) == (0, "")


def test_an_edited_revision_is_refused(any_project: Project, url: str) -> None:
    body = 'op.execute("UPDATE roles SET description = name")'
    with revisions(any_project, {"0002": body}):
        assert any_project.flask("db", "upgrade", DATABASE_URL=url).status == 0
        # What it does is the same.
        edit(any_project, body, f"\n    # a comment\n    ({body})  # another")
        assert any_project.flask("db", "upgrade", DATABASE_URL=url).status == 0

        edit(any_project, "= name", "= ''")
        refused = any_project.flask("db", "upgrade", DATABASE_URL=url)
        preparing = any_project.flask("db", "prepare", DATABASE_URL=url)
        checked = any_project.flask("db", "check", DATABASE_URL=url)
        allowed = any_project.flask("db", "upgrade", "--allow-edited", DATABASE_URL=url)
        after = any_project.flask("db", "upgrade", DATABASE_URL=url)
        log = any_project.flask("db", "log", DATABASE_URL=url)

    assert refused.status == preparing.status == 1
    for outcome in (refused, preparing, checked, allowed):
        assert "evision 0002 was edited after it was run here, 2" in outcome.output
        assert "Traceback" not in outcome.output
    assert "Nothing was changed." in refused.output
    assert checked.status == allowed.status == after.status == 0
    assert "edited" not in after.output
    assert log.output.splitlines()[0].split("  ")[1:3] == ["edited 0002", "done"]


def test_a_deleted_revision_is_refused(any_project: Project, url: str) -> None:
    with revisions(any_project, {"0002": "pass", "0003": "pass"}):
        assert any_project.flask("db", "upgrade", DATABASE_URL=url).status == 0
        path = revision_file(any_project)
        path.unlink()
        third = path.with_name("0003_test.py")
        text = third.read_text(encoding="utf-8").replace('"0002"', '"0001"')
        # Of another length, or Python would take what it has compiled within the same second.
        third.write_text(f"{text}\n# edited\n", encoding="utf-8")
        refused = any_project.flask("db", "upgrade", DATABASE_URL=url)
        with serve(any_project, variables={"DATABASE_URL": url}) as service:
            ready = json.loads(service.get("/readyz").text)
        allowed = any_project.flask("db", "upgrade", "--allow-edited", DATABASE_URL=url)
        after = any_project.flask("db", "upgrade", DATABASE_URL=url)

    for name, what in (("0002", "deleted"), ("0003", "edited")):
        told = f"revision {name} was {what} after it was run here"
        assert told in refused.output
        assert any(told in warning for warning in ready["warnings"])
    assert refused.status == 1
    assert ready["status"] == "ready"
    assert allowed.status == after.status == 0


def test_old_processes_stay_ready_when_a_release_has_migrated(
    any_project: Project, url: str
) -> None:
    for revision in ("base", "0001"):  # a database that was made otherwise, say
        assert any_project.flask("db", "stamp", revision, DATABASE_URL=url).status == 0
    with revisions(any_project, {"0002": "pass", "0003": "pass"}):
        assert any_project.flask("db", "upgrade", DATABASE_URL=url).status == 0
        for path in any_project.path.glob("migrations/versions/*_test.py"):
            path.unlink()
        with serve(any_project, variables={"DATABASE_URL": url}) as old:
            ready = old.get("/readyz")
        assert ready.status == 200
        assert json.loads(ready.text) == {
            "status": "ready",
            "revision": "at 0003, head is 0001 (The first tables: roles and users)",
            "warnings": ["the database is newer than this code"],
        }

    # Not if it were on another branch.
    with revisions(any_project, {"0002": "pass"}):
        edit(any_project, 'revision = "0002"', 'revision = "other"')
        with serve(any_project, variables={"DATABASE_URL": url}) as other:
            ready = other.get("/readyz")
    assert ready.status == 503
    assert json.loads(ready.text)["reason"] == "at 0003, head is other"


def test_a_file_that_is_gone_comes_back_from_the_record(any_project: Project, url: str) -> None:
    text = (
        "op.execute(\"INSERT INTO roles (name, description) VALUES ('Ünï \\\\ {{ x }} %', '😀')\")"
    )
    bodies = {"0002": text, "0003": "pass  # as it was run"}
    with revisions(any_project, bodies):
        folder = any_project.path / "migrations" / "versions"
        paths = [folder / f"{revision}_test.py" for revision in bodies]
        paths[0].write_bytes(paths[0].read_bytes().replace(b"\n", b"\r\n"))
        files = {path: path.read_bytes() for path in paths}
        assert any_project.flask("db", "upgrade", DATABASE_URL=url).status == 0
        for path in files:
            path.unlink()

        gone = any_project.flask("db", "upgrade", DATABASE_URL=url)
        assert gone.status == 1
        assert "The database is at revision 0003, which is not in" in gone.output
        for path, file in files.items():
            revision = path.name[:4]
            command = f"flask db log {revision} --output migrations/versions/{revision}.py"
            assert command in gone.output
            told = subprocess.run(
                [any_project.tool("flask"), "db", "log", revision],
                cwd=any_project.path,
                env={**any_project.environ, "DATABASE_URL": url},
                stdout=subprocess.PIPE,
                check=True,
            )
            assert told.stdout == file
            output = ["db", "log", revision, "--output", str(path)]
            assert any_project.flask(*output, DATABASE_URL=url).status == 0
            assert path.read_bytes() == file
            for wrong, why in ((path, "File exists"), (path / "x", "Not a directory")):
                again = any_project.flask(*output[:-1], str(wrong), DATABASE_URL=url)
                assert again.status == 1
                assert f"Error: Cannot write {wrong}: {why}. Name another file." in again.output
                assert "Traceback" not in again.output
            assert path.read_bytes() == file
        down = any_project.flask("db", "downgrade", "0001", DATABASE_URL=url)
        assert down.status == 0, down.output

    unnamed = any_project.flask("db", "log", "--output", "none", DATABASE_URL=url)
    assert unnamed.status == 2
    assert "--output needs a REVISION." in unnamed.output
    for revision in ("0009", "000"):
        none = any_project.flask("db", "log", revision, "--output", "none", DATABASE_URL=url)
        assert none.status == 1
        assert not (any_project.path / "none").exists()
        assert f"There is no record of revision {revision}" in none.output


def test_what_is_kept_never_shows_up_in_autogenerate(any_project: Project, url: str) -> None:
    before = sorted(any_project.path.glob("migrations/versions/*.py"))
    for command in (["check"], ["migrate", "-m", "nothing"]):
        outcome = any_project.flask("db", *command, DATABASE_URL=url)
        assert outcome.status == 0, outcome.output
        assert "schema_" not in outcome.output
    assert sorted(any_project.path.glob("migrations/versions/*.py")) == before


@pytest.mark.parametrize("dbms", ["mariadb"])
def test_a_revision_edited_half_way(any_project: Project, url: str) -> None:
    with revisions(any_project, {"0002": TWO}):
        assert any_project.flask("db", "upgrade", DATABASE_URL=url).status == 1
        edit(any_project, '"half", sa.Column', '"quarter", sa.Column')
        lost = any_project.flask("db", "upgrade", DATABASE_URL=url)
        other = any_project.flask("db", "downgrade", DATABASE_URL=url)
        edit(any_project, '"quarter", sa.Column', '"half", sa.Column')
        edit(any_project, "nowhere VALUES (1)", "half VALUES (2)")
        upgraded = any_project.flask("db", "upgrade", DATABASE_URL=url)

    assert lost.status == other.status == 1
    assert "The upgrade of revision 0002 was interrupted, and cannot continue" in lost.output
    assert "it now comes to `CREATE TABLE quarter" in lost.output
    assert "CREATE TABLE quarter" in lost.output
    assert "CREATE TABLE half" in lost.output
    assert "It was edited since." in lost.output
    assert "flask db stamp --purge" in lost.output
    assert "The upgrade of revision 0002 was interrupted." in other.output
    assert upgraded.status == 0, upgraded.output
    assert any_project.query("SELECT id FROM half", DATABASE_URL=url) == "[(1,), (2,)]"


@pytest.mark.parametrize("dbms", ["mariadb"])
def test_a_revision_undone_by_hand(any_project: Project, url: str) -> None:
    with revisions(any_project, {"0002": TWO}):
        assert any_project.flask("db", "upgrade", DATABASE_URL=url).status == 1
        run_sql(url, "DROP TABLE half")
        stamped = any_project.flask("db", "stamp", "--purge", "0001", DATABASE_URL=url)
        edit(any_project, "nowhere VALUES (1)", "half VALUES (2)")
        upgraded = any_project.flask("db", "upgrade", DATABASE_URL=url)

    assert stamped.status == 0, stamped.output
    assert upgraded.status == 0, upgraded.output
    assert any_project.query("SELECT id FROM half", DATABASE_URL=url) == "[(1,), (2,)]"


@pytest.mark.parametrize("dbms", ["mariadb"])
def test_what_cannot_be_known_stops(any_project: Project, url: str) -> None:
    body = """
    op.execute("DELETE FROM roles")
    op.execute("TRUNCATE TABLE users")
    op.execute("INSERT INTO nowhere VALUES (1)")
"""
    with revisions(any_project, {"0002": body}):
        assert any_project.flask("db", "upgrade", DATABASE_URL=url).status == 1
        # As if killed before it was known that the TRUNCATE had run: too short a time to hit.
        unsure = "UPDATE schema_journal SET `before` = '{}' WHERE statement LIKE 'TRUNCATE%'"
        run_sql(url, unsure)
        outcome = any_project.flask("db", "upgrade", DATABASE_URL=url)

    assert outcome.status == 1
    assert "it cannot be known whether its last statement has run" in outcome.output
    assert "TRUNCATE TABLE users" in outcome.output
    assert "DELETE FROM roles" in outcome.output
    assert "Nothing was run now." in outcome.output
    assert "`flask db stamp --purge` with the revision before 0002" in outcome.output
    assert "or complete it, and stamp 0002." in outcome.output
    assert "flask db upgrade --resume=rerun" in outcome.output
    assert "flask db upgrade --resume=skip" in outcome.output


@pytest.mark.parametrize("dbms", ["mariadb"])
def test_what_failed_is_known_not_to_have_run(any_project: Project, url: str) -> None:
    body = """
    op.execute("UPDATE roles SET description = 'x'")
    op.execute("TRUNCATE TABLE roles")
"""
    with revisions(any_project, {"0002": body}):
        failed = any_project.flask("db", "upgrade", DATABASE_URL=url)
        edit(any_project, "TRUNCATE TABLE roles", "DELETE FROM roles")
        upgraded = any_project.flask("db", "upgrade", DATABASE_URL=url)

    assert failed.status == 1
    assert "Statement:  TRUNCATE TABLE roles" in failed.output
    assert "it continues after what was committed" in failed.output
    assert upgraded.status == 0, upgraded.output


@pytest.mark.parametrize("dbms", ["mariadb"])
def test_an_edited_revision_may_leave_nothing_out(any_project: Project, url: str) -> None:
    with revisions(any_project, {"0002": TWO}):
        assert any_project.flask("db", "upgrade", DATABASE_URL=url).status == 1
        edit(any_project, 'op.execute("INSERT INTO half VALUES (1)")', "pass")
        outcome = any_project.flask("db", "upgrade", DATABASE_URL=url)

    assert outcome.status == 1
    assert "it now comes to `CREATE INDEX ix_half" in outcome.output


@pytest.mark.parametrize("dbms", ["postgresql"])
def test_a_revision_that_fails_at_its_commit(any_project: Project, url: str) -> None:
    body = """
    op.execute("ALTER TABLE users ADD CONSTRAINT fk_late FOREIGN KEY (role_id)"
               " REFERENCES roles (id) DEFERRABLE INITIALLY DEFERRED")
    op.execute("INSERT INTO users (username, email, role_id, created_at)"
               " VALUES ('late', 'late', 77, now())")
"""
    drop = 'op.execute("ALTER TABLE users DROP CONSTRAINT fk_users_role_id_roles")'
    with revisions(any_project, {"0002": drop, "0003": "pass", "0004": body}):
        outcome = any_project.flask("db", "upgrade", DATABASE_URL=url)
        log = any_project.flask("db", "log", DATABASE_URL=url).output
        current = any_project.flask("db", "current", DATABASE_URL=url).output

    assert outcome.status == 1
    assert "Error: Revision 0004 failed: " in outcome.output
    assert "The database is at 0003. Nothing of this revision was committed." in outcome.output
    assert "0003" in current
    told = [line.split("  ")[1:3] for line in log.splitlines() if " UTC  " in line]
    assert told == [
        ["upgrade 0004", "failed"],
        ["upgrade 0003", "done"],
        ["upgrade 0002", "done"],
        ["upgrade 0001", "done"],
    ]


@pytest.mark.parametrize("dbms", ["postgresql"])
def test_a_concurrent_index_that_failed_is_made_anew(any_project: Project, url: str) -> None:
    body = """
    op.execute("INSERT INTO roles (name, description) VALUES ('a', 'same'), ('b', 'same')")
    with op.get_context().autocommit_block():
        op.create_index("ix_once", "roles", ["description"], unique=True,
                        postgresql_concurrently=True, if_not_exists=True)
"""
    with revisions(any_project, {"0002": body}):
        assert any_project.flask("db", "upgrade", DATABASE_URL=url).status == 1
        mend = "UPDATE roles SET description = name"
        run_sql(url, mend)
        outcome = any_project.flask("db", "upgrade", DATABASE_URL=url)

    assert outcome.status == 0, outcome.output
    query = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_once'::regclass"
    assert any_project.query(query, DATABASE_URL=url) == "[(True,)]"
    count = any_project.query("SELECT count(*) FROM roles", DATABASE_URL=url)
    assert count == "[(2,)]"


@pytest.mark.parametrize("dbms", ["sqlite"])
def test_a_statement_that_fails_is_one_message(any_project: Project, url: str) -> None:
    run_sql(url, "ALTER TABLE schema_history RENAME COLUMN seconds TO minutes")
    outcome = any_project.flask("db", "log", DATABASE_URL=url)

    assert outcome.status == 1
    assert "Traceback" not in outcome.output
    assert "no such column: schema_history.seconds" in outcome.output
    assert "Statement:  SELECT" in outcome.output
    assert "DATABASE_URL" not in outcome.output


def test_a_traceback_only_when_verbose(any_project: Project, url: str) -> None:
    with revisions(any_project, {"0002": 'raise KeyError("phone")'}):
        plain = any_project.flask("db", "upgrade", DATABASE_URL=url)
        verbose = any_project.flask("db", "upgrade", "--verbose", DATABASE_URL=url)

    assert plain.status == verbose.status == 1
    assert "Error: Revision 0002 (0002_test.py, line 14) failed: KeyError: 'phone'." in plain.output
    assert "Traceback" not in plain.output
    assert "Traceback" in verbose.output
    assert 'raise KeyError("phone")' in verbose.output

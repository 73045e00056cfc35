"""Ctrl-C and SIGTERM end a command at once, wherever it is, and it says what there is."""

import signal
import subprocess
from pathlib import Path

import pytest
from processes import migrating, read_until, revisions, start
from projects import Project, prepared
from servers import Server, connect, wait_until
from sqlalchemy import make_url

# A statement that takes for ever, and how a server shows that it runs.
ENDLESS = {
    "sqlite": "INSERT INTO roles (name, description) WITH RECURSIVE n (x) AS"
    " (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x), '' FROM n",
    "postgresql": "INSERT INTO roles (name, description) SELECT 'x', pg_sleep(600)::text",
    "mariadb": "UPDATE roles SET description = SLEEP(600)",
}
RUNNING = {
    "postgresql": "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND datname = '{}'"
    " AND query LIKE 'INSERT INTO roles%pg_sleep%'",
    "mariadb": "SELECT id FROM information_schema.processlist WHERE db = '{}'"
    " AND info LIKE 'UPDATE roles%'",
}
WAITING = {
    "postgresql": "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    " AND datname = '{}'",
    "mariadb": "SELECT id FROM information_schema.processlist WHERE db = '{}'"
    " AND state LIKE 'Waiting for table metadata lock%'",
}
HERE = 'import pathlib; pathlib.Path("here").touch()'
ROW = "op.execute(\"INSERT INTO roles (name, description) VALUES ('Zoë 🎉', '')\")"
KEPT = "op.execute(\"UPDATE roles SET description = 'kept'\")"


@pytest.fixture
def here(any_project: Project) -> Path:
    """Return the file that a revision makes where it is to be interrupted."""
    path = any_project.path / "here"
    path.unlink(missing_ok=True)
    return path


def outcomes(project: Project, url: str) -> list[list[str]]:
    """Return what the record says, the newest first."""
    lines = project.flask("db", "log", DATABASE_URL=url).output.splitlines()
    return [line.split("  ")[1:3] for line in lines if " UTC  " in line]


def test_a_statement(any_project: Project, server: Server | None, dbms: str, here: Path) -> None:
    url = prepared(any_project, server, "statement")
    inside = f'{KEPT}\n        {HERE}\n        op.execute("{ENDLESS[dbms]}")'
    block = f"with op.get_context().autocommit_block():\n        {inside}"
    with revisions(any_project, {"0002": ROW, "0003": block}):
        process = start(any_project, "db", "upgrade", DATABASE_URL=url)
        wait_until(here.exists)
        running = RUNNING.get(dbms, "").format(server.name("statement") if server else "")
        wait_until(lambda: server is None or bool(server.query(running)))
        process.terminate()
        output, _ = process.communicate(timeout=60)

    assert process.returncode == 143, output
    assert "Interrupted by SIGTERM. Committed so far: 0002. Revision 0003 (" in output
    assert "The database is at 0002. Of this revision these were kept:" in output
    assert "UPDATE roles SET description = '…'" in output
    assert output.endswith("Run it again to continue.\n")
    assert "Traceback" not in output
    assert server is None or not server.query(running)  # nothing goes on in the server
    roles = any_project.query("SELECT name, description FROM roles", DATABASE_URL=url)
    assert roles == "[('Zoë 🎉', 'kept')]"
    assert outcomes(any_project, url)[:2] == [
        ["upgrade 0003", "interrupted"],
        ["upgrade 0002", "done"],
    ]


def test_python_code_that_catches_everything(
    any_project: Project, server: Server | None, dbms: str, here: Path
) -> None:
    url = prepared(any_project, server, "python")
    body = f"""
    {ROW}
    try:
        {HERE}
        while True:
            pass
    except BaseException:
        pass
    {ROW.replace("Zoë", "zoë")}
"""
    with revisions(any_project, {"0002": body}):
        process = start(any_project, "db", "upgrade", DATABASE_URL=url)
        wait_until(here.exists)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)

    assert process.returncode == 130, f"{dbms}: {output}"
    assert "Interrupted by Ctrl-C. Committed so far: nothing. Revision 0002" in output
    assert "The database is at 0001. Nothing of this revision was kept." in output
    assert any_project.query("SELECT name FROM roles", DATABASE_URL=url) == "[]"
    assert outcomes(any_project, url)[0] == ["upgrade 0002", "interrupted"]


@pytest.mark.parametrize("dbms", ["postgresql", "mariadb"])
def test_a_wait_for_a_table(any_project: Project, server: Server, dbms: str) -> None:
    url = prepared(any_project, server, "table")
    waiting = WAITING[dbms].format(server.name("table"))
    body = 'op.add_column("roles", sa.Column("age", sa.Integer()))'
    with revisions(any_project, {"0002": body}), connect(make_url(url)) as other:
        other.execution_options(isolation_level="REPEATABLE READ")
        other.exec_driver_sql("SELECT * FROM roles").all()
        process = start(
            any_project, "db", "upgrade", DATABASE_URL=url, MIGRATION_LOCK_TIMEOUT="600"
        )
        wait_until(lambda: bool(server.query(waiting)))
        process.terminate()
        output, _ = process.communicate(timeout=60)

    assert process.returncode == 143, output
    assert "Nothing of this revision was kept." in output
    assert outcomes(any_project, url)[0] == ["upgrade 0002", "interrupted"]


@pytest.mark.parametrize("dbms", ["sqlite"])
def test_a_wait_for_another_migration_and_a_question(
    any_project: Project, server: Server | None
) -> None:
    url = prepared(any_project, server, "waits")
    with migrating(any_project, url):
        second = start(any_project, "db", "upgrade", DATABASE_URL=url)
        read_until(second, "Waiting: another migration runs")
        second.send_signal(signal.SIGINT)
        output, _ = second.communicate(timeout=60)
    assert second.returncode == 130, output
    assert "Interrupted by Ctrl-C." in output

    question = subprocess.Popen(
        [any_project.tool("flask"), "--debug", "db", "drop"],
        cwd=any_project.path,
        env={**any_project.environ, "DATABASE_URL": url},
        stdin=subprocess.PIPE,  # nobody answers
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        bufsize=1,
    )
    read_until(question, "This deletes")
    question.terminate()
    output, _ = question.communicate(timeout=60)
    assert question.returncode == 143, output
    assert "Interrupted by SIGTERM." in output
    assert Path(url.removeprefix("sqlite:///")).exists()

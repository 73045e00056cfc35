"""Ctrl-C and SIGTERM end a command at once, wherever it is, and it says what there is."""

import signal
from pathlib import Path

import pytest
from conftest import Project, prepared, revisions, start
from servers import Server, wait_until

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
BY = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
HERE = 'import pathlib; pathlib.Path("here").touch()'
ROW = "op.execute(\"INSERT INTO roles (name, description) VALUES ('Zoë 🎉', '')\")"


@pytest.fixture
def here(any_project: Project) -> Path:
    """Return the file that a revision makes where it is to be interrupted."""
    path = any_project.path / "here"
    path.unlink(missing_ok=True)
    return path


@pytest.mark.parametrize("number", BY)
def test_a_statement(
    any_project: Project, server: Server | None, dbms: str, number: signal.Signals, here: Path
) -> None:
    name = f"statement{number.value}"
    url = prepared(any_project, server, name)
    body = f'{ROW}\n    {HERE}\n    op.execute("""{ENDLESS[dbms]}""")'

    with revisions(any_project, {"0002": ROW, "0003": body.replace("Zoë", "zoe")}):
        process = start(any_project, "db", "upgrade", DATABASE_URL=url)
        wait_until(here.exists)
        running = RUNNING.get(dbms, "").format(server.name(name) if server else "")
        wait_until(lambda: server is None or bool(server.query(running)))
        process.send_signal(number)
        output, _ = process.communicate(timeout=60)

    assert process.returncode == 128 + number, output
    assert f"Interrupted by {BY[number]}. " in output
    assert "Run it again to continue." in output
    assert "Traceback" not in output
    assert server is None or not server.query(running)  # nothing goes on in the server
    names = any_project.query("SELECT name FROM roles", DATABASE_URL=url)
    assert names == "[('Zoë 🎉',)]"

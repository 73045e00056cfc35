"""Ctrl-C and SIGTERM end a command at once, wherever it is, and it says what there is."""

import os
import pty
import select
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
    assert "The database is at 0002. Committed so far of this revision:" in output
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
    assert "The database is at 0001. Nothing of this revision was committed." in output
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
    assert "Nothing of this revision was committed." in output
    assert outcomes(any_project, url)[0] == ["upgrade 0002", "interrupted"]


def test_a_wait_for_another_migration(any_project: Project, server: Server | None) -> None:
    url = prepared(any_project, server, "waits")
    with migrating(any_project, url):
        waiting = [
            start(any_project, "db", name, DATABASE_URL=url) for name in ("upgrade", "prepare")
        ]
        for process, number in zip(waiting, (signal.SIGINT, signal.SIGTERM), strict=True):
            read_until(process, "Waiting: another migration runs")
            process.send_signal(number)
        outputs = [process.communicate(timeout=60)[0] for process in waiting]
        assert [process.returncode for process in waiting] == [130, 143], outputs
    for output, name in zip(outputs, ("Ctrl-C", "SIGTERM"), strict=True):
        assert output.endswith(f"Interrupted by {name}. Run it again to continue.\n")
        assert "Traceback" not in output


@pytest.mark.parametrize("dbms", ["postgresql", "mariadb"])
def test_a_backup(any_project: Project, server: Server, tmp_path: Path, here: Path) -> None:
    """The program that dumps begins, and goes on for ever."""
    url = prepared(any_project, server, "backup", seeded=True)
    for name in ("pg_dump", "mariadb-dump", "mysqldump"):
        program = tmp_path / name
        program.write_text(
            f'#!/bin/sh\ncase "$*" in *--version*) echo "{name} (MariaDB) 18.0"; exit;; esac\n'
            f"echo dump; echo $$ > {here}.new; mv {here}.new {here}; exec sleep 600\n"
        )
        program.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{any_project.environ['PATH']}"
    file = tmp_path / "backups" / "é.sql"
    process = start(any_project, "db", "backup", str(file), DATABASE_URL=url, PATH=path)
    wait_until(here.exists)
    process.terminate()
    output, _ = process.communicate(timeout=60)

    assert process.returncode == 143, output
    assert output.endswith("Interrupted by SIGTERM. Run it again to continue.\n")
    assert list(file.parent.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(int(here.read_text()), 0)


@pytest.mark.parametrize("dbms", ["sqlite"])
def test_a_revision_that_is_judged(any_project: Project, server: None, here: Path) -> None:
    url = prepared(any_project, server, "lint")
    with revisions(any_project, {"0002": f"{HERE}\n    while True:\n        pass"}):
        process = start(any_project, "db", "lint", "0002", DATABASE_URL=url)
        wait_until(here.exists)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert output == "Interrupted by Ctrl-C. Run it again to continue.\n"


@pytest.mark.parametrize("dbms", ["sqlite"])
def test_questions(any_project: Project, server: None) -> None:
    url = prepared(any_project, server, "questions")
    role = any_project.path / "app" / "models" / "role.py"
    text = role.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if "description:" not in line]
    role.write_text("\n".join(lines) + "\n", encoding="utf-8")
    versions = any_project.path / "migrations" / "versions"
    before = sorted(versions.iterdir())
    try:
        for command, number, asked in (
            (["--debug", "db", "drop"], signal.SIGTERM, "This deletes"),
            (["db", "migrate", "-m", "less"], signal.SIGINT, "roles.description"),
        ):
            status, output = asking(any_project, url, command, number, asked)
            assert status == 128 + number, output
            name = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "Ctrl-C"}[number]
            assert output.endswith(f"Interrupted by {name}. Run it again to continue.\n")
            assert "Traceback" not in output
    finally:
        role.write_text(text, encoding="utf-8")
    assert Path(url.removeprefix("sqlite:///")).exists()
    assert [path for path in sorted(versions.iterdir()) if path.suffix == ".py"] == [
        path for path in before if path.suffix == ".py"
    ]


def asking(
    project: Project, url: str, command: list[str], number: signal.Signals, words: str
) -> tuple[int, str]:
    """Interrupt a command in a terminal at a question; return its exit status and what it said."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [project.tool("flask"), *command],
        cwd=project.path,
        env={**project.environ, "DATABASE_URL": url},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    output = b""
    while part := read(ours):
        output += part
        if words.encode() in output and output.endswith((b": ", b"] ")):
            process.send_signal(number)
            words = "\0"  # once
    os.close(ours)
    return process.wait(60), output.decode().replace("\r\n", "\n")


def read(terminal: int) -> bytes:
    """Return what comes from a terminal; nothing when the other end is closed."""
    ready, _, _ = select.select([terminal], [], [], 60)
    assert ready, "it says nothing any more, and does not end"
    try:
        return os.read(terminal, 4096)
    except OSError:  # so Linux says it
        return b""

"""A restore whose process is killed or told to end, and a database that is not there."""

import json
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import servers
from processes import read_until, start
from projects import Project, prepared
from servers import Server, connect
from sqlalchemy import make_url

# Where the file stands still, until the test has done what it wants.
BEFORE = {
    True: (b"COPY public.users", "SELECT pg_sleep(60);\n", "pg_sleep"),
    False: (b"DROP TABLE IF EXISTS `users`", "DO SLEEP(60);\n", "SLEEP(60)"),
}
TRAILER = b"-- schema_guard: "
USERS = "SELECT id, username, role_id, created_at FROM users ORDER BY id"


@pytest.fixture(autouse=True)
def client_programs(any_project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the pg_dump that is as new as the server."""
    path = f"{servers.postgresql_clients()}{os.pathsep}{os.environ['PATH']}"
    monkeypatch.setitem(any_project.environ, "PATH", path)


def with_a_pause(file: Path, server: Server, pause: str = "") -> Path:
    """Return a copy of a backup that takes its time in the middle; nothing checks its bytes."""
    place, usual, _ = BEFORE[server.is_postgresql]
    pause = pause or usual
    body, _, last = file.read_bytes().rpartition(TRAILER)
    told = json.loads(last)
    told.pop("sha256")
    head, found, tail = body.partition(place)
    assert found
    slow = file.with_name("slow")
    slow.write_bytes(
        head + pause.encode() + found + tail + TRAILER + json.dumps(told).encode() + b"\n"
    )
    return slow


def sessions(server: Server, name: str) -> list[int]:
    """Return the sessions that stand still."""
    words = BEFORE[server.is_postgresql][2]
    if server.is_postgresql:
        query = (
            f"SELECT pid FROM pg_stat_activity WHERE datname = '{server.name(name)}'"
            f" AND state = 'active' AND query LIKE '%{words}%'"
        )
    else:
        query = (
            f"SELECT id FROM information_schema.processlist WHERE db = '{server.name(name)}'"
            f" AND info LIKE '%{words}%'"
        )
    return server.query(query)


@pytest.mark.parametrize("dbms", ["postgresql", "mariadb"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_restore_that_is_interrupted(
    any_project: Project, server: Server, tmp_path: Path, number: signal.Signals
) -> None:
    name = f"interrupted_{number}"
    url = prepared(any_project, server, name, seeded=True)
    environ = {"DATABASE_URL": url, "MIGRATION_WAIT": "0"}
    file = tmp_path / "saved"
    assert any_project.flask("db", "backup", str(file), **environ).status == 0
    before = any_project.query(USERS, **environ)
    assert "admin" in before

    process = start(
        any_project, "db", "restore", str(with_a_pause(file, server)), "--yes", **environ
    )
    servers.wait_until(lambda: bool(sessions(server, name)))
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == (143 if number == signal.SIGTERM else -number), output
    assert "Traceback" not in output
    if number == signal.SIGTERM:
        there = (
            "Nothing was changed." if server.is_postgresql else "The database may hold only a part"
        )
        assert f"Interrupted by SIGTERM. {there}" in output
    if number == signal.SIGKILL and server.is_postgresql:
        # The server has not noticed: its session keeps the lock for as long as it runs.
        busy = any_project.flask("db", "upgrade", **environ)
        assert busy.status == 1
        assert "Another migration of" in busy.output
        assert server.kill(name) == 1
    servers.wait_until(lambda: not sessions(server, name))

    upgrade = any_project.flask("db", "upgrade", **environ)
    if server.is_postgresql:
        assert upgrade.status == 0, upgrade.output
    else:
        for outcome in (upgrade, any_project.flask("db", "current", **environ)):
            assert outcome.status == 1
            assert "was interrupted" in outcome.output
            assert "or restore the backup taken before it, /" in outcome.output
        restored = any_project.flask("db", "restore", str(file), "--yes", **environ)
        assert restored.status == 0, restored.output
        assert any_project.flask("db", "upgrade", **environ).status == 0
    assert any_project.query(USERS, **environ) == before


@pytest.mark.parametrize("dbms", ["mariadb"])
def test_commands_wait_for_a_restore(any_project: Project, server: Server, tmp_path: Path) -> None:
    """Elsewhere it is one transaction: nobody sees a part of it."""
    url = prepared(any_project, server, "waits", seeded=True)
    file = tmp_path / "saved"
    assert any_project.flask("db", "backup", str(file), DATABASE_URL=url).status == 0
    slow = with_a_pause(file, server, "DO GET_LOCK('pause', 60);\n")
    with connect(make_url(url)) as other:
        other.exec_driver_sql("DO GET_LOCK('pause', 0)")
        restore = start(any_project, "db", "restore", str(slow), "--yes", DATABASE_URL=url)
        names = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'DO GET_LOCK%'"
        servers.wait_until(lambda: server.query(names) == [1])
        late = any_project.flask("db", "upgrade", DATABASE_URL=url, MIGRATION_WAIT="0")
        waiting = [
            start(any_project, "db", *command, DATABASE_URL=url)
            for command in (["upgrade"], ["current"])
        ]
        for process in waiting:
            read_until(process, "Waiting: another migration runs")
    for process in (restore, *waiting):
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, output
    assert output.endswith("0001 (head)\n")
    assert late.status == 1
    assert "Another migration of" in late.output


def test_a_database_that_was_lost_comes_back(
    any_project: Project, server: Server | None, tmp_path: Path
) -> None:
    url = prepared(any_project, server, "lost", seeded=True)
    file = tmp_path / "saved"
    assert any_project.flask("db", "backup", str(file), DATABASE_URL=url).status == 0
    before = any_project.query(USERS, DATABASE_URL=url)
    if server:
        server.execute(f"DROP DATABASE {server.quote(server.name('lost'))}")
    else:
        Path(url.removeprefix("sqlite:///")).unlink()

    restored = any_project.flask("db", "restore", str(file), "--yes", DATABASE_URL=url)
    assert restored.status == 0, restored.output
    assert any_project.query(USERS, DATABASE_URL=url) == before
    again = any_project.flask("db", "prepare", DATABASE_URL=url)
    assert again.output.endswith("at 0001 already\n")


def test_nothing_to_do_needs_no_room(any_project: Project) -> None:
    """The lock's file cannot say who holds it: no file may grow, as on a full disk."""
    url = prepared(any_project, None, "no_room", seeded=True)
    path = Path(url.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(path)) as service:  # it runs, and reads
        service.execute("SELECT count(*) FROM users").fetchall()
        code = (
            "import os, resource, sys\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
            "os.execv(sys.argv[1], sys.argv[1:])"
        )
        command = [str(any_project.tool("flask")), "db", "upgrade"]
        python = any_project.tool("python")
        outcome = any_project.run(python, "-c", code, *command, DATABASE_URL=url)
    assert outcome.status == 0, outcome.output

"""Copies of the database: complete, consistent, and what was in them comes back."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import servers
from processes import revisions
from projects import Project, prepared, url_of
from servers import Server

# What is hard to write down: all kinds of values, children, what a dump may miscount.
RICH = r"""
    op.create_table(
        "notes",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("user_id", sa.Integer(), sa.ForeignKey("users.id", name="fk_notes_user")),
        sa.Column("words", sa.Text()),
        sa.Column("raw", sa.LargeBinary()),
    )
    op.create_table("empty; --", sa.Column("i'd `\"", sa.Integer()))
    notes = sa.table("notes", *map(sa.column, ("user_id", "words", "raw")))
    words = ["Zoë 🎉", None, "it's \\ 100% `x`", "two\nlines\nINSERT INTO `notes` VALUES (1);", ""]
    op.bulk_insert(notes, [{"user_id": 1, "words": word, "raw": bytes(range(256))}
                           for number in range(200) for word in words])
"""


@pytest.fixture(autouse=True)
def client_programs(any_project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the pg_dump and psql that are as new as the server."""
    path = f"{servers.postgresql_clients()}{os.pathsep}{os.environ['PATH']}"
    monkeypatch.setitem(any_project.environ, "PATH", path)


def rich(project: Project, server: Server | None, name: str) -> str:
    """Make a database with rows of all kinds; return its URL."""
    url = prepared(project, server, name, seeded=True)
    with revisions(project, {"0002": RICH}):
        outcome = project.flask("db", "upgrade", DATABASE_URL=url)
        assert outcome.status == 0, outcome.output
    return url


def everything(project: Project, url: str) -> str:
    """Return all rows of the tables that may change."""
    code = (
        "import sys; from wsgi import app; from app.extensions import db\n"
        "with app.app_context():\n"
        "  for query in sys.argv[1:]:\n"
        "    print(db.session.execute(db.text(query)).all())"
    )
    queries = (
        "SELECT id, user_id, words, raw FROM notes ORDER BY id",
        "SELECT id, username, role_id, created_at FROM users ORDER BY id",
        "SELECT version_num FROM alembic_version",
    )
    environ = {"DATABASE_URL": url, "PYTHONPATH": str(project.path)}
    return project.run(project.tool("python"), "-c", code, *queries, **environ).output


def test_what_was_backed_up_comes_back(
    any_project: Project, server: Server | None, tmp_path: Path
) -> None:
    url = rich(any_project, server, "comes_back")
    if server and not server.is_postgresql:
        trigger = (
            "CREATE TRIGGER t AFTER UPDATE ON notes FOR EACH ROW BEGIN\n"
            "INSERT INTO `notes` VALUES (NULL, 1, 'x', NULL);\nEND"
        )
        server.execute(trigger, database="comes_back")
    before = everything(any_project, url)
    assert before.count("🎉") == 200
    file = tmp_path / "a copy é.backup"
    with revisions(any_project, {"0002": RICH, "0003": 'op.drop_table("notes")\n'}):
        taken = any_project.flask("db", "backup", str(file), DATABASE_URL=url)
        upgrade = ("db", "upgrade", "--allow-loss", "notes")
        upgraded = any_project.flask(*upgrade, DATABASE_URL=url)
        wrong = any_project.flask("db", "restore", str(file), stdin="shop\n", DATABASE_URL=url)
        behind = everything(any_project, url)
        restored = any_project.flask("db", "restore", str(file), "--yes", DATABASE_URL=url)
        after = everything(any_project, url)
        log = any_project.flask("db", "log", DATABASE_URL=url).output
        again = any_project.flask(*upgrade, DATABASE_URL=url)

    assert taken.status == upgraded.status == restored.status == again.status == 0, restored.output
    assert re.search(r"revision 0002, 10\d\d rows in \d tables", taken.output)
    assert wrong.status == 1
    assert "Nothing was changed." in wrong.output
    assert behind != before
    assert after == before
    assert "restore 0002  done" in log.splitlines()[0]
    kept = re.search(r"What it replaces is in (\S+)", restored.output)
    assert kept is not None
    assert "-0003-" in kept[1]
    assert Path(kept[1]).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("dbms", ["postgresql", "mariadb"])
def test_nothing_secret_is_on_a_command_line(
    any_project: Project, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program of the same name notes how it was called, and becomes the real one."""
    url = rich(any_project, server, "secret")
    calls = tmp_path / "calls"
    for program in ("pg_dump", "psql", "mariadb-dump", "mysqldump", "mariadb", "mysql"):
        real = shutil.which(program, path=any_project.environ["PATH"])
        script = tmp_path / program
        script.write_text(f'#!/bin/sh\necho "{program} $*" >> {calls}\nexec {real} "$@"\n')
        script.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{any_project.environ['PATH']}"
    monkeypatch.setitem(any_project.environ, "PATH", path)

    file = tmp_path / "backup.sql"
    with revisions(any_project, {"0002": RICH}):
        for command in (["backup", str(file)], ["restore", str(file), "--yes"]):
            outcome = any_project.flask("db", *command, DATABASE_URL=url)
            assert outcome.status == 0, outcome.output

    said = calls.read_text()
    dumps = [line for line in said.splitlines() if "--version" not in line]
    assert len(dumps) == 2  # backup, and backup before the restore, which takes no program
    for part in (str(server.admin.password), "PASSWORD", "--password"):
        assert part not in said


@pytest.mark.parametrize("dbms", ["postgresql", "mariadb"])
def test_a_server_is_backed_up_when_asked(any_project: Project, server: Server) -> None:
    url = rich(any_project, server, "asked")
    with revisions(any_project, {"0002": RICH, "0003": "pass", "0004": "pass"}):
        plain = any_project.flask("db", "upgrade", "0003", DATABASE_URL=url)
        asked = any_project.flask("db", "upgrade", "--backup", DATABASE_URL=url)

    assert "Backup:" not in plain.output
    assert asked.status == 0
    found = re.search(r"Backup: (\S+asked-0003-\S+\.sql)", asked.output)
    assert found is not None
    assert Path(found[1]).exists()


def folder_of(project: Project, name: str) -> list[Path]:
    """Return the backups of a SQLite database, the oldest first."""
    return sorted((project.path / "instance" / "backups").glob(f"backup_{name}-*"))


def test_sqlite_is_backed_up_before_it_is_migrated(any_project: Project) -> None:
    url = url_of(any_project, None, "before")
    assert any_project.flask("db", "prepare", DATABASE_URL=url).status == 0
    assert folder_of(any_project, "before") == []  # there was nothing to lose
    assert any_project.flask("seed", DATABASE_URL=url).status == 0

    bodies = {f"000{number}": 'op.execute("DELETE FROM users")' for number in range(2, 6)}
    with revisions(any_project, bodies):
        for number in range(2, 6):
            outcome = any_project.flask(
                *("db", "upgrade", f"000{number}"), DATABASE_URL=url, MIGRATION_BACKUPS="2"
            )
            assert outcome.status == 0, outcome.output
            if number == 2:
                (first,) = folder_of(any_project, "before")
        nothing = any_project.flask("db", "upgrade", DATABASE_URL=url)
        off = any_project.flask("db", "downgrade", DATABASE_URL=url, MIGRATION_BACKUPS="0")
        on = any_project.flask("db", "downgrade", DATABASE_URL=url, MIGRATION_BACKUPS="2")

    assert "before-0001-2" in first.name
    assert "Backup" not in nothing.output + off.output
    assert on.status == off.status == 0
    assert [path.name[:18] for path in folder_of(any_project, "before")] == [
        "backup_before-0004",
        "backup_before-0004",
    ]


def test_the_oldest_backup_can_be_restored(any_project: Project) -> None:
    kept = {"MIGRATION_BACKUPS": "1"}
    urls = {name: url_of(any_project, None, name) for name in ("oldest", "oldest-2")}
    for url in urls.values():
        for command in (["db", "prepare"], ["seed"]):
            assert any_project.flask(*command, DATABASE_URL=url).status == 0
    url = urls["oldest"]
    with revisions(any_project, {"0002": 'op.execute("DELETE FROM users")'}):
        for other in urls.values():  # one keeps its own, whatever its neighbour deletes
            assert any_project.flask("db", "upgrade", DATABASE_URL=other, **kept).status == 0
        (file,) = (path for path in folder_of(any_project, "oldest-0001"))
        restored = any_project.flask("db", "restore", str(file), "--yes", DATABASE_URL=url, **kept)
        again = any_project.flask("db", "upgrade", DATABASE_URL=url, **kept)

    assert restored.status == again.status == 0, restored.output
    assert len(folder_of(any_project, "oldest-0001")) == 1
    assert len(folder_of(any_project, "oldest-2-0001")) == 1


def test_a_backup_while_others_write(any_project: Project, tmp_path: Path) -> None:
    url = prepared(any_project, None, "written")
    path = url.removeprefix("sqlite:///")
    # Pairs of rows: a copy with half a pair is torn.
    code = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
for number in range(10 ** 9):
    connection.execute("BEGIN IMMEDIATE")
    for half in ("a", "b"):
        connection.execute("INSERT INTO roles (name, description) VALUES (?, '')",
                           (f"{half}{number}",))
    connection.execute("COMMIT")
    if number == 10:
        print("writes", flush=True)
"""
    writer = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE)
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"writes\n"
        counts = []
        for number in range(4):
            file = tmp_path / f"{number}.db"
            outcome = any_project.flask("db", "backup", str(file), DATABASE_URL=url)
            assert outcome.status == 0, outcome.output
            copy = sqlite3.connect(file)
            counts.append(copy.execute("SELECT count(*) FROM roles").fetchone()[0])
            assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            copy.close()
    finally:
        writer.kill()
        writer.communicate()
    assert [count % 2 for count in counts] == [0] * 4
    assert counts == sorted(set(counts))


def test_no_room_stops_the_upgrade_before_it_begins(any_project: Project) -> None:
    url = rich(any_project, None, "no_room")
    for backup in folder_of(any_project, "no_room"):
        backup.unlink()
    path = Path(url.removeprefix("sqlite:///"))
    sound = path.read_bytes()
    # The header says how many pages there are; most of these are a hole in the file.
    pages = shutil.disk_usage(path.parent).free // 4096
    with path.open("r+b") as file:
        file.seek(28)
        file.write(pages.to_bytes(4, "big"))
        file.truncate(pages * 4096)
    with revisions(any_project, {"0002": RICH, "0003": 'op.drop_table("notes")'}):
        # What is to be dropped is asked about before.
        upgrade = ("db", "upgrade", "--allow-loss", "notes")
        huge = any_project.flask(*upgrade, DATABASE_URL=url)
        path.write_bytes(sound)
        # A disk that is full half-way: no file may grow beyond 64 KB.
        command = [str(any_project.tool("flask")), *upgrade]
        code = (
            "import os, resource, sys\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))\n"
            "os.execv(sys.argv[1], sys.argv[1:])"
        )
        full = any_project.run(any_project.tool("python"), "-c", code, *command, DATABASE_URL=url)

    for outcome in (huge, full):
        assert outcome.status == 1
        assert "No backup of" in outcome.output
        assert "Nothing was changed." in outcome.output
        assert "Traceback" not in outcome.output
    assert "bytes are needed" in huge.output
    assert folder_of(any_project, "no_room") == []
    assert any_project.query("SELECT count(*) FROM notes", DATABASE_URL=url) == "[(1000,)]"


def test_what_is_no_backup_is_refused(
    any_project: Project, server: Server | None, tmp_path: Path
) -> None:
    url = rich(any_project, server, "no_backup")
    before = everything(any_project, url)
    file = tmp_path / "backup"
    with revisions(any_project, {"0002": RICH}):
        assert any_project.flask("db", "backup", str(file), DATABASE_URL=url).status == 0
        twice = any_project.flask("db", "backup", str(file), DATABASE_URL=url)
        half = tmp_path / "half"
        half.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        other = tmp_path / "other"
        other.write_text("hello\n")
        for path in (half, other, tmp_path / "none"):
            outcome = any_project.flask("db", "restore", str(path), "--yes", DATABASE_URL=url)
            assert outcome.status == 1
            assert "Nothing was changed." in outcome.output
            assert "Traceback" not in outcome.output

    assert twice.status == 1
    assert "exists already" in twice.output
    assert everything(any_project, url) == before

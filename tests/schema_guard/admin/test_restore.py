"""What comes back, and what is no backup; within the tests' own process."""

import json
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import servers
import sqlalchemy as sa
from schema_guard import GuardError
from schema_guard.admin.backup import backup, backup_first, contents, restore
from schema_guard.admin.dump import TRAILER, Contents
from schema_guard.core import progress
from schema_guard.core.listeners import listening
from schema_guard.core.private_files import PART, private_file, private_folder
from schema_guard.runner.connection import migration_connection
from services import Service, connect_args

# Texts that a reader of dumps may take for something else.
TEXTS = [
    "Zoë 🎉",
    None,
    r"it's \ 100% :x `y`",
    "line\n);\nINSERT INTO `notes` VALUES (9,'x');",
    "\\.\n\\! touch harm\n\\restrict x",
    "\restrict x",
    "-- schema_guard: {}",
    "",
    "'; DROP TABLE notes; --",
]
MADE = """
op.create_table(
    "notes",
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("words", sa.Text),
    sa.Column("raw", sa.LargeBinary),
)
op.create_table(
    "lines; --",
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("note_id", sa.Integer, sa.ForeignKey("notes.id", name="fk_lines_note")),
)
"""


@pytest.fixture(autouse=True)
def clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the pg_dump that is as new as the server."""
    path = f"{servers.postgresql_clients()}{os.pathsep}{os.environ['PATH']}"
    monkeypatch.setenv("PATH", path)


@pytest.fixture
def filled(service: Service, tmp_path: Path) -> Service:
    """Return a service with rows that bite."""
    service.app.instance_path = str(tmp_path / "instance")
    service.write(1, MADE, "pass")
    service.upgrade()
    rows = [{"words": text, "raw": bytes(range(256))} for text in TEXTS]
    service.insert("notes", [{"id": i, **row} for i, row in enumerate(rows * 30, 1)])
    service.insert("lines; --", [{"id": i, "note_id": i} for i in range(1, 100)])
    return service


def environ() -> dict[str, str]:
    """Return the environment of a process that imports schema_guard, and leaves no bytecode."""
    path = os.pathsep.join(sys.path)
    return {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


def save(service: Service, path: Path | None = None) -> Path:
    """Write a backup."""
    with service.app.app_context(), migration_connection(service.engine, locked=False) as it:
        return backup(it, path)


def read(service: Service, path: Path) -> Contents:
    """Return what a backup holds."""
    with service.app.app_context():
        return contents(service.engine.dialect, path)


def bring_back(service: Service, path: Path) -> None:
    """Restore a backup."""
    with service.app.app_context():
        wanted = contents(service.engine.dialect, path)
        with migration_connection(service.engine, locked=True, restoring=True) as connection:
            restore(connection, path, wanted)


def everything(service: Service) -> list[Any]:
    """Return all rows of the tables that may change."""
    quote = service.engine.dialect.identifier_preparer.quote
    tables = ("notes", quote("lines; --"), "alembic_version")
    return [service.rows(f"SELECT * FROM {name} ORDER BY 1") for name in tables]


def edited(path: Path, old: bytes, new: bytes) -> Path:
    """Change a dump, and take its checksum away, as an older version had none."""
    body, _, last = path.read_bytes().rpartition(TRAILER)
    told = json.loads(last)
    told.pop("sha256")
    assert old in body
    other = path.with_name("edited")
    other.write_bytes(body.replace(old, new, 1) + TRAILER + json.dumps(told).encode() + b"\n")
    return other


def test_all_comes_back(
    filled: Service,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(progress, "QUIET", 0)
    before = everything(filled)
    file = save(filled, tmp_path / "a copy é")
    filled.run("UPDATE notes SET words = 'other'")
    filled.run("CREATE TABLE later (id INTEGER)")
    if filled.dialect != "sqlite":
        filled.run("CREATE VIEW seen AS SELECT id FROM notes")

    bring_back(filled, file)

    assert everything(filled) == before
    assert not sa.inspect(filled.engine).has_table("later")
    assert "seen" not in sa.inspect(filled.engine).get_view_names()
    shown = capsys.readouterr().err
    if filled.dialect != "sqlite":  # whose own copy is one step
        assert re.search(r"^Backup: [\d.]+ MB, ", shown, re.MULTILINE)
        assert re.search(r"^Restore: [\d.]+ MB of [\d.]+ MB, .* s left$", shown, re.MULTILINE)


def test_what_a_session_is_set_to_stays(filled: Service, tmp_path: Path) -> None:
    """A dump sets its session: the row of the record is written with the settings of before."""
    if filled.dialect == "sqlite":
        return
    file = save(filled, tmp_path / "copy")
    shown = {
        "postgresql": "SELECT name, setting FROM pg_settings WHERE context = 'user' ORDER BY 1",
        "mysql": "SHOW SESSION VARIABLES WHERE Variable_name NOT RLIKE"
        " 'timestamp|rand_|gtid|last_insert|error_count|warning|identity|pseudo|in_transaction'",
    }[filled.dialect]
    with filled.app.app_context():
        wanted = contents(filled.engine.dialect, file)
        with migration_connection(filled.engine, locked=True) as connection:
            before = connection.execute(sa.text(shown)).all()
            connection.rollback()
            restore(connection, file, wanted)
            assert connection.execute(sa.text(shown)).all() == before


def test_only_a_last_line_is_no_backup(filled: Service, tmp_path: Path) -> None:
    before = everything(filled)
    last = TRAILER + b'{"revision": "0001", "rows": {}}\n'
    frames = {
        "postgresql": b"-- PostgreSQL database dump\n",
        "mysql": b"-- MariaDB dump 10\n",
        "sqlite": b"",
    }
    for text in (b"", last, frames[filled.dialect] + last, b"hello\n" * 999 + last):
        path = tmp_path / "none"
        path.write_bytes(text)
        with pytest.raises(GuardError, match=r"is no complete backup of .* Nothing was changed"):
            bring_back(filled, path)
    assert everything(filled) == before


def test_a_damaged_backup_is_refused(filled: Service, tmp_path: Path) -> None:
    before = everything(filled)
    file = save(filled, tmp_path / "whole")
    whole = file.read_bytes()
    middle = len(whole) // 2
    for damaged in (whole[:middle], whole[:middle] + whole[middle + 100 :]):
        file.write_bytes(damaged)
        with pytest.raises(GuardError, match="is no complete backup"):
            bring_back(filled, file)
    assert everything(filled) == before


@pytest.mark.parametrize("dbms", ["postgresql", "mariadb"])
def test_a_backup_of_an_earlier_version(filled: Service, tmp_path: Path) -> None:
    """It had no checksum, and no schema in the names."""
    before = everything(filled)
    file = edited(save(filled, tmp_path / "copy"), b"-- ", b"-- ")
    file.write_bytes(file.read_bytes().replace(b'"public.', b'"'))
    filled.run("DELETE FROM notes WHERE id > 100")
    bring_back(filled, file)
    assert everything(filled) == before


@pytest.mark.parametrize("dbms", ["postgresql", "mariadb"])
@pytest.mark.parametrize("command", ["\\! touch {}", "system touch {}", "\\o {}", "tee {}"])
def test_a_client_command_is_not_run(filled: Service, tmp_path: Path, command: str) -> None:
    harm = tmp_path / "harm"
    start = b"SET statement_timeout" if filled.dialect == "postgresql" else b"/*!40101 SET"
    file = save(filled, tmp_path / "copy")
    before = everything(filled)
    line = command.format(harm).encode() + b"\n"
    with pytest.raises(GuardError, match="was not restored") as refusal:
        bring_back(filled, edited(file, start, line + start))
    assert not harm.exists()
    if filled.dialect == "postgresql":
        assert "Nothing was changed." in refusal.value.message
        assert everything(filled) == before
    else:  # the next command says so, and the backup of before is the way back
        with pytest.raises(GuardError, match="was interrupted") as again:
            save(filled)
        (previous,) = re.findall(r"taken before it, (\S+):", again.value.message)
        bring_back(filled, Path(previous))
        assert everything(filled) == before
        save(filled)


@pytest.mark.parametrize("dbms", ["postgresql"])
def test_every_schema_counts(service: Service, tmp_path: Path) -> None:
    service.app.instance_path = str(tmp_path)
    service.write(1, 'op.execute("CREATE SCHEMA other")', "pass")
    service.upgrade()
    with service.app.app_context(), migration_connection(service.engine, locked=True) as it:
        assert backup_first(it, asked=True) is None  # there is nothing to lose
    service.run("CREATE TABLE other.kept (id integer)")
    service.run("INSERT INTO other.kept SELECT generate_series(1, 10)")
    with service.app.app_context(), migration_connection(service.engine, locked=True) as it:
        file = backup_first(it, asked=True)
    assert file is not None
    assert read(service, file).rows["other.kept"] == 10

    wrong = edited(file, b"\n10\n", b"\n")
    service.run("DELETE FROM other.kept")
    with pytest.raises(GuardError, match=r"other\.kept: 9 rows instead of 10"):
        bring_back(service, wrong)
    assert service.column("SELECT count(*) FROM other.kept") == [0]
    bring_back(service, file)
    assert service.column("SELECT count(*) FROM other.kept") == [10]


def test_a_version_table_of_another_name(service: Service, tmp_path: Path) -> None:
    service.extension.configure_args["version_table"] = "schema_version"
    service.write(1, MADE, "pass")
    service.upgrade()
    file = save(service, tmp_path / "copy")
    assert read(service, file).revision == "0001"
    with service.app.app_context(), migration_connection(service.engine, locked=True) as it:
        assert backup_first(it, asked=True) is None  # a revision is nothing to lose
    service.run("DELETE FROM schema_version")
    bring_back(service, file)
    assert service.column("SELECT version_num FROM schema_version") == ["0001"]


def test_a_migration_right_before_the_copy(service: Service, tmp_path: Path) -> None:
    """What a backup says of its revision is what it holds, though that has just changed."""
    service.app.instance_path = str(tmp_path / "instance")
    service.write(1, MADE, "pass")
    service.upgrade()
    if service.dialect == "sqlite":
        service.run("PRAGMA journal_mode = WAL")  # so that somebody can write meanwhile
    other = sa.create_engine(service.engine.url, connect_args=connect_args(service.engine.url))
    migrated: list[bool] = []

    def migrate(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "version_num" in statement and not migrated:
            migrated.append(True)
            with other.begin() as connection:
                connection.execute(sa.text("UPDATE alembic_version SET version_num = '0002'"))
                connection.execute(sa.text("INSERT INTO notes (id) VALUES (7)"))

    with listening((service.engine, "after_cursor_execute", migrate)):
        file = save(service)
    other.dispose()
    assert migrated
    found = read(service, file)
    revision = "0002" if (found.rows.get("notes") or found.rows.get("public.notes")) else "0001"
    assert found.revision == revision
    assert f"-{revision}-" in file.name
    bring_back(service, file)
    assert service.column("SELECT version_num FROM alembic_version") == [revision]


@pytest.mark.parametrize("dbms", ["sqlite"])
@pytest.mark.parametrize("way", ["_let_signals_in", "give_up"])
def test_a_copy_that_is_interrupted(filled: Service, tmp_path: Path, way: str) -> None:
    """Its steps are few; between two of them the signal comes."""
    filled.run("CREATE TABLE large AS SELECT zeroblob(9000000) AS rows")
    file = save(filled, tmp_path / "copy")
    filled.run("UPDATE notes SET words = 'other'")
    before = everything(filled)
    calls = []

    def interrupt(frame: Any, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code.co_name == way:
            calls.append(way)
            if len(calls) == 2:
                signal.raise_signal(signal.SIGINT)

    sys.setprofile(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            save(filled, tmp_path / "other") if way == "_let_signals_in" else bring_back(
                filled, file
            )
    finally:
        sys.setprofile(None)
    assert len(calls) == 2
    assert everything(filled) == before
    assert filled.column("SELECT length(rows) FROM large") == [9000000]
    left = [path.name for path in tmp_path.iterdir() if "other" in path.name or "part" in path.name]
    assert left == []
    bring_back(filled, file)
    assert everything(filled) != before


@pytest.mark.parametrize("dbms", ["sqlite"])
def test_what_is_not_in_the_file_yet_is_not_lost(filled: Service, tmp_path: Path) -> None:
    file = save(filled, tmp_path / "copy.db")
    file.with_name("copy.db-wal").write_bytes(b"changes")
    with pytest.raises(GuardError, match=r"copy\.db-wal beside it holds changes"):
        bring_back(filled, file)
    with pytest.raises(GuardError, match="it is the database itself"):
        bring_back(filled, Path(str(filled.engine.url.database)))


@pytest.mark.parametrize("dbms", ["sqlite"])
def test_a_backup_whose_pages_have_another_size(filled: Service, tmp_path: Path) -> None:
    before = everything(filled)
    file = save(filled, tmp_path / "copy.db")
    filled.engine.dispose()
    path = str(filled.engine.url.database)
    with sa.create_engine(filled.engine.url).connect() as connection:
        driver: Any = connection.connection.driver_connection
        driver.executescript("PRAGMA page_size = 8192; VACUUM; PRAGMA journal_mode = WAL;")
    assert Path(path).read_bytes()[16:18] == (8192).to_bytes(2, "big")
    filled.run("UPDATE notes SET words = 'other'")
    bring_back(filled, file)
    assert everything(filled) == before


def test_a_file_is_private_from_its_first_byte(tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir(0o755)
    umask = os.umask(0)
    try:
        private_folder(folder)
        with private_file(folder / "copy") as part:
            assert stat.S_IMODE(part.stat().st_mode) == 0o600
            part.write_bytes(b"rows")
    finally:
        os.umask(umask)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "copy").stat().st_mode) == 0o600
    assert [path.name for path in folder.iterdir()] == ["copy"]


def test_what_a_killed_process_left_is_deleted(tmp_path: Path) -> None:
    code = """
import os, signal, sys
from pathlib import Path
from schema_guard.core.listeners import listening
from schema_guard.core.private_files import private_file
with private_file(Path(sys.argv[1])) as part:
    part.write_bytes(b"rows")
    part.with_name(part.name + "-journal").write_bytes(b"rows")
    print("written", flush=True)
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "first")],
        env=environ(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"written\n"
    left = tmp_path / f"first{PART}"

    with private_file(tmp_path / "second"):
        pass
    assert left.exists()  # it is still being written
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert left.exists()
    with private_file(tmp_path / "third"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["second", "third"]


def test_a_folder_that_cannot_be_written_to(filled: Service, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    before = everything(filled)
    with pytest.raises(GuardError, match=r"No backup of .*: (File exists|Not a directory)"):
        save(filled, blocked / "copy")
    folder = tmp_path if filled.dialect == "sqlite" else tmp_path / "instance"
    folder.mkdir(exist_ok=True)
    (folder / "backups").write_text("")
    with (
        filled.app.app_context(),
        migration_connection(filled.engine, locked=True) as connection,
        pytest.raises(GuardError, match=r"No backup of .*backups: File exists"),
    ):
        backup_first(connection, asked=True)
    assert everything(filled) == before


KILLED = """
import sys
from pathlib import Path
import sqlalchemy as sa
from schema_guard.admin import sqlite_copy
with sa.create_engine(f"sqlite:///{sys.argv[1]}").connect() as connection:
    connection.connection.driver_connection.isolation_level = None
    print("begins", flush=True)
    sqlite_copy.restore(connection, Path(sys.argv[2]))
"""


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_sqlite_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path, mode: str) -> None:
    """Killed earlier or later, it holds what it held, or what the copy does."""
    for name, rows in (("old.db", 30_000), ("new.db", 40_000)):
        with closing(sqlite3.connect(tmp_path / name)) as made:
            made.execute("CREATE TABLE t (name TEXT, filling TEXT)")
            made.executemany("INSERT INTO t VALUES (?, ?)", [(name, "x" * 500)] * rows)
            made.commit()
            if name == "old.db":
                made.execute(f"PRAGMA journal_mode = {mode}")
    old = (tmp_path / "old.db").read_bytes()
    found = set()
    for milliseconds in (0, 5, 20, 40, 80, 160, 320, 10_000):
        for path in tmp_path.glob("old.db*"):
            path.unlink()
        (tmp_path / "old.db").write_bytes(old)
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, "old.db", "new.db"],
            cwd=tmp_path,
            env=environ(),
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"begins\n"
        with suppress(subprocess.TimeoutExpired):
            process.wait(milliseconds / 1000)
        process.kill()
        process.communicate()
        with closing(sqlite3.connect(tmp_path / "old.db")) as left:
            assert left.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            found |= set(left.execute("SELECT name, count(*) FROM t GROUP BY name").fetchall())
    assert found == {("old.db", 30_000), ("new.db", 40_000)}


@pytest.mark.parametrize("dbms", ["sqlite"])
def test_a_rebuild_on_a_full_disk_says_so(filled: Service) -> None:
    filled.app.config["MIGRATION_BACKUPS"] = 0
    filled.write(
        2,
        'with op.batch_alter_table("notes") as batch:\n'
        '    batch.alter_column("words", existing_type=sa.Text(), server_default="x")',
        "pass",
    )
    filled.engine.dispose()

    @sa.event.listens_for(filled.engine, "connect")
    def _limit(connection: Any, _record: object) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")

    with pytest.raises(GuardError) as refusal:
        filled.upgrade()
    message = refusal.value.message
    assert "database or disk is full" in message
    assert "Make room" in message
    assert "Correct the revision" not in message
    assert "_alembic_tmp" not in message.splitlines()[0]

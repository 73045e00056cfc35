"""One migrator at a time, on real servers, with real processes."""

import re
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest
import servers
from processes import migrating, read_until, revisions, start
from projects import PROGRAMS, Project, prepared, url_of
from servers import Server

ROUNDS = 12

REVISIONS = {
    "0002": """
    op.create_table("applied", sa.Column("revision", sa.String(4)))
    op.execute("INSERT INTO applied VALUES ('0002')")
""",
    "0003": """
    op.execute("INSERT INTO applied VALUES ('0003')")
    with op.batch_alter_table("users") as batch_op:
        batch_op.add_column(sa.Column("phone", sa.String(20)))
""",
    "0004": """
    op.execute("INSERT INTO applied VALUES ('0004')")
    if op.get_bind().dialect.name == "postgresql":
        with op.get_context().autocommit_block():
            op.create_index("ix_users_phone", "users", ["phone"], postgresql_concurrently=True)
""",
}


def test_eight_at_once_apply_every_revision_once(
    any_project: Project, server: Server | None, dbms: str
) -> None:
    urls = [url_of(any_project, server, f"race{number}") for number in range(ROUNDS)]
    command = [str(any_project.tool("python")), str(PROGRAMS / "migrators.py"), *urls]

    with revisions(any_project, REVISIONS):
        outcome = any_project.run(*command, PYTHONPATH=".")

    assert outcome.output.splitlines()[-1] == "once", f"{dbms}: {outcome.output}"


def test_the_next_one_waits_says_for_whom_and_finds_nothing_to_do(
    any_project: Project, server: Server | None
) -> None:
    url = prepared(any_project, server, "queue")
    with migrating(any_project, url) as first:
        second = start(any_project, "db", "upgrade", DATABASE_URL=url)
        line = read_until(second, "Waiting: another migration runs")
        holder = r"\((?:.*process|connection) \d+\), since (20\d\d-\d\d-\d\d \d\d:\d\d:\d\d) UTC"
        told = re.search(holder, line)
        assert told, line
        since = datetime.strptime(f"{told[1]}+0000", "%Y-%m-%d %H:%M:%S%z")
        assert abs((datetime.now(UTC) - since).total_seconds()) < 60, line
        # Who only looks does not wait.
        for command in ("current", "history", "heads"):
            outcome = any_project.flask("db", command, DATABASE_URL=url)
            assert outcome.status == 0, outcome.output
            assert "Waiting" not in outcome.output
        late = any_project.flask("db", "upgrade", DATABASE_URL=url, MIGRATION_WAIT="0.5")
        assert late.status == 1
        assert "Another migration of" in late.output
        assert "Waited 0.5 seconds; nothing was changed" in late.output
        assert "Traceback" not in late.output
        assert servers.PASSWORD not in late.output
        (any_project.path / "hold").unlink()
        output, _ = second.communicate(timeout=60)

    assert (first.returncode, second.returncode) == (0, 0), output
    assert "Running upgrade" not in output


# Of a newer release: nothing of it is to be seen at first, then it is half-way.
NEWER = """
    import pathlib, time
    while pathlib.Path("hold").exists():
        time.sleep(0.02)
    with op.get_context().autocommit_block():
        op.create_table("half", sa.Column("id", sa.Integer()))
    print("half-way", flush=True)
    while pathlib.Path("hold-half").exists():
        time.sleep(0.02)
"""


def test_at_head_nobody_waits(any_project: Project, server: Server | None) -> None:
    url = prepared(any_project, server, "at_head")
    holds = [any_project.path / name for name in ("hold", "hold-half")]
    versions = any_project.path / "migrations" / "versions"
    first = versions / "0001_initial.py"
    text = first.read_text()
    variables = {"DATABASE_URL": url, "MIGRATION_WAIT": "0"}
    for hold in holds:
        hold.touch()
    with revisions(any_project, {"0002": NEWER}):
        newer = start(any_project, "db", "upgrade", DATABASE_URL=url)
        read_until(newer, "0001 -> 0002")
    try:  # From here on the code is that of the older release.
        for command in ("upgrade", "prepare"):
            outcome = any_project.flask("db", command, **variables)
            assert outcome.status == 0, outcome.output
            assert "Waiting" not in outcome.output
        first.write_text(
            text.replace("def upgrade() -> None:", "def upgrade() -> None:\n    1 + 1")
        )
        outcome = any_project.flask("db", "upgrade", **variables)
        assert outcome.status == 1
        assert "revision 0001 was edited" in outcome.output, outcome.output
        first.write_text(text)

        holds[0].unlink()
        read_until(newer, "half-way")
        for command in ("upgrade", "prepare"):
            outcome = any_project.flask("db", command, **variables)
            assert outcome.status == 1, outcome.output
            assert "Another migration of" in outcome.output
    finally:
        first.write_text(text)
        for hold in holds:
            hold.unlink(missing_ok=True)
        output, _ = newer.communicate(timeout=60)
    assert newer.returncode == 0, output


def test_a_holder_that_is_killed_frees_the_next_one(
    any_project: Project, server: Server | None
) -> None:
    url = prepared(any_project, server, "killed")
    with migrating(any_project, url) as first:
        second = start(any_project, "db", "upgrade", DATABASE_URL=url)
        read_until(second, "Waiting: another migration runs")
        first.send_signal(signal.SIGKILL)
        (any_project.path / "hold").unlink()
        output, _ = second.communicate(timeout=60)

    assert first.returncode == -signal.SIGKILL
    assert second.returncode == 0, output
    assert "0001 -> 0002" in output


@pytest.mark.parametrize("dbms", ["postgresql"])
def test_an_index_is_built_concurrently_while_another_migrator_waits(
    any_project: Project, server: Server
) -> None:
    # A migrator that waited in a statement, or with a snapshot, would deadlock with the index.
    url = prepared(any_project, server, "index")
    build = """
    import pathlib, time
    while pathlib.Path("hold").exists():
        time.sleep(0.02)
    with op.get_context().autocommit_block():
        op.create_index("ix_users_made", "users", ["created_at"], postgresql_concurrently=True)
"""
    hold = any_project.path / "hold"
    hold.touch()
    with revisions(any_project, {"0002": build}):
        first = start(any_project, "db", "upgrade", DATABASE_URL=url)
        read_until(first, "0001 -> 0002")
        second = start(any_project, "db", "upgrade", DATABASE_URL=url)
        read_until(second, "Waiting: another migration runs")
        hold.unlink()
        outputs = [process.communicate(timeout=60)[0] for process in (first, second)]

    assert (first.returncode, second.returncode) == (0, 0), outputs


def test_sql_is_printed_without_a_connection_and_without_the_lock(any_project: Project) -> None:
    for driver in ("postgresql", "mysql"):
        url = f"{driver}://nobody@127.0.0.1:{servers.free_port()}/nowhere"
        outcome = any_project.flask("db", "upgrade", "--sql", DATABASE_URL=url)
        assert outcome.status == 0, outcome.output
        assert "CREATE TABLE users" in outcome.output
    path = Path("nowhere.db")
    outcome = any_project.flask("db", "upgrade", "--sql", DATABASE_URL=f"sqlite:///{path}")
    assert "CREATE TABLE users" in outcome.output
    assert not list((any_project.path / "instance").glob("nowhere*"))

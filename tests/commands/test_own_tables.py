"""The guard's own tables, as earlier versions of it made them, and as a later one may."""

import hashlib
import json
import re
from datetime import datetime
from typing import Any

import pytest
from processes import revisions, serve
from projects import Outcome, Project, prepared
from servers import Server, connect, free_port
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    inspect,
    make_url,
)

NOTE = "Ünï 😀: 'failed' %s"
ADD = 'op.add_column("roles", sa.Column("rank", sa.Integer()))'
# MariaDB keeps the first statement.
HALF = f'{ADD}; op.execute("INSERT INTO nowhere VALUES (1)")'
SOURCE = LargeBinary(2**24 - 1)
NEWER = (
    r"Error: A newer schema_guard has written to schema_history \(version 1000 of its tables, this"
    r" code has \d+\), so this one does not: run the command from the newer release\."
)


FIRST = "0001 (The first tables: roles and users)"


def tables(version: int) -> tuple[Table, Table]:
    """Return the record and the journal as a version of schema_guard made them."""
    metadata = MetaData()
    record = Table(
        "schema_history",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("revision", String(255), nullable=False),
        Column("direction", String(16), nullable=False),
        Column("started_at", DateTime, nullable=False),
        Column("seconds", Float, nullable=False),
        Column("by_whom", String(255), nullable=False),
        Column("outcome", String(16), nullable=False),
        Column("checksum", String(64)),
        Column("file_digest", String(64)) if version == 1 else Column("source", SOURCE),
        Column("note", Text),
        mysql_engine="InnoDB",
    )
    journal = Table(
        "schema_journal",
        metadata,
        Column("number", Integer, primary_key=True, autoincrement=False),
        Column("revision", String(255), nullable=False),
        Column("direction", String(16), nullable=False),
        Column("checksum", String(64)) if version == 1 else Column("source", SOURCE),
        Column("statement", Text, nullable=False),
        Column("digest", String(64), nullable=False),
        Column("before", Text),
        Column("affected", Integer, nullable=False),
        Column("last_id", BigInteger),
        mysql_engine="InnoDB",
    )
    return record, journal


def make_as(version: int, url: str, source: bytes) -> None:
    """Replace the tables by those of an earlier version, with its rows of 0001 and its journal."""
    record, journal = tables(version)
    digest = hashlib.sha256(source).hexdigest()
    files: dict[int, dict[str, Any]] = {
        1: {"checksum": "f" * 64, "file_digest": digest},
        2: {"checksum": digest, "source": source},
    }
    common = {
        "revision": "0001",
        "direction": "upgrade",
        "started_at": datetime(2026, 11, 21, 12),  # noqa: DTZ001 - the column's is UTC
        "seconds": 0.25,
        "by_whom": "somebody@häuschen",
    }
    with connect(make_url(url)) as connection:
        left = journal_of(connection)
        record.metadata.drop_all(connection)
        record.metadata.create_all(connection)
        rows = [
            {**common, "outcome": "failed", "note": NOTE, **dict.fromkeys(files[version])},
            {**common, "outcome": "done", "note": None, **files[version]},
        ]
        connection.execute(record.insert(), rows)
        for row in left:
            names = journal.c.keys()
            connection.execute(journal.insert(), {n: v for n, v in row.items() if n in names})


def journal_of(connection: Any) -> list[Any]:
    """Return the rows of the journal."""
    rows = connection.exec_driver_sql("SELECT * FROM schema_journal ORDER BY number")
    return [dict(row) for row in rows.mappings()]


def columns(url: str) -> dict[str, set[str]]:
    """Return the names of the tables' columns."""
    with connect(make_url(url)) as connection:
        return {
            name: {info["name"] for info in inspect(connection).get_columns(name)}
            for name in ("schema_history", "schema_journal")
        }


@pytest.fixture
def url(any_project: Project, server: Server | None, request: pytest.FixtureRequest) -> str:
    """Return a database at 0001, one for each test."""
    return prepared(any_project, server, re.sub(r"\W+", "_", request.node.name)[-30:])


def initial(project: Project) -> bytes:
    """Return the file of revision 0001."""
    (path,) = project.path.glob("migrations/versions/0001*.py")
    return path.read_bytes()


def flask(project: Project, url: str, *arguments: str) -> Outcome:
    """Run one of the project's commands."""
    return project.flask("db", *arguments, DATABASE_URL=url)


def ready(project: Project, url: str) -> tuple[int, dict[str, Any]]:
    """Return what a process says that starts now."""
    with serve(project, variables={"DATABASE_URL": url}) as service:
        answer = service.get("/readyz")
        return answer.status, json.loads(answer.text)


@pytest.mark.parametrize("version", [1, 2])
def test_an_earlier_version_is_upgraded_in_place(
    any_project: Project, url: str, dbms: str, version: int
) -> None:
    with revisions(any_project, {"0002": HALF}):
        if dbms == "mariadb":  # leaves a revision that is half done
            assert flask(any_project, url, "upgrade").status == 1
        make_as(version, url, initial(any_project))
    earlier = columns(url)

    # What only reads takes them as they are.
    assert ready(any_project, url) == (200, {"status": "ready", "revision": FIRST})
    for command in ("current", "prepare"):
        outcome = flask(any_project, url, command)
        refused = (dbms, command) == ("mariadb", "prepare")  # for what is half done
        assert outcome.status == refused, outcome.output
    before = flask(any_project, url, "log")
    assert before.status == 0
    source = flask(any_project, url, "log", "0001")
    assert source.status == (1 if version == 1 else 0)
    assert "Traceback" not in source.output
    assert columns(url) == earlier

    with revisions(any_project, {"0002": ADD}):
        upgraded = flask(any_project, url, "upgrade")
        assert upgraded.status == 0, upgraded.output
        assert ready(any_project, url) == (200, {"status": "ready", "revision": "0002"})
        after = flask(any_project, url, "log").output
        down = flask(any_project, url, "downgrade", "0001")
        assert down.status == 0, down.output
    whose = "version_table"
    added = {"schema_history": {whose}, "schema_journal": {"answer", "kind", whose}}
    assert columns(url) == {
        name: names | {"source", "version"} | added[name] for name, names in earlier.items()
    }
    assert after.endswith(before.output)
    assert re.findall(r"  (\w+ \w+)  (\w+)  ", after) == [
        ("upgrade 0002", "done"),
        ("upgrade 0001", "done"),
        ("upgrade 0001", "failed"),
    ]
    assert f"    {NOTE}\n" in after
    assert "somebody@häuschen" in after


@pytest.mark.parametrize("dbms", ["mariadb"])
def test_an_upgrade_that_died_between_two_columns_is_completed(
    any_project: Project, url: str
) -> None:
    make_as(2, url, initial(any_project))
    with connect(make_url(url)) as connection:
        connection.exec_driver_sql("ALTER TABLE schema_history ADD COLUMN version INTEGER")
        connection.exec_driver_sql("DROP TABLE schema_journal")
    assert flask(any_project, url, "stamp", "base").status == 0
    found = columns(url)
    assert "version" in found["schema_history"] & found["schema_journal"]


def test_edits_are_found_by_what_version_1_kept(any_project: Project, url: str) -> None:
    make_as(1, url, initial(any_project) + b"# another file\n")
    refused = flask(any_project, url, "upgrade")
    assert refused.status == 1
    assert "revision 0001 was edited after it was run here, 2026-11-21 12:00" in refused.output
    allowed = flask(any_project, url, "upgrade", "--allow-edited")
    assert allowed.status == 0, allowed.output
    again = flask(any_project, url, "upgrade")
    assert (again.status, "edited" in again.output) == (0, False)


def test_a_later_version_is_read_and_not_written_to(any_project: Project, url: str) -> None:
    with connect(make_url(url)) as connection:
        connection.exec_driver_sql("ALTER TABLE schema_history ADD COLUMN mood VARCHAR(9)")
        connection.exec_driver_sql("UPDATE schema_history SET version = 1000, mood = 'good'")

    assert ready(any_project, url) == (200, {"status": "ready", "revision": FIRST})
    for command in (["check"], ["log"], ["prepare"]):
        outcome = flask(any_project, url, *command)
        assert outcome.status == 0, outcome.output
    with revisions(any_project, {"0002": ADD}):
        for command in (["upgrade"], ["stamp", "0002"]):
            refused = flask(any_project, url, *command)
            assert refused.status == 1
            (error,) = re.findall("^Error.*", refused.output, re.MULTILINE)
            assert re.fullmatch(NEWER, error)
            assert "0001" in flask(any_project, url, "current").output
    with connect(make_url(url)) as connection:
        query = "SELECT count(*) FROM schema_history"
        assert connection.exec_driver_sql(query).scalar_one() == 1


READY = """
import app
service = app.create_app().test_client()
for _ in range(2):
    answer = service.get("/readyz")
    print(answer.status_code, answer.json["reason"])
"""


def unready(project: Project, url: str) -> str:
    """Return why a process is not ready, asked twice; nothing else is printed but one line each."""
    python = project.tool("python")
    outcome = project.run(python, "-c", READY, DATABASE_URL=url, FLASK_DEBUG="1")
    logged = re.findall(r"not ready: .*", outcome.output)
    assert len(logged) == 2, outcome.output
    assert "Traceback" not in outcome.output
    first, second = re.findall(r"^503 (.*)", outcome.output, re.MULTILINE)
    assert first == second
    return str(first)


def test_readiness_says_what_is_the_matter(any_project: Project, url: str, dbms: str) -> None:
    name = make_url(url)
    with connect(name) as connection:
        connection.exec_driver_sql("ALTER TABLE schema_history RENAME COLUMN seconds TO minutes")
    reason = unready(any_project, url)
    assert reason.startswith("the database cannot be used: ")
    assert "seconds" in reason

    if dbms == "sqlite":
        wrong = name.set(database=f"{name.database}/no/folder")
        assert unready(any_project, str(wrong)) == (
            "the database cannot be used: unable to open database file"
        )
        return
    wrong = name.set(password="s3cret")
    reason = unready(any_project, wrong.render_as_string(hide_password=False))
    assert reason == "the server at its address does not let its user in with this password"
    closed = name.set(port=free_port())
    reason = unready(any_project, closed.render_as_string(hide_password=False))
    assert reason == "the database does not answer"
    unknown = name.update_query_dict({"passwort": "s3cret"})
    reason = unready(any_project, unknown.render_as_string(hide_password=False))
    assert reason == "the database refuses the connection; the log says why"

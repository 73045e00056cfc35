"""What is said of a revision that failed is what the database shows."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from click import ClickException
from schema_guard.runner import lock_timeout
from services import Service
from sqlalchemy.exc import DBAPIError

REFUSED = """
from schema_guard.operations import online
with online():
    op.alter_column("people", "name", type_=sa.Text(), existing_type=sa.String(50),
                    existing_nullable=False)
"""
# Ways to fail, each with what the message says, and the DBMS that has it if not all.
FAILURES = {
    "syntax": ("op.execute('SELEC 1')", "SELEC"),
    "missing": ("op.execute('INSERT INTO nowhere VALUES (1)')", "nowhere"),
    "duplicate": ("op.create_table('people', sa.Column('id', sa.Integer()))", "exists"),
    "constraint": ("op.execute(\"INSERT INTO people VALUES (1, 'again')\")", "people"),
    "python": ("raise KeyError('phone')", "KeyError: 'phone'"),
    "lock": ("op.add_column('people', sa.Column('age', sa.Integer()))", "lock"),
    "type": ("op.alter_column('people', 'name', type_=sa.Integer(), {USING})", "ALTER TABLE"),
    "refused": (REFUSED, "not supported"),
}
ONLY = {"type": {"postgresql", "mysql"}, "refused": {"mysql"}}
USING = {
    "postgresql": "postgresql_using='name::integer'",
    "mysql": "existing_type=sa.String(50), nullable=False",
    "sqlite": "",
}
# What comes first: how it shows in the message, and in the database.
FIRST = """
op.execute("INSERT INTO people VALUES (2, 'Ünï')")
op.create_table("made", sa.Column("id", sa.Integer(), primary_key=True))
op.execute("INSERT INTO made VALUES (1)")
"""
EFFECTS = {
    "INSERT INTO people VALUES (2,": "SELECT 1 FROM people WHERE id = 2",
    "CREATE TABLE made": "SELECT 1 FROM made",
    "INSERT INTO made VALUES (1)": "SELECT 1 FROM made WHERE id = 1",
    "INSERT INTO people VALUES (3,": "SELECT 1 FROM people WHERE id = 3",
}
INSIDE = "op.execute(\"INSERT INTO people VALUES (3, 'inside')\")"


@pytest.fixture
def people(service: Service) -> Service:
    """Return a service whose database is at 0001, and holds a row."""
    table = (
        'op.create_table("people", sa.Column("id", sa.Integer(), primary_key=True),'
        ' sa.Column("name", sa.String(50), nullable=False))'
    )
    service.write(1, f"{table}\nop.execute(\"INSERT INTO people VALUES (1, 'Zoë 🎉')\")", "pass")
    service.upgrade()
    service.app.config["MIGRATION_LOCK_TIMEOUT"] = 1
    return service


@contextmanager
def in_use(service: Service, failure: str) -> Iterator[None]:
    """Have somebody else use the table, where that is the way to fail."""
    if failure != "lock":
        yield
        return
    with service.engine.connect() as other:
        if service.dialect == "sqlite":
            other.exec_driver_sql("BEGIN IMMEDIATE")
        other.exec_driver_sql("SELECT * FROM people").all()
        yield
        other.exec_driver_sql("SELECT 1")


def exists(service: Service, query: str) -> bool:
    """Return whether a query finds a row, or even its table."""
    try:
        return bool(service.rows(query)) or "WHERE" not in query
    except DBAPIError:  # there is no such table
        return False


def check(service: Service, said: str) -> set[str]:
    """Compare what is said with what there is; return the statements that were kept."""
    there = {words for words, query in EFFECTS.items() if exists(service, query)}
    told = {
        words
        for words in EFFECTS
        if words in said.partition("Committed so far of this revision:")[2]
    }
    assert told == there, said
    assert ("Nothing of this revision was committed." in said) == (not there), said
    return there


@pytest.mark.parametrize("block", [False, True], ids=["plain", "autocommit"])
@pytest.mark.parametrize("direction", ["upgrade", "downgrade"])
@pytest.mark.parametrize("failure", FAILURES)
def test_what_was_kept(
    people: Service, failure: str, direction: str, monkeypatch: pytest.MonkeyPatch, *, block: bool
) -> None:
    if people.dialect not in ONLY.get(failure, {people.dialect}):
        return
    monkeypatch.setattr(lock_timeout, "TRIES", 1)
    failing, reason = FAILURES[failure]
    failing = failing.strip().replace("{USING}", USING[people.dialect])
    if block:
        lines = "\n".join(f"    {line}" for line in f"{INSIDE}\n{failing}".splitlines())
        failing = f"with op.get_context().autocommit_block():\n{lines}"
    body = f"{FIRST.strip()}\n{failing}"
    if direction == "downgrade":
        people.write(2, "pass", body)
        people.upgrade()
    else:
        people.write(2, body, "pass")

    with in_use(people, failure), pytest.raises(ClickException) as error:
        getattr(people, direction)()
    said = error.value.message

    assert reason in said or failure == "lock"
    assert "Revision 0002 (" in said or failure == "lock", said
    kept = check(people, said)
    record = people.rows("SELECT revision, direction, outcome FROM schema_history ORDER BY id")
    locked = (failure, people.dialect) == ("lock", "sqlite")  # the record can not be written
    assert locked or record[-1] == ("0002", direction, "failed")
    if direction == "upgrade":  # the other way: refused with the same truth, or it just runs
        if kept:
            with pytest.raises(ClickException) as refusal:
                people.downgrade()
            assert check(people, refusal.value.message) == kept
        else:
            people.downgrade()
            assert people.rows("SELECT version_num FROM alembic_version") == []

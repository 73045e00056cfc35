"""What commands print: what ran, how long it took, what is next; `--verbose` has the rest."""

import re

import pytest
import sqlalchemy as sa
from samples import users
from schema_guard.readiness import check
from services import Service

NOISE = re.compile("Context impl|Will assume|Detected sequence|User defined|post write|Generating")
TABLE = "op.create_table('t', sa.Column('id', sa.Integer, primary_key=True))"
sqlite = pytest.mark.parametrize("dbms", ["sqlite"])


def test_what_ran_and_what_is_next(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    service.models(users("name", 64, sa.Column("n", sa.Integer, server_default="1")))
    written = service.invoke("migrate", "-m", "add users", "--rev-id", "0001")
    assert re.search(r"Written: .*0001_add_users\.py\nNext: read it", written)
    service.write(2, TABLE, "op.drop_table('t')")
    service.upgrade(revision="0001")
    assert re.search(r"upgrade of 0001: \d+\.\d{3} s", caplog.text)
    said = "The database is at 0001 (add users). 1 revision is pending: 0002 (A change)."
    assert said in caplog.text
    assert "1 revision is pending: 0002 (A change). Run: flask db upgrade" in service.invoke(
        "current"
    )
    service.models(
        users("name", 64, sa.Column("n", sa.Integer, server_default="2")),
        ("t", sa.Column("id", sa.Integer, primary_key=True)),
    )
    caplog.clear()
    for command in (["upgrade"], ["upgrade"], ["migrate"], ["current"], ["downgrade"]):
        written += service.invoke(*command)
    assert "The database is at 0002 (A change). Nothing is pending." in caplog.text
    assert "Detected server default on column 'users.n'" in caplog.text
    assert not NOISE.search(caplog.text + written)
    assert "Context impl" not in caplog.text
    service.invoke("upgrade", "--verbose")
    assert "Context impl" in caplog.text


@sqlite
def test_a_revision_has_its_name(service: Service) -> None:
    path = service.write(1, TABLE, "op.drop_table('t')")
    text = path.read_text(encoding="utf-8").replace("A change.", "Ünï:\n    two lines.\n\nMore.\n")
    path.write_text(text, encoding="utf-8")
    service.upgrade()
    assert re.search(r"upgrade 0001  done .*  Ünï: two lines\n", service.invoke("log"))
    service.write(2, TABLE, "pass")
    vars(service.extension).pop("script_directory", None)
    with service.app.app_context(), service.engine.connect() as connection:
        assert check(connection).revision == "at 0001 (Ünï: two lines), head is 0002 (A change)"


@pytest.mark.parametrize("dbms", ["postgresql", "sqlite"])
def test_differences_are_said_in_words(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    columns = (sa.Column("a", sa.String(9)), sa.Column("b", sa.Integer, server_default="1"))
    service.models(users("name", 64, *columns), ("old", sa.Column("id", sa.Integer)))
    service.change()
    kind = sa.Enum("x", "y", name="kind")
    service.models(
        users(
            "name",
            70,
            sa.Column("a", sa.String(9), nullable=False),
            sa.Column("b", sa.Integer, server_default="2", index=True),
            sa.Column("c", kind),
            sa.Column("d", sa.ForeignKey("new.id")),
        ),
        (
            "new",
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("e", sa.Integer, unique=True),
        ),
    )
    caplog.clear()
    service.invoke("check", status=1)
    (message,) = caplog.messages
    lines = [line.strip() for line in message.splitlines()]
    assert lines[0] == "Error: The models and the database differ:"
    for line in (
        "table new: in the models, not in the database",
        "table old: in the database, not in the models",
        "column users.c: in the models, not in the database",
        "column users.a: nullable in the database, NOT NULL in the models",
        "index ix_users_b of users (b): in the models, not in the database",
        "foreign key fk_users_d_new of users (d): in the models, not in the database",
    ):
        assert line in lines
    assert any(
        re.match(r"column users.b: default '?1'? in the database, 2 in the", x) for x in lines
    )
    assert any(re.match(r"column users.name: type VARCHAR\(length=64\) in", x) for x in lines)
    assert ("enum 'kind': in the models, not in the database" in lines) == (
        service.dialect == "postgresql"
    )
    assert not any(re.search(r"Op\b|\[\(", line) for line in lines)


@sqlite
@pytest.mark.parametrize(
    "body",
    [
        "for row in op.get_bind().execute(sa.text('SELECT 1')): pass",
        "for row in op.execute('SELECT 1'): pass",
        "sa.inspect(op.get_bind()).get_table_names()",
    ],
)
def test_sql_of_a_revision_that_reads(service: Service, body: str) -> None:
    service.write(1, f"{TABLE}\n{body}", "pass")
    output = service.invoke("upgrade", "--sql", status=1)
    assert "CREATE TABLE t" in output
    assert "Error: Revision 0001 (0001_" in output
    assert ") reads the database, and `--sql` asks none." in output
    assert "Traceback" not in output
    service.write(1, "1 / 0", "pass")
    output = service.invoke("upgrade", "--sql", status=1)
    assert ") failed: ZeroDivisionError: division by zero. Correct the revision." in output

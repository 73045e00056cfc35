"""What a user may not do is said before anything runs, with all else that is in the way."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from schema_guard import GuardError
from schema_guard.runner.data_loss import LossError
from servers import Server
from services import Service
from sqlalchemy import URL, make_url

FIRST = """
op.create_table("mine", sa.Column("id", sa.Integer, primary_key=True), sa.Column("a", sa.Integer))
op.execute("INSERT INTO mine (id, a) VALUES (1, 2)")
"""
MARK = "op.execute('INSERT INTO mine (id) VALUES (9)')"
ALTER = "op.add_column({!r}, sa.Column('é', sa.Integer))"


class Restricted:
    """A service whose user may not do everything."""

    def __init__(self, server: Server, folder: Path) -> None:
        """Make it, with a database and a user of its own."""
        self.server = server
        self.name, self.user = server.quote(server.name("db")), server.quote(server.name("user"))
        server.execute(f"CREATE DATABASE {self.name}")
        password = server.create_user("user")
        self.everything = (
            f"GRANT ALL ON SCHEMA public TO {self.user}"
            if server.is_postgresql
            else f"GRANT ALL ON {self.name}.* TO {self.user}"
        )
        self.allow(self.everything)
        self.service = Service(folder, make_url(server.url("db", "user", password)))
        self.service.write(1, FIRST, "pass")
        self.service.upgrade()

    def allow(self, *statements: str) -> None:
        """Run statements as the administrator, in the database."""
        self.server.execute(*statements, database="db")

    def refused(self) -> str:
        """Return why nothing is run."""
        rows = self.service.rows("SELECT * FROM schema_history ORDER BY id")
        with pytest.raises(GuardError) as refusal:
            self.service.upgrade()
        assert self.service.rows("SELECT id, a FROM mine") == [(1, 2)]
        assert self.service.rows("SELECT * FROM schema_history ORDER BY id") == rows
        return refusal.value.message

    def drop(self) -> None:
        """Take it away."""
        self.service.engine.dispose()
        self.server.execute(f"DROP DATABASE {self.name}", f"DROP USER {self.user}")


@pytest.fixture
def restricted(server: Server, tmp_path: Path) -> Iterator[Restricted]:
    """Return a service of a user with few rights; it has run its first revision."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    service = Restricted(server, folder)
    yield service
    service.drop()


@pytest.mark.parametrize("dbms", ["postgresql"])
def test_what_somebody_elses_table_and_a_schema_need(restricted: Restricted) -> None:
    restricted.allow(
        "CREATE TABLE theirs (id integer PRIMARY KEY)",
        "INSERT INTO theirs VALUES (1)",
        f"REVOKE ALL ON SCHEMA public FROM {restricted.user}",
        f"GRANT USAGE ON SCHEMA public TO {restricted.user}",
        f"GRANT SELECT ON theirs TO {restricted.user}",
    )
    write = restricted.service.write
    write(2, MARK, "pass")
    write(3, ALTER.format("theirs") + "\n" + ALTER.format("mine"), "pass")
    write(4, "op.create_table('made', sa.Column('id', sa.Integer))", "pass")
    write(5, "op.drop_table('theirs')", "pass")
    write(6, "op.execute('ALTER TABLE mine DROP COLUMN a')", "pass")

    said = restricted.refused()
    assert said.startswith("2 problems. Nothing was changed.")
    lines = [line.strip() for line in said.splitlines()]
    admin = restricted.server.admin.username
    assert f"revision 0003 changes theirs, which is {admin}'s" in lines
    assert "revision 0004 creates something in schema public" in lines
    assert f"revision 0005 drops theirs, which is {admin}'s" in lines
    assert "changes mine" not in said
    assert "theirs: 1 row, dropped by revision 0005" in said
    assert "mine.a: 1 value, dropped by revision 0006" in said
    statements = re.findall(r"^ {4}(.*);$", said, re.MULTILINE)
    assert [statement.split()[0] for statement in statements] == ["ALTER", "GRANT"]
    restricted.allow(*statements)
    with pytest.raises(LossError):  # the rights suffice, and a person may be asked
        restricted.service.upgrade()
    restricted.service.upgrade("allow-loss=theirs", "allow-loss=mine.a")
    restricted.allow(f"REASSIGN OWNED BY {restricted.user} TO {admin}")


@pytest.mark.parametrize("dbms", ["mariadb"])
def test_what_is_not_granted(restricted: Restricted) -> None:
    account = f"{restricted.user}@`%`"
    rows = f"GRANT SELECT, INSERT, UPDATE, DELETE ON {restricted.name}.* TO {account}"
    restricted.allow(f"REVOKE ALL ON {restricted.name}.* FROM {account}", rows)
    restricted.allow("CREATE TABLE theirs (id INTEGER PRIMARY KEY, a INTEGER)")
    restricted.allow(f"GRANT ALTER ON theirs TO {account}")
    write = restricted.service.write
    write(2, MARK, "pass")
    write(3, ALTER.format("theirs") + "\n" + ALTER.format("mine"), "pass")
    write(4, "op.create_table('made', sa.Column('id', sa.Integer))", "pass")
    write(5, "op.create_index('ix_mine_a', 'mine', ['a'])\nop.drop_table('theirs')", "pass")
    write(6, "op.drop_column('mine', 'a')", "pass")

    said = restricted.refused()
    assert said.startswith("2 problems. Nothing was changed.")
    needs = re.findall(r"revision (\d+) needs (\w+) on (\w+)", said)
    assert needs == [
        ("0003", "ALTER", "mine"),
        ("0004", "CREATE", "made"),
        ("0005", "INDEX", "mine"),
        ("0005", "DROP", "theirs"),
        ("0006", "ALTER", "mine"),
    ]
    assert "Revision 0006 would drop mine.a, and 1 value with it" in said
    restricted.allow(*re.findall(r"^ {4}(GRANT .*);$", said, re.MULTILINE))
    restricted.service.upgrade("allow-loss=mine.a")


ROLES = {
    "postgresql": (
        ["CREATE TABLE theirs (id integer)", "GRANT {owner} TO {user}"],
        ["REVOKE {owner} FROM {user}"],
    ),
    "mariadb": (
        [
            "CREATE TABLE theirs (id INTEGER)",
            "REVOKE ALL ON {name}.* FROM {user}",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON {name}.* TO {user}",
            "CREATE ROLE {role}",
            "GRANT ALTER ON theirs TO {role}",
            "GRANT {role} TO {user}",
            "SET DEFAULT ROLE {role} FOR {user}",
        ],
        ["DROP ROLE {role}"],
    ),
}


@pytest.mark.parametrize("dbms", ["postgresql", "mariadb"])
def test_what_roles_allow_is_not_refused(restricted: Restricted, dbms: str) -> None:
    server = restricted.server
    names = {
        "name": restricted.name,
        "user": restricted.user if server.is_postgresql else f"{restricted.user}@`%`",
        "owner": server.quote(str(server.admin.username)),
        "role": server.quote(server.name("role")),
    }
    before, after = ([each.format(**names) for each in part] for part in ROLES[dbms])
    restricted.allow(*before)
    restricted.service.write(2, ALTER.format("theirs"), "pass")
    restricted.service.engine.dispose()  # a session has the roles that it began with
    restricted.service.upgrade()
    columns = sa.inspect(restricted.service.engine).get_columns("theirs")
    assert [column["name"] for column in columns] == ["id", "é"]
    restricted.allow(*after)


UNSURE = [
    "op.execute('SET ROLE {owner}')",
    "op.get_bind().exec_driver_sql('SELECT 1').scalar()",
    "import os\nos.environ.get('NOBODY')",
]


@pytest.mark.parametrize("dbms", ["postgresql"])
@pytest.mark.parametrize("unsure", UNSURE)
def test_what_is_not_certain_is_refused_when_it_comes(restricted: Restricted, unsure: str) -> None:
    restricted.allow("CREATE TABLE theirs (id integer)")
    restricted.service.write(2, MARK, "pass")
    body = unsure.format(owner=restricted.server.admin.username)
    restricted.service.write(3, f"{body}\n{ALTER.format('theirs')}", "pass")
    with pytest.raises(GuardError, match="Revision 0003"):
        restricted.service.upgrade()
    assert restricted.service.column("SELECT id FROM mine") == [1, 9]


@pytest.mark.parametrize("dbms", ["mariadb"])
def test_a_half_done_revision_is_known_with_all_else(service: Service) -> None:
    service.write(1, FIRST, "pass")
    service.write(
        2, ALTER.format("mine"), "op.drop_column('mine', 'é')\nop.drop_column('mine', 'x')"
    )
    service.upgrade()
    with pytest.raises(GuardError, match="failed"):
        service.downgrade()
    service.write(3, "op.drop_table('mine')", "pass")

    with pytest.raises(GuardError) as refusal:
        service.upgrade()
    said = refusal.value.message
    assert said.startswith("2 problems. Nothing was changed.")
    assert "The downgrade of revision 0002 was interrupted." in said
    assert "Revision 0003 would drop mine, and 1 row with it" in said


@pytest.mark.parametrize("dbms", ["sqlite"])
def test_no_room_for_the_backup_is_known_with_all_else(service: Service, database: URL) -> None:
    service.write(1, FIRST, "pass")
    service.upgrade()
    service.write(2, MARK, "pass")
    service.write(3, "op.drop_table('mine')", "pass")
    Path(str(database.database)).with_name("backups").write_text("")

    with pytest.raises(GuardError) as refusal:
        service.upgrade()
    said = refusal.value.message
    assert said.startswith("2 problems. Nothing was changed.")
    assert re.search(r"No backup of .*backups: File exists", said)
    assert "Revision 0003 would drop mine, and 1 row with it" in said
    assert service.rows("SELECT id, a FROM mine") == [(1, 2)]


@pytest.mark.parametrize("dbms", ["sqlite"])
def test_two_heads_are_known_with_what_was_edited(service: Service) -> None:
    service.write(1, FIRST, "pass")
    service.upgrade()
    service.write(1, FIRST + MARK, "pass")
    path = service.write(2, MARK, "pass")
    text = path.read_text(encoding="utf-8").replace('revision = "0002"', 'revision = "other"', 1)
    path.with_name("other.py").write_text(text, encoding="utf-8")

    with pytest.raises(GuardError) as refusal:
        service.upgrade()
    said = refusal.value.message
    assert said.startswith("2 problems. Nothing was changed.")
    assert "revision 0001 was edited after it was run here" in said
    assert "other" in said.partition("2. ")[2]

"""Models that change: what `flask db migrate` writes, and what it does to rows, there and back.

Run by the Python of a project, on the database of DATABASE_URL; see test_migrate.py.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import flask_migrate
import pytest
import sqlalchemy as sa
from app import create_app
from app.extensions import Base
from click import ClickException
from sqlalchemy.exc import IntegrityError

from schema_guard.runner.connection import migration_connection
from schema_guard.lint.linter import lint
from schema_guard.revisions.script_directory import script_directory

CONVENTION = Base.metadata.naming_convention
TEXTS = ["Zoë", "it's", 'a "quote"', "back\\slash", "line\nbreak", "{{ name }}", "100% :x", "😀"]


class Service:
    """A service whose models are told as tables."""

    def __init__(self, folder: Path) -> None:
        """Have migrations of its own, in a folder."""
        self.app = create_app({"TESTING": True})
        extension: Any = self.app.extensions["migrate"]
        template = Path(self.app.root_path).parent / "migrations"
        for name in ("env.py", "script.py.mako"):
            shutil.copy(template / name, folder)
        self.settings = (template / "alembic.ini").read_text(encoding="utf-8")
        # ruff is slow to start: only one test has it read what is written.
        plain = self.settings.replace("hooks = check, format", "")
        (folder / "alembic.ini").write_text(plain, encoding="utf-8")
        self.versions = folder / "versions"
        self.versions.mkdir()
        extension.migrate.directory = extension.directory = str(folder)
        with self.app.app_context():
            self.engine: sa.Engine = extension.db.engine
        self.extension = extension

    def models(self, *tables: tuple[Any, ...]) -> None:
        """Have these models from now on."""
        metadata = sa.MetaData(naming_convention=CONVENTION)
        for name, *parts in tables:
            sa.Table(name, metadata, *parts)
        self.extension.db = SimpleNamespace(engine=self.engine, metadata=metadata)

    def migrate(self, *flags: str) -> str | None:
        """Write a revision; return its text, or none if there is nothing to write."""
        before = set(self.versions.glob("*.py"))
        number = f"{len(before) + 1:04}"
        with self.app.app_context():
            flask_migrate.migrate(message=f"change {number}", rev_id=number, x_arg=list(flags))
        new = set(self.versions.glob("*.py")) - before
        return new.pop().read_text(encoding="utf-8") if new else None

    def differs(self) -> bool:
        """Return what `flask db check` says."""
        with self.app.app_context():
            try:
                flask_migrate.check()
            except SystemExit:
                return True
        return False

    def refused(self, *flags: str) -> str:
        """Return why no revision is written."""
        before = set(self.versions.glob("*.py"))
        with pytest.raises(ClickException) as refusal:
            self.migrate(*flags)
        assert set(self.versions.glob("*.py")) == before
        return refusal.value.message

    def lint(self, revision: str) -> list[str]:
        """Return the names of the rules that find something in a revision."""
        with self.app.app_context():
            vars(self.extension).pop("script_directory", None)
            judged = lint(script_directory(), self.engine.dialect, revision)
        return [finding.rule for _, finding in judged.findings]

    def upgrade(self, *flags: str) -> None:
        """Run what is pending."""
        with self.app.app_context():
            flask_migrate.upgrade(x_arg=list(flags))

    def downgrade(self) -> None:
        """Undo the last revision."""
        with self.app.app_context():
            flask_migrate.downgrade()

    def change(self, *flags: str) -> str:
        """Write a revision, and run it; nothing is left to write. Return its text."""
        assert self.differs()
        text = self.migrate(*flags)
        assert text is not None
        self.upgrade()
        assert self.migrate() is None
        assert not self.differs()
        return text

    def run(self, statement: Any, values: Any = None) -> None:
        """Run a statement."""
        with self.engine.begin() as connection:
            connection.execute(sa.text(statement) if isinstance(statement, str) else statement, values)

    def rows(self, query: str) -> list[Any]:
        """Return what a query finds."""
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(query))]

    def names(self, table: str) -> set[str]:
        """Return the names of the indexes and constraints of a table."""
        inspector = sa.inspect(self.engine)
        found = [
            *inspector.get_indexes(table),
            *inspector.get_unique_constraints(table),
            *inspector.get_foreign_keys(table),
        ]
        return {str(info["name"]) for info in found}

    def insert(self, table: str, rows: list[dict[str, Any]]) -> None:
        """Add rows."""
        columns = [sa.column(name) for name in rows[0]]
        self.run(sa.insert(sa.table(table, *columns)), rows)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Return a service on an empty database."""
    service = Service(tmp_path)
    yield service
    with service.app.app_context(), migration_connection(service.engine, locked=False) as connection:
        metadata = sa.MetaData()
        metadata.reflect(connection)
        metadata.drop_all(connection)
        connection.commit()
    service.engine.dispose()


def users(name: str = "name", length: int = 64, *more: sa.Column[Any]) -> tuple[Any, ...]:
    """Return a model of users whose names are unique and indexed."""
    return (
        "users",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(name, sa.String(length), nullable=False, unique=True),
        sa.Column("bio", sa.Text, index=False),
        sa.Column("role", sa.String(20), index=True),
        *more,
    )


def posts(author: str = "users.name", key: str = "author") -> tuple[Any, ...]:
    """Return a model of what users have written; it refers to their names."""
    return (
        "posts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(key, sa.String(64), sa.ForeignKey(author), index=True),
    )


def fill(service: Service) -> None:
    """Write the first revision, and fill its tables."""
    assert service.migrate()
    service.upgrade()
    rows = [{"id": i, "name": text, "bio": text, "role": None} for i, text in enumerate(TEXTS, 1)]
    rows[0] |= {"bio": None, "role": "admin"}
    service.insert("users", rows)
    service.insert("posts", [{"id": i, "author": text} for i, text in enumerate(TEXTS, 1)])


BIOS = [None, *TEXTS[1:]]


def test_a_column_is_renamed_with_all_that_refers_to_it(service: Service) -> None:
    service.models(users(), posts())
    fill(service)
    names = service.names("users") | service.names("posts")
    table = list(users("full_name"))
    table[4] = sa.Column("job", sa.String(100), index=True)  # another name and type
    service.models(tuple(table), posts("users.full_name"))

    text = service.change("rename=users.name:full_name", "rename=users.role:job")
    assert "new_column_name='full_name'" in text.replace('"', "'")
    assert "drop_column" not in text
    assert [row[0] for row in service.rows("SELECT full_name FROM users ORDER BY id")] == TEXTS
    assert [row[0] for row in service.rows("SELECT author FROM posts ORDER BY id")] == TEXTS
    assert "uq_users_full_name" in service.names("users")
    assert not {"uq_users_name", "ix_users_role"} & service.names("users")
    assert service.rows("SELECT job FROM users WHERE id = 1") == [("admin",)]
    service.run("INSERT INTO users (id, full_name, job) VALUES (99, 'x', :job)", {"job": "x" * 90})
    service.run("DELETE FROM users WHERE id = 99")
    with pytest.raises(IntegrityError):
        service.run("INSERT INTO posts (id, author) VALUES (99, 'nobody')")

    service.downgrade()
    assert [row[0] for row in service.rows("SELECT name FROM users ORDER BY id")] == TEXTS
    assert service.names("users") | service.names("posts") == names
    with pytest.raises(IntegrityError):
        service.run("INSERT INTO posts (id, author) VALUES (99, 'nobody')")


def test_a_table_is_renamed_and_a_column_of_it(service: Service) -> None:
    service.models(users(), posts())
    fill(service)
    names = service.names("users") | service.names("posts")
    people = ("people", *users("login")[1:])
    service.models(people, posts("people.login"))

    refused = service.refused()
    assert "--rename-table users:people" in refused
    text = service.change("rename-table=users:people", "rename=people.name:login")
    assert "drop_table" not in text
    assert [row[0] for row in service.rows("SELECT login FROM people ORDER BY id")] == TEXTS
    assert [row[0] for row in service.rows("SELECT bio FROM people ORDER BY id")] == BIOS
    assert [row[0] for row in service.rows("SELECT author FROM posts ORDER BY id")] == TEXTS
    assert {"uq_people_login", "ix_people_role"} <= service.names("people")
    assert "fk_posts_author_people" in service.names("posts")
    with pytest.raises(IntegrityError):
        service.run("INSERT INTO posts (id, author) VALUES (99, 'nobody')")

    service.downgrade()
    assert [row[0] for row in service.rows("SELECT name FROM users ORDER BY id")] == TEXTS
    assert service.names("users") | service.names("posts") == names
    service.upgrade()
    assert [row[0] for row in service.rows("SELECT login FROM people ORDER BY id")] == TEXTS


def test_names_change_places_and_several_change_at_once(service: Service) -> None:
    service.models(users(), posts())
    fill(service)
    service.models(users(), posts())
    flags = ["rename=users.name:bio", "rename=users.bio:name"]
    table = (
        "users",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("bio", sa.String(64), nullable=False, unique=True),
        sa.Column("name", sa.Text),
        sa.Column("job", sa.String(20), index=True),
    )
    service.models(table, posts("users.bio", "writer"))

    service.change(*flags, "rename=users.role:job", "rename=posts.author:writer")
    assert [row[0] for row in service.rows("SELECT bio FROM users ORDER BY id")] == TEXTS
    assert [row[0] for row in service.rows("SELECT name FROM users ORDER BY id")] == BIOS
    assert service.rows("SELECT job FROM users WHERE id = 1") == [("admin",)]
    assert [row[0] for row in service.rows("SELECT writer FROM posts ORDER BY id")] == TEXTS

    service.downgrade()
    assert [row[0] for row in service.rows("SELECT name FROM users ORDER BY id")] == TEXTS
    assert [row[0] for row in service.rows("SELECT bio FROM users ORDER BY id")] == BIOS
    assert service.rows("SELECT role FROM users WHERE id = 1") == [("admin",)]


def test_a_key_is_renamed(service: Service) -> None:
    def tables(key: str) -> list[tuple[Any, ...]]:
        return [
            ("roles", sa.Column(key, sa.Integer, primary_key=True), sa.Column("name", sa.Text)),
            (
                "users",
                sa.Column("id", sa.Integer, primary_key=True),
                sa.Column("role_id", sa.ForeignKey(f"roles.{key}", ondelete="CASCADE")),
            ),
        ]

    service.models(*tables("id"))
    service.migrate()
    service.upgrade()
    service.insert("roles", [{"id": 7, "name": "a"}, {"id": 8, "name": "b"}])
    service.insert("users", [{"id": 1, "role_id": 7}, {"id": 2, "role_id": 8}])
    service.models(*tables("key"))

    service.change("rename=roles.id:key")
    service.run("INSERT INTO roles (name) VALUES ('counted')")  # it still counts by itself
    service.run("DELETE FROM roles WHERE name = 'b'")
    assert service.rows("SELECT id, role_id FROM users") == [(1, 7)]
    service.downgrade()
    service.run("INSERT INTO roles (name) VALUES ('again')")
    service.run("DELETE FROM roles WHERE id = 7")
    assert service.rows("SELECT id, role_id FROM users") == []


def test_nothing_is_guessed(service: Service) -> None:
    service.models(users(), posts())
    fill(service)
    more = [sa.Column("nick", sa.String(64)), sa.Column("count", sa.Integer)]
    service.models(users("full_name", 64, *more)[:3] + users("x", 64, *more)[4:])

    refused = service.refused()
    assert "Nothing was written" in refused
    lines = refused.splitlines()
    found = lines.index("users.name is gone from the models:")
    assert lines[found + 1 : found + 4] == [
        "  --rename users.name:full_name",
        "  --rename users.name:nick",
        "  --drop users.name",
    ]
    assert "  --drop users.bio" in lines
    assert "  --drop-table posts" in lines
    assert "count" not in refused
    assert "full_name is new and required" not in refused  # it may be the old one

    answers = ["rename=users.name:full_name", "drop=users.bio"]
    assert "--drop-table posts" in service.refused(*answers)
    for wrong, why in {
        "rename=users.name:nobody": "no model has nobody",
        "rename=users.name:role": "that name is taken",
        "rename=users": "it has the form TABLE.COLUMN:NEW",
        "drop=users.gone": "call for none",
        "fill=users.bio:x": "call for none",
    }.items():
        kept = [flag for flag in answers if not wrong.startswith("rename=users.name")]
        assert why in service.refused(*kept, "drop-table=posts", wrong)
    text = service.migrate(*answers, "drop-table=posts")
    assert text is not None
    assert re.search(r"# Loses data: .*users\.bio.*\n +batch_op\.drop_column\(.bio.\)", text)
    assert re.search(r"# Loses data: .*posts.*\n +op\.drop_table\(.posts.\)", text)


def test_a_drop_is_counted_first(service: Service) -> None:
    service.models(users(), posts())
    fill(service)
    service.insert("users", [{"id": 50, "name": "nobody"}])
    service.models((*users()[:3], *users()[4:]))
    assert service.migrate("drop=users.bio", "drop-table=posts")

    with pytest.raises(ClickException) as refusal:
        service.upgrade()
    assert "would drop users.bio, and 7 values with it" in refusal.value.message
    assert "--allow-loss users.bio" in refusal.value.message
    assert "# schema_guard: allow drop-column -- why" in refusal.value.message
    bios = service.rows("SELECT bio FROM users WHERE id < 50 ORDER BY id")
    assert [row[0] for row in bios] == BIOS

    (path,) = service.versions.glob("*0002.py")
    text = path.read_text(encoding="utf-8")
    for comment, missing in {
        "# schema_guard: allow drop-column": "users.bio, and 7 values",
        "# schema_guard: allow drop-column nobody reads them": "users.bio, and 7 values",
        "# schema_guard: allow drop-table -- nobody reads them": "users.bio, and 7 values",
        "# schema_guard: allow drop-column -- nobody reads them": "posts, and 8 rows",
    }.items():
        lines = text.splitlines()
        number = next(i for i, line in enumerate(lines) if "drop_column" in line)
        lines.insert(number, f"        {comment}")
        path.write_text("\n".join(lines), encoding="utf-8")
        with pytest.raises(ClickException) as refusal:
            service.upgrade()
        assert missing in refusal.value.message
    assert service.rows("SELECT count(*) FROM posts") == [(8,)]
    service.upgrade("allow-loss=posts")
    query = "SELECT note FROM schema_history WHERE outcome = 'done' ORDER BY id DESC"
    note = service.rows(query)[0][0]
    assert "Dropped posts, with 8 rows." in note
    # Where DDL is committed at once, the column went with the run before.
    commits = service.engine.dialect.name == "mysql"
    assert ("Dropped users.bio, with 7 values." in note) != commits


def test_tables_that_refer_to_each_other_come_and_go(service: Service) -> None:
    def table(name: str, *referred: str) -> tuple[Any, ...]:
        keys = (
            sa.Column(f"{other}_id", sa.ForeignKey(f"{other}.id"), index=True) for other in referred
        )
        return (name, sa.Column("id", sa.Integer, primary_key=True), *keys)

    service.models(table("k"))
    service.change()
    service.models(table("k"), table("a", "c"), table("b", "a", "c"), table("c"), table("d", "b"))
    service.change()
    service.downgrade()
    service.upgrade()
    service.models(table("k"), table("a"), table("b", "a"), table("c"), table("d", "b"))
    service.change("drop=a.c_id", "drop=b.c_id")
    service.models(table("k"), table("a"), table("b"), table("c", "a"), table("d", "b"))
    service.change("drop=b.a_id")
    service.models(table("k", "d"), table("a"), table("b"), table("c", "a"), table("d", "b"))
    service.change()
    service.models(table("k"))
    service.change("drop=k.d_id", *(f"drop-table={name}" for name in "abcd"))
    for _ in range(5):
        service.downgrade()
    service.upgrade()


@pytest.mark.parametrize(
    "drop",
    [
        'op.execute("ALTER TABLE users DROP COLUMN bio")',
        'op.get_bind().execute(sa.text("alter table users drop bio"))',
        'op.execute("DROP TABLE IF EXISTS users")',
        'op.drop_table("users")',
        'with op.batch_alter_table("users") as batch_op: batch_op.drop_column("bio")',
    ],
)
def test_every_way_to_drop_is_seen(service: Service, drop: str) -> None:
    service.models(users())
    service.migrate()
    service.upgrade()
    service.insert("users", [{"id": 1, "name": "a", "bio": "b"}])
    text = f"""
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    {drop}


def downgrade():
    pass
"""
    (service.versions / "0002_drop.py").write_text(text, encoding="utf-8")

    with pytest.raises(ClickException) as refusal:
        service.upgrade()
    assert "would drop users" in refusal.value.message
    assert service.rows("SELECT bio FROM users") == [("b",)]
    service.run("DELETE FROM users")
    service.upgrade()  # there is nothing to lose


def test_models_that_were_not_imported(service: Service) -> None:
    service.models(users(), posts())
    fill(service)
    service.models()

    assert "the models are probably not imported" in service.refused()
    assert service.migrate("drop-table=users", "drop-table=posts") is not None


def test_what_is_required_is_filled(service: Service) -> None:
    service.models(users(), posts())
    fill(service)
    kinds = {
        "word": (sa.String(40), "it's \\ \"{{ x }}\" 100% :y"),
        "empty": (sa.String(40), "''"),
        "number": (sa.Integer, "-7"),
        "price": (sa.Numeric(15, 4), "1.25"),
        "flag": (sa.Boolean, "yes"),
        "born": (sa.Date, "2026-01-31"),
        "seen": (sa.DateTime, "2026-01-31T12:00:00"),
        "key": (sa.Uuid, "12345678123456781234567812345678"),
        "kind": (sa.Enum("small", "large", native_enum=False, length=20), "large"),
        "extra": (sa.JSON, '{"a": "it\'s"}'),
    }
    table = users("name", 64, *(sa.Column(name, kind, nullable=False) for name, (kind, _) in kinds.items()))
    table[3].nullable = False
    service.models(table, posts())

    refused = service.refused()
    assert "--fill users.word:VALUE" in refused
    assert "users.bio is to be required" in refused
    flags = [f"fill=users.{name}:{value}" for name, (_, value) in kinds.items()]
    for wrong in ("fill=users.number:many", "fill=users.kind:none", "fill=users.extra:{"):
        part = wrong.rpartition(":")[0]
        assert "cannot hold" in service.refused(
            *(flag for flag in flags if not flag.startswith(part)), wrong, "fill=users.bio:none"
        )
    text = service.change(*flags, "fill=users.bio:none")
    assert text.count("backfill(") == 1 + len(kinds)
    model = sa.Table("users", sa.MetaData(), *(part._copy() for part in table[1:]))
    with service.engine.connect() as connection:
        (first, *_, last) = connection.execute(sa.select(model).order_by(model.c.id)).mappings()
    assert (first["bio"], last["bio"]) == ("none", TEXTS[-1])
    assert last["word"] == kinds["word"][1]
    assert (last["empty"], last["number"], last["flag"], last["kind"]) == ("", -7, True, "large")
    assert (str(last["price"]), str(last["born"])) == ("1.2500", "2026-01-31")
    assert str(last["seen"]) == "2026-01-31 12:00:00"
    assert last["key"].hex == kinds["key"][1]
    assert last["extra"] == {"a": "it's"}
    with pytest.raises(IntegrityError):
        service.run("UPDATE users SET word = NULL")

    service.downgrade()
    assert [row[0] for row in service.rows("SELECT name FROM users ORDER BY id")] == TEXTS
    columns = sa.inspect(service.engine).get_columns("users")
    assert [column["name"] for column in columns] == ["id", "name", "bio", "role"]
    service.run("UPDATE users SET bio = NULL")


def test_many_rows_are_filled_in_batches(service: Service) -> None:
    service.models(users())
    service.migrate()
    service.upgrade()
    service.insert("users", [{"id": i * 3, "name": f"user {i}"} for i in range(25_000)])
    service.models(users("name", 64, sa.Column("phone", sa.String(20), nullable=False)))
    seen: list[int] = []

    def note(_c: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("UPDATE users"):
            seen.append(cursor.rowcount)

    sa.event.listen(service.engine, "after_cursor_execute", note)
    service.change("fill=users.phone:none")

    batches = [25_000] if service.engine.dialect.name == "sqlite" else [10_000, 10_000, 5_000]
    assert seen == batches
    assert service.rows("SELECT count(*) FROM users WHERE phone = 'none'") == [(25_000,)]


IN_USE = {
    "postgresql": [
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_users_boss ON users (boss)",
        "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS uq_users_code ON users (code)",
        "ALTER TABLE users ADD CONSTRAINT uq_users_code UNIQUE USING INDEX uq_users_code",
        "FOREIGN KEY(boss) REFERENCES users (id) NOT VALID",
        "ALTER TABLE users VALIDATE CONSTRAINT fk_users_boss_users",
        "ADD CONSTRAINT ck_users_role_not_null CHECK (role IS NOT NULL) NOT VALID",
        "ALTER TABLE users VALIDATE CONSTRAINT ck_users_role_not_null",
        "ALTER TABLE users ALTER COLUMN role SET NOT NULL",
        "ALTER TABLE users DROP CONSTRAINT ck_users_role_not_null",
        "CREATE INDEX ix_tags_owner ON tags (owner)",
        "DROP INDEX CONCURRENTLY IF EXISTS ix_users_boss",
    ],
    "mysql": [
        "ALTER TABLE users ADD COLUMN boss INTEGER, LOCK=NONE",
        "CREATE INDEX ix_users_boss ON users (boss) ALGORITHM=INPLACE LOCK=NONE",
        "UNIQUE (code), ALGORITHM=INPLACE, LOCK=NONE",
        "FOREIGN KEY(boss) REFERENCES users (id), ALGORITHM=INPLACE, LOCK=NONE",
        "ALTER TABLE users MODIFY role VARCHAR(20) NOT NULL, ALGORITHM=INPLACE, LOCK=NONE",
        "CREATE INDEX ix_tags_owner ON tags (owner)",
        "ALTER TABLE users DROP INDEX ix_users_boss, ALGORITHM=INPLACE, LOCK=NONE",
    ],
    "sqlite": [],
}


def test_what_is_written_stops_nobody(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    service.models(users(), posts())
    fill(service)
    table = list(
        users(
            "name",
            64,
            sa.Column("code", sa.String(20), unique=True),
            sa.Column("boss", sa.Integer, sa.ForeignKey("users.id"), index=True),
        )
    )
    table[4] = sa.Column("role", sa.String(20), index=True, nullable=False)
    owner = sa.Column("owner", sa.Integer, sa.ForeignKey("users.id"), index=True)
    tags = ("tags", sa.Column("id", sa.Integer, primary_key=True), owner)
    service.models(tuple(table), posts(), tags)
    sent: list[str] = []

    def note(*of: Any) -> None:
        sent.append(" ".join(of[2].replace("`", "").split()))

    sa.event.listen(service.engine, "before_cursor_execute", note)
    service.change("fill=users.role:user")
    name = service.engine.dialect.name
    if name != "sqlite":  # it reads the table that it rebuilds
        with service.app.app_context():
            flask_migrate.upgrade(sql=True, revision="0001:0002")
        printed = " ".join(capsys.readouterr().out.replace("`", "").split())
        assert [words for words in IN_USE[name][:-1] if words not in printed] == []
    service.downgrade()
    sa.event.remove(service.engine, "before_cursor_execute", note)

    for words in IN_USE[name]:
        assert any(statement.endswith(words) for statement in sent), words
    assert service.lint("0002") == []
    assert service.rows("SELECT count(*) FROM users") == [(len(TEXTS),)]
    service.upgrade()
    assert service.rows("SELECT count(*) FROM users WHERE role IS NULL") == [(0,)]


def test_what_stops_others_says_so(service: Service) -> None:
    def ages(kind: Any) -> tuple[Any, ...]:
        return ("ages", sa.Column("id", sa.Integer, primary_key=True), sa.Column("age", kind))

    service.models(ages(sa.Integer))
    assert service.migrate()
    service.upgrade()
    service.insert("ages", [{"id": 1, "age": 7}, {"id": 2, "age": None}])
    sqlite = service.engine.dialect.name == "sqlite"
    service.models(ages(sa.BigInteger))

    text = service.change()

    above = "schema_guard: allow sqlite-rebuild-large-table -- it copies 2 rows here"
    assert f"# {above if sqlite else 'change-type: The table is rewritten'}" in text
    assert service.lint("0002") == ([] if sqlite else ["change-type"])
    assert service.rows("SELECT age FROM ages WHERE id = 2") == [(None,)]


def test_a_revision_is_clean(service: Service) -> None:
    ini = service.versions.parent / "alembic.ini"
    ini.write_text(service.settings, encoding="utf-8")
    service.models(users(), posts())
    fill(service)
    service.models(users("login", 64, sa.Column("phone", sa.String(20), nullable=False)), posts("users.login"))
    service.migrate("rename=users.name:login", "fill=users.phone:''")
    commands = [["check", "--ignore", "INP001,D"], ["format", "--check"]]
    for command in commands:
        program = [sys.executable, "-m", "ruff", *command, str(service.versions)]
        subprocess.run(program, check=True)  # noqa: S603 - its arguments are ours


def test_what_the_application_gives_to_migrate_adds_to_the_guards(service: Service) -> None:
    seen: list[Any] = []

    def note(_context: object, _revision: object, directives: list[Any]) -> None:
        seen.extend(directives)

    service.extension.configure_args = {
        "include_name": lambda name, kind, _: kind != "table" or name != "legacy",
        "process_revision_directives": note,
        "render_item": lambda kind, item, _: "sa.Text()" if isinstance(item, Point) else False,
        "compare_type": False,
        "render_as_batch": True,
    }
    service.models(users("name", 64, sa.Column("at", Point()), sa.Column("on", sa.Boolean, server_default=sa.false())))
    service.run("CREATE TABLE legacy (id INTEGER)")
    text = service.migrate()
    assert text is not None
    assert len(seen) == 1
    assert "legacy" not in text
    assert "sa.Text()" in text
    assert "sa.false()" in text  # as the guards render it
    service.upgrade()
    assert service.migrate() is None  # not a word of schema_history




class Point(sa.types.UserDefinedType[str]):
    """A type of the service's own."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Return how it is called in SQL."""
        return "VARCHAR(40)"


def test_a_type_of_the_services_own_is_imported(service: Service) -> None:
    service.models(users("name", 64, sa.Column("at", Point())))
    text = service.migrate()
    assert text is not None
    assert f"import {__name__}" in text
    service.upgrade()


def colours(*names: str, **kind: Any) -> sa.Enum:
    """Return a type of a few words."""
    return sa.Enum(*names, name="colour", **kind)


def things(*columns: sa.Column[Any]) -> tuple[Any, ...]:
    """Return a model of things."""
    return ("things", sa.Column("id", sa.Integer, primary_key=True), *columns)


@pytest.mark.parametrize("kind", ["native", "check", "plain"])
def test_values_of_an_enum_come_and_go(service: Service, kind: str) -> None:
    options = {"native": {}, "check": {"native_enum": False, "create_constraint": True, "length": 9}}
    more = options.get(kind, {"native_enum": False, "length": 9})
    service.models(things(sa.Column("colour", colours("red", "blue", **more))), users())
    service.change()
    service.insert("things", [{"id": 1, "colour": "red"}, {"id": 2, "colour": None}])

    new = sa.Column("colour", colours("red", "green", "blue", **more), server_default="green")
    service.models(things(sa.Column("colour", new.type)), users())
    if kind == "check" or (kind == "native" and service.engine.dialect.name != "sqlite"):
        assert service.differs()  # by the new value alone
    likes = sa.Column("likes", colours("red", "green", "blue", **more))
    service.models(things(new), users("name", 64, likes))
    service.change()
    service.run("INSERT INTO things (id) VALUES (3)")
    service.run("INSERT INTO users (id, name, likes) VALUES (1, 'a', 'green')")
    assert service.rows("SELECT id, colour FROM things ORDER BY id") == [(1, "red"), (2, None), (3, "green")]
    if kind == "check" or (kind == "native" and service.engine.dialect.name != "sqlite"):
        with pytest.raises(sa.exc.DBAPIError):
            service.run("INSERT INTO things (id, colour) VALUES (4, 'black')")

    service.run("DELETE FROM things WHERE colour = 'green'")
    service.downgrade()
    assert service.rows("SELECT id, colour FROM things ORDER BY id") == [(1, "red"), (2, None)]
    service.upgrade()
    service.downgrade()
    service.downgrade()
    service.upgrade()
    service.models(things(), users())
    service.change("drop=things.colour", "drop=users.likes")
    service.downgrade()


def test_all_that_alembic_documents_is_detected(service: Service) -> None:
    def table(*columns: sa.Column[Any]) -> tuple[Any, ...]:
        return ("things", sa.Column("id", sa.Integer, primary_key=True), *columns)

    def column(*parts: Any, kind: Any = sa.String(20), **more: Any) -> sa.Column[Any]:
        return sa.Column("it", kind, *parts, **more)

    states = [
        column(),
        column(nullable=False, server_default="old"),
        column(nullable=False, server_default="it's new"),
        column(kind=sa.String(40), nullable=False, server_default="it's new"),
        column(kind=sa.Text),
        column(index=True),
        column(unique=True),
        column(unique=True, index=True),
        column(sa.ForeignKey("users.name"), index=True),
        column(sa.ForeignKey("users.name")),
        column(sa.ForeignKey("users.name", ondelete="CASCADE"), index=True),
    ]
    if service.engine.dialect.name != "sqlite":
        states += [column(comment="what it's for"), column(comment="something else")]
    service.models(users(), table())
    service.change()
    for number, state in enumerate(states):
        service.models(users(), table(state))
        if service.engine.dialect.name == "mysql" and not state.index and states[number - 1].index:
            if state.foreign_keys:  # the server keeps the index for the foreign key
                assert service.migrate() is None
                continue
        text = service.migrate(*(["fill=things.it:x"] if state is states[1] else []))
        assert text is not None, state
        service.upgrade()
        assert service.migrate() is None, state
    others = [
        [column(kind=sa.Integer, server_default="6"), column(kind=sa.BigInteger, server_default="7")],
        [
            column(kind=sa.Boolean, nullable=False, server_default=sa.false()),
            column(kind=sa.Boolean, nullable=False, server_default=sa.true()),
        ],
        [column(kind=sa.DateTime), column(kind=sa.DateTime, server_default=sa.func.now())],
        [column(kind=sa.Numeric(8, 2)), column(kind=sa.Numeric(10, 2), server_default="0.00")],
    ]
    written = len(list(service.versions.glob("*.py"))) + 1
    for changes in others:
        service.models(users(), table())
        service.change("drop=things.it")
        for state in changes:
            service.models(users(), table(state))
            service.change()
        written += 3
    for _ in range(written - 1):
        service.downgrade()
    assert set(sa.inspect(service.engine).get_table_names()) <= {
        "alembic_version",
        "schema_history",
        "schema_journal",
    }
    service.upgrade()

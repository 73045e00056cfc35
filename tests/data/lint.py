"""Every rule of `flask db lint`: an unsafe revision that it finds, and its recipe, run for real.

Run by the Python of a project, on the database of DATABASE_URL; see test_lint.py.
"""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flask_migrate
import pytest
import sqlalchemy as sa
from app import create_app
from click import ClickException

from schema_guard.runner.connection import migration_connection
from schema_guard.lint.linter import Judged, lint
from schema_guard.lint.report import report
from schema_guard.lint.context import RULES
from schema_guard.revisions.script_directory import script_directory

# It is allowed, with a reason, wherever it is written.
NO_WAY_BACK = "raise NotImplementedError"
NAMES = ["Zoë", "it's", 'a "quote"', "back\\slash", "line\nbreak", "{{ name }}", "100% :x", "😀"]
BASE = """
    op.create_table(
        "users",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(50), nullable=False),
        sa.Column("email", sa.String(100)),
        sa.Column("age", sa.Integer),
        sa.Column("status", sa.String(20), nullable=False, server_default="new"),
    )
    op.create_table(
        "posts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("user_id", sa.Integer),
        sa.Column("title", sa.String(100)),
        sa.Column("a", sa.Integer),
        sa.Column("b", sa.Integer),
        sa.Column("c", sa.Integer),
    )
    op.create_index("ix_posts_title", "posts", ["title"])
"""
PLAIN = """
    op.execute("CREATE TABLE plain (id integer NOT NULL)")
"""
POSTGRESQL = """
    op.execute("CREATE TYPE mood AS ENUM ('sad', 'ok')")
    op.execute("CREATE SCHEMA drafts")
"""
REVISION = '''"""A change."""
import sqlalchemy as sa
from alembic import op
{imports}
revision = "{number}"
down_revision = {before}


def upgrade():
{upgrade}


def downgrade():
{downgrade}
'''


@dataclass(frozen=True)
class Case:
    """An unsafe revision.

    Attributes:
        recipe: what is run instead, where the rule's own words are not a whole revision.
        downgrade: what undoes the unsafe one.
    """

    rule: str
    dialects: str
    unsafe: str
    recipe: str = ""
    downgrade: str = NO_WAY_BACK


# P: PostgreSQL, M: MySQL and MariaDB, S: SQLite.
CASES = [
    Case("drop-table", "PMS", "op.drop_table('posts')"),
    Case("drop-table", "PMS", "op.execute('DROP TABLE IF EXISTS posts')"),
    Case("drop-table", "PMS", "for name in ('posts',):\n    op.drop_table(name)"),
    Case("drop-column", "PMS", "op.drop_column('users', 'age')"),
    Case("drop-column", "PMS", "with op.batch_alter_table('users') as b:\n    b.drop_column('age')"),
    Case("drop-column", "PM", "op.execute('ALTER TABLE users DROP COLUMN age')"),
    Case(
        "rename-column",
        "PMS",
        "op.alter_column('users', 'name', new_column_name='label', existing_type=sa.String(50))",
    ),
    Case("rename-column", "PM", "op.execute('ALTER TABLE users RENAME COLUMN name TO label')"),
    Case("rename-table", "PMS", "op.rename_table('posts', 'articles')"),
    Case("rename-schema", "P", "op.execute('ALTER SCHEMA drafts RENAME TO sketches')"),
    Case("change-type", "PM", "op.alter_column('users', 'age', type_=sa.BigInteger)"),
    Case("change-type", "PM", "op.alter_column('users', 'email', type_=sa.String(10))"),
    Case("change-type", "P", "op.execute('ALTER TABLE users ALTER COLUMN age TYPE bigint')"),
    Case("add-not-null", "PMS", "op.add_column('users', sa.Column('x', sa.Text, nullable=False))"),
    Case("add-not-null", "PM", "op.execute('ALTER TABLE users ADD COLUMN x integer NOT NULL')"),
    Case("set-not-null", "P", "op.alter_column('users', 'email', nullable=False)"),
    Case("set-not-null", "P", "op.execute('ALTER TABLE users ALTER email SET NOT NULL')"),
    Case(
        "volatile-default",
        "P",
        "default = sa.text('gen_random_uuid()')\n"
        "op.add_column('users', sa.Column('key', sa.Uuid, server_default=default))",
    ),
    Case(
        "mysql-expression-default",
        "M",
        "default = sa.text('(uuid())')\n"
        "op.add_column('users', sa.Column('key', sa.String(36), server_default=default))",
    ),
    Case(
        "stored-generated-column",
        "PM",
        "op.add_column('users', sa.Column('y', sa.Integer, sa.Computed('age + 1', persisted=True)))",
    ),
    Case(
        "add-autoincrement",
        "P",
        "op.add_column('users', sa.Column('n', sa.Integer, sa.Identity()))",
    ),
    Case("add-autoincrement", "P", "op.execute('ALTER TABLE users ADD COLUMN n serial')"),
    Case(
        "add-autoincrement",
        "M",
        "op.execute('ALTER TABLE plain ADD COLUMN n integer AUTO_INCREMENT UNIQUE')",
    ),
    Case(
        "add-foreign-key",
        "PM",
        "op.create_foreign_key('fk_posts_user', 'posts', 'users', ['user_id'], ['id'])",
    ),
    Case(
        "add-foreign-key",
        "P",
        "sql = 'ALTER TABLE posts ADD CONSTRAINT f FOREIGN KEY (user_id) REFERENCES users (id)'\n"
        "op.execute(sql)",
    ),
    Case(
        "add-foreign-key",
        "PM",
        "op.add_column('posts', sa.Column('by', sa.Integer, sa.ForeignKey('users.id')))",
    ),
    Case(
        "add-foreign-key",
        "P",
        "kw = {'postgresql_not_valid': True}\n"
        "op.create_foreign_key('fk', 'posts', 'users', ['user_id'], ['id'], **kw)\n"
        "op.execute('ALTER TABLE posts VALIDATE CONSTRAINT fk')",
        recipe="op.create_foreign_key('fk', 'posts', 'users', ['user_id'], ['id'],"
        " postgresql_not_valid=True)\nRECIPE",
    ),
    Case("add-check", "PM", "op.create_check_constraint('ck', 'users', 'age > 0')"),
    Case("add-unique", "P", "op.create_unique_constraint('uq_users_name', 'users', ['name'])"),
    Case("add-unique", "P", "op.execute('ALTER TABLE users ADD CONSTRAINT u UNIQUE (name)')"),
    Case("add-primary-key", "P", "op.create_primary_key('pk_x', 'plain', ['id'])"),
    Case(
        "add-exclusion",
        "P",
        "op.create_exclude_constraint('ex', 'users', ('name', '='), using='btree')",
    ),
    Case("index-not-concurrent", "P", "op.create_index('ix_name', 'users', ['name'])"),
    Case("index-not-concurrent", "P", "op.execute('CREATE UNIQUE INDEX ix ON users (name)')"),
    Case("drop-index-not-concurrent", "P", "op.drop_index('ix_posts_title')"),
    Case("drop-index-not-concurrent", "P", "op.execute('DROP INDEX ix_posts_title')"),
    Case(
        "concurrent-in-transaction",
        "P",
        "op.create_index('ix_name', 'users', ['name'], postgresql_concurrently=True)",
    ),
    Case("wide-index", "PMS", "op.create_index('ix_wide', 'posts', ['title', 'a', 'b', 'c'])"),
    Case("json-column", "P", "op.add_column('users', sa.Column('data', sa.JSON))"),
    Case(
        "json-column",
        "P",
        "op.create_table('t', sa.Column('id', sa.Integer, primary_key=True),"
        " sa.Column('data', sa.JSON))",
    ),
    Case("enum-value-in-transaction", "P", "op.execute(\"ALTER TYPE mood ADD VALUE 'glad'\")"),
    Case("rename-enum-value", "P", "op.execute(\"ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'\")"),
    Case("mysql-copy", "M", "op.add_column('users', sa.Column('x', sa.Integer))"),
    Case("mysql-copy", "M", "op.create_index('ix_name', 'users', ['name'])"),
    Case("mysql-copy", "M", "op.execute('CREATE INDEX ix_name ON users (name)')"),
    Case("mysql-copy", "M", "op.execute('ALTER TABLE users ADD COLUMN x integer NULL')"),
    Case("mysql-copy", "M", "op.drop_index('ix_posts_title', table_name='posts')"),
    Case("mysql-copy", "M", "op.execute('DROP INDEX ix_posts_title ON posts')"),
    Case(
        "mysql-copy",
        "M",
        "op.alter_column('users', 'email', existing_type=sa.String(100), nullable=False)",
    ),
    Case("mysql-lock", "M", "op.create_index('ft', 'posts', ['title'], mysql_prefix='FULLTEXT')"),
    Case("mysql-lock", "M", "op.execute('LOCK TABLES users WRITE')", recipe="pass"),
    Case(
        "several-ddl-in-one-mysql-revision",
        "M",
        "from schema_guard.operations import online\n"
        "with online():\n"
        "    op.add_column('users', sa.Column('x', sa.Integer))\n"
        "    op.create_unique_constraint('uq_users_name', 'users', ['name'])",
    ),
    Case(
        "backfill-with-ddl",
        "P",
        "op.add_column('users', sa.Column('x', sa.Integer))\nop.execute('UPDATE users SET x = 1')",
        recipe="op.add_column('users', sa.Column('x', sa.Integer))\nRECIPE",
    ),
    Case(
        "backfill-with-ddl",
        "M",
        "from schema_guard.operations import online\n"
        "with online():\n"
        "    op.add_column('users', sa.Column('x', sa.Integer))\n"
        "op.execute('UPDATE users SET x = 1')",
        recipe="from schema_guard.operations import online\n"
        "with online():\n"
        "    op.add_column('users', sa.Column('x', sa.Integer))\nRECIPE",
    ),
    Case("backfill-unbatched", "PM", "op.execute('UPDATE users SET age = 1 WHERE age IS NULL')"),
    Case(
        "backfill-unbatched",
        "PM",
        "op.get_bind().execute(\n"
        "    sa.table('users', sa.column('age')).update().where(sa.column('id') == 1).values(age=1)\n)",
    ),
    Case("raw-sql", "P", "op.execute('REINDEX TABLE users')"),
    Case("raw-sql", "M", "op.execute('OPTIMIZE TABLE users')"),
    Case("raw-sql", "S", "op.execute('REINDEX users')"),
    Case("truncate-or-delete-all", "PM", "op.execute('TRUNCATE TABLE posts')"),
    Case("truncate-or-delete-all", "PMS", "op.execute('DELETE FROM posts')"),
    Case("truncate-or-delete-all", "PMS", "op.execute(sa.table('posts').delete())"),
    Case(
        "transaction-in-sql",
        "PMS",
        "op.execute('COMMIT')\nop.execute('INSERT INTO posts (id) VALUES (99)')",
        recipe="op.execute('INSERT INTO posts (id) VALUES (99)')",
    ),
    Case(
        "sqlite-rebuild-large-table",
        "S",
        "with op.batch_alter_table('users') as b:\n"
        "    b.alter_column('email', existing_type=sa.String(100), nullable=False)",
    ),
    Case(
        "sqlite-rebuild-large-table",
        "S",
        "with op.batch_alter_table('users') as b:\n    b.drop_column('age')",
    ),
    Case(
        "batch-recreate",
        "PM",
        "with op.batch_alter_table('users', recreate='always') as b:\n"
        "    b.add_column(sa.Column('x', sa.Integer))",
    ),
    Case(
        "old-code-breaks",
        "PMS",
        "op.add_column('users', sa.Column('x', sa.Integer))\n"
        "op.execute('UPDATE users SET x = 1')\n"
        "op.alter_column('users', 'x', existing_type=sa.Integer(), nullable=False)",
        recipe="if op.get_context().dialect.name != 'mysql':\n"
        "    op.add_column('users', sa.Column('x', sa.Integer, nullable=False, server_default='1'))",
    ),
    Case(
        "old-code-breaks",
        "P",
        "op.alter_column('users', 'status', existing_type=sa.String(20), server_default=None)",
    ),
    Case(
        "drop-not-null",
        "PM",
        "op.alter_column('users', 'name', existing_type=sa.String(50), nullable=True)",
    ),
    Case(
        "drop-not-null",
        "S",
        "with op.batch_alter_table('users') as b:\n    b.alter_column('name', nullable=True)",
        recipe="# schema_guard: allow sqlite-rebuild-large-table -- 8 rows\n"
        "with op.batch_alter_table('users') as b:\n"
        "    # schema_guard: allow drop-not-null -- the release that runs reads NULL too\n"
        "    b.alter_column('name', nullable=True)",
    ),
    Case("missing-downgrade", "P", "op.create_table('t', sa.Column('x', sa.Integer))", downgrade="pass"),
    Case(
        "irreversible-downgrade",
        "PMS",
        "op.create_table('t', sa.Column('x', sa.Integer))",
        downgrade="raise NotImplementedError('no')",
    ),
    Case(
        "irreversible-downgrade",
        "PMS",
        "op.create_table('t', sa.Column('x', sa.Integer))\n"
        "op.create_table('t2', sa.Column('x', sa.Integer))",
        downgrade="op.drop_table('t')",
    ),
    Case(
        "not-read",
        "PMS",
        "name = op.get_bind().execute(sa.text('SELECT name FROM users')).scalar_one()\n"
        "op.execute('DELETE FROM posts')",
        recipe="pass",
    ),
    Case(
        "unused-allow",
        "PMS",
        "# schema_guard: allow drop-table -- nobody needs it\nop.execute('SELECT 1')",
        recipe="op.execute('SELECT 1')",
    ),
    Case("unused-allow", "PMS", "op.execute('SELECT 1')  # schema_guard: allow magic -- no", recipe="pass"),
    Case(
        "allow-without-reason",
        "PMS",
        "# schema_guard: allow drop-table\nop.drop_table('posts')",
        recipe="# schema_guard: allow drop-table -- nobody needs it\nop.drop_table('posts')",
    ),
]


class Revisions:
    """Revisions of a service, each judged and run."""

    def __init__(self, folder: Path) -> None:
        """Have migrations of its own, in a folder."""
        self.app = create_app({"TESTING": True})
        extension: Any = self.app.extensions["migrate"]
        template = Path(self.app.root_path).parent / "migrations"
        for name in ("env.py", "script.py.mako", "alembic.ini"):
            shutil.copy(template / name, folder)
        self.versions = folder / "versions"
        self.versions.mkdir()
        extension.migrate.directory = extension.directory = str(folder)
        with self.app.app_context():
            self.engine: sa.Engine = extension.db.engine
        self.extension = extension

    def write(self, number: int, upgrade: str, downgrade: str) -> None:
        """Write a revision; what its code imports goes to the top."""
        lines = upgrade.strip("\n").splitlines()
        imports = [line for line in lines if line.startswith("from ")]
        body = [line for line in lines if line not in imports]
        if all(line.lstrip().startswith("#") for line in body):
            body.append("pass")
        text = REVISION.format(
            number=f"{number:04}",
            before=repr(f"{number - 1:04}") if number > 1 else None,
            imports="\n".join(dict.fromkeys(imports)),
            upgrade="\n".join(f"    {line}" for line in body),
            downgrade="\n".join(f"    {line}" for line in downgrade.splitlines()),
        )
        if downgrade == NO_WAY_BACK:
            allow = "# schema_guard: allow irreversible-downgrade -- a backup is the way back"
            text = text.replace("def downgrade", f"{allow}\ndef downgrade")
        path = self.versions / f"{number:04}_{abs(hash(text))}.py"  # a name of its own: see .pyc
        for old in self.versions.glob(f"{number:04}_*.py"):
            old.unlink()
        path.write_text(text, encoding="utf-8")

    def lint(self, asked: str | None = "0002", dialect: str | None = None) -> Judged:
        """Judge a revision, for the DBMS at hand or another one."""
        other = dialect and sa.make_url(f"{dialect}://").get_dialect()()
        with self.app.app_context():
            vars(self.extension).pop("script_directory", None)
            return lint(script_directory(), other or self.engine.dialect, asked)

    def upgrade(self, revision: str = "head") -> None:
        """Run what is pending, up to a revision."""
        with self.app.app_context():
            flask_migrate.upgrade(revision=revision)

    def rows(self, query: str) -> list[Any]:
        """Return what a query finds."""
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(query))]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Revisions]:
    """Return a service with tables that hold rows."""
    revisions = Revisions(tmp_path)
    postgresql = revisions.engine.dialect.name == "postgresql"
    base = BASE + PLAIN + (POSTGRESQL if postgresql else "")
    revisions.write(1, "\n".join(line[4:] for line in base.splitlines()), NO_WAY_BACK)
    yield revisions
    with revisions.app.app_context(), migration_connection(revisions.engine, locked=False) as bind:
        if postgresql:
            bind.execute(sa.text("DROP SCHEMA public CASCADE"))
            bind.execute(sa.text("DROP SCHEMA IF EXISTS drafts, sketches CASCADE"))
            bind.execute(sa.text("CREATE SCHEMA public"))
        metadata = sa.MetaData()
        metadata.reflect(bind)
        metadata.drop_all(bind)
        bind.commit()
    revisions.engine.dispose()


def fill(service: Revisions) -> None:
    """Run the first revision, and fill its tables."""
    service.upgrade("0001")
    users = sa.table("users", *map(sa.column, ("id", "name", "email", "age")))
    posts = sa.table("posts", *map(sa.column, ("id", "user_id", "title")))
    with service.engine.begin() as connection:
        people = [
            {"id": i, "name": name, "email": f"{i}@x.org", "age": None if i % 2 else i}
            for i, name in enumerate(NAMES, 1)
        ]
        texts = [
            {"id": i, "user_id": None if i % 3 else 1, "title": name} for i, name in enumerate(NAMES, 1)
        ]
        connection.execute(sa.insert(users), people)
        connection.execute(sa.insert(posts), texts)


def of(service: Revisions, case: Case) -> bool:
    """Return whether a case is one of the DBMS at hand."""
    return service.engine.dialect.name in {DIALECTS[letter] for letter in case.dialects}


def found(judged: Judged) -> list[str]:
    """Return the names of the rules that found something."""
    return [finding.rule for _, finding in judged.findings]


LOSES = {"drop-table", "truncate-or-delete-all", "allow-without-reason", "rename-table"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_a_rule_finds_it_and_its_recipe_runs(service: Revisions, case: Case) -> None:
    if not of(service, case):
        return
    service.write(2, case.unsafe, case.downgrade)
    judged = service.lint()
    (finding,) = [finding for _, finding in judged.findings if finding.rule == case.rule]
    assert finding.what
    assert finding.line > 8

    recipe, downgrade = case.recipe.replace("RECIPE", finding.recipe) or finding.recipe, case.downgrade
    if finding.recipe.startswith("def downgrade"):
        recipe = case.unsafe
        body = finding.recipe.partition("\n# or")[0].splitlines()[1:]
        downgrade = "\n".join(line[4:] for line in body)
    elif case.downgrade != "pass":
        downgrade = NO_WAY_BACK
    service.write(2, recipe, downgrade)
    assert found(service.lint()) == [], "\n".join(report(service.lint(), "text"))

    fill(service)
    service.upgrade()
    if case.rule not in LOSES:
        names = "SELECT name FROM users ORDER BY id"
        assert [name for (name,) in service.rows(names)] == NAMES
        assert service.rows("SELECT count(*) FROM posts") in ([(8,)], [(9,)])


def test_every_rule_has_its_case_and_its_place_in_the_docs() -> None:
    assert {case.rule for case in CASES} == set(RULES)
    docs = Path(__file__).with_name("RULES.md")
    if not docs.exists():
        docs = Path(str(lint.__code__.co_filename)).with_name("RULES.md")
    assert re.findall(r"^### (\S+)$", docs.read_text(encoding="utf-8"), re.MULTILINE) == sorted(RULES)


# What else is to be found, or not: the DBMS, the revision, the rules. None of it is run.
JUDGED: list[tuple[str, str, list[str]]] = [
    # SQL that hides something.
    ("P", "op.execute(\"ALTER TABLE users ADD COLUMN a text DEFAULT '--', DROP COLUMN email\")", ["drop-column"]),
    ("P", "op.execute(\"INSERT INTO a VALUES ('/*'); DROP TABLE users; SELECT '*/'\")", ["drop-table"]),
    ("P", "op.execute('COMMENT ON COLUMN users.\"a (b\" IS NULL; DROP TABLE users')", ["drop-table"]),
    ("P", "op.execute(r\"INSERT INTO a VALUES (E'it\\'s'); DROP TABLE users; SELECT 'x'\")", ["drop-table"]),
    ("M", "op.execute(r\"INSERT INTO a VALUES ('it\\'s (; '); DROP TABLE users\")", ["drop-table"]),
    ("M", "op.execute('INSERT INTO a VALUES (\"(;\"); DROP TABLE users')", ["drop-table"]),
    ("M", "op.execute('/*!50001 DROP TABLE users */')", ["drop-table"]),
    ("P", "op.execute('DROP TYPE mood CASCADE')", ["raw-sql"]),
    ("P", "op.execute('DROP VIEW v CASCADE')", ["raw-sql"]),
    ("P", "op.execute('EXPLAIN ANALYZE DELETE FROM users')", ["raw-sql"]),
    ("P", "op.execute('REVOKE ALL ON users FROM app')", ["raw-sql"]),
    ("P", "op.execute('ALTER TABLE users ENABLE ROW LEVEL SECURITY')", ["raw-sql"]),
    ("P", "op.execute('LOCK TABLE users IN ACCESS EXCLUSIVE MODE')", ["raw-sql"]),
    ("P", "op.execute('DO $$ BEGIN DROP TABLE users; END $$')", ["raw-sql"]),
    ("P", "op.execute('ALTER TABLE users RENAME email TO mail')", ["rename-column"]),
    ("P", "op.execute('ALTER TABLE users RENAME TO people')", ["rename-table"]),
    ("P", "op.execute('TRUNCATE TABLE a, users')", ["truncate-or-delete-all"] * 2),
    ("P", "op.execute('DELETE FROM users USING (SELECT 1 WHERE true) x')", ["truncate-or-delete-all"]),
    ("M", "op.execute('CREATE OR REPLACE TABLE users (id int)')", ["raw-sql"]),
    ("M", "op.execute('ALTER TABLE users CONVERT TO CHARACTER SET utf8mb4')", ["raw-sql"]),
    ("M", "op.execute('ALTER TABLE users MODIFY age bigint, LOCK=NONE')", ["raw-sql"]),
    ("M", "op.execute('ALTER TABLE a ADD b int, LOCK=NONE; ALTER TABLE users ADD c int')", ["mysql-copy"]),
    ("M", "op.execute('ALTER TABLE users ADD c int, LOCK=SHARED')", ["mysql-copy", "mysql-lock"]),
    # How it is performed.
    ("P", "from alembic import context\nif not context.is_offline_mode():\n    op.drop_table('users')", ["drop-table"]),
    ("P", "if op.get_context().as_sql:\n    pass\nelse:\n    op.drop_table('users')", ["drop-table"]),
    ("P", "op.get_context().execute('DROP TABLE users')", ["drop-table"]),
    ("P", "op.get_context().impl.drop_table(sa.Table('users', sa.MetaData()))", ["drop-table"]),
    ("P", "op.get_context().connection.execute(sa.text('DROP TABLE users'))", ["drop-table"]),
    ("P", "with op.get_bind().begin_nested():\n    op.execute('DROP TABLE users')", ["drop-table"]),
    ("P", "op.drop_table('users')\nraise SystemExit", ["drop-table", "not-read"]),
    ("P", "from schema_guard.operations import online\nwith online():\n    op.create_foreign_key('f', 'posts', 'users', ['a'], ['id'])", ["add-foreign-key"]),
    ("M", "from schema_guard.operations import online\nwith online():\n    op.execute('ALTER TABLE users ADD c int')", ["mysql-copy"]),
    ("P", "with op.batch_alter_table('users') as b:\n    with op.get_context().autocommit_block():\n        b.create_index('i', ['email'], postgresql_concurrently=True)", ["concurrent-in-transaction"]),
    ("P", "with op.get_context().autocommit_block():\n    op.execute('CREATE INDEX CONCURRENTLY i ON users (a); CREATE INDEX CONCURRENTLY j ON users (b)')", ["concurrent-in-transaction"] * 2),
    ("P", "with op.batch_alter_table('users', recreate='always') as b:\n    pass", ["batch-recreate"]),
    ("M", "op.create_primary_key('pk', 'users', ['id'])", ["mysql-lock"]),
    # Values and types.
    ("P", "op.add_column('users', sa.Column('x', sa.DateTime, server_default=sa.text('clock_timestamp()')))", ["volatile-default"]),
    ("P", "op.add_column('users', sa.Column('x', sa.Text, server_default=sa.text('\"gen_random_uuid\"()')))", ["volatile-default"]),
    ("P", "op.add_column('users', sa.Column('x', sa.DateTime, server_default=sa.func.now()))", []),
    ("P", "op.add_column('users', sa.Column('x', sa.Text, server_default=sa.text(\"'a()'::character varying(20)\")))", []),
    ("P", "op.add_column('users', sa.Column('x', sa.Integer, server_default=sa.text(\"date_part('year', now())\")))", []),
    ("P", "op.alter_column('users', 'email', type_=sa.String(200, collation='C'))", ["change-type"]),
    ("P", "op.alter_column('users', 'age', type_=sa.Integer())", []),
    ("P", "op.alter_column('users', 'email', type_=sa.Text)", []),
    # The same transaction.
    ("P", "op.execute('ALTER TABLE users ADD CONSTRAINT c CHECK (id > 0) NOT VALID')\nop.execute('ALTER TABLE users VALIDATE CONSTRAINT c')", ["add-check"]),
    ("P", "op.execute('ALTER TABLE users ADD CONSTRAINT c CHECK (email IS NOT NULL) NOT VALID')\nwith op.get_context().autocommit_block():\n    op.execute('ALTER TABLE users VALIDATE CONSTRAINT c')\nop.execute('ALTER TABLE users ALTER email SET NOT NULL')", []),
    (
        "P",
        "with op.get_context().autocommit_block():\n"
        "    op.execute('ALTER TABLE users ADD CONSTRAINT c CHECK (id > 0) NOT VALID')\n"
        "    op.execute('ALTER TABLE users VALIDATE CONSTRAINT c')",
        [],
    ),
    (
        "P",
        "op.create_check_constraint('c', 'users', 'email IS NOT NULL', postgresql_not_valid=True)\n"
        "op.alter_column('users', 'email', nullable=False)",
        ["set-not-null"],
    ),
    # An operation of one's own is what it is made of.
    (
        "P",
        "from alembic.operations import MigrateOperation, Operations\n"
        "class Leave(MigrateOperation):\n    pass\n"
        "@Operations.implementation_for(Leave)\n"
        "def leave(operations, operation):\n    operations.drop_table('users')\n"
        "op.invoke(Leave())",
        ["drop-table"],
    ),
    # What may fail on rows, after something that is committed.
    (
        "M",
        "from schema_guard.operations import online\nwith online():\n"
        "    op.add_column('posts', sa.Column('x', sa.Integer))\n"
        "    op.create_foreign_key('f', 'posts', 'users', ['user_id'], ['id'])",
        ["several-ddl-in-one-mysql-revision"],
    ),
    (
        "M",
        "from schema_guard.operations import online\nwith online():\n"
        "    op.add_column('posts', sa.Column('x', sa.Integer))\n"
        "    op.create_foreign_key('f', 'posts', 'users', ['x'], ['id'])",
        [],
    ),
    (
        "M",
        "op.execute('ALTER TABLE users ADD a int, ADD UNIQUE (name), ALGORITHM=INPLACE, LOCK=NONE')",
        [],
    ),
    (
        "P",
        "op.add_column('users', sa.Column('x', sa.Integer))\n"
        "with op.get_context().autocommit_block():\n"
        "    op.execute('UPDATE posts SET a = 1 WHERE b = 2')",
        ["backfill-unbatched"],
    ),
    ("P", "op.alter_column('users', 'email', nullable=True)", []),
    # What is new is nobody's.
    ("P", "op.execute('CREATE TABLE t (id int)')\nop.create_index('i', 't', ['id'])\nop.execute('DROP TABLE t')", []),
    ("M", "op.execute('CREATE TEMPORARY TABLE t (id int)')\nop.create_index('i', 't', ['id'])", []),
    ("P", "op.create_table('t', sa.Column('x', sa.Integer), sa.Index('ii', 'x'))\nop.drop_index('ii')", []),
    ("P", "sa.MetaData().create_all(op.get_bind())\nsa.Enum('a', 'b', name='kind').create(op.get_bind())", []),
    # What is harmless.
    ("P", "op.execute(';;')", []),
    ("P", "op.execute('CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; DELETE FROM users; END')", []),
    ("P", "op.execute(sa.table('users', sa.column('x')).insert().values(x=\"a; DROP TABLE users --\"))", []),
    ("P", "op.execute(\"INSERT INTO users (id, name) VALUES (1, 'DELETE FROM users; DROP TABLE x')\")", []),
    ("P", "op.execute('SELECT 1; -- DROP TABLE users\\n/* DELETE FROM users */')", []),
    ("P", "op.bulk_insert(sa.table('posts', sa.column('id')), [{'id': 1}])", []),
    ("P", "if op.get_bind().execute(sa.text('SELECT 1')).first():\n    op.drop_table('posts')", []),
    ("P", "result = op.get_bind().execute(sa.text('SELECT 1'))\nassert result.rowcount == 0", []),
    # Allowances.
    ("P", "if op.get_context().dialect.name == 'mysql':\n    # schema_guard: allow raw-sql -- quick\n    op.execute('OPTIMIZE TABLE users')", []),
    ("P", "# Schema_Guard: Allow drop-table -- nobody\nop.drop_table('users')", []),
    ("P", "# schema_guard: allow drop-table, raw-sql -- nobody\nop.drop_table('users')", ["allow-without-reason", "drop-table"]),
    ("P", "for name in 'ab':\n    # schema_guard: allow drop-column -- nobody\n    op.drop_column('users', name)", []),
    ("P", "op.drop_table(\n    # schema_guard: allow drop-table -- nobody\n    'users',\n)", []),
]
NEW_TABLE = (
    "op.create_table('t', sa.Column('x', sa.Integer), sa.Column('y', sa.Integer, index=True))\n"
    "op.create_index('ix', 't', ['x'])\n"
    "op.create_unique_constraint('uq', 't', ['x'])\n"
    "op.create_foreign_key('fk', 't', 'users', ['x'], ['id'])\n"
    "op.create_check_constraint('ck', 't', 'x > 0')\n"
    "op.alter_column('t', 'x', existing_type=sa.Integer(), nullable=False)\n"
    "op.rename_table('t', 't2')\nop.drop_column('t2', 'y')\nop.drop_table('t2')"
)
DIALECTS = {"P": "postgresql", "M": "mysql", "S": "sqlite"}


@pytest.mark.parametrize(("dialect", "body", "rules"), JUDGED)
def test_only_judged_what_is_found_and_what_is_not(
    service: Revisions, dialect: str, body: str, rules: list[str]
) -> None:
    service.write(2, body, NO_WAY_BACK)
    judged = service.lint(dialect=DIALECTS[dialect])
    assert sorted(found(judged)) == sorted(rules), "\n".join(report(judged, "text"))


@pytest.mark.parametrize("dialect", DIALECTS.values())
def test_only_judged_a_table_that_is_new_is_nobody_s(service: Revisions, dialect: str) -> None:
    service.write(2, NEW_TABLE, NO_WAY_BACK)
    assert found(service.lint(dialect=dialect)) == []


# A recipe does what the statement does, or says that somebody has to decide.
RECIPES = [
    ("P", "op.execute('UPDATE users SET email = lower(email)')", "allow backfill-unbatched"),
    ("P", "op.execute(\"UPDATE users SET name = 'x', email = 'y' WHERE name IS NULL\")", "allow backfill"),
    ("P", "op.execute(\"UPDATE users SET name = 'x' WHERE email IS NULL\")", "allow backfill"),
    ("P", "op.execute(\"UPDATE users SET name = 'x' WHERE name IS NULL\")", "backfill('users', 'name', sa.text(\"'x'\"))"),
    (
        "P",
        "op.execute('CREATE UNIQUE INDEX ix ON users (lower(email)) WHERE age = 1')",
        "CREATE UNIQUE INDEX CONCURRENTLY ix ON users (lower(email)) WHERE age = 1",
    ),
    ("P", "op.execute('DROP INDEX s.ix CASCADE')", "op.execute('DROP INDEX CONCURRENTLY s.ix')"),
    (
        "P",
        "op.execute('ALTER TABLE posts ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES users ON DELETE CASCADE')",
        "REFERENCES users ON DELETE CASCADE NOT VALID",
    ),
    ("P", "op.execute('ALTER TABLE users ADD UNIQUE (name)')", "allow add-unique"),
    (
        "P",
        "op.add_column('posts', sa.Column('x', sa.Integer, sa.ForeignKey('s.users.id', name='fkx', deferrable=True)))",
        "op.create_foreign_key(op.f('fkx'), 'posts', 'users', ['x'], ['id'], referent_schema='s', deferrable=True",
    ),
    ("P", "op.create_check_constraint('even', 'users', 'id % 2 = 0')", "'id % 2 = 0'"),
    (
        "P",
        "op.execute(\"ALTER TYPE s.mood ADD VALUE 'it''s' AFTER 'ok'\")",
        "ALTER TYPE s.mood ADD VALUE 'it''s' AFTER 'ok'",
    ),
    ("P", "op.execute('ALTER TABLE users ADD COLUMN a int NOT NULL CHECK (a IS NOT NULL)')", "ADD COLUMN a int CHECK (a IS NOT NULL)"),
    (
        "M",
        "op.execute('ALTER TABLE users ADD COLUMN a int; INSERT INTO posts (id) VALUES (1)')",
        "op.execute('ALTER TABLE users ADD COLUMN a int, ALGORITHM=INPLACE, LOCK=NONE')",
    ),
    ("P", "op.execute('BEGIN; DROP TABLE users; COMMIT')", "op.execute('DROP TABLE users')"),
    ("P", "op.add_column('users', sa.Column('j', sa.JSON, server_default='{}', nullable=False))", "server_default='{}'"),
    (
        "P",
        "op.add_column('Users', sa.Column('n', sa.Integer, sa.Identity()), schema='s')",
        "CREATE SEQUENCE s.\"Users_n_seq\"",
    ),
    (
        "S",
        "with op.batch_alter_table('users', schema='s') as b:\n    b.alter_column('age', nullable=False)",
        "op.batch_alter_table('users', schema='s')",
    ),
    (
        "S",
        "op.add_column('users', sa.Column('a', sa.Integer))\nop.alter_column('users', 'a', nullable=False)",
        "    # schema_guard: allow old-code-breaks",
    ),
]


@pytest.mark.parametrize(("dialect", "body", "words"), RECIPES)
def test_only_judged_a_recipe_leaves_nothing_out(service: Revisions, dialect: str, body: str, words: str) -> None:
    service.write(2, body, NO_WAY_BACK)
    judged = service.lint(dialect=DIALECTS[dialect])
    assert words in "\n".join(finding.recipe for _, finding in judged.findings)


def test_only_judged_a_decorated_downgrade_can_be_allowed(service: Revisions) -> None:
    service.write(2, "op.execute('SELECT 1')", NO_WAY_BACK)
    (path,) = service.versions.glob("0002_*.py")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("def downgrade", "@staticmethod\ndef downgrade"), encoding="utf-8")
    assert found(service.lint()) == []


def test_only_judged_what_is_made_in_sql_can_be_undone(service: Revisions) -> None:
    service.write(2, "op.add_column('legacy', sa.Column('x', sa.Integer))", "op.drop_column('legacy', 'x')")
    assert found(service.lint(dialect="postgresql")) == []
    service.write(2, "op.create_table('t', sa.Column('x', sa.Integer))", "op.execute('CALL undo()')")
    assert found(service.lint(dialect="postgresql")) == []
    service.write(2, "op.execute('CREATE VIEW v AS SELECT 1')", "op.execute('DROP VIEW v')")
    assert found(service.lint(dialect="postgresql")) == []


@pytest.mark.parametrize(
    "widening",
    [("email", "String(100)", "String(200)"), ("age", "Integer()", "Integer()")],
)
def test_a_type_that_holds_more_is_no_finding(service: Revisions, widening: tuple[str, str, str]) -> None:
    column, _, new = widening
    if service.engine.dialect.name == "sqlite":
        return
    body = f"op.alter_column('users', '{column}', type_=sa.{new}, existing_nullable=True)"
    if service.engine.dialect.name == "mysql":
        body = f"from schema_guard.operations import online\nwith online():\n    {body}"
    service.write(2, body, NO_WAY_BACK)
    if column == "email":  # its type is known from the first revision
        assert found(service.lint()) == []
    fill(service)
    service.upgrade()


def test_the_schema_before_is_known(service: Revisions) -> None:
    service.write(2, "op.add_column('users', sa.Column('x', sa.Integer))", "op.drop_column('users', 'x')")
    service.write(
        3,
        "op.alter_column('users', 'x', existing_type=sa.Integer(), nullable=False)",
        NO_WAY_BACK,
    )
    together, alone = found(service.lint("0002:0003")), found(service.lint("0003"))
    assert "old-code-breaks" in together
    assert "old-code-breaks" not in alone
    with pytest.raises(ClickException, match="nothing"):
        service.lint("nothing:head")


def test_online_refuses_rows_that_refer_to_nothing(service: Revisions) -> None:
    if service.engine.dialect.name != "mysql":
        return
    key = "op.create_foreign_key('fk', 'posts', 'users', ['user_id'], ['id'])"
    body = f"from schema_guard.operations import online\nwith online():\n    {key}"
    service.write(2, body, NO_WAY_BACK)
    fill(service)
    with service.engine.begin() as connection:
        connection.execute(sa.text("UPDATE posts SET user_id = 77 WHERE id = 1"))

    with pytest.raises(ClickException, match=r"1 rows of posts refer by user_id to no users\.id"):
        service.upgrade()
    with service.engine.begin() as connection:
        connection.execute(sa.text("UPDATE posts SET user_id = 1 WHERE id = 1"))
    service.upgrade()
    assert service.rows("SELECT version_num FROM alembic_version") == [("0002",)]
    with pytest.raises(sa.exc.IntegrityError), service.engine.begin() as connection:
        connection.execute(sa.text("UPDATE posts SET user_id = 77 WHERE id = 1"))


def test_online_has_later_statements_checked(service: Revisions) -> None:
    if service.engine.dialect.name != "mysql":
        return
    key = "op.create_foreign_key('fk', 'posts', 'users', ['user_id'], ['id'])"
    orphan = "op.execute('INSERT INTO posts (id, user_id) VALUES (98, 77)')"
    online = "from schema_guard.operations import online\nwith online():\n"
    service.write(2, f"{online}    {key}\n{orphan}", NO_WAY_BACK)
    fill(service)
    with pytest.raises(ClickException, match="foreign key constraint fails"):
        service.upgrade()


def test_online_refuses_to_copy(service: Revisions) -> None:
    if service.engine.dialect.name != "mysql":
        return
    change = "op.alter_column('users', 'age', existing_type=sa.Integer(), type_=sa.BigInteger())"
    body = f"from schema_guard.operations import online\nwith online():\n    {change}"
    service.write(2, body, NO_WAY_BACK)
    fill(service)
    with pytest.raises(ClickException, match="ALGORITHM=INPLACE is not supported"):
        service.upgrade()

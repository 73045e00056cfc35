"""What `flask db lint` finds in a revision, and what it does not; nothing is run."""

import pytest
from samples import write_base
from schema_guard.core.errors import GuardError
from schema_guard.lint.report import report
from services import NO_WAY_BACK, Service

# P: PostgreSQL, M: MySQL and MariaDB, S: SQLite.
DIALECTS = {"P": "postgresql", "M": "mysql", "S": "sqlite"}
pytestmark = pytest.mark.parametrize("dbms", ["sqlite"])

# The DBMS, the revision, the rules.
CASES: list[tuple[str, str, list[str]]] = [
    # SQL that hides something.
    (
        "P",
        "op.execute(\"ALTER TABLE users ADD COLUMN a text DEFAULT '--', DROP COLUMN email\")",
        ["drop-column"],
    ),
    (
        "P",
        "op.execute(\"INSERT INTO a VALUES ('/*'); DROP TABLE users; SELECT '*/'\")",
        ["drop-table"],
    ),
    (
        "P",
        "op.execute('COMMENT ON COLUMN users.\"a (b\" IS NULL; DROP TABLE users')",
        ["drop-table"],
    ),
    (
        "P",
        "op.execute(r\"INSERT INTO a VALUES (E'it\\'s'); DROP TABLE users; SELECT 'x'\")",
        ["drop-table"],
    ),
    ("M", "op.execute(r\"INSERT INTO a VALUES ('it\\'s (; '); DROP TABLE users\")", ["drop-table"]),
    ("M", "op.execute('INSERT INTO a VALUES (\"(;\"); DROP TABLE users')", ["drop-table"]),
    ("M", "op.execute('/*!50001 DROP TABLE users */')", ["drop-table"]),
    ("P", "op.execute('DROP TYPE mood CASCADE')", ["raw-sql"]),
    ("P", "op.execute('DROP VIEW v CASCADE')", ["raw-sql"]),
    ("P", "op.execute('EXPLAIN ANALYZE DELETE FROM users')", ["raw-sql"]),
    ("P", "op.execute('REVOKE ALL ON users FROM app')", ["raw-sql"]),
    ("P", "op.execute('ALTER TABLE users ENABLE ROW LEVEL SECURITY')", ["row-security"]),
    ("P", "op.execute('LOCK TABLE users IN ACCESS EXCLUSIVE MODE')", ["raw-sql"]),
    ("P", "op.execute('DO $$ BEGIN DROP TABLE users; END $$')", ["raw-sql"]),
    ("P", "op.execute('ALTER TABLE users RENAME email TO mail')", ["rename-column"]),
    ("P", "op.execute('ALTER TABLE users RENAME TO people')", ["rename-table"]),
    ("P", "op.execute('TRUNCATE TABLE a, users')", ["truncate-or-delete-all"] * 2),
    (
        "P",
        "op.execute('DELETE FROM users USING (SELECT 1 WHERE true) x')",
        ["truncate-or-delete-all"],
    ),
    ("M", "op.execute('CREATE OR REPLACE TABLE users (id int)')", ["raw-sql"]),
    ("M", "op.execute('ALTER TABLE users CONVERT TO CHARACTER SET utf8mb4')", ["rewrite-table"]),
    ("M", "op.execute('ALTER TABLE users MODIFY age bigint, LOCK=NONE')", ["change-type"]),
    (
        "M",
        "op.execute('ALTER TABLE users MODIFY age int DEFAULT 5, MODIFY name varchar(60) NOT NULL')",
        [],
    ),
    (
        "M",
        "op.execute('ALTER TABLE users CHANGE COLUMN age years bigint unsigned')",
        ["change-type", "rename-column"],
    ),
    ("M", "op.execute('ALTER TABLE users MODIFY name varchar(60)')", ["drop-not-null"]),
    (
        "M",
        "op.execute('ALTER TABLE posts DROP INDEX ix_posts_title, ADD INDEX (a), ADD KEY k (b)')",
        [],
    ),
    ("M", "op.execute('ALTER TABLE posts DROP PRIMARY KEY')", ["mysql-lock"]),
    ("M", "op.execute('ALTER TABLE posts ADD FULLTEXT INDEX ft (title)')", ["mysql-lock"]),
    ("M", "op.execute('RENAME TABLE posts TO a, s.users TO s.b')", ["rename-table"] * 2),
    ("M", "op.execute('OPTIMIZE TABLE posts, users')", ["rewrite-table"] * 2),
    # What checks less, however it is spelt.
    (
        "M",
        "op.execute('SET @old = @@FOREIGN_KEY_CHECKS, SESSION foreign_key_checks=OFF')",
        ["checks-off"],
    ),
    ("M", "op.execute('SET @@session.unique_checks := 0')", ["checks-off"]),
    ("M", "op.execute(\"SET sql_mode = 'NO_ZERO_DATE'\")", ["checks-off"]),
    ("M", "op.execute(\"SET sql_mode = 'STRICT_ALL_TABLES', foreign_key_checks = 1\")", []),
    ("M", "op.execute('SET check_constraint_checks=0; SET sql_log_bin=0')", ["checks-off"] * 2),
    ("P", "op.execute('SET LOCAL session_replication_role TO replica')", ["checks-off"]),
    ("P", "op.execute('SET session_replication_role = DEFAULT; SET search_path TO s')", []),
    (
        "P",
        "op.execute(\"SELECT pg_catalog.set_config('session_replication_role', 'replica', true)\")",
        ["checks-off"],
    ),
    (
        "P",
        "op.execute('ALTER TABLE ONLY s.users DISABLE TRIGGER USER, DISABLE RULE r')",
        ["checks-off"] * 2,
    ),
    ("P", "op.execute('ALTER TABLE users ENABLE TRIGGER ALL')", []),
    ("S", "op.execute('PRAGMA main.foreign_keys(0)')", ["checks-off"]),
    ("S", "op.execute('PRAGMA foreign_keys = ON; PRAGMA table_info(users)')", []),
    # Foreign keys and their indexes.
    (
        "P",
        "op.create_table('t', sa.Column('u', sa.Integer, sa.ForeignKey('users.id')), sa.Column('v', sa.Integer, sa.ForeignKey('users.id'), unique=True))\nop.create_index('i', 't', ['u', 'v'])",
        [],
    ),
    (
        "P",
        "op.create_table('t', sa.Column('u', sa.Integer), sa.Column('v', sa.Integer), sa.ForeignKeyConstraint(['v', 'u'], ['a.x', 'a.y']), sa.PrimaryKeyConstraint('u', 'v'))",
        [],
    ),
    (
        "S",
        "op.create_table('t', sa.Column('u', sa.Integer), sa.Column('v', sa.Integer), sa.ForeignKeyConstraint(['v'], ['a.x']), sa.Index('i', 'u', 'v'))",
        ["foreign-key-without-index"],
    ),
    (
        "P",
        "op.execute('ALTER TABLE users ADD COLUMN boss int REFERENCES users (id)')",
        ["add-foreign-key", "foreign-key-without-index"],
    ),
    ("M", "op.create_table('t', sa.Column('u', sa.Integer, sa.ForeignKey('users.id')))", []),
    # What is kept with a table.
    ("P", "op.execute('VACUUM FULL; CLUSTER')", ["rewrite-table"] * 2),
    ("P", "op.execute('ALTER TABLE users SET (fillfactor = 70)')", []),
    ("P", "op.execute('REINDEX SYSTEM')", ["raw-sql"]),
    ("P", "op.execute('REINDEX (CONCURRENTLY) SCHEMA s')", ["concurrent-in-transaction"]),
    ("P", "op.execute('REFRESH MATERIALIZED VIEW CONCURRENTLY s.v')", []),
    (
        "P",
        "op.execute('CREATE MATERIALIZED VIEW s.v AS SELECT 1')\nop.execute('REFRESH MATERIALIZED VIEW v')",
        [],
    ),
    (
        "P",
        "op.execute('CREATE TABLE c (id int)')\nop.execute('ALTER TABLE users ATTACH PARTITION c DEFAULT')",
        [],
    ),
    (
        "P",
        "op.execute('ALTER TABLE users DETACH PARTITION c CONCURRENTLY')",
        ["concurrent-in-transaction"],
    ),
    (
        "P",
        (
            "op.create_table('t', sa.Column('x', sa.Integer))\n"
            "op.execute('CREATE POLICY p ON t'); op.execute('DROP TRIGGER x ON t')\n"
            "op.execute('ALTER TABLE t DISABLE TRIGGER ALL, ENABLE ROW LEVEL SECURITY, SET LOGGED')"
        ),
        [],
    ),
    (
        "P",
        "op.execute('MERGE INTO users USING posts ON true WHEN MATCHED THEN DELETE')",
        ["backfill-unbatched"],
    ),
    (
        "P",
        "op.execute('WITH x AS (SELECT 1) MERGE INTO users USING x ON true WHEN MATCHED THEN DELETE')",
        ["raw-sql"],
    ),
    (
        "M",
        "op.execute('ALTER TABLE a ADD b int, LOCK=NONE; ALTER TABLE users ADD c int, LOCK=SHARED')",
        ["mysql-lock"],
    ),
    ("M", "op.execute('ALTER TABLE users ADD c int, LOCK=SHARED')", ["mysql-lock"]),
    # How it is performed.
    (
        "P",
        "from alembic import context\nif not context.is_offline_mode():\n    op.drop_table('users')",
        ["drop-table"],
    ),
    (
        "P",
        "if op.get_context().as_sql:\n    pass\nelse:\n    op.drop_table('users')",
        ["drop-table"],
    ),
    ("P", "op.get_context().execute('DROP TABLE users')", ["drop-table"]),
    ("P", "op.get_context().impl.drop_table(sa.Table('users', sa.MetaData()))", ["drop-table"]),
    ("P", "op.get_context().connection.execute(sa.text('DROP TABLE users'))", ["drop-table"]),
    ("P", "with op.get_bind().begin_nested():\n    op.execute('DROP TABLE users')", ["drop-table"]),
    ("P", "op.drop_table('users')\nraise SystemExit", ["drop-table", "not-read"]),
    (
        "P",
        "from schema_guard.operations import online\nwith online():\n    op.create_foreign_key('f', 'posts', 'users', ['user_id'], ['id'])",
        ["add-foreign-key"],
    ),
    # What the server does at once or in place, unasked; and what it copies a table for.
    ("M", "op.add_column('users', sa.Column('x', sa.Integer))", []),
    ("M", "op.create_index('ix_name', 'users', ['name'])", []),
    ("M", "op.execute('DROP INDEX ix_posts_title ON posts')", []),
    (
        "M",
        "op.alter_column('users', 'email', existing_type=sa.String(100), nullable=False)",
        [],
    ),
    (
        "M",
        (
            "# schema_guard: allow mysql-lock -- a test\n"
            "op.create_index('ft', 'users', ['name'], mysql_prefix='FULLTEXT')\n"
            "op.add_column('users', sa.Column('x', sa.Integer))"
        ),
        ["mysql-copy"],
    ),
    (
        "P",
        "with op.batch_alter_table('users') as b:\n    with op.get_context().autocommit_block():\n        b.create_index('i', ['email'], postgresql_concurrently=True)",
        ["concurrent-in-transaction"],
    ),
    (
        "P",
        "with op.get_context().autocommit_block():\n    op.execute('CREATE INDEX CONCURRENTLY i ON users (a); CREATE INDEX CONCURRENTLY j ON users (b)')",
        ["concurrent-in-transaction"] * 2,
    ),
    (
        "P",
        "with op.batch_alter_table('users', recreate='always') as b:\n    pass",
        ["batch-recreate"],
    ),
    ("M", "op.create_primary_key('pk', 'users', ['id'])", ["mysql-lock"]),
    # Values and types.
    (
        "P",
        "op.add_column('users', sa.Column('x', sa.DateTime, server_default=sa.text('clock_timestamp()')))",
        ["volatile-default"],
    ),
    (
        "P",
        "op.add_column('users', sa.Column('x', sa.Text, server_default=sa.text('\"gen_random_uuid\"()')))",
        ["volatile-default"],
    ),
    ("P", "op.add_column('users', sa.Column('x', sa.DateTime, server_default=sa.func.now()))", []),
    (
        "P",
        "op.add_column('users', sa.Column('x', sa.Text, server_default=sa.text(\"'a()'::character varying(20)\")))",
        [],
    ),
    (
        "P",
        "op.add_column('users', sa.Column('x', sa.Integer, server_default=sa.text(\"date_part('year', now())\")))",
        [],
    ),
    (
        "P",
        "op.alter_column('users', 'email', type_=sa.String(200, collation='C'))",
        ["change-type"],
    ),
    ("P", "op.alter_column('users', 'age', type_=sa.Integer())", []),
    ("P", "op.alter_column('users', 'email', type_=sa.Text)", []),
    # The same transaction.
    (
        "P",
        "op.execute('ALTER TABLE users ADD CONSTRAINT c CHECK (id > 0) NOT VALID')\nop.execute('ALTER TABLE users VALIDATE CONSTRAINT c')",
        ["add-check"],
    ),
    (
        "P",
        "op.execute('ALTER TABLE users ADD CONSTRAINT c CHECK (email IS NOT NULL) NOT VALID')\nwith op.get_context().autocommit_block():\n    op.execute('ALTER TABLE users VALIDATE CONSTRAINT c')\nop.execute('ALTER TABLE users ALTER email SET NOT NULL')",
        [],
    ),
    (
        "P",
        (
            "with op.get_context().autocommit_block():\n"
            "    op.execute('ALTER TABLE users ADD CONSTRAINT c CHECK (id > 0) NOT VALID')\n"
            "    op.execute('ALTER TABLE users VALIDATE CONSTRAINT c')"
        ),
        [],
    ),
    (
        "P",
        (
            "op.create_check_constraint('c', 'users', 'email IS NOT NULL', postgresql_not_valid=True)\n"
            "op.alter_column('users', 'email', nullable=False)"
        ),
        ["set-not-null"],
    ),
    # An operation of one's own is what it is made of.
    (
        "P",
        (
            "from alembic.operations import MigrateOperation, Operations\n"
            "class Leave(MigrateOperation):\n    pass\n"
            "@Operations.implementation_for(Leave)\n"
            "def leave(operations, operation):\n    operations.drop_table('users')\n"
            "op.invoke(Leave())"
        ),
        ["drop-table"],
    ),
    # What may fail on rows, after something that is committed.
    (
        "M",
        (
            "from schema_guard.operations import online\nwith online():\n"
            "    op.add_column('posts', sa.Column('x', sa.Integer))\n"
            "    op.create_foreign_key('f', 'posts', 'users', ['user_id'], ['id'])"
        ),
        ["several-ddl-in-one-mysql-revision"],
    ),
    (
        "M",
        (
            "from schema_guard.operations import online\nwith online():\n"
            "    op.add_column('posts', sa.Column('x', sa.Integer))\n"
            "    op.create_foreign_key('f', 'posts', 'users', ['x'], ['id'])"
        ),
        [],
    ),
    (
        "M",
        "op.execute('ALTER TABLE users ADD a int, ADD UNIQUE (name), ALGORITHM=INPLACE, LOCK=NONE')",
        [],
    ),
    (
        "P",
        (
            "op.add_column('users', sa.Column('x', sa.Integer))\n"
            "with op.get_context().autocommit_block():\n"
            "    op.execute('UPDATE posts SET a = 1 WHERE b = 2')"
        ),
        ["backfill-unbatched"],
    ),
    ("P", "op.alter_column('users', 'email', nullable=True)", []),
    # What is new is nobody's.
    (
        "P",
        "op.execute('CREATE TABLE t (id int)')\nop.create_index('i', 't', ['id'])\nop.execute('DROP TABLE t')",
        [],
    ),
    ("M", "op.execute('CREATE TEMPORARY TABLE t (id int)')\nop.create_index('i', 't', ['id'])", []),
    (
        "P",
        "op.create_table('t', sa.Column('x', sa.Integer), sa.Index('ii', 'x'))\nop.drop_index('ii')",
        [],
    ),
    (
        "P",
        "sa.MetaData().create_all(op.get_bind())\nsa.Enum('a', 'b', name='kind').create(op.get_bind())",
        [],
    ),
    # What is harmless.
    ("P", "op.execute(';;')", []),
    (
        "P",
        "op.execute('CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; DELETE FROM users; END')",
        [],
    ),
    (
        "P",
        "op.execute(sa.table('users', sa.column('x')).insert().values(x=\"a; DROP TABLE users --\"))",
        [],
    ),
    (
        "P",
        "op.execute(\"INSERT INTO users (id, name) VALUES (1, 'DELETE FROM users; DROP TABLE x')\")",
        [],
    ),
    ("P", "op.execute('SELECT 1; -- DROP TABLE users\\n/* DELETE FROM users */')", []),
    ("P", "op.bulk_insert(sa.table('posts', sa.column('id')), [{'id': 1}])", []),
    ("P", "if op.get_bind().execute(sa.text('SELECT 1')).first():\n    op.drop_table('posts')", []),
    ("P", "result = op.get_bind().execute(sa.text('SELECT 1'))\nassert result.rowcount == 0", []),
    # Allowances.
    (
        "P",
        "if op.get_context().dialect.name == 'mysql':\n    # schema_guard: allow raw-sql -- quick\n    op.execute('OPTIMIZE TABLE users')",
        [],
    ),
    ("P", "# Schema_Guard: Allow drop-table -- nobody\nop.drop_table('users')", []),
    (
        "P",
        "# schema_guard: allow drop-table, raw-sql -- nobody\nop.drop_table('users')",
        ["allow-without-reason", "drop-table"],
    ),
    (
        "P",
        "for name in 'ab':\n    # schema_guard: allow drop-column -- nobody\n    op.drop_column('users', name)",
        [],
    ),
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


@pytest.fixture(autouse=True)
def base(service: Service) -> None:
    """Have a first revision, which makes users and posts."""
    write_base(service)


@pytest.mark.parametrize(("dialect", "body", "rules"), CASES)
def test_what_is_found(service: Service, dialect: str, body: str, rules: list[str]) -> None:
    service.write(2, body, NO_WAY_BACK)
    judged = service.lint(dialect=DIALECTS[dialect])
    found = [finding.rule for _, finding in judged.findings]
    assert sorted(found) == sorted(rules), "\n".join(report(judged, "text"))


@pytest.mark.parametrize("dialect", DIALECTS.values())
def test_nothing_is_found_on_a_new_table(service: Service, dialect: str) -> None:
    service.write(2, NEW_TABLE, NO_WAY_BACK)
    assert service.findings(dialect=dialect) == []


def test_a_decorated_downgrade_can_be_allowed(service: Service) -> None:
    path = service.write(2, "op.execute('SELECT 1')", NO_WAY_BACK)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("def downgrade", "@staticmethod\ndef downgrade"), encoding="utf-8")
    assert service.findings() == []


def test_a_file_is_read_in_its_own_encoding(service: Service) -> None:
    path = service.write(2, "op.execute('SELECT 1')", "op.execute('SELECT 2')")
    text = path.read_text(encoding="utf-8")
    path.write_bytes(f"# coding: latin-1\n# Zo\xeb\n{text}".encode("latin-1"))
    assert service.findings() == []


@pytest.mark.parametrize(
    ("upgrade", "downgrade"),
    [
        (
            "op.add_column('legacy', sa.Column('x', sa.Integer))",
            "op.drop_column('legacy', 'x')",
        ),
        ("op.create_table('t', sa.Column('x', sa.Integer))", "op.execute('CALL undo()')"),
        ("op.execute('CREATE VIEW v AS SELECT 1')", "op.execute('DROP VIEW v')"),
    ],
)
def test_what_is_made_in_sql_can_be_undone(service: Service, upgrade: str, downgrade: str) -> None:
    service.write(2, upgrade, downgrade)
    assert service.findings(dialect="postgresql") == []


def test_what_a_newer_server_can_is_written(service: Service) -> None:
    service.write(2, "op.execute('ALTER TABLE users DETACH PARTITION \"a:b\"')", NO_WAY_BACK)
    for version, words in {
        None: "allow detach-partition",
        "13.4": "allow detach-partition",
        "14": 'DETACH PARTITION "a\\\\:b" CONCURRENTLY',
        "PostgreSQL 18.1": "CONCURRENTLY",
    }.items():
        ((_, finding),) = service.lint(dialect="postgresql", version=version).findings
        assert words in finding.recipe, version


@pytest.mark.parametrize(
    ("dialect", "version", "words"),
    [
        ("postgresql", "12", "'12' is too old: the migrations need PostgreSQL 13."),
        ("postgresql", "MariaDB 10.11", "another DBMS than PostgreSQL"),
        ("mysql", "10.4", "need MariaDB 10.5"),
        ("mysql", "5.6", "need MySQL 5.7"),
        ("mariadb", "MySQL 8", "another DBMS than MariaDB"),
        ("mysql", "newest", "is no version"),
    ],
)
def test_a_version_that_cannot_be_is_one_message(
    service: Service, dialect: str, version: str, words: str
) -> None:
    service.write(2, "op.drop_table('users')", NO_WAY_BACK)
    with pytest.raises(GuardError) as refusal:
        service.lint(dialect=dialect, version=version)
    assert words in refusal.value.message

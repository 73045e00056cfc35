"""What `flask db lint` finds in a revision, and what it does not; nothing is run."""

import pytest
from samples import write_base
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
    ("P", "op.execute('ALTER TABLE users ENABLE ROW LEVEL SECURITY')", ["raw-sql"]),
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
    ("M", "op.execute('ALTER TABLE users CONVERT TO CHARACTER SET utf8mb4')", ["raw-sql"]),
    ("M", "op.execute('ALTER TABLE users MODIFY age bigint, LOCK=NONE')", ["raw-sql"]),
    (
        "M",
        "op.execute('ALTER TABLE a ADD b int, LOCK=NONE; ALTER TABLE users ADD c int')",
        ["mysql-copy"],
    ),
    ("M", "op.execute('ALTER TABLE users ADD c int, LOCK=SHARED')", ["mysql-copy", "mysql-lock"]),
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
        "from schema_guard.operations import online\nwith online():\n    op.create_foreign_key('f', 'posts', 'users', ['a'], ['id'])",
        ["add-foreign-key"],
    ),
    (
        "M",
        "from schema_guard.operations import online\nwith online():\n    op.execute('ALTER TABLE users ADD c int')",
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

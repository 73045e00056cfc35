"""Every rule of `flask db lint`: an unsafe revision that it finds, and its recipe, run for real."""

import re
from dataclasses import dataclass

import pytest
from samples import TEXTS, run_base, write_base
from schema_guard.lint.registry import RULES
from schema_guard.lint.report import report
from services import NO_WAY_BACK, PROJECT, Service


@dataclass(frozen=True)
class Case:
    """An unsafe revision.

    Attributes:
        dialects: P for PostgreSQL, M for MySQL and MariaDB, S for SQLite.
        recipe: what is run instead, where the rule's own words are not a whole revision.
        downgrade: what undoes the unsafe one.
    """

    rule: str
    dialects: str
    unsafe: str
    recipe: str = ""
    downgrade: str = NO_WAY_BACK


CASES = [
    Case("drop-table", "PMS", "op.drop_table('posts')"),
    Case("drop-table", "PMS", "op.execute('DROP TABLE IF EXISTS posts')"),
    Case("drop-table", "PMS", "for name in ('posts',):\n    op.drop_table(name)"),
    Case("drop-column", "PMS", "op.drop_column('users', 'age')"),
    Case(
        "drop-column", "PMS", "with op.batch_alter_table('users') as b:\n    b.drop_column('age')"
    ),
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
        "op.add_column('posts', sa.Column('by', sa.Integer, sa.ForeignKey('users.id'), index=True))",
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
    Case(
        "foreign-key-without-index",
        "PS",
        "op.create_table('t', sa.Column('u', sa.Integer, sa.ForeignKey('users.id')))",
    ),
    Case(
        "foreign-key-without-index",
        "P",
        "op.create_foreign_key('fk_posts_a', 'posts', 'users', ['a'], ['id'])",
    ),
    Case(
        "foreign-key-without-index",
        "P",
        "op.add_column('posts', sa.Column('by', sa.Integer, sa.ForeignKey('users.id')))",
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
    Case("mysql-copy", "M", "op.add_column('notes', sa.Column('x', sa.Integer))"),
    Case("mysql-copy", "M", "op.execute('ALTER TABLE notes ADD COLUMN x integer NULL')"),
    Case(
        "mysql-copy",
        "M",
        "op.alter_column('notes', 'body', existing_type=sa.Text(), nullable=False)",
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
    Case("raw-sql", "P", "op.execute('DROP FUNCTION IF EXISTS f')"),
    Case("raw-sql", "M", "op.execute('ALTER TABLE users CHECKSUM = 1')"),
    Case("raw-sql", "S", "op.execute('REINDEX users')"),
    Case("reindex-not-concurrent", "P", "op.execute('REINDEX TABLE users')"),
    Case("reindex-not-concurrent", "P", "op.execute('REINDEX (VERBOSE) INDEX ix_posts_title')"),
    Case("rewrite-table", "P", "op.execute('VACUUM (FULL, ANALYZE) users')"),
    Case("rewrite-table", "P", "op.execute('CLUSTER posts USING ix_posts_title')"),
    Case("rewrite-table", "P", "op.execute('ALTER TABLE users SET UNLOGGED')"),
    Case("rewrite-table", "M", "op.execute('OPTIMIZE TABLE users')"),
    Case("rewrite-table", "M", "op.execute('ALTER TABLE users CONVERT TO CHARACTER SET utf8mb4')"),
    Case("rewrite-table", "S", "op.execute('VACUUM')", recipe="pass"),
    Case("concurrent-in-transaction", "P", "op.execute('VACUUM users')"),
    Case("concurrent-in-transaction", "P", "op.execute('REINDEX TABLE CONCURRENTLY users')"),
    Case(
        "refresh-not-concurrent",
        "P",
        "op.execute('REFRESH MATERIALIZED VIEW names')",
    ),
    Case(
        "refresh-not-concurrent", "P", "op.execute('REFRESH MATERIALIZED VIEW names WITH NO DATA')"
    ),
    Case(
        "attach-partition",
        "P",
        "op.execute('ALTER TABLE parts ATTACH PARTITION part2 FOR VALUES FROM (100) TO (200)')",
    ),
    Case("detach-partition", "P", "op.execute('ALTER TABLE parts DETACH PARTITION part1')"),
    Case("checks-off", "M", "op.execute('SET FOREIGN_KEY_CHECKS = 0')", recipe="pass"),
    Case(
        "checks-off", "P", "op.execute(\"SET session_replication_role = 'replica'\")", recipe="pass"
    ),
    Case("checks-off", "P", "op.execute('ALTER TABLE users DISABLE TRIGGER ALL')", recipe="pass"),
    Case("checks-off", "S", "op.execute('PRAGMA ignore_check_constraints = ON')", recipe="pass"),
    Case(
        "change-trigger",
        "P",
        "op.execute('CREATE TRIGGER t BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION"
        " suppress_redundant_updates_trigger()')",
    ),
    Case(
        "change-trigger",
        "M",
        "op.execute('CREATE TRIGGER t BEFORE UPDATE ON users FOR EACH ROW SET NEW.age = 1')",
    ),
    Case(
        "change-trigger",
        "S",
        "op.execute('CREATE TRIGGER t AFTER UPDATE ON users BEGIN SELECT 1; END')",
    ),
    Case("change-trigger", "P", "op.execute('DROP TRIGGER IF EXISTS t ON users')"),
    Case("change-trigger", "MS", "op.execute('DROP TRIGGER IF EXISTS t')"),
    Case("row-security", "P", "op.execute('CREATE POLICY p ON users USING (age > 1)')"),
    Case("row-security", "P", "op.execute('ALTER TABLE posts ENABLE ROW LEVEL SECURITY')"),
    Case(
        "backfill-unbatched",
        "P",
        "op.execute('MERGE INTO users u USING posts p ON u.id = p.id"
        " WHEN MATCHED THEN UPDATE SET age = 1')",
    ),
    Case("change-type", "M", "op.execute('ALTER TABLE users MODIFY age bigint')"),
    Case("rename-column", "M", "op.execute('ALTER TABLE users CHANGE age years int')"),
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
    Case(
        "missing-downgrade",
        "P",
        "op.create_table('t', sa.Column('x', sa.Integer))",
        downgrade="pass",
    ),
    Case(
        "loop-around-queries",
        "M",
        "some = sa.text('SELECT id FROM users WHERE age IS NULL LIMIT 2')\n"
        "while ids := op.get_bind().scalars(some).all():\n"
        "    op.execute(f'UPDATE users SET age = 1 WHERE id IN ({str(ids)[1:-1]})')",
        recipe="from schema_guard.operations import repeatable\n"
        "some = sa.text('SELECT id FROM users WHERE age IS NULL LIMIT 2')\n"
        "with repeatable():\n"
        "    while ids := op.get_bind().scalars(some).all():\n"
        "        op.execute(f'UPDATE users SET age = 1 WHERE id IN ({str(ids)[1:-1]})')",
    ),
    Case(
        "loop-around-queries",
        "PMS",
        "with op.get_context().autocommit_block():\n"
        "    missing = op.get_bind().scalar(sa.text('SELECT count(*) FROM users'))\n"
        "    for number in range(missing or 0):\n"
        "        op.execute(f'UPDATE users SET age = 1 WHERE id = {number}')",
        recipe="from schema_guard.operations import repeatable\n"
        "with repeatable(), op.get_context().autocommit_block():\n"
        "    for (number,) in op.get_bind().execute(sa.text('SELECT id FROM users')).all():\n"
        "        op.execute(f'UPDATE users SET age = 1 WHERE id = {number}')",
    ),
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
    Case(
        "unused-allow",
        "PMS",
        "op.execute('SELECT 1')  # schema_guard: allow magic -- no",
        recipe="pass",
    ),
    Case(
        "allow-without-reason",
        "PMS",
        "# schema_guard: allow drop-table\nop.drop_table('posts')",
        recipe="# schema_guard: allow drop-table -- nobody needs it\nop.drop_table('posts')",
    ),
]

DBMS = {"P": "postgresql", "M": "mariadb", "S": "sqlite"}
RUNS = [
    pytest.param(DBMS[letter], case, id=f"{DBMS[letter]}-{case.rule}")
    for case in CASES
    for letter in case.dialects
]
LOSES = {"drop-table", "truncate-or-delete-all", "allow-without-reason", "rename-table"}


@pytest.mark.parametrize(("dbms", "case"), RUNS)
def test_a_rule_finds_it_and_its_recipe_runs(service: Service, case: Case) -> None:
    write_base(service)
    service.write(2, case.unsafe, case.downgrade)
    judged = service.lint()
    (finding,) = [finding for _, finding in judged.findings if finding.rule == case.rule]
    assert finding.what
    assert finding.line > 8

    recipe = case.recipe.replace("RECIPE", finding.recipe) or finding.recipe
    downgrade = case.downgrade
    if finding.recipe.startswith("def downgrade"):
        recipe = case.unsafe
        body = finding.recipe.partition("\n# or")[0].splitlines()[1:]
        downgrade = "\n".join(line[4:] for line in body)
    elif case.downgrade != "pass":
        downgrade = NO_WAY_BACK
    service.write(2, recipe, downgrade)
    assert service.findings() == [], "\n".join(report(service.lint(), "text"))

    run_base(service)
    service.upgrade()
    if case.rule not in LOSES:
        assert service.column("SELECT name FROM users ORDER BY id") == TEXTS
        assert service.rows("SELECT count(*) FROM posts") in ([(8,)], [(9,)])


def test_every_rule_has_its_case_and_its_place_in_the_docs() -> None:
    assert {case.rule for case in CASES} == set(RULES)
    docs = (PROJECT / "schema_guard" / "lint" / "RULES.md").read_text(encoding="utf-8")
    assert re.findall(r"^### (\S+)$", docs, re.MULTILINE) == sorted(RULES)

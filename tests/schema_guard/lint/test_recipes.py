"""A recipe does what the statement does, or says that somebody has to decide."""

import pytest
from samples import write_base
from services import NO_WAY_BACK, Service

# P: PostgreSQL, M: MySQL and MariaDB, S: SQLite.
DIALECTS = {"P": "postgresql", "M": "mysql", "S": "sqlite"}
RECIPES = [
    ("P", "op.execute('UPDATE users SET email = lower(email)')", "allow backfill-unbatched"),
    (
        "P",
        "op.execute(\"UPDATE users SET name = 'x', email = 'y' WHERE name IS NULL\")",
        "allow backfill",
    ),
    ("P", "op.execute(\"UPDATE users SET name = 'x' WHERE email IS NULL\")", "allow backfill"),
    (
        "P",
        "op.execute(\"UPDATE users SET name = 'x' WHERE name IS NULL\")",
        "backfill('users', 'name', sa.text(\"'x'\"))",
    ),
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
    (
        "S",
        "with op.batch_alter_table('users') as b:\n    b.alter_column('status', nullable=False, existing_server_default=sa.text(\"'XXX'\"))",
        "existing_server_default=sa.text(\"'XXX'\")",
    ),
    ("P", "op.create_check_constraint('even', 'users', 'id % 2 = 0')", "'id % 2 = 0'"),
    (
        "P",
        "op.execute(\"ALTER TYPE s.mood ADD VALUE 'it''s' AFTER 'ok'\")",
        "ALTER TYPE s.mood ADD VALUE 'it''s' AFTER 'ok'",
    ),
    (
        "P",
        "op.execute('ALTER TABLE users ADD COLUMN a int NOT NULL CHECK (a IS NOT NULL)')",
        "ADD COLUMN a int CHECK (a IS NOT NULL)",
    ),
    (
        "M",
        "op.execute('OPTIMIZE TABLE `a``b`.`t:x`')",
        "op.execute('ALTER TABLE `a``b`.`t\\\\:x` FORCE, ALGORITHM=INPLACE, LOCK=NONE')",
    ),
    ("P", "op.execute('BEGIN; DROP TABLE users; COMMIT')", "op.execute('DROP TABLE users')"),
    (
        "P",
        "op.add_column('users', sa.Column('j', sa.JSON, server_default='{}', nullable=False))",
        "server_default='{}'",
    ),
    (
        "P",
        "op.add_column('Users', sa.Column('n', sa.Integer, sa.Identity()), schema='s')",
        'CREATE SEQUENCE s."Users_n_seq"',
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


@pytest.mark.parametrize("dbms", ["sqlite"])
@pytest.mark.parametrize(("dialect", "body", "words"), RECIPES)
def test_a_recipe_leaves_nothing_out(service: Service, dialect: str, body: str, words: str) -> None:
    write_base(service)
    service.write(2, body, NO_WAY_BACK)
    judged = service.lint(dialect=DIALECTS[dialect])
    assert words in "\n".join(finding.recipe for _, finding in judged.findings)


NAMELESS = """
class Nameless(sa.types.UserDefinedType):
    def __repr__(self):
        raise TypeError("no name")
op.add_column('users', sa.Column('x', Nameless(), nullable=False))
op.alter_column('users', 'email', type_=sa.Text(), existing_type=Nameless())
op.drop_column('users', 'age')"""


@pytest.mark.parametrize("dbms", ["sqlite"])
@pytest.mark.parametrize("dialect", DIALECTS.values())
def test_a_recipe_that_cannot_be_written_is_said_in_words(service: Service, dialect: str) -> None:
    write_base(service)
    service.write(2, NAMELESS, NO_WAY_BACK)
    found = {each.rule: each for _, each in service.lint(dialect=dialect).findings}
    assert found["add-not-null"].what == "users.x"
    first, *words = found["add-not-null"].recipe.splitlines()
    assert first == (
        "# The code for this operation could not be written (TypeError: no name). From RULES.md:"
    )
    assert (
        "# nullable; require it in the next release. Or give it a `server_default`,"
        in "\n".join(words)
    )
    assert all(line.startswith("#") for line in words)
    assert found["drop-column"].what == "users.age"

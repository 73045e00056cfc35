"""Parts of schema_guard by themselves; run by the Python of a project, see test_units.py."""

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql

from schema_guard.runner.schema_snapshot import named
from schema_guard.runner.data_loss import named as dropped
from schema_guard.revisions.checksum import means_the_same
from schema_guard.online_ddl.type_changes import widens

SOURCE = '''
"""What it is."""
import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Do it."""
    with op.batch_alter_table("users") as batch_op:
        batch_op.add_column(sa.Column("x", sa.Integer(), server_default=f"{1 + 2}"))
'''


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"""What it is."""', '"""What else it is."""\n# A comment.'),
        ('"""Do it."""', '"""Do it, gently."""'),
        ('"users"', "\n        'users'\n    "),
        ("\n", "\r\n"),
        ('"users"', 'u"users"'),
    ],
)
def test_how_a_file_is_written_does_not_matter(before: str, after: str) -> None:
    assert before in SOURCE
    assert means_the_same(SOURCE.replace(before, after).encode(), SOURCE.encode())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("users", "user"),
        ("1 + 2", "2 + 1"),
        ('"0001"', "None"),
        ("Integer()", "Integer"),
        ("def", "fed"),  # what this Python does not take is not the same as anything
    ],
)
def test_what_a_file_does_matters(before: str, after: str) -> None:
    assert before in SOURCE
    assert not means_the_same(SOURCE.replace(before, after).encode(), SOURCE.encode())


@pytest.mark.parametrize(
    ("statement", "names"),
    [
        ("CREATE TABLE users (id INT)", ["TABLE users"]),
        ("\n create table if not exists `us``ers` (id INT)", ["TABLE `us``ers`"]),
        ("CREATE TABLE `a`.`b c` LIKE x", ["TABLE `a`.`b c`"]),
        ("ALTER TABLE users ADD INDEX ix (name) COMMENT 'on it'", ["TABLE users"]),
        ("CREATE UNIQUE INDEX ix_a USING BTREE ON users (a)", ["TABLE users"]),
        ("DROP INDEX `on` ON users", ["TABLE users"]),
        ("DROP TABLE IF EXISTS a, `b`, c CASCADE", ["TABLE a", "TABLE `b`", "TABLE c"]),
        ("RENAME TABLE a TO b, c TO d", ["TABLE a", "TABLE b", "TABLE c", "TABLE d"]),
        ("RENAME TABLE a TO x, b TO a, x TO b", []),
        ("CREATE OR REPLACE ALGORITHM=MERGE VIEW v AS SELECT 1", ["TABLE v"]),
        (
            "CREATE DEFINER=`me`@`%` TRIGGER t BEFORE INSERT ON users FOR EACH ROW SET @x = 1",
            ["TRIGGER t"],
        ),
        ("DROP PROCEDURE IF EXISTS p", ["PROCEDURE p"]),
        ("ALTER DATABASE x COLLATE y", []),
    ],
)
def test_what_a_statement_of_mysql_changes(statement: str, names: list[str]) -> None:
    assert named(statement) == names


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("DROP TABLE a", [("a", None, None)]),
        ('drop table if exists "A" , `b`,s.c CASCADE', [("A", None, None), ("b", None, None), ("c", None, "s")]),
        ("ALTER TABLE a DROP b", [("a", "b", None)]),
        ("ALTER TABLE ONLY s.a DROP COLUMN IF EXISTS b, ADD c INT", [("a", "b", "s")]),
        ("ALTER TABLE a ADD x INT, DROP COLUMN b, DROP COLUMN c", [("a", "b", None), ("a", "c", None)]),
        ("ALTER TABLE a DROP CONSTRAINT b, DROP INDEX c, DROP FOREIGN KEY d, DROP PRIMARY KEY", []),
        ("ALTER TABLE a ALTER COLUMN b DROP NOT NULL, ALTER COLUMN b DROP DEFAULT", []),
        ("DROP INDEX a", []),
        ('ALTER TABLE "My Table" DROP "A b"', [("My Table", "A b", None)]),
        ("SELECT 1; DROP TABLE a -- , b", [("a", None, None)]),
        ("INSERT INTO a VALUES ('; DROP TABLE b')", []),
        ("UPDATE a SET b = 'DROP TABLE c'", []),
    ],
)
def test_what_a_statement_drops(
    statement: str, found: list[tuple[str, str | None, str | None]]
) -> None:
    """Of tables and columns."""
    assert list(dropped(statement, "mysql" if "`" in statement else "postgresql")) == found


VARIANT = sa.Text().with_variant(mysql.VARCHAR(60), "mysql", "mariadb")


@pytest.mark.parametrize(
    ("old", "new", "on"),
    [
        (sa.String(10), sa.String(20), "PM"),
        (sa.String(20), sa.String(10), ""),
        (sa.String(63), sa.String(64), "P"),  # 255 bytes of utf8mb4 end between them
        (sa.String(64), sa.String(9999), "PM"),
        (sa.String(10), sa.Text(), "P"),
        (sa.Text(), sa.String(10), ""),
        (sa.CHAR(10), sa.String(20), ""),
        (sa.String(10), sa.String(20, collation="C"), ""),
        (sa.String(10), postgresql.CITEXT(), ""),
        (mysql.VARCHAR(50), VARIANT, "PM"),
        (sa.Integer(), sa.Integer(), "PM"),
        (sa.Integer(), sa.BigInteger(), ""),
        (sa.Numeric(5, 2), sa.Numeric(9, 2), "P"),
        (sa.Numeric(5, 2), sa.Numeric(9, 3), ""),
        (sa.Numeric(9, 2), sa.Numeric(5, 2), ""),
        (sa.Numeric(9, 2), sa.Numeric(), "P"),
        (postgresql.TIMESTAMP(precision=3), postgresql.TIMESTAMP(precision=6), "P"),
        (postgresql.TIMESTAMP(precision=6), postgresql.TIMESTAMP(precision=3), ""),
        (sa.DateTime(), sa.DateTime(timezone=True), ""),
        (postgresql.CIDR(), postgresql.INET(), "P"),
        (sa.Enum("a", "b"), sa.Enum("a", "b", "c"), "M"),
        (sa.Enum("a", "b"), sa.Enum("b", "a", "c"), ""),
        (mysql.ENUM("a"), sa.Enum(*map(str, range(300))), ""),
        (None, sa.Text(), ""),
    ],
)
def test_a_type_that_holds_all_of_another_one(old: object, new: object, on: str) -> None:
    """P: PostgreSQL, M: MySQL and MariaDB."""
    found = [letter for letter, name in {"P": "postgresql", "M": "mysql"}.items() if widens(old, new, name)]
    assert "".join(found) == on

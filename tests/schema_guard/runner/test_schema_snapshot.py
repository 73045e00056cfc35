"""What a statement of MySQL changes."""

import pytest
from schema_guard.dialects.mysql import named


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

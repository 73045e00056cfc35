"""What a statement drops."""

import pytest
from schema_guard.runner.data_loss import named


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("DROP TABLE a", [("a", None, None)]),
        (
            'drop table if exists "A" , `b`,s.c CASCADE',
            [("A", None, None), ("b", None, None), ("c", None, "s")],
        ),
        ("ALTER TABLE a DROP b", [("a", "b", None)]),
        ("ALTER TABLE ONLY s.a DROP COLUMN IF EXISTS b, ADD c INT", [("a", "b", "s")]),
        (
            "ALTER TABLE a ADD x INT, DROP COLUMN b, DROP COLUMN c",
            [("a", "b", None), ("a", "c", None)],
        ),
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
    assert list(named(statement, "mysql" if "`" in statement else "postgresql")) == found

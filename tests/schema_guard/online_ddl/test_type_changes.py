"""Which types hold all values of another one."""

import pytest
import sqlalchemy as sa
from schema_guard.online_ddl.type_changes import widens
from sqlalchemy.dialects import mysql, postgresql

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
    found = [
        letter
        for letter, name in {"P": "postgresql", "M": "mysql"}.items()
        if widens(old, new, name)
    ]
    assert "".join(found) == on

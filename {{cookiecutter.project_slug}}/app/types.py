"""Types of columns that keep the same values on SQLite, PostgreSQL and MySQL or MariaDB.

For use beside SQLAlchemy's own, where those differ from one DBMS to another. A revision
names what a type is made of, never this module: it must run when this has moved on.
"""

from datetime import UTC, datetime

from sqlalchemy import JSON, DateTime, Dialect, LargeBinary, Text, Time, TypeDecorator
from sqlalchemy.dialects import mysql, postgresql

# MySQL's TEXT and BLOB end at 64 KB.
LongText = Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
LargeBytes = LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")
# MySQL's TIME and DATETIME end at whole seconds.
ExactTime = Time().with_variant(mysql.TIME(fsp=6), "mysql", "mariadb")
# PostgreSQL's JSON can be neither compared nor indexed. None is NULL, as in any column.
Document = JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


class UTCDateTime(TypeDecorator[datetime]):
    """A time with its zone: comes back in UTC, with microseconds.

    SQLite and MySQL keep no zone; what they keep is UTC. A time without a zone is refused.
    """

    impl = DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn a time into what the DBMS keeps."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone; make it with datetime.now(UTC)")
        value = value.astimezone(UTC)
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Turn what the DBMS kept into a time in UTC."""
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)

"""What schema_guard keeps in the database: a record of what was run, and the journal of a run.

Neither belongs to a model, so autogenerate must not see them: it would drop them.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    inspect,
)

_metadata = MetaData()

history = Table(
    "schema_history",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("revision", String(255), nullable=False),
    Column("direction", String(16), nullable=False),  # upgrade, downgrade, stamp
    Column("started_at", DateTime, nullable=False),  # UTC
    Column("seconds", Float, nullable=False),
    Column("by_whom", String(255), nullable=False),
    Column("outcome", String(16), nullable=False),  # done, failed
    Column("checksum", String(64)),  # of what the file means; null if there is none
    Column("file_digest", String(64)),  # of its bytes: while they are alike, so is the other
    Column("note", Text),
    mysql_engine="InnoDB",  # in others there are no transactions
)

journal = Table(
    "schema_journal",
    _metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("revision", String(255), nullable=False),
    Column("direction", String(16), nullable=False),
    Column("checksum", String(64)),
    Column("statement", Text, nullable=False),  # shortened: for people
    Column("digest", String(64), nullable=False),
    Column("before", Text),  # how the schema looked; null where it is known that it has run
    Column("affected", Integer, nullable=False),
    Column("last_id", BigInteger),
    mysql_engine="InnoDB",  # in others there are no transactions
)

OWN_TABLES = frozenset(_metadata.tables)


def make_tables(connection: Connection) -> None:
    """Make the tables that are missing, and commit."""
    for table in missing(connection):
        table.create(connection)
    connection.commit()


def missing(connection: Connection) -> list[Table]:
    """Return the tables that are not there yet."""
    inspector = inspect(connection)
    return [table for table in (history, journal) if not inspector.has_table(table.name)]


def include_name(name: str | None, kind: str, _parents: Any) -> bool:
    """Hide the tables from autogenerate; Alembic's `include_name`."""
    return not (kind == "table" and name in OWN_TABLES)

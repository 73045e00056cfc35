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
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    func,
    inspect,
    literal,
    select,
    table,
)

_metadata = MetaData()
# The bytes of a file. MySQL and MariaDB choose a type by the length.
SOURCE = LargeBinary(2**24 - 1)

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
    Column("checksum", String(64)),  # of the revision's file; null if there is none
    Column("source", SOURCE),
    Column("note", Text),
    mysql_engine="InnoDB",  # in others there are no transactions
)

journal = Table(
    "schema_journal",
    _metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("revision", String(255), nullable=False),
    Column("direction", String(16), nullable=False),
    Column("source", SOURCE),  # of the first one only
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
    for own in missing(connection):
        own.create(connection)
    connection.commit()


def missing(connection: Connection) -> list[Table]:
    """Return the tables that are not there yet."""
    inspector = inspect(connection)
    return [own for own in (history, journal) if not inspector.has_table(own.name)]


def include_name(name: str | None, kind: str, _parents: Any) -> bool:
    """Hide the tables from autogenerate; Alembic's `include_name`."""
    return not (kind == "table" and name in OWN_TABLES)


def count_rows(connection: Connection) -> dict[str, int]:
    """Return the number of rows of every table."""
    query = select(func.count())
    tables = [table(name) for name in inspect(connection).get_table_names()]
    return {of.name: connection.scalar(query.select_from(of)) or 0 for of in tables}


def holds_rows(connection: Connection) -> bool:
    """Return whether there is anything to lose."""
    names = set(inspect(connection).get_table_names()) - OWN_TABLES - {"alembic_version"}
    queries = [select(literal(1)).select_from(table(name)).limit(1) for name in names]
    found = any(connection.scalar(query) for query in queries)
    connection.rollback()
    return found

"""What schema_guard keeps in the database: a record of what was run, and the journal of a run.

Neither belongs to a model, so autogenerate must not see them: it would drop them.

Promise: a project takes a newer schema_guard without a migration of its own. Tables that an earlier
one made are upgraded in place by the next command that writes to them, under the migration lock;
a command that only reads takes them as they are, older or newer, and changes nothing.

What is missing follows from the definitions here, compared with the columns that exist: it is right
after a process was killed between two ALTERs too, which MySQL and MariaDB commit one by one, and
for a backup that brings an older form back. So a change of these tables is additive: a new table,
or a new column, which is nullable. What columns cannot say is that newer code has written here,
whose rows mean more than this code knows. Each row says so itself, by the version that wrote it:
there is nothing to keep in step with the rows, and a backup takes it along.
"""

from typing import Any

from flask import current_app
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Float,
    FromClause,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    func,
    inspect,
    literal,
    null,
    or_,
    select,
    table,
    text,
    type_coerce,
)
from sqlalchemy.schema import CreateColumn

from schema_guard.core.errors import GuardError

# Of these tables; one more with every change of a table, or of what its rows mean.
# 1 had no file in the record, and no version; 2 had no version; 3 kept no answers in the journal;
# 4 did not say whose a row is, of several services in one database.
VERSION = 5

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
    Column("outcome", String(16), nullable=False),  # done, failed, interrupted
    Column("checksum", String(64)),  # of the revision's file; null if there is none
    Column("source", SOURCE),
    Column("note", Text),
    Column("version", Integer, default=VERSION),  # that wrote the row; null for 1 and 2
    Column("version_table", String(255)),  # of the service; null for versions before 5
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
    Column("kind", String(16)),  # see journal_entry.py; an earlier version kept statements only
    Column("answer", SOURCE),  # see answers.py
    Column("version", Integer, default=VERSION),  # that wrote the row; null for 1 and 2
    Column("version_table", String(255)),  # of the service; null for versions before 5
)

# A restore that is not complete, where it cannot be undone: MySQL and MariaDB.
# There only meanwhile.
restore = Table(
    "schema_restore",
    MetaData(),
    Column("file", Text, nullable=False),
    Column("previous", Text),  # the backup of what there was
    Column("started_at", DateTime, nullable=False),  # UTC
)

OWN_TABLES = frozenset({*_metadata.tables, restore.name})
VERSION_TABLE = "alembic_version"
# PostgreSQL's tables with rows of the database's own, in every schema.
POSTGRESQL_TABLES = """
    SELECT nspname, relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind IN ('r', 'p') AND nspname !~ '^pg_' AND nspname <> 'information_schema'
    AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass
                    AND objid = pg_class.oid AND deptype = 'e')
    ORDER BY nspname, relname
"""
# Inspection leaves out those with versions of their rows.
MYSQL_TABLES = """
    SELECT NULL, table_name FROM information_schema.tables
    WHERE table_schema = DATABASE() AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')
    ORDER BY table_name
"""
# Where an earlier version kept what is in a column now.
FORMER = {"checksum": "file_digest"}


def make_tables(connection: Connection) -> None:
    """Make what is missing, tables and columns, and commit; under the migration lock.

    Raises:
        GuardError: a newer version has written here.
    """
    inspector = inspect(connection)
    existing = {
        own.name: _columns(connection, own)
        for own in _metadata.sorted_tables
        if inspector.has_table(own.name)
    }
    for own in _metadata.sorted_tables:
        if "version" in existing.get(own.name, ()):
            _refuse_newer(connection, own)
    for own in _metadata.sorted_tables:
        if own.name not in existing:
            create(connection, own)
            continue
        for column in own.c:
            if column.name not in existing[own.name]:
                definition = CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {own.name} ADD COLUMN {definition}")
    connection.commit()


def create(connection: Connection, own: Table) -> None:
    """Create one of our tables if it does not exist."""
    name = connection.dialect.name
    if name in {"mysql", "mariadb"}:  # whose other engines have no transactions
        # Not in the table's definition: it would load MySQL's dialect in every worker.
        own.dialect_kwargs[f"{name}_engine"] = "InnoDB"
    own.create(connection, checkfirst=True)


def stored(connection: Connection, own: Table) -> FromClause | None:
    """Return a table to read from, whichever version made it; None where there is none.

    Args:
        connection: to the database.
        own: `history` or `journal`.

    Returns:
        The columns of `own`; null where the column does not exist yet.
    """
    if not inspect(connection).has_table(own.name):
        return None
    names = _columns(connection, own)
    return select(*(_stored(column, names) for column in own.c)).subquery(own.name)


def _stored(column: Column[Any], names: set[str]) -> Any:
    """Return a column, or what stands for it in a table that has these columns."""
    former = FORMER.get(column.name)
    if former in names:
        earlier = Column(former, column.type)
        return func.coalesce(earlier, column).label(column.name)
    if column.name in names or not column.nullable:  # without this one it is no table of ours
        return column
    return type_coerce(null(), column.type).label(column.name)


def _columns(connection: Connection, own: Table) -> set[str]:
    """Return the names of a table's columns; /readyz asks, and reflection would be slow."""
    return set(connection.execute(select(text("*")).select_from(own).limit(0)).keys())


def _refuse_newer(connection: Connection, own: Table) -> None:
    newest = connection.scalar(select(func.max(own.c.version))) or 0
    if newest > VERSION:
        raise GuardError(
            f"A newer schema_guard has written to {own.name} (version {newest} of its tables, this"
            f" code has {VERSION}), so this one does not: run the command from the newer release."
        )


def include_name(name: str | None, kind: str, _parents: Any) -> bool:
    """Hide the tables from autogenerate; Alembic's `include_name`."""
    return not (kind == "table" and name in OWN_TABLES)


def version_table() -> str:
    """Return the name of the table that holds the revision, which an application may choose."""
    settings = current_app.extensions["migrate"].configure_args
    return str(settings.get("version_table", VERSION_TABLE))


def service() -> str:
    """Return what tells a service from others in the same database: its table of revisions."""
    settings = current_app.extensions["migrate"].configure_args
    return ".".join(filter(None, (settings.get("version_table_schema"), version_table())))


def is_own(rows: FromClause) -> ColumnElement[bool]:
    """Return the condition for rows of this service.

    Args:
        rows: from `stored`.
    """
    return or_(rows.c.version_table.is_(None), rows.c.version_table == service())


def all_tables(connection: Connection) -> list[tuple[str | None, str]]:
    """Return schema and name of every table of a database; without schema where there are none."""
    queries = {"postgresql": POSTGRESQL_TABLES, "mysql": MYSQL_TABLES, "mariadb": MYSQL_TABLES}
    query = queries.get(connection.dialect.name)
    if query is None:
        return [(None, name) for name in inspect(connection).get_table_names()]
    return [(schema, name) for schema, name in connection.execute(text(query))]


def count_rows(connection: Connection) -> dict[str, int]:
    """Return the number of rows of every table; on PostgreSQL by its name with the schema's."""
    query = select(func.count())
    return {
        f"{schema}.{name}" if schema else name: connection.scalar(
            query.select_from(table(name, schema=schema))
        )
        or 0
        for schema, name in all_tables(connection)
    }


def holds_rows(connection: Connection) -> bool:
    """Return whether there is anything to lose, in any schema."""
    own = OWN_TABLES | {version_table()}
    queries = [
        select(literal(1)).select_from(table(name, schema=schema)).limit(1)
        for schema, name in all_tables(connection)
        if name not in own
    ]
    found = any(connection.scalar(query) for query in queries)
    connection.rollback()
    return found

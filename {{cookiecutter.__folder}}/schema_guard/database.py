"""Making the database, and keeping the migrations out of one that is not theirs.

Promise: a database is created only where there is none, and one that holds somebody
else's tables is never touched.
"""

from pathlib import Path

from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Connection, create_engine, inspect, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from schema_guard.errors import GuardError, cause, connection_failed

# MySQL's number for "Unknown database".
UNKNOWN_DATABASE = 1049
# How many of another project's tables a message names.
SHOWN = 5


def create_database(url: URL) -> bool:
    """Create the database that a URL names, unless it exists.

    Args:
        url: SQLite's file path must be absolute.

    Returns:
        Whether it was created.

    Raises:
        GuardError: the server cannot be reached, or refuses.
    """
    if url.get_backend_name() == "sqlite":
        return _create_sqlite(url)
    error = _connect(url)
    if error is None:
        return False
    if _is_missing(url, error):
        return _create_on_server(url)
    error = _connect(url)  # another process may have made it meanwhile
    if error is None:
        return False
    raise connection_failed(url, error)


def _create_sqlite(url: URL) -> bool:
    path = Path(url.database or "")
    exists = path.exists()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _execute(url, "SELECT count(*) FROM sqlite_master")
    except (OSError, SQLAlchemyError) as error:
        raise connection_failed(url, error) from None
    return not exists


def _connect(url: URL) -> OperationalError | None:
    """Connect once; return the error if that fails."""
    try:
        _execute(url, "SELECT 1")
    except OperationalError as error:
        return error
    return None


def _create_on_server(url: URL) -> bool:
    server = url.set(database="postgres" if url.get_backend_name() == "postgresql" else "")
    try:
        _execute(server, f"CREATE DATABASE {_quoted(url)}")
    except SQLAlchemyError as error:
        if _connect(url) is None:
            return False  # another process was faster
        raise GuardError(
            f"The database {url.database} does not exist, and {url.username} may not create"
            f" it: {cause(error)}. Have an administrator create it, then try again."
        ) from None
    return True


def _is_missing(url: URL, error: OperationalError) -> bool:
    """Return whether the server says that it has no such database."""
    if url.get_backend_name() != "postgresql":
        return error.orig is not None and error.orig.args[:1] == (UNKNOWN_DATABASE,)
    # libpq gives connection errors no code.
    engine = create_engine(url.set(database="postgres"), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            query = text("SELECT 1 FROM pg_database WHERE datname = :name")
            return connection.scalar(query, {"name": url.database}) is None
    except SQLAlchemyError:
        return False


def _quoted(url: URL) -> str:
    """Return the database's name, quoted for SQL; on MySQL with the character set."""
    dialect = url.get_dialect()()
    name = dialect.identifier_preparer.quote_identifier(url.database or "")
    return name if dialect.name == "postgresql" else f"{name} CHARACTER SET utf8mb4"


def _execute(url: URL, statement: str) -> None:
    """Run a statement on a connection of its own, outside a transaction."""
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)


def check_ownership(
    connection: Connection, current: tuple[str, ...], scripts: ScriptDirectory
) -> None:
    """Refuse a database whose tables these migrations did not make.

    Args:
        connection: to the database.
        current: the revisions that it is at.
        scripts: the revisions of this project.

    Raises:
        GuardError: it holds tables, and is at no revision of this project.
    """
    tables = inspect(connection).get_table_names()
    others = sorted(set(tables) - {"alembic_version"})
    name = connection.engine.url.render_as_string()
    way_on = "Nothing was changed. Name another database in DATABASE_URL, in .env"
    if not current and others:
        shown = ", ".join(others[:SHOWN]) + (", …" if others[SHOWN:] else "")
        raise GuardError(
            f"The database {name} holds tables that these migrations did not make: {shown}."
            f" {way_on}; or share it with `flask db upgrade`; or, if this schema is what it"
            " holds, `flask db stamp head`."
        )
    for revision in current:
        try:
            scripts.get_revision(revision)
        except CommandError:
            raise GuardError(
                f"The database {name} is at revision {revision}, which is not in migrations/:"
                f" it is another project's, or newer than this code. {way_on}, or update the"
                " code."
            ) from None

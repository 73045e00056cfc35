"""Which DBMS answers, and whether it is one that the migrations are tested on."""

from sqlalchemy import Connection, Dialect

from schema_guard.core.errors import GuardError
from schema_guard.core.redaction import shown

# The oldest of each that still is in use; what migrations do has to run on them.
SUPPORTED = {"PostgreSQL": (13,), "MySQL": (5, 7), "MariaDB": (10, 5)}


def backend(dialect: Dialect | type[Dialect]) -> str:
    """Return the kind of DBMS: MariaDB speaks as MySQL does."""
    return "mysql" if dialect.name == "mariadb" else dialect.name


def reflected(name: str, dialect: Dialect) -> str:
    """Return a column's name as it is: of MySQL's, SQLAlchemy leaves backticks doubled."""
    return name.replace("``", "`") if backend(dialect) == "mysql" else name


def product(dialect: Dialect) -> str:
    """Return the name of the DBMS that answered; known once a connection was made."""
    if backend(dialect) == "mysql":
        return "MariaDB" if getattr(dialect, "is_mariadb", False) else "MySQL"
    return {"postgresql": "PostgreSQL", "sqlite": "SQLite"}.get(dialect.name, dialect.name)


def version(dialect: Dialect) -> tuple[int, ...]:
    """Return the version of the DBMS that answered, as in (10, 11, 14)."""
    return tuple(part for part in dialect.server_version_info or () if isinstance(part, int))


def check_server(connection: Connection) -> None:
    """Refuse a server that is too old, before anything is changed.

    Raises:
        GuardError: it is older than SUPPORTED.
    """
    dialect = connection.dialect
    oldest = SUPPORTED.get(product(dialect), ())
    if version(dialect) < oldest:
        raise GuardError(
            f"The server of {shown(connection.engine.url)} is {product(dialect)}"
            f" {dotted(version(dialect))}; the migrations need {dotted(oldest)} or newer."
            " Nothing was changed. Update the server, or name another one in DATABASE_URL."
        )


def dotted(numbers: tuple[int, ...]) -> str:
    """Return a version as people write it."""
    return ".".join(map(str, numbers))

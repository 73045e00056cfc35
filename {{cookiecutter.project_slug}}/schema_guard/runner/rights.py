"""Whether this user may do what pending revisions do, asked before the first of them runs.

Promise: what is refused here would have failed later, on MySQL and MariaDB in the middle.

Only what is certain is refused, since a right can come from many places:

- PostgreSQL says itself who may act as a table's owner, by whatever roles. A revision that sends
  SQL which may change that (SET ROLE, GRANT, a function) ends the check.
- MySQL and MariaDB are asked by statements that need a right on a table that does not exist: they
  know of roles, PUBLIC, patterns and anonymous users. What is granted for single tables is looked
  up; where roles may bring some of it, nothing is refused. Rights to columns, and REFERENCES, which
  cannot be tried without a change, are not asked for.
- SQLite's file and folder are tried before anything, by the lock and by BEGIN IMMEDIATE.
"""

import re
import secrets
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

from alembic.operations import ops
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from schema_guard.core.errors import codes_of
from schema_guard.dialects.base import backend

# What sends rows, and calls no function that could do more.
ROWS = re.compile(
    r"\s*(INSERT|UPDATE|DELETE|VALUES)\b(?!.*\bset_config\b)", re.IGNORECASE | re.DOTALL
)
POSTGRESQL = """
    SELECT current_user AS name, nspname AS schema,
        has_schema_privilege(oid, 'CREATE') AS creates, pg_has_role(nspowner, 'USAGE') AS owns
    FROM pg_namespace WHERE nspname = current_schema()
"""
FOREIGN = """
    SELECT relname, pg_get_userbyid(relowner) AS owner FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
        AND NOT pg_has_role(relowner, 'USAGE')
"""
# Each needs a right on a table that does not exist, and fails in any case.
TRIES = {
    "ALTER": "ALTER TABLE {0} ENGINE = InnoDB",
    "CREATE": "CREATE TABLE {0} (id INTEGER, id INTEGER)",
    "DROP": "DROP TABLE {0}",
    "INDEX": "CREATE INDEX {0} ON {0} (id)",
}
# MySQL's numbers: access denied to a database, to a table. There is no such grant, no such syntax.
DENIED, NO_GRANT = {1044, 1142}, {1141, 1064}
GRANTED = """
    SELECT LOWER(table_name) AS name, privilege_type AS privilege
    FROM information_schema.table_privileges WHERE table_schema = DATABASE()
"""


@dataclass
class Lacking(ABC):
    """What a user may not do, and what of it pending revisions do.

    Attributes:
        user: as the server calls it.
        needed: what revisions need, and the user may not, for people.
        unsure: whether a revision may have changed rights.
    """

    user: str
    needed: list[str] = field(default_factory=list)
    grants: list[str] = field(default_factory=list)
    unsure: bool = False

    def follow(self, operation: Any, revision: str) -> None:
        """Take an operation that a revision is certain to come to."""
        sql = getattr(operation, "sql", None)  # of a statement that is not read as an operation
        self.unsure |= sql is not None and not ROWS.match(sql)
        if self.unsure or sql is not None:
            return
        schema, name = getattr(operation, "schema", None), getattr(operation, "table_name", None)
        if isinstance(operation, ops.CreateForeignKeyOp):
            schema, name = operation.kw.get("source_schema"), operation.source_table
        if name and not schema:
            self.need(operation, str(name), revision)

    @abstractmethod
    def need(self, operation: Any, table: str, revision: str) -> None:
        """Note what an operation needs, if the user may not do it."""

    def note(self, what: str, revision: str, grant: str) -> None:
        """Note that a revision needs what the user may not do, and what would let it."""
        line = f"\n  revision {revision} {what}"
        if line not in self.needed:
            self.needed.append(line)
        if grant not in self.grants:
            self.grants.append(grant)

    def __str__(self) -> str:
        """Say it for people, with what an administrator can do."""
        statements = "".join(f"\n    {grant};" for grant in self.grants)
        return (
            f"{self.user} may not do what revisions need:{''.join(self.needed)}\n"
            f"Nothing was changed. Have an administrator run:{statements}"
        )


@dataclass
class PostgreSQL(Lacking):
    """Of PostgreSQL, where a table is its owner's.

    Attributes:
        schema: in which names without one are.
        creates: whether the user may create in it.
        owns: whether it is the user's, who may drop what is in it.
        foreign: the tables whose owner the user is not, with their owners.
    """

    schema: str = ""
    creates: bool = True
    owns: bool = False
    foreign: dict[str, str] = field(default_factory=dict)

    def need(self, operation: Any, table: str, revision: str) -> None:
        """Note what an operation needs, if the user may not do it."""
        if isinstance(operation, ops.CreateTableOp | ops.CreateIndexOp) and not self.creates:
            grant = f"GRANT CREATE ON SCHEMA {quoted(self.schema)} TO {quoted(self.user)}"
            self.note(f"creates something in schema {self.schema}", revision, grant)
        if isinstance(operation, ops.CreateTableOp):
            return
        owner = self.foreign.get(table)
        drops = isinstance(operation, ops.DropTableOp)
        if owner and not (drops and self.owns):
            what = f"{'drops' if drops else 'changes'} {table}, which is {owner}'s"
            self.note(what, revision, f"ALTER TABLE {quoted(table)} OWNER TO {quoted(self.user)}")
        if drops:  # what is made by this name later is the user's
            self.foreign.pop(table, None)
        if isinstance(operation, ops.RenameTableOp) and owner:
            self.foreign[operation.new_table_name] = self.foreign.pop(table)


def quoted(name: str) -> str:
    """Return a name as PostgreSQL takes it."""
    return '"{}"'.format(name.replace('"', '""'))


@dataclass
class MySQL(Lacking):
    """Of MySQL and MariaDB.

    Attributes:
        database: its name.
        denied: the rights that the user has not on the database.
        granted: those that it has on single tables.
    """

    database: str = ""
    denied: set[str] = field(default_factory=set)
    granted: set[tuple[str, str]] = field(default_factory=set)

    def need(self, operation: Any, table: str, revision: str) -> None:
        """Note what an operation needs, if the user may not do it."""
        rights = {"ALTER"}
        if isinstance(operation, ops.CreateTableOp):
            rights = {"CREATE"}
        elif isinstance(operation, ops.DropTableOp):
            rights = {"DROP"}
        elif isinstance(operation, ops.CreateIndexOp):
            rights = {"INDEX"}
        elif isinstance(operation, ops.DropIndexOp):  # `online()` makes an ALTER TABLE of it
            rights = {"ALTER", "INDEX"}
        own = {right for right in rights if (table.lower(), right) in self.granted}
        if rights <= self.denied and not own:
            right = max(rights)
            grant = f"GRANT {right} ON `{self.database}`.* TO {self.user}"
            self.note(f"needs {right} on {table}", revision, grant)


def lacking(connection: Connection) -> Lacking | None:
    """Return what this user may not do; None where that is nothing, or is not known.

    Args:
        connection: to the database, outside a transaction.
    """
    kinds = {"postgresql": _postgresql, "mysql": _mysql}
    ask = kinds.get(backend(connection.dialect))
    found = ask(connection) if ask else None
    connection.rollback()
    return found


def _postgresql(connection: Connection) -> Lacking | None:
    row = connection.execute(text(POSTGRESQL)).first()
    if row is None:  # no schema of the search path exists
        return None
    foreign = {row.relname: row.owner for row in connection.execute(text(FOREIGN))}
    if row.creates and not foreign:
        return None
    return PostgreSQL(
        row.name, schema=row.schema, creates=row.creates, owns=row.owns, foreign=foreign
    )


def _mysql(connection: Connection) -> Lacking | None:
    name = f"schema_guard_{secrets.token_hex(8)}"
    denied = {
        right for right, words in TRIES.items() if _error(connection, words.format(name)) & DENIED
    }
    has_more = bool(denied) and _may_have_more(connection)
    user, database = connection.execute(text("SELECT CURRENT_USER(), DATABASE()")).one()
    if not denied or has_more:
        return None
    granted = {(row.name, row.privilege) for row in connection.execute(text(GRANTED))}
    account = "@".join(f"`{part}`" for part in user.rsplit("@", 1))
    return MySQL(account, database=database, denied=denied, granted=granted)


def _may_have_more(connection: Connection) -> bool:
    """Return whether roles may bring rights to single tables."""
    try:
        roles = "SELECT 1 FROM information_schema.applicable_roles LIMIT 1"
        if connection.execute(text(roles)).first():
            return True
    except DBAPIError:  # MySQL before 8.0.19 does not tell
        return True
    try:
        return connection.exec_driver_sql("SHOW GRANTS FOR PUBLIC").first() is not None
    except DBAPIError as error:
        return not codes_of(error) & NO_GRANT


def _error(connection: Connection, statement: str) -> set[object]:
    """Return the codes of a statement's error; none if there is none."""
    try:
        connection.exec_driver_sql(statement)
    except DBAPIError as error:
        connection.rollback()
        return codes_of(error)
    return set()

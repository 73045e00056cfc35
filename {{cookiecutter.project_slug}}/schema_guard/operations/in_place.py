"""Changes of MySQL and MariaDB that stop no writes: the server is told to refuse any other.

Promise: within `online()` a table is changed while requests read and write it, or not at all. By
itself the server would copy the table in silence, and let nobody write meanwhile.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from alembic import op
from alembic.ddl import mysql
from alembic.ddl.base import AddColumn, DropColumn
from sqlalchemy import (
    ColumnClause,
    ForeignKeyConstraint,
    and_,
    column,
    func,
    literal,
    select,
    table,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import AddConstraint, CreateIndex, DDLElement, DropIndex

from schema_guard.core.errors import GuardError
from schema_guard.dialects.base import backend

BLOCKS = "This checks existing rows and blocks writes meanwhile: `flask db upgrade` does not block."


@contextmanager
def online() -> Iterator[None]:
    """Have MySQL and MariaDB refuse what would stop writes; for revisions.

    Every statement of an operation in the block says ALGORITHM=INPLACE and LOCK=NONE. A foreign
    key is made without looking at the rows that are there, which would copy the table; then they
    are looked at, without a lock. Nothing of this on another DBMS.

    Raises:
        GuardError: rows refer to what is not there.
    """
    impl: Any = op.get_context().impl
    if backend(op.get_context().dialect) == "mysql" and not isinstance(impl, MySQLImpl):
        raise GuardError(
            "online() is without effect here: env.py of the migrations does not run"
            " schema_guard.env. Nothing of the block was run. Restore that file from git."
        )
    before, impl.online = getattr(impl, "online", False), True
    try:
        yield
    finally:
        impl.online = before


class Stated(DDLElement):
    """A statement that says how the server may run it."""

    inherit_cache = False

    def __init__(self, element: DDLElement) -> None:
        """Take the statement."""
        self.element = element


@compiles(Stated)
def _stated(stated: Stated, compiler: Any, **_: Any) -> str:
    element: Any = stated.element
    prepare = compiler.preparer
    if isinstance(element, DropIndex):  # MariaDB's DROP INDEX knows neither word
        index = element.element
        sql = f"ALTER TABLE {prepare.format_table(index.table)} DROP INDEX"
        return f"{sql} {prepare.format_index(index)}, ALGORITHM=INPLACE, LOCK=NONE"
    sql = str(compiler.process(element)).rstrip()
    if isinstance(element, CreateIndex):
        return f"{sql} ALGORITHM=INPLACE LOCK=NONE"
    # INPLACE would keep MySQL 8 from what it can do at once; it never copies under LOCK=NONE.
    how = "" if isinstance(element, AddColumn | DropColumn) else "ALGORITHM=INPLACE, "
    return f"{sql}, {how}LOCK=NONE"


class MySQLImpl(mysql.MySQLImpl):
    """Alembic's way of changing MySQL, which knows `online()`."""

    online = False

    def _exec(self, construct: Any, *args: Any, **kwargs: Any) -> Any:
        send = super()._exec
        if not self.online or not isinstance(construct, DDLElement):
            return send(construct, *args, **kwargs)
        key = construct.element if isinstance(construct, AddConstraint) else None
        if not isinstance(key, ForeignKeyConstraint):
            return send(Stated(construct), *args, **kwargs)
        if self.as_sql:  # whoever runs the text would have to count, and read the number
            self.static_output(f"-- {BLOCKS}")
            return send(construct)
        send("SET foreign_key_checks = 0")
        try:
            send(Stated(construct))
        finally:
            send("SET foreign_key_checks = 1")
        answer = send(_orphans(key))
        orphans = answer.scalar() if answer is not None else 0
        if orphans:
            names = [element.target_fullname for element in key.elements]
            raise GuardError(
                f"{orphans:,} rows of {key.table.name} refer by {', '.join(key.column_keys)} to no"
                f" {', '.join(names)}. The foreign key {key.name} exists, and refuses"
                " more of them. Correct or delete them, then run the command again."
            )
        return None


class MariaDBImpl(MySQLImpl, mysql.MariaDBImpl):
    """The same for MariaDB."""


# What Alembic uses for the time of a run.
IMPLS = {"mysql": MySQLImpl, "mariadb": MariaDBImpl}


def _orphans(key: ForeignKeyConstraint) -> Any:
    """Return the query that counts the rows that refer to nothing."""
    targets = [element.target_fullname.rsplit(".", 2) for element in key.elements]
    *schema, parent_name, _ = targets[0]
    theirs = [name for *_, name in targets]
    mine = list(key.column_keys)
    parent: Any = table(parent_name, *map(_column, theirs), schema=schema[0] if schema else None)
    child: Any = table(key.table.name, *map(_column, mine), schema=key.table.schema)
    parent, child = parent.alias(), child.alias()
    pairs = [(parent.c[one], child.c[own]) for one, own in zip(theirs, mine, strict=True)]
    given = and_(*(own.is_not(None) for _, own in pairs))
    match = select(literal(1)).select_from(parent).where(and_(*(one == own for one, own in pairs)))
    return select(func.count()).select_from(child).where(given, ~match.exists())


def _column(name: str) -> ColumnClause[Any]:
    return column(name)

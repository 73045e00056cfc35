"""Whose rows the tables hold while an upgrade runs: somebody's, or its own revisions'.

What counts is what a database held when the command began, and what others write meanwhile. A table
or column that the run has made holds nothing of anybody's; rows that its revisions have inserted
are theirs; a copy of somebody's rows is somebody's as soon as the original changes. Where it cannot
be known, it is somebody's.
"""

import re
from collections.abc import Iterable
from typing import Any

from alembic.operations import ops

from schema_guard.runner.table_rows import Copy, TableRows, succeed
from schema_guard.sql import inserts
from schema_guard.sql.inserts import Inserted
from schema_guard.sql.parser import read
from schema_guard.sql.raw import Raw
from schema_guard.sql.tokens import split_name, statements

# What may move rows from one table to another in a way that is not understood.
MOVES = re.compile(
    r"\(*(BEGIN|CALL|COPY|DECLARE|DELETE|DO|EXECUTE|IMPORT|INSERT|LOAD|MERGE|REPLACE|UPDATE"
    r"|WITH\b.*\b(INSERT|UPDATE|DELETE|MERGE)|SELECT\b.*\bINTO\b"
    r"|ALTER\s+TABLE\b.*\b(ATTACH|DETACH|EXCHANGE|DROP)\s+PARTITION)\b",
    re.IGNORECASE | re.DOTALL,
)
ENDS_TRANSACTION = re.compile(r"(COMMIT|END|ROLLBACK)\b", re.IGNORECASE)
READS = re.compile(r"\(*(SELECT|WITH)\b.*\bFROM\b", re.IGNORECASE | re.DOTALL)
CATALOGUE = re.compile(r"\b(information_schema|pg_\w+|sqlite_\w+|pragma_\w+)\b", re.IGNORECASE)
Key = tuple[str, str]


class RowOwnership:
    """The tables of a database while an upgrade runs.

    Attributes:
        lost: whether something of somebody's went in this run, as it was allowed to.
        unsure: whether nothing can be known.
    """

    def __init__(
        self, kind: str, tables: Iterable[str], schema: str | None, *, fresh: bool
    ) -> None:
        """Begin with what there is.

        Args:
            kind: of DBMS.
            tables: those of the default schema.
            schema: the name of the default schema.
            fresh: false if the first revision goes on from where an earlier run stopped.
        """
        self.kind, self.schema, self.fresh = kind, (schema or "").lower(), fresh
        names = list(tables)
        self.tables: dict[Key, TableRows] = {}
        for name in names:
            self.tables[self.key(None, name)] = TableRows(name, name)
        self.unsure = len(self.tables) < len(names)  # names that differ by their case alone
        self.left: set[Key] = set()  # names that no table of the beginning has any more
        self.lost = self.has_read = False

    def key(self, schema: str | None, name: str) -> Key:
        """Return what a table is known by."""
        schema = (schema or "").lower()
        return "" if schema == self.schema else schema, name.lower()

    def of(self, schema: str | None, name: str) -> TableRows:
        """Return a table; one that is not known was there when the command began."""
        key = self.key(schema, name)
        if key not in self.tables:
            full = f"{schema}.{name}" if key[0] else name
            self.tables[key] = TableRows(full, full)
        return self.tables[key]

    def is_made(self, schema: str | None, name: str) -> bool:
        """Return whether a table surely is the run's own, with nothing of anybody's."""
        table = self.tables.get(self.key(schema, name))
        return table is not None and not self.is_somebodys(table)

    def copies_of(self, table: TableRows) -> list[tuple[Key, TableRows, Copy]]:
        """Return the tables that have rows of a table, with what they have of it."""
        return [
            (key, each, copy)
            for key, each in self.tables.items()
            for copy in each.copies
            if copy.source is table
        ]

    def is_somebodys(self, table: TableRows, column: str | None = None) -> bool:
        """Return whether a table, or a column of it, may hold what somebody would lose."""
        if self.unsure:
            return True
        if column is not None and table.has_added(column):
            return self.lost and column.lower() in table.filled
        return not table.is_nobodys or (self.lost and table.read)

    def follow(self, statement: str, rows: int = -1) -> None:
        """Change as a statement has changed the database.

        Args:
            statement: SQL that has run.
            rows: the number that the driver gave; -1 if none.
        """
        for operation, _ in read(statement, self.kind):
            self.apply(operation, rows)

    def apply(self, operation: Any, rows: int = -1) -> None:  # noqa: C901 - a case each
        """Change as an operation changes the database."""
        schema, name = getattr(operation, "schema", None), getattr(operation, "table_name", None)
        match operation:
            case ops.CreateTableOp():
                self._create(schema, operation.table_name, surely=not operation.if_not_exists)
            case ops.DropTableOp():
                self._drop(schema, operation.table_name)
            case ops.RenameTableOp():
                self._rename(schema, operation.table_name, operation.new_table_name)
            case ops.AddColumnOp() if self.fresh:
                column = operation.column.name.lower()
                self.of(schema, operation.table_name).added.add(column)
                self.of(schema, operation.table_name).renamed.pop(column, None)
            case ops.DropColumnOp():
                self._drop_column(self.of(schema, operation.table_name), operation.column_name)
            case ops.AlterColumnOp() if operation.modify_name:
                table = self.of(schema, operation.table_name)
                self._rename_column(table, operation.column_name, operation.modify_name)
            case ops.BulkInsertOp():
                self._insert_values(self.of(operation.table.schema, operation.table.name), 0)
            case Raw(kind="create-table"):
                self._create_by_sql(operation)
            case Raw() if name:
                self._apply_to(self.of(schema, name), operation, rows)
            case Raw():
                self._apply_other(operation, rows)

    def _apply_to(self, table: TableRows, operation: Raw, rows: int) -> None:
        sql = operation.sql
        if operation.kind == "update":
            self._update(table, sql)
        elif operation.kind in {"delete", "truncate"}:
            self._delete(table, -1 if operation.kind == "truncate" else rows)
        elif MOVES.match(sql):
            self._move(sql)

    def _apply_other(self, operation: Raw, rows: int) -> None:
        sql = hidden(operation.sql, self.kind)
        insert = inserts.inserted(sql)
        if insert and insert.understood:
            self._insert(self.of(*split_name(insert.table)), insert, rows)
        elif MOVES.match(sql):
            self._move(sql)
        elif operation.kind == "transaction":
            self.unsure |= bool(ENDS_TRANSACTION.match(sql))
        elif READS.match(sql) and not CATALOGUE.search(sql):
            self.has_read = True

    def _move(self, sql: str) -> None:
        """Expect anything of the tables that a statement names, or of all if it names none."""
        words = set(re.findall(r"\w+", sql.lower()))
        named = [table for (_, name), table in self.tables.items() if name in words]
        for table in named or self.tables.values():
            table.unknown, table.reduced, table.inserted = True, True, 0
            table.changed += 1
        for table in self.tables.values():
            table.cascades = True

    def _create(self, schema: str | None, name: str, *, surely: bool) -> None:
        key = self.key(schema, name)
        if key in self.tables:
            return
        # Which tables other schemas held when the command began is not known.
        made = not key[0] or (self.fresh and (surely or key in self.left))
        if made:
            self.tables[key] = TableRows(name)
        else:
            self.of(schema, name)

    def _create_by_sql(self, operation: Raw) -> None:
        schema, name, sql = operation.schema, str(operation.table_name), operation.sql
        surely = not re.search(r"\bIF\s+NOT\s+EXISTS\b", sql, re.IGNORECASE)
        self._create(schema, name, surely=surely)
        if not inserts.selects(sql):
            return
        select = inserts.created_as(hidden(sql, self.kind))
        if select is None:
            self.of(schema, name).unknown = True
        else:
            names = tuple(item.name for item in select.items)
            known = names if all(names) else ()
            self._insert(self.of(schema, name), Inserted(name, known, select, new=True), -1)

    def _drop(self, schema: str | None, name: str) -> None:
        key = self.key(schema, name)
        table = self.tables.pop(key, None)
        self.left.add(key)
        if table is None:
            return
        table.gone = True
        for _, each, copy in self.copies_of(table):
            if copy.select.whole and each.original is None and len(each.copies) == 1:
                succeed(each, table, copy)

    def _rename(self, schema: str | None, old: str, new: str) -> None:
        table = self.of(schema, old)
        del self.tables[self.key(schema, old)]
        self.left.add(self.key(schema, old))
        key = self.key(schema, new)
        table.name = f"{schema}.{new}" if key[0] else new
        self.tables[key] = table

    def _drop_column(self, table: TableRows, column: str) -> None:
        column = column.lower()
        if not table.has_added(column):
            table.changed += 1
        table.added.discard(column)
        table.filled.discard(column)
        table.renamed.pop(column, None)

    def _rename_column(self, table: TableRows, old: str, new: str) -> None:
        old, new = old.lower(), new.lower()
        if old == new:
            return
        for names in (table.added, table.filled, table.kept or set()):
            if old in names:
                names.remove(old)
                names.add(new)
        table.renamed[new] = table.renamed.pop(old, old)
        for _, _, copy in self.copies_of(table):
            copy.renamed[new] = copy.renamed.pop(old, old)
        for copy in table.copies:
            copy.columns = tuple(new if each.lower() == old else each for each in copy.columns)

    def _insert_values(self, table: TableRows, rows: int) -> None:
        table.inserted += max(0, rows)
        table.read |= self.has_read

    def _insert(self, table: TableRows, insert: Inserted, rows: int) -> None:
        credited = max(0, rows) if insert.new else 0
        self._insert_values(table, credited)
        if insert.select is None:
            return
        source, select = self.of(*split_name(insert.select.table)), insert.select
        names = insert.columns
        if not names and table.original is None and all(item.name for item in select.items):
            names = tuple(item.name for item in select.items)
        table.copies.append(Copy(source, select, names, credited, source.changed))

    def _update(self, table: TableRows, sql: str) -> None:
        table.updated |= set(re.findall(r"\w+", sql.lower()))
        for name, constant in inserts.assigned(hidden(sql, self.kind)):
            if table.has_added(name) and (not constant or self.has_read):
                table.filled.add(name.lower())

    def _delete(self, table: TableRows, rows: int) -> None:
        if rows == 0:
            return
        table.inserted = max(0, table.inserted - rows) if rows > 0 else 0
        table.changed += 1
        table.reduced = True
        for each in self.tables.values():
            each.cascades |= each is not table


def hidden(sql: str, kind: str) -> str:
    """Return a statement without comments, and with the signs in quotes put away."""
    return next(statements(sql, kind), "")

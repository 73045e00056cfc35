"""The schema as the revisions make it, as far as the rules ask for it; no database is looked at."""

import re
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from alembic.operations import ops
from sqlalchemy import CheckConstraint, Column, PrimaryKeyConstraint, UniqueConstraint

from schema_guard.runner.recorder import RecordedOperation
from schema_guard.sql.raw import Raw, facts_of

PLAIN = re.compile(r'[`"\[\]()\s]')


@dataclass
class ColumnState:
    """A column: its type where that is known, and what it demands."""

    type: Any = None
    nullable: bool = True
    default: bool = False


@dataclass(frozen=True)
class IndexState:
    """An index: its columns, and whether it is one of words or places (FULLTEXT, SPATIAL)."""

    columns: tuple[str, ...] = ()
    is_special: bool = False

    def serves(self, columns: Collection[str]) -> bool:
        """Return whether it finds the rows in which columns have given values."""
        return not self.is_special and set(self.columns[: len(columns)]) == set(columns)


@dataclass
class ConstraintState:
    """A constraint of a table.

    Attributes:
        condition: of a CHECK, without blanks, quotes and brackets.
        valid: whether existing rows were checked.
        made: in which transaction of which revision.
    """

    kind: str
    condition: str = ""
    valid: bool = True
    made: object = None


@dataclass
class TableState:
    """A table.

    Attributes:
        whole: whether it is known from its beginning.
    """

    whole: bool = True
    columns: dict[str, ColumnState] = field(default_factory=dict)
    constraints: dict[str, ConstraintState] = field(default_factory=dict)
    indexes: dict[str, IndexState] = field(default_factory=dict)


class SchemaState:
    """Tables, by their names."""

    def __init__(self) -> None:
        """Begin with none."""
        self.tables: dict[str, TableState] = {}

    def of(self, table: str | None) -> TableState:
        """Return what is known of a table; empty if that is nothing."""
        return self.tables.get(table or "", TableState())

    def after(self, operations: list[RecordedOperation]) -> "SchemaState":
        """Return what it would be after operations."""
        changed = {recorded.table for recorded in operations}
        state = SchemaState()
        state.tables = {
            name: deepcopy(table) if name in changed else table
            for name, table in self.tables.items()
        }
        for recorded in operations:
            if not isinstance(recorded.operation, ops.DropIndexOp):  # it would look at all of them
                state.apply(recorded, "")
        return state

    def names(self) -> set[tuple[str, str, str]]:
        """Return the tables and columns: table, kind, name."""
        found = set()
        for name, table in self.tables.items():
            if table.whole:
                found.add((name, "table", name))
            found |= {(name, "column", each) for each in table.columns}
        return found

    def is_indexed(self, table: str | None, columns: Collection[str]) -> bool:
        """Return whether an index finds the rows in which columns have given values."""
        return any(each.serves(columns) for each in self.of(table).indexes.values())

    def requires(self, table: str | None, column: str) -> bool:
        """Return whether a CHECK that all rows passed lets no NULL into a column."""
        checks = self.of(table).constraints.values()
        wanted = f"{column}ISNOTNULL".upper()
        return any(each.valid and each.condition.upper() == wanted for each in checks)

    def apply(self, recorded: RecordedOperation, revision: str) -> None:
        """Change as a recorded operation does."""
        operation, name = recorded.operation, recorded.table
        if isinstance(operation, ops.CreateTableOp):
            self.tables[name or ""] = _made(operation)
            return
        if isinstance(operation, Raw) and operation.kind == "create-table":
            self.tables[name or ""] = TableState()
            return
        if isinstance(operation, ops.DropTableOp):
            self.tables.pop(name or "", None)
            return
        if isinstance(operation, ops.RenameTableOp):
            schema = f"{operation.schema}." if operation.schema else ""
            self.tables[schema + operation.new_table_name] = self.tables.pop(
                name or "", TableState(whole=False)
            )
            return
        if isinstance(operation, ops.DropIndexOp):
            for table in self.tables.values():
                table.indexes.pop(str(operation.index_name), None)
            return
        if name is not None and not (isinstance(operation, Raw) and operation.kind != "validate"):
            _change(self.tables.setdefault(name, TableState(whole=False)), recorded, revision)


def _made(operation: ops.CreateTableOp) -> TableState:
    table = TableState()
    made = getattr(operation, "made", None)
    if made is None:
        made = operation.to_table()
    for column in made.columns:
        table.columns[column.name] = _column_state(column)
    for constraint in made.constraints:
        if constraint.name:
            table.constraints[str(constraint.name)] = ConstraintState(
                type(constraint).__name__,
                PLAIN.sub("", str(constraint.sqltext))
                if isinstance(constraint, CheckConstraint)
                else "",
            )
    table.indexes = {
        str(index.name): _index_state(list(index.expressions), index.dialect_kwargs)
        for index in made.indexes
    }
    for constraint in made.constraints:
        if isinstance(constraint, PrimaryKeyConstraint | UniqueConstraint):
            names = tuple(column.name for column in constraint.columns)
            table.indexes[str(constraint.name or names)] = IndexState(names)
    return table


def _index_state(columns: Sequence[Any], options: Mapping[str, Any]) -> IndexState:
    names = (each if isinstance(each, str) else getattr(each, "name", None) for each in columns)
    special = options.get("mysql_prefix") or options.get("mariadb_prefix")
    return IndexState(tuple(name or "(expression)" for name in names), bool(special))


def _column_state(column: Column[Any], facts: frozenset[str] = frozenset()) -> ColumnState:
    default = column.server_default is not None or column.identity or column.computed
    counted = column.autoincrement is True or "counted" in facts or column.primary_key
    return ColumnState(column.type, bool(column.nullable), bool(default or counted))


def _change(table: TableState, recorded: RecordedOperation, revision: str) -> None:
    operation: Any = recorded.operation
    if isinstance(operation, ops.AddConstraintOp):
        _constrain(table, recorded, revision)
    elif isinstance(operation, ops.AddColumnOp):
        column, facts = operation.column, facts_of(operation)
        table.columns[column.name] = _column_state(column, facts)
        if column.index or column.unique or "unique" in facts:
            table.indexes[f"({column.name})"] = IndexState((column.name,))
    elif isinstance(operation, ops.DropColumnOp):
        table.columns.pop(operation.column_name, None)
    elif isinstance(operation, ops.AlterColumnOp):
        _alter(table, operation)
    elif isinstance(operation, ops.CreateIndexOp):
        table.indexes[str(operation.index_name)] = _index_state(operation.columns, operation.kw)
    elif isinstance(operation, ops.DropConstraintOp):
        table.constraints.pop(str(operation.constraint_name), None)
        table.indexes.pop(str(operation.constraint_name), None)  # MySQL's unique ones
    elif isinstance(operation, Raw) and operation.facts.get("name") in table.constraints:
        table.constraints[operation.facts["name"]].valid = True


def _alter(table: TableState, operation: ops.AlterColumnOp) -> None:
    place = table.columns.pop(operation.column_name, ColumnState(operation.existing_type))
    if operation.modify_type is not None:
        place.type = operation.modify_type
    if operation.modify_nullable is not None:
        place.nullable = operation.modify_nullable
    if operation.modify_server_default is not False:
        place.default = operation.modify_server_default is not None
    table.columns[operation.modify_name or operation.column_name] = place


def _constrain(table: TableState, recorded: RecordedOperation, revision: str) -> None:
    operation: Any = recorded.operation
    if isinstance(operation, ops.CreatePrimaryKeyOp | ops.CreateUniqueConstraintOp):
        columns = tuple(str(each) for each in operation.columns)
        table.indexes[str(operation.constraint_name or columns)] = IndexState(columns)
    table.constraints[str(operation.constraint_name)] = ConstraintState(
        operation.constraint_type,
        PLAIN.sub("", str(getattr(operation, "condition", ""))),
        valid=not operation.kw.get("postgresql_not_valid"),
        made=(revision, recorded.transaction),
    )

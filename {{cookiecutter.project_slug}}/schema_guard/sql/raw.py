"""Statements of SQL that are no operation of Alembic's, and what its operations do not hold."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from alembic.operations import ops
from alembic.operations.ops import MigrateOperation
from sqlalchemy import Column

from schema_guard.sql.tokens import BACK, split_name

Operations = Iterator[MigrateOperation]


class Raw(MigrateOperation):
    """SQL of some kind, such as `update` or `unknown`."""

    def __init__(self, kind: str, sql: str, of: str | None = None, **facts: Any) -> None:
        """Take the statement, and the table that it is about."""
        self.kind, self.sql, self.facts = kind, sql.translate(BACK), facts
        self.schema: str | None = None
        self.table_name: str | None = None
        if of:
            self.schema, self.table_name = split_name(of)


class ReadColumnOp(ops.AddColumnOp):
    """A column that SQL adds, with what SQLAlchemy's column does not hold of it.

    Attributes:
        facts: of `checked`, `counted` (it numbers the rows), `generated` (stored), `unique` and
            `virtual`.
    """

    def __init__(
        self, table_name: str, column: Column[Any], facts: set[str], *, schema: str | None
    ) -> None:
        """Take the column."""
        super().__init__(table_name, column, schema=schema)
        self.facts = frozenset(facts)


def facts_of(operation: Any) -> frozenset[str]:
    """Return the facts of a column that SQL adds; none of one that is made of objects."""
    return operation.facts if isinstance(operation, ReadColumnOp) else frozenset()


def raw(kind: str) -> Callable[[re.Match[str], str], Operations]:
    """Return what makes a statement of a kind, with what a pattern found in it."""

    def make(found: re.Match[str], sql: str) -> Operations:
        facts = {name: value for name, value in found.groupdict().items() if value}
        table = facts.pop("table", None)
        told = {name: value.translate(BACK) for name, value in facts.items()}
        yield Raw(kind, sql, table, **told)

    return make


def raw_action(
    kind: str, words: str, table: str, schema: str | None, **facts: Any
) -> Iterator[Raw]:
    """Return an action of ALTER TABLE that is of a kind.

    Args:
        kind: of it.
        words: the action.
        table: the table's name, without quotes.
        schema: its schema.
        facts: of the action.
    """
    of = f"{schema}.{table}" if schema else table
    made = Raw(kind, f"ALTER TABLE {of} {words}", **facts)
    made.schema, made.table_name = schema, table
    yield made


def escaped(words: str) -> str:
    """Return words for `sa.text`, which would take a colon for a parameter."""
    return words.translate(BACK).replace(":", r"\:")

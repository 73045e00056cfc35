"""CHECKs of columns, such as the one that stands in for an enum where there is no type for it.

Promise: such a CHECK gets the enum's new values, and goes with its column. Alembic does neither.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from sqlalchemy import CheckConstraint, Inspector, MetaData
from sqlalchemy.sql.elements import conv

from schema_guard import compat
from schema_guard.autogenerate.server_defaults import TEXT
from schema_guard.online_ddl.rewrite import with_parts

COLON = re.compile(r"(?<!:):(?!:)")


def changed_checks(
    context: MigrationContext, inspector: Inspector, metadata: MetaData
) -> Iterator[ops.ModifyTableOps]:
    """Return what gives the CHECK of an enum its new values: Alembic compares none."""
    names = [name for name in inspector.get_table_names() if name in metadata.tables]
    for table in names:
        there = checks(inspector, table)
        for check in metadata.tables[table].constraints:
            bound = isinstance(check, CheckConstraint) and compat.bound_to_type(check)
            name = str(check.name)
            if not bound or name not in there:
                continue
            options = {"literal_binds": True, "include_table": False}
            condition: Any = check.sqltext  # type: ignore[attr-defined]
            sql = str(condition.compile(dialect=context.dialect, compile_kwargs=options))
            if set(TEXT.findall(sql)) != set(TEXT.findall(there[name])):
                old, new = (_check(name, table, words) for words in (there[name], sql))
                yield ops.ModifyTableOps(table, [old.reverse(), new])


def checks(inspector: Inspector, table: str) -> dict[str, str]:
    """Return the CHECKs of a table that have a name, with their conditions."""
    (infos,) = inspector.get_multi_check_constraints(filter_names=[table]).values()
    return {str(info["name"]): info["sqltext"] for info in infos if info["name"]}


def _check(name: str, table: str, condition: str) -> ops.CreateCheckConstraintOp:
    # A colon would be taken for a parameter, but for PostgreSQL's casts.
    return ops.CreateCheckConstraintOp(conv(name), table, COLON.sub(r"\\:", condition))


def with_checks(found: list[Any], inspector: Inspector) -> list[Any]:
    """Return operations that drop a column's CHECKs before the column.

    Only PostgreSQL does so by itself.
    """

    def dropped(each: ops.ModifyTableOps, column: str) -> Iterator[Any]:
        word = re.compile(rf"(?<!\w){re.escape(column)}(?!\w)")
        for name, condition in checks(inspector, each.table_name).items():
            if word.search(TEXT.sub("", condition)):
                yield _check(name, each.table_name, condition).reverse()

    return [_with_drops(each, dropped) for each in found]


def with_bound_checks(undone: list[Any], context: MigrationContext) -> list[Any]:
    """Return the same for a downgrade, of columns that an upgrade adds with their CHECKs."""
    compiler = context.dialect.statement_compiler(context.dialect, None)

    def dropped(each: ops.ModifyTableOps, column: str) -> Iterator[Any]:
        model = context.opts["target_metadata"].tables[each.table_name]
        for check in model.constraints:
            columns = {each.name for each in getattr(check, "columns", ())}
            if column in columns and compat.made_with_type(check, compiler):
                yield ops.DropConstraintOp(conv(str(check.name)), each.table_name, "check")

    return [_with_drops(each, dropped) for each in undone]


def _with_drops(operation: Any, dropped: Callable[[ops.ModifyTableOps, str], Iterator[Any]]) -> Any:
    """Return the changes of a table with what has to be dropped before its columns."""
    if not isinstance(operation, ops.ModifyTableOps) or operation.schema:
        return operation
    parts: list[Any] = list(operation.ops)
    for part in operation.ops:
        if isinstance(part, ops.DropColumnOp):
            gone = {getattr(other, "constraint_name", None) for other in parts}
            drops = dropped(operation, part.column_name)
            parts = [*(each for each in drops if each.constraint_name not in gone), *parts]
    return with_parts(operation, parts)

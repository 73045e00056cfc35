"""CHECKs of columns, such as the one that stands in for an enum where there is no type for it.

Promise: such a CHECK gets the enum's new values, and goes with its column. Alembic does neither.
"""

import re
from collections.abc import Iterator
from typing import Any

from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from sqlalchemy import CheckConstraint, Inspector, MetaData
from sqlalchemy.sql.elements import conv

from schema_guard.autogenerate.server_defaults import TEXT

COLON = re.compile(r"(?<!:):(?!:)")


def changed_checks(
    context: MigrationContext, inspector: Inspector, metadata: MetaData
) -> Iterator[ops.ModifyTableOps]:
    """Return what gives the CHECK of an enum its new values: Alembic compares none."""
    names = [name for name in inspector.get_table_names() if name in metadata.tables]
    for table in names:
        there = checks(inspector, table)
        for check in metadata.tables[table].constraints:
            bound = isinstance(check, CheckConstraint) and getattr(check, "_type_bound", False)
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


def with_checks(found: list[Any], inspector: Inspector) -> None:
    """Have the CHECKs of columns that are dropped go first: only PostgreSQL does by itself."""
    for each, drop in _drops(found):
        word = re.compile(rf"(?<!\w){re.escape(drop.column_name)}(?!\w)")
        gone = {getattr(part, "constraint_name", None) for part in each.ops}
        for name, condition in checks(inspector, each.table_name).items():
            if word.search(TEXT.sub("", condition)) and name not in gone:
                each.ops.insert(0, _check(name, each.table_name, condition).reverse())


def with_bound_checks(undone: list[Any], context: MigrationContext) -> None:
    """Have the same in a downgrade, of columns that an upgrade adds with their CHECKs."""
    compiler = context.dialect.statement_compiler(context.dialect, None)
    for each, drop in _drops(undone):
        model = context.opts["target_metadata"].tables[each.table_name]
        for check in model.constraints:
            rule = getattr(check, "_type_bound", False) and check._create_rule  # noqa: SLF001
            columns = {column.name for column in getattr(check, "columns", ())}
            if rule and rule(compiler) and drop.column_name in columns:
                name = conv(str(check.name))
                each.ops.insert(0, ops.DropConstraintOp(name, each.table_name, "check"))


def _drops(found: list[Any]) -> Iterator[tuple[Any, ops.DropColumnOp]]:
    for each in found:
        parts = each.ops if isinstance(each, ops.ModifyTableOps) and not each.schema else []
        yield from [(each, part) for part in parts if isinstance(part, ops.DropColumnOp)]

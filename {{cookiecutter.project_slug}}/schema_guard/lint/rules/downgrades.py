"""Rules about `downgrade()`."""

import ast
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from alembic.operations import ops
from alembic.script import Script
from sqlalchemy.exc import SQLAlchemyError

from schema_guard import compat
from schema_guard.core.errors import cause
from schema_guard.lint.context import Finding, RuleContext, in_words
from schema_guard.lint.registry import RULES, meta_rule
from schema_guard.runner.recorder import RecordedOperation, Recording
from schema_guard.sql.raw import Raw

Names = set[tuple[str, str, str]]
READS = re.compile(r"\s*(SELECT|SET|SHOW|INSERT|UPDATE|DELETE)\b", re.IGNORECASE)
MISSING = meta_rule("missing-downgrade", "The revision cannot be undone.")
IRREVERSIBLE = meta_rule("irreversible-downgrade", "Undone, it leaves a schema that never was.")


def check_downgrade(
    script: Script,
    up: list[RecordedOperation],
    down: Recording,
    before: Names,
    context: RuleContext,
) -> Iterator[Finding]:
    """Return what is wrong with the undoing of a revision.

    Args:
        script: the revision.
        up: what it does.
        down: what undoes it.
        before: the tables and columns before it.
        context: of the upgrade, which was judged.
    """
    line = _line_of(script)
    recipe = f"def downgrade() -> None:\n{_indented(_undoing(up, context))}"
    if down.raised is not None:
        allow = "# schema_guard: allow irreversible-downgrade -- a backup is the way back"
        code = f"{recipe}\n# or, where nothing brings back what it took:\n{allow}"
        yield Finding(IRREVERSIBLE, cause(down.raised), script.revision, code, line)
    elif up and not down.operations:
        yield Finding(MISSING, RULES[MISSING].danger, script.revision, recipe, line)
    elif not any(_is_unclear(recorded) for recorded in (*up, *down.operations)):
        after = context.schema.after(down.operations).names()
        wrong = [
            f"{what} {'is missing' if (of, kind, what) in before else 'stays'}"
            for of, kind, what in sorted(before ^ after)
        ]
        if wrong:
            danger = f"{RULES[IRREVERSIBLE].danger} ({'; '.join(wrong)})"
            yield Finding(IRREVERSIBLE, danger, script.revision, recipe, line)


def _is_unclear(recorded: RecordedOperation) -> bool:
    """Return whether it may change tables in a way that is not known."""
    return isinstance(recorded.operation, Raw) and not READS.match(recorded.operation.sql)


def _undoing(up: list[RecordedOperation], context: RuleContext) -> str:
    """Return the code that undoes a revision, as far as that is known."""
    operations = [undone for recorded in reversed(up) if (undone := _undone(recorded.operation))]
    try:
        return context.code(*operations) if operations else "..."
    except Exception as error:  # noqa: BLE001 - types and expressions of anybody's own are written here
        return f"{in_words(IRREVERSIBLE, error)}\n..."


def _undone(operation: Any) -> Any:
    """Return what undoes an operation; None if the operation does not tell."""
    if isinstance(operation, ops.AlterColumnOp):
        return _altered_back(operation)
    drops = isinstance(operation, ops.DropTableOp | ops.DropColumnOp | ops.DropIndexOp)
    if drops and not compat.reverses(operation):
        return None
    if isinstance(operation, ops.AddConstraintOp) and operation.to_constraint().name is None:
        return None
    with suppress(AttributeError, NotImplementedError, ValueError, SQLAlchemyError):
        return operation.reverse()
    return None


def _altered_back(operation: ops.AlterColumnOp) -> ops.AlterColumnOp | None:
    """Return the same with what was there; Alembic keeps the new name, and needs the old type."""
    retyped = operation.modify_type is not None
    if retyped and operation.existing_type is None:
        return None
    required = operation.modify_nullable
    return ops.AlterColumnOp(
        operation.table_name,
        operation.modify_name or operation.column_name,
        schema=operation.schema,
        existing_type=operation.modify_type if retyped else operation.existing_type,
        modify_type=operation.existing_type if retyped else None,
        modify_nullable=None if required is None else not required,
        modify_name=operation.column_name if operation.modify_name else None,
    )


def _indented(code: str) -> str:
    return "\n".join(f"    {line}" for line in code.splitlines())


def _line_of(script: Script) -> int:
    tree = ast.parse(Path(script.path).read_bytes())
    lines = [
        node.lineno
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name == "downgrade"
    ]
    return lines[0] if lines else 1

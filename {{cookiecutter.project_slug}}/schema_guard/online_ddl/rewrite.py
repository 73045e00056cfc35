"""The forms of operations in which they stop no reads and no writes.

Promise: what `flask db migrate` writes for a table that is there already runs while the service
reads and writes it, as far as the DBMS has a form that does; lint/ recommends the same forms.

How: PostgreSQL builds indexes CONCURRENTLY; a constraint is made NOT VALID, then validated, which
reads the rows under a lock that lets others write. MySQL and MariaDB: see in_place.py. SQLite has
one writer at a time in any case: see `rebuild` in lint/context.py.
"""

from collections.abc import Callable, Iterable, Iterator
from copy import copy
from itertools import groupby
from typing import Any

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import render_op
from alembic.operations import ops
from alembic.operations.ops import MigrateOperation
from sqlalchemy import Dialect
from sqlalchemy.sql.elements import conv

from schema_guard.dialects.base import backend
from schema_guard.online_ddl.type_changes import widens
from schema_guard.revisions.suppressions import LOSES_DATA
from schema_guard.sql.raw import facts_of

LONGEST_NAME = 63  # PostgreSQL cuts the rest without a word


class Block(ops.OpContainer):
    """Operations within a `with`; Alembic's Rewriter finds them there."""

    opened = ""


class AutocommitBlock(Block):
    """Operations of PostgreSQL outside a transaction, each committed by itself."""

    opened = "with op.get_context().autocommit_block():"


class OnlineBlock(Block):
    """Operations that MySQL and MariaDB are to refuse if they would stop writes."""

    opened = "with online():"


class Comment(MigrateOperation):
    """A line of comment above an operation."""

    def __init__(self, text: str) -> None:
        """Take its words."""
        self.text = text


class Pass(MigrateOperation):
    """A body that does nothing."""


@renderers.dispatch_for(Block)
def _render_block(context: AutogenContext, block: Block) -> list[str]:
    if isinstance(block, OnlineBlock):
        context.imports.add("from schema_guard.operations import online")
    # An empty line is where Alembic's printer goes back by one.
    lines: list[str] = []
    is_open = False
    for each in block.ops:
        inside = list(render_op(context, each))
        joined = inside[0].startswith("with ")  # one `with` for both
        if joined:
            first = f"{block.opened[:-1]}, {inside[0].removeprefix('with ')}"
            lines += [*([""] if is_open else []), first, *inside[1:]]
        else:
            lines += [*([] if is_open else [block.opened]), *inside]
        is_open = not joined
    return [*lines, ""] if is_open else lines


@renderers.dispatch_for(Comment)
def _render_comment(_context: AutogenContext, comment: Comment) -> str:
    return f"# {comment.text}"


@renderers.dispatch_for(Pass)
def _render_pass(_context: AutogenContext, _operation: Pass) -> str:
    return "pass"


def with_comments(operations: Iterable[Any], comments: Callable[[Any], Iterable[str]]) -> list[Any]:
    """Return operations with comments above them, in blocks and in changes of tables too.

    Args:
        operations: of a revision.
        comments: gives the lines for an operation.
    """
    found: list[Any] = []
    for each in operations:
        found += [Comment(line) for line in comments(each)]
        if isinstance(each, Block):
            found.append(type(each)(with_comments(each.ops, comments)))
        elif isinstance(each, ops.ModifyTableOps):
            found.append(with_parts(each, with_comments(each.ops, comments)))
        else:
            found.append(each)
    return found


def with_losses(operations: Iterable[Any]) -> list[Any]:
    """Return operations with a comment above each that loses data."""

    def loss(operation: Any) -> Iterator[str]:
        if isinstance(operation, ops.DropColumnOp):
            yield f"{LOSES_DATA} the values of {operation.table_name}.{operation.column_name}."
        elif isinstance(operation, ops.DropTableOp):
            yield f"{LOSES_DATA} the rows of {operation.table_name}."

    return with_comments(operations, loss)


def rewrite(found: Iterable[Any], dialect: Dialect) -> list[Any]:
    """Return operations in forms that block neither reads nor writes, where there are such.

    Args:
        found: what autogenerate has found, or a part of it.
        dialect: of the DBMS that it is for.
    """
    found = list(found)
    form = {"postgresql": _postgresql, "mysql": _mysql}.get(backend(dialect))
    if form is None:
        return found
    made = {table_of(each) for each in found if isinstance(each, ops.CreateTableOp)}
    gone = {table_of(each) for each in found if isinstance(each, ops.DropTableOp)}
    written: list[Any] = []
    for each in found:
        parts = each.ops if isinstance(each, ops.ModifyTableOps) else [each]
        if table_of(each)[1] is None or table_of(each) in made | gone:
            written.append(each)
            continue
        formed = [one for part in parts for one in form(part, dialect)]
        for kind, group in groupby(formed, key=_kind):
            written += _gathered(kind, list(group), each)
    return list(_merged(written))


def _kind(part: Any) -> type[Block] | None:
    return type(part) if isinstance(part, Block) else None


def _gathered(kind: type[Block] | None, parts: list[Any], whole: Any) -> Iterator[Any]:
    """Return operations on one table, of one kind, as they are written."""
    plain = [one for part in parts for one in (part.ops if kind else [part])]
    if kind is AutocommitBlock:
        yield AutocommitBlock(plain)
        return
    modified = [with_parts(whole, plain)] if isinstance(whole, ops.ModifyTableOps) else plain
    yield from [OnlineBlock(modified)] if kind else modified


def _merged(written: list[Any]) -> Iterator[Any]:
    """Return operations with blocks joined that follow each other."""
    for kind, group in groupby(written, key=_kind):
        blocks = list(group)
        yield from [kind([one for each in blocks for one in each.ops])] if kind else blocks


def _postgresql(part: Any, dialect: Dialect) -> list[Any]:
    if isinstance(part, ops.CreateIndexOp | ops.DropIndexOp):
        return [AutocommitBlock([concurrently(part)])]
    if isinstance(part, ops.CreateForeignKeyOp | ops.CreateCheckConstraintOp):
        return _validated(part, dialect)
    if isinstance(part, ops.CreateUniqueConstraintOp | ops.CreatePrimaryKeyOp):
        return [AutocommitBlock(list(_by_index(part, dialect)))]
    if isinstance(part, ops.AlterColumnOp) and part.modify_nullable is False:
        return _required(part, dialect)
    return [part]


def concurrently(part: Any) -> Any:
    """Return what makes or drops an index while others write."""
    part = copy(part)
    part.kw = {**part.kw, "postgresql_concurrently": True}
    if isinstance(part, ops.CreateIndexOp):
        part.if_not_exists = True
    else:
        part.if_exists = True
    return part


def _validated(part: Any, dialect: Dialect) -> list[Any]:
    part = copy(part)
    part.kw = {**part.kw, "postgresql_not_valid": True}
    return [
        part,
        AutocommitBlock([_alter(dialect, part, "VALIDATE CONSTRAINT {}", part.constraint_name)]),
    ]


def _by_index(part: Any, dialect: Dialect) -> Iterator[Any]:
    """Return a unique index made concurrently, and the constraint that takes it over."""
    kept = {
        name: value for name, value in part.kw.items() if name not in {"deferrable", "initially"}
    }
    index = ops.CreateIndexOp(
        part.constraint_name,
        part.table_name,
        list(part.columns),
        schema=part.schema,
        unique=True,
        **kept,
    )
    yield concurrently(index)
    kind = "PRIMARY KEY" if isinstance(part, ops.CreatePrimaryKeyOp) else "UNIQUE"
    words = f"ADD CONSTRAINT {{0}} {kind} USING INDEX {{0}}"
    words += " DEFERRABLE" if part.kw.get("deferrable") else ""
    initially = part.kw.get("initially")
    words += f" INITIALLY {initially}" if initially else ""
    yield _alter(dialect, part, words, part.constraint_name)


def _required(part: Any, dialect: Dialect) -> list[Any]:
    """Return a NOT NULL that a validated CHECK spares the reading of all rows under a lock."""
    other = copy(part)
    other.modify_nullable = None
    parts = [other] if other.has_changes() or other.modify_name else []
    required = copy(part)
    required.modify_type = required.modify_name = None
    required.modify_server_default = required.modify_comment = False
    required.existing_type = part.existing_type if part.modify_type is None else part.modify_type
    if part.modify_name is not None:
        required.column_name = part.modify_name
    column = required.column_name
    name = conv(f"ck_{part.table_name}_{column}_not_null"[:LONGEST_NAME])
    quoted = dialect.identifier_preparer.quote(column)
    check = ops.CreateCheckConstraintOp(
        name, part.table_name, f"{quoted} IS NOT NULL", schema=part.schema
    )
    drop = ops.DropConstraintOp(name, part.table_name, "check", schema=part.schema)
    return [*parts, *_validated(check, dialect), required, drop]


def _alter(dialect: Dialect, part: Any, words: str, name: Any) -> ops.ExecuteSQLOp:
    quote = dialect.identifier_preparer.quote
    table = ".".join(quote(each) for each in table_of(part) if each)
    # A colon would be taken for a parameter.
    sql = f"ALTER TABLE {table} {words.format(quote(str(name)))}".replace(":", r"\:")
    return ops.ExecuteSQLOp(sql)


def _mysql(part: Any, _dialect: Dialect) -> list[Any]:
    return [OnlineBlock([part])] if in_place(part) else [part]


def in_place(part: Any) -> bool:
    """Return whether MySQL and MariaDB can do it while others write."""
    if isinstance(part, ops.AlterColumnOp):
        same = part.modify_type is None or widens(part.existing_type, part.modify_type, "mysql")
        return same and not part.kw.get("modify_autoincrement")
    if isinstance(part, ops.AddColumnOp):
        column = part.column
        generated = column.computed is not None and column.computed.persisted is not False
        checked = getattr(column.type, "create_constraint", False)
        counted = column.autoincrement is True
        read = facts_of(part) & {"checked", "counted", "generated"}
        return not (generated or checked or counted or read or is_expression(column))
    if isinstance(part, ops.CreateIndexOp):
        return not part.kw.get("mysql_prefix") and not part.kw.get("mariadb_prefix")
    return isinstance(
        part,
        ops.CreateForeignKeyOp
        | ops.CreateTableCommentOp
        | ops.CreateUniqueConstraintOp
        | ops.DropColumnOp
        | ops.DropConstraintOp
        | ops.DropIndexOp
        | ops.DropTableCommentOp,
    )


def is_expression(column: Any) -> bool:
    """Return whether a column's default is an expression for MySQL, not a value or the time."""
    default = getattr(column.server_default, "arg", None)
    words = str(getattr(default, "text", "") or "").strip().upper()
    return words.startswith("(") or "UUID(" in words or "RAND(" in words


def with_parts(modify: ops.ModifyTableOps, parts: list[Any]) -> ops.ModifyTableOps:
    """Return the changes of a table with other parts; the original is left as it is."""
    return ops.ModifyTableOps(modify.table_name, parts, schema=modify.schema)


def table_of(operation: Any) -> tuple[str | None, str | None]:
    """Return the schema and table that an operation changes."""
    if isinstance(operation, ops.CreateForeignKeyOp):
        return operation.kw.get("source_schema"), operation.source_table
    return getattr(operation, "schema", None), getattr(operation, "table_name", None)

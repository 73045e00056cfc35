"""What a revision does, caught as it does it.

Every operation is caught as `upgrade()` invokes it, in batch mode, helpers and loops too, and what
it sends as SQL is read as an operation where that can be told. Nothing is run: no server is needed.
"""

import re
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.operations import BatchOperations, Operations, ops
from alembic.operations.base import AbstractOperations
from alembic.operations.batch import BatchOperationsImpl
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Dialect, MetaData, TextClause
from sqlalchemy.engine.result import IteratorResult, SimpleResultMetaData
from sqlalchemy.sql.elements import conv
from sqlalchemy.types import to_instance

from schema_guard.allowances import statement_of
from schema_guard.journal import REPEATABLE
from schema_guard.sql import Rebuild, read

# What MySQL and MariaDB are told, so that they refuse to stop writes.
STATED = re.compile(r"LOCK\s*=?\s*NONE|ALGORITHM\s*=?\s*(INSTANT|NOCOPY)", re.IGNORECASE)
# What a batch only puts into its list, to be looked at when it ends.
BATCHED = (
    ops.AddColumnOp,
    ops.AddConstraintOp,
    ops.AlterColumnOp,
    ops.CreateIndexOp,
    ops.DropColumnOp,
    ops.DropConstraintOp,
    ops.DropIndexOp,
)


@dataclass
class Act:
    """An operation, and how the revision performs it.

    Attributes:
        operation: Alembic's, or one of sql.py.
        line: in the revision's file.
        transaction: its number; within `autocommit_block()` every operation has one of its own.
        alone: whether that is so.
        online: whether it is within `online()`, or says so itself.
        batched: whether it is a backfill in batches.
        sql: what it was read from, if the revision sends SQL.
        source: its code, if the SQL is made of objects.
    """

    operation: Any
    line: int = 0
    transaction: int = 0
    alone: bool = False
    online: bool = False
    batched: bool = False
    sql: str | None = None
    source: str | None = None

    @property
    def table(self) -> str | None:
        """The table that it changes, with its schema if it has one."""
        operation = self.operation
        schema, name = getattr(operation, "schema", None), getattr(operation, "table_name", None)
        if isinstance(operation, ops.CreateForeignKeyOp):
            schema, name = operation.kw.get("source_schema"), operation.source_table
        return f"{schema}.{name}" if schema and name else name


@dataclass
class Performance:
    """What a revision does in one direction.

    Attributes:
        raised: what ended it early.
    """

    acts: list[Act] = field(default_factory=list)
    raised: Exception | None = None
    line: int = 0


class Bind:
    """What `op.get_bind()` gives while nothing is run: every query finds nothing."""

    def __init__(self, dialect: Dialect, recorder: "Recorder") -> None:
        """Note what is sent."""
        self.dialect, self.recorder = dialect, recorder

    def execute(self, statement: Any, *_: Any, **__: Any) -> Any:
        """Note a statement, and find nothing."""
        self.recorder.note(ops.ExecuteSQLOp(statement))
        return IteratorResult(SimpleResultMetaData([]), iter([]))

    def exec_driver_sql(self, statement: str, *_: Any) -> Any:
        """Note a statement, and find nothing."""
        return self.execute(statement)

    def scalar(self, statement: Any, *_: Any, **__: Any) -> None:
        """Note a statement, and find nothing."""
        self.execute(statement)

    def scalars(self, statement: Any, *_: Any, **__: Any) -> Any:
        """Note a statement, and find nothing."""
        return self.execute(statement).scalars()


class Recorder:
    """Notes operations instead of running them."""

    def __init__(self, script: Script, context: MigrationContext) -> None:
        """Read a revision as a context would run it."""
        self.script, self.context = script, context
        self.done = Performance()
        self.transaction, self.alone = 0, False

    def run(self, direction: str) -> Performance:
        """Return what the revision does in a direction."""
        impl: Any = self.context.impl
        impl.connection = Bind(self.context.dialect, self)
        recorder = self

        def invoke(operations: Any, operation: Any) -> Any:
            return recorder.invoke(operations, operation, original)

        def flush(batch: BatchOperationsImpl) -> None:
            if batch.batch and batch._should_recreate():  # noqa: SLF001 - only it knows
                recorder.note(Rebuild(batch.table_name, batch.schema))

        original = AbstractOperations.invoke
        with (
            replaced(AbstractOperations, "invoke", invoke),
            replaced(BatchOperationsImpl, "flush", flush),
            replaced(self.context, "autocommit_block", self.autocommit_block),
            Operations.context(self.context),
        ):
            try:
                getattr(self.script.module, direction)()
            except Exception as error:  # noqa: BLE001 - it is the revision's, and told as a finding
                self.done.raised = error
                self.done.line = self._line_of(error)
        return self.done

    def invoke(self, operations: Any, operation: Any, original: Any) -> Any:
        """Note an operation; answer as Alembic does."""
        self.note(operation)
        if isinstance(operations, BatchOperations) and isinstance(operation, BATCHED):
            return original(operations, operation)
        if isinstance(operation, ops.CreateTableOp):
            return operation.to_table(self.context)
        return None

    @contextmanager
    def autocommit_block(self) -> Iterator[None]:
        """Note that operations are committed by themselves."""
        self.transaction, self.alone = self.transaction + 1, True
        try:
            yield
        finally:
            self.transaction, self.alone = self.transaction + 1, False

    def note(self, operation: Any) -> None:
        """Note an operation, or the ones that its SQL comes to."""
        line, online = self._line(), bool(getattr(self.context.impl, "online", False))
        sent, batched, sql, source = [operation], False, None, None
        if isinstance(operation, ops.ExecuteSQLOp):
            statement: Any = operation.sqltext
            if hasattr(statement, "get_execution_options"):
                batched = bool(statement.get_execution_options().get(REPEATABLE))
            sql = _text(statement, self.context.dialect)
            if not isinstance(statement, str | TextClause):
                source = segment(Path(self.script.path), line)
            sent = list(read(sql))
            online = online or bool(STATED.search(sql))
        for each in sent:
            if isinstance(each, ops.AlterColumnOp):  # a type may be given as its class
                each.modify_type = each.modify_type and to_instance(each.modify_type)
                each.existing_type = each.existing_type and to_instance(each.existing_type)
            if isinstance(each, ops.AddConstraintOp):
                self._name(each)
            self.transaction += self.alone
            act = Act(each, line, self.transaction, self.alone, online, batched, sql, source)
            self.done.acts.append(act)

    def _name(self, operation: Any) -> None:
        """Give a constraint the name that it gets by the naming convention."""
        constraint = operation.to_constraint(self.context)
        if constraint.name is not None:
            name = self.context.dialect.identifier_preparer.format_constraint(
                constraint, _alembic_quote=False
            )
            operation.constraint_name = conv(str(name))

    def _line(self) -> int:
        """Return the line of the revision that is being run."""
        frame = sys._getframe()  # noqa: SLF001 - traceback.walk_stack(None) does the same
        while frame is not None and frame.f_globals is not vars(self.script.module):
            frame = frame.f_back  # type: ignore[assignment]
        return frame.f_lineno if frame is not None else 0

    def _line_of(self, error: BaseException) -> int:
        line, traceback = 0, error.__traceback__
        while traceback is not None:
            if traceback.tb_frame.f_globals is vars(self.script.module):
                line = traceback.tb_lineno
            traceback = traceback.tb_next
        return line


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Have something else under a name for a while."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def perform(
    script: Script, direction: str, scripts: ScriptDirectory, dialect: Dialect, names: MetaData
) -> Performance:
    """Return what a revision does; nothing is run.

    Args:
        script: the revision.
        direction: `upgrade` or `downgrade`.
        scripts: where it is from.
        dialect: of the DBMS that it is judged for.
        names: metadata with the naming convention.
    """
    with EnvironmentContext(Config(), scripts, as_sql=True) as environment:
        context = MigrationContext.configure(
            dialect=dialect,
            environment_context=environment,
            opts={"as_sql": True, "target_metadata": names},
        )
        return Recorder(script, context).run(direction)


def segment(path: Path, line: int) -> str:
    """Return the statement of a line of a revision, without its indentation."""
    source = path.read_text(encoding="utf-8")
    lines = source.splitlines()
    smallest = statement_of(source, line)
    if smallest is None:
        return ""
    return textwrap.dedent("\n".join(lines[smallest.lineno - 1 : smallest.end_lineno]))


def _text(statement: Any, dialect: Dialect) -> str:
    """Return a statement as SQL."""
    if isinstance(statement, str):
        return statement.replace(r"\:", ":")
    with suppress(Exception):  # a value that has no literal stays a parameter
        return str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    return str(statement.compile(dialect=dialect))

"""What a revision does, caught as it does it.

Every operation is caught as `upgrade()` invokes it, in batch mode, helpers and loops too, and what
it sends as SQL is read as an operation where it is understood. Nothing is run, no server needed.
"""

import inspect
import re
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
from alembic.operations.ops import MigrateOperation
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import ClauseElement, DefaultClause, Dialect, MetaData, TextClause
from sqlalchemy.sql.elements import conv
from sqlalchemy.types import to_instance

from schema_guard import compat
from schema_guard.dialects.base import backend
from schema_guard.revisions.suppressions import source_of, statement_of
from schema_guard.runner.repeatable import REPEATABLE
from schema_guard.runner.sessions import OwnConnections
from schema_guard.runner.stand_in import StandInConnection
from schema_guard.sql.parser import read
from schema_guard.sql.tokens import statements

# What has MySQL and MariaDB refuse to block writes.
STATED = re.compile(r"\bLOCK\s*=?\s*NONE|\bALGORITHM\s*=?\s*(INSTANT|NOCOPY)", re.IGNORECASE)
# Alembic's own; others are made of these, and run to see of which.
KNOWN = "alembic."


class Rebuild(MigrateOperation):
    """A table that Alembic's batch mode copies.

    Attributes:
        changes: the operations for which it does.
    """

    def __init__(self, table_name: str, schema: str | None, changes: list[Any]) -> None:
        """Take the table."""
        self.table_name, self.schema, self.changes = table_name, schema, changes


@dataclass
class RecordedOperation:
    """A recorded operation, and how the revision performs it.

    Attributes:
        operation: Alembic's, or one of sql/parser.py.
        line: in the revision's file.
        transaction: its number; within `autocommit_block()` every operation has one of its own.
        alone: whether that is so.
        online: whether it is within `online()`, or says so itself.
        batched: whether it is a backfill in batches.
        sql: the statement that it was read from, if the revision sends SQL.
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
class Recording:
    """What a revision does in one direction.

    Attributes:
        raised: what ended it early.
    """

    operations: list[RecordedOperation] = field(default_factory=list)
    raised: BaseException | None = None
    line: int = 0


class Recorder:
    """Notes operations instead of running them."""

    def __init__(self, script: Script, environment: EnvironmentContext, names: MetaData) -> None:
        """Read a revision.

        Args:
            script: the revision.
            environment: with the dialect that it is read for.
            names: metadata with the naming convention.
        """
        self.script = script
        dialect: Any = environment.context_opts["dialect"]
        options = {"target_metadata": names, "script": environment.script}
        connection: Any = StandInConnection(dialect, self.note_sent)
        self.context = MigrationContext(dialect, connection, options, environment)
        self.recording = Recording()
        self.transaction, self.alone = 0, False
        self.batches: dict[int, list[tuple[Any, int]]] = {}  # what waits for the end of a batch

    def run(self, direction: str) -> Recording:
        """Return what the revision does in a direction."""
        recorder = self

        def invoke(operations: Any, operation: Any) -> Any:
            return recorder.invoke(operations, operation, original)

        def flush(batch: BatchOperationsImpl) -> None:
            recorder.flush(batch)

        original = AbstractOperations.invoke
        own = OwnConnections(self.context.connection)
        with (
            replaced(AbstractOperations, "invoke", invoke),
            replaced(BatchOperationsImpl, "flush", flush),
            replaced(self.context, "autocommit_block", self.autocommit_block),
            Operations.context(self.context),
            own.watch(),
            own.bound(),
        ):
            try:
                getattr(self.script.module, direction)()
            except (Exception, SystemExit) as error:  # noqa: BLE001 - it is reported as a finding
                self.recording.raised = error
                self.recording.line = self._line_of(error)
        return self.recording

    def note_sent(self, statement: Any) -> None:
        """Note what is sent on a connection."""
        self.note(ops.ExecuteSQLOp(statement), self.line())

    def invoke(self, operations: Any, operation: Any, original: Any) -> Any:
        """Note an operation; answer as Alembic does."""
        line = self.line()
        if not type(operation).__module__.startswith(KNOWN):
            return original(operations, operation)
        if isinstance(operations, BatchOperations):
            self.batches.setdefault(id(operations.impl), []).append((operation, line))
            return None if isinstance(operation, SENT) else original(operations, operation)
        self.note(operation, line)
        return getattr(operation, "made", None)

    def flush(self, batch: BatchOperationsImpl) -> None:
        """Note what a batch holds when it ends: only then is it performed."""
        held = self.batches.pop(id(batch), [])
        copied = compat.requires_copy(batch)
        for operation, line in held:
            self.note(operation, line)
        if copied:
            changes = [operation for operation, _ in held]
            self.note(Rebuild(batch.table_name, batch.schema, changes), self.line())

    @contextmanager
    def autocommit_block(self) -> Iterator[None]:
        """Note that operations are committed by themselves."""
        self.transaction, self.alone = self.transaction + 1, True
        try:
            yield
        finally:
            self.transaction, self.alone = self.transaction + 1, False

    def note(self, operation: Any, line: int) -> None:
        """Note an operation, or the ones that its SQL comes to."""
        if isinstance(operation, ops.ExecuteSQLOp):
            self._note_sql(operation.sqltext, line)
            return
        if isinstance(operation, ops.CreateTableOp):
            made: Any = operation
            made.made = operation.to_table(self.context)
        if isinstance(operation, ops.AlterColumnOp):  # a type may be given as its class
            for name in ("modify_type", "existing_type"):
                kind = getattr(operation, name)
                setattr(operation, name, None if kind is None else to_instance(kind))
            default: Any = operation.existing_server_default
            if isinstance(default, ClauseElement):  # Alembic asks whether it is true, to write it
                operation.existing_server_default = DefaultClause(default)
        if isinstance(operation, ops.AddConstraintOp):
            self._name(operation)
        online = bool(getattr(self.context.impl, "online", False))
        self._add(RecordedOperation(operation, line, alone=self.alone, online=online))

    def _note_sql(self, statement: Any, line: int) -> None:
        dialect = self.context.dialect
        batched, source = False, None
        if hasattr(statement, "get_execution_options"):
            batched = bool(statement.get_execution_options().get(REPEATABLE))
        if not isinstance(statement, str | TextClause):
            source = segment(Path(self.script.path), line)
        sql, kind = _text(statement, dialect), backend(dialect)
        alone = self.alone and len(list(statements(sql, kind))) == 1  # several share a transaction
        for each, own in read(sql, kind):
            online = bool(STATED.search(own))
            self._add(RecordedOperation(each, line, 0, alone, online, batched, own, source))

    def _add(self, recorded: RecordedOperation) -> None:
        self.transaction += recorded.alone
        recorded.transaction = self.transaction
        self.recording.operations.append(recorded)

    def _name(self, operation: Any) -> None:
        """Give a constraint the name that it gets by the naming convention."""
        constraint = operation.to_constraint(self.context)
        if constraint.name is not None:
            name = self.context.dialect.identifier_preparer.format_constraint(
                constraint, _alembic_quote=False
            )
            operation.constraint_name = conv(str(name))

    def line(self) -> int:
        """Return the line of the revision that is being run."""
        frame: Any = inspect.currentframe()
        while frame is not None and frame.f_globals is not vars(self.script.module):
            frame = frame.f_back
        return frame.f_lineno if frame is not None else 0

    def _line_of(self, error: BaseException) -> int:
        line, traceback = 0, error.__traceback__
        while traceback is not None:
            if traceback.tb_frame.f_globals is vars(self.script.module):
                line = traceback.tb_lineno
            traceback = traceback.tb_next
        return line


# What a batch sends at once.
SENT = (ops.ExecuteSQLOp, ops.BulkInsertOp)


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Have something else under a name for a while."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def record(
    script: Script, direction: str, scripts: ScriptDirectory, dialect: Dialect, names: MetaData
) -> Recording:
    """Return what a revision does; nothing is run.

    Args:
        script: the revision.
        direction: `upgrade` or `downgrade`.
        scripts: where it is from.
        dialect: of the DBMS that it is judged for.
        names: metadata with the naming convention.
    """
    with EnvironmentContext(Config(), scripts, dialect=dialect) as environment:
        return Recorder(script, environment, names).run(direction)


def segment(path: Path, line: int) -> str:
    """Return the statement of a line of a revision, without its indentation."""
    source = source_of(path)
    lines = source.splitlines()
    smallest = statement_of(source, line)
    if smallest is None:
        return ""
    return textwrap.dedent("\n".join(lines[smallest.lineno - 1 : smallest.end_lineno]))


def _text(statement: Any, dialect: Dialect) -> str:
    """Return a statement as SQL."""
    if isinstance(statement, str):
        return statement.replace(r"\:", ":")
    make: Any = type(dialect)
    plain = make(paramstyle="named")  # others double every %
    with suppress(Exception):  # a value that has no literal stays a parameter
        return str(statement.compile(dialect=plain, compile_kwargs={"literal_binds": True}))
    return str(statement.compile(dialect=plain))

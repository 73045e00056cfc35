"""What surrounds an operation that is judged: the schema, the revision, the recipes' code."""

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, Dialect, MetaData
from sqlalchemy.types import NullType

from schema_guard import compat
from schema_guard.core.errors import cause
from schema_guard.dialects.base import backend
from schema_guard.dialects.server_version import Server, judged_for
from schema_guard.lint.docs import section
from schema_guard.lint.registry import Findings, Policy, Rule
from schema_guard.lint.schema_state import SchemaState
from schema_guard.online_ddl.render import render_item
from schema_guard.online_ddl.rewrite import Block, Comment, in_place, rewrite
from schema_guard.runner.recorder import Rebuild, RecordedOperation
from schema_guard.sql.raw import Raw, escaped
from schema_guard.sql.tokens import split_name

# What SQLite's ALTER TABLE does not know.
IN_BATCH = ops.AddConstraintOp, ops.AlterColumnOp, ops.DropConstraintOp
NO_RECIPE = "The code for this operation could not be written"


@dataclass
class Finding:
    """What a rule has found.

    Attributes:
        what: it is about, such as `users.bio`.
        recipe: code to write instead.
        line: in the revision's file.
    """

    rule: str
    danger: str
    what: str
    recipe: str
    line: int
    recorded: RecordedOperation | None = None


@dataclass
class RuleContext:
    """What surrounds an recorded.

    Attributes:
        schema: what is known of it before the operation.
        operations: all of its revision.
        made: tables that came since the release that runs: nothing uses them.
        added: columns that came since the release that runs.
        servers: that it has to be safe on.
        models: what is being written comes from, where `flask db migrate` does it.
        views: that the revision has made, by their names without a schema.
    """

    dialect: Dialect
    schema: SchemaState = field(default_factory=SchemaState)
    operations: list[RecordedOperation] = field(default_factory=list)
    revision: str = ""
    made: set[str] = field(default_factory=set)
    added: set[tuple[str | None, str]] = field(default_factory=set)
    servers: tuple[Server, ...] = ()
    models: MetaData | None = None
    views: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Judge for the oldest servers that are supported, unless told for which."""
        self.servers = self.servers or judged_for(self.dialect, None)

    @property
    def backend(self) -> str:
        """The kind of DBMS."""
        return backend(self.dialect)

    def changes_table(self, recorded: RecordedOperation) -> bool:
        """Return whether an operation changes a table in use."""
        return recorded.table is not None and recorded.table not in self.made

    def note_new(self, recorded: RecordedOperation) -> None:
        """Note what no release that runs knows of."""
        operation = recorded.operation
        if isinstance(operation, ops.CreateTableOp) or is_raw(recorded, "create-table"):
            self.made.add(recorded.table or "")
        elif isinstance(operation, ops.RenameTableOp) and recorded.table in self.made:
            schema = f"{operation.schema}." if operation.schema else ""
            self.made.add(f"{schema}{operation.new_table_name}")
        elif isinstance(operation, ops.AddColumnOp):
            self.added.add((recorded.table, operation.column.name))
        elif is_raw(recorded, "view"):
            self.views.add(split_name(operation.facts["name"])[1])

    def before(self, recorded: RecordedOperation) -> list[RecordedOperation]:
        """Return what the revision does before an recorded."""
        return self.operations[
            : next(i for i, each in enumerate(self.operations) if each is recorded)
        ]

    def after(self, recorded: RecordedOperation) -> list[RecordedOperation]:
        """Return what the revision does after an recorded."""
        return self.operations[len(self.before(recorded)) + 1 :]

    def of_statement(self, recorded: RecordedOperation) -> list[RecordedOperation]:
        """Return the operations that one statement of SQL comes to."""
        return [
            each
            for each in self.operations
            if each.sql is recorded.sql and each.line == recorded.line
        ]

    def safely(self, *operations: Any) -> str:
        """Return the code of operations in the forms that do not block."""
        return self.code(*rewrite(operations, self.dialect))

    def allow(
        self, name: str, recorded: RecordedOperation, reason: str, *, safely: bool = True
    ) -> str:
        """Return the code of an operation that somebody has decided on.

        Args:
            name: the rule's.
            recorded: the operation.
            reason: why it may be.
            safely: whether the server is to refuse what blocks others, where it can be told to.
        """
        comment = Comment(f"schema_guard: allow {name} -- {reason}")
        if recorded.source is not None:
            return f"# {comment.text}\n{recorded.source}"
        if not safely:
            sent = ops.ExecuteSQLOp(escaped(recorded.sql)) if recorded.sql else recorded.operation
            return self.code(comment, sent)
        forms = rewrite(
            [recorded.operation if recorded.sql is None else self.sent(recorded)], self.dialect
        )
        _insert(forms, comment, recorded)
        return self.code(*forms)

    def sent(self, recorded: RecordedOperation) -> ops.ExecuteSQLOp:
        """Return the SQL of an recorded, which tells MySQL and MariaDB to copy nothing."""
        sql = str(recorded.sql)
        if (
            self.backend == "mysql"
            and self.changes_table(recorded)
            and in_place(recorded.operation)
        ):
            if isinstance(recorded.operation, ops.CreateIndexOp):
                sql += " ALGORITHM=INPLACE LOCK=NONE"
            elif not isinstance(recorded.operation, ops.DropIndexOp) and not recorded.online:
                sql += ", ALGORITHM=INPLACE, LOCK=NONE"
        return ops.ExecuteSQLOp(sql.replace(":", r"\:"))

    def type(self, kind: Any) -> str:
        """Return a type as a revision has it."""
        return str(compat.render_type(kind, self._written()))

    def code(self, *operations: Any) -> str:
        """Return operations as a revision has them, with what they import."""
        written = self._written()
        ready = list(self._batched(operations))
        body = compat.render_body(ops.UpgradeOps(ready), written)
        lines = [line for line in body.splitlines() if line and "# ###" not in line]
        return "\n".join([*sorted(written.imports), *lines])

    def _batched(self, operations: Iterable[Any]) -> Iterator[Any]:
        """Return operations in batch mode, where the DBMS needs it, with their comments."""
        above: list[Any] = []
        for operation in operations:
            if isinstance(operation, Comment):
                above.append(operation)
                continue
            if self.backend == "sqlite" and isinstance(operation, IN_BATCH):
                changed: Any = operation
                key = isinstance(operation, ops.CreateForeignKeyOp)
                name = changed.source_table if key else changed.table_name
                schema = changed.kw.get("source_schema") if key else changed.schema
                yield ops.ModifyTableOps(name, [*above, changed], schema=schema)
            else:
                yield from [*above, operation]
            above = []

    def _written(self) -> AutogenContext:
        make: Any = type(self.dialect)
        plain = make(paramstyle="named")  # others double every %
        context = MigrationContext.configure(dialect=plain, opts={"target_metadata": MetaData()})
        options = {
            "sqlalchemy_module_prefix": "sa.",
            "alembic_module_prefix": "op.",
            "render_item": render_item,
            "render_as_batch": self.backend == "sqlite",
            "user_module_prefix": None,
        }
        return AutogenContext(context, opts=options)


def _insert(forms: list[Any], comment: Comment, recorded: RecordedOperation) -> bool:
    """Put a comment above the operation that is meant, or the first one."""
    for place, each in enumerate(forms):
        if isinstance(each, Block) and _insert(each.ops, comment, recorded):
            return True
        if type(each) is type(recorded.operation) or recorded.sql is not None:
            forms.insert(place, comment)
            return True
    return False


def find(context: RuleContext, policy: Policy) -> Iterator[Finding]:
    """Return what the rules find in a context's operations, and change its schema as they do."""
    for recorded in context.operations:
        for each in policy.in_force.values():
            for what, recipe in _found(each, recorded, context):
                yield Finding(each.name, each.danger, what, recipe, recorded.line, recorded)
        context.note_new(recorded)
        context.schema.apply(recorded, context.revision)


def _found(each: Rule, recorded: RecordedOperation, context: RuleContext) -> Findings:
    """Return what a rule finds; where its recipe cannot be written, with the words of RULES.md."""
    try:
        yield from each.find(recorded, context)
    except Exception as error:  # noqa: BLE001 - types, expressions and rules of anybody's own run here
        yield name_of(recorded), in_words(each.name, error)


def in_words(name: str, error: Exception) -> str:
    """Return why there is no recipe, and what RULES.md says of the rule."""
    docs = section(name)
    said = f"{NO_RECIPE} ({cause(error)})." + (f" From RULES.md:\n{docs}" if docs else "")
    return textwrap.indent(said, "# ")


def name_of(recorded: RecordedOperation) -> str:
    """Return what an operation changes, as in `users.bio`."""
    operation = recorded.operation
    for attribute in ("column_name", "constraint_name", "index_name"):
        if getattr(operation, attribute, None):
            return f"{recorded.table}.{getattr(operation, attribute)}"
    if isinstance(operation, ops.AddColumnOp):
        return f"{recorded.table}.{operation.column.name}"
    return str(recorded.table)


def is_raw(recorded: RecordedOperation, *kinds: str) -> bool:
    """Return whether an recorded is SQL of one of some kinds."""
    return isinstance(recorded.operation, Raw) and recorded.operation.kind in kinds


def changes_schema(recorded: RecordedOperation) -> bool:
    """Return whether an operation changes what a table is."""
    if isinstance(recorded.operation, Raw):
        return is_raw(recorded, "unknown")
    return not isinstance(recorded.operation, ops.BulkInsertOp | Rebuild)


def known(kind: Any) -> bool:
    """Return whether a type is known well enough to be written."""
    return kind is not None and not isinstance(kind, NullType)


def column_like(column: Column[Any]) -> Column[Any]:
    """Return a column of the same name and type, nullable, with nothing else."""
    return Column(column.name, column.type, nullable=True, comment=column.comment)

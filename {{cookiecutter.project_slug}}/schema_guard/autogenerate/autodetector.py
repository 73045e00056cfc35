"""What `flask db migrate` proposes, once it has asked about all that autogenerate cannot know.

Promise: no table and no column is dropped unasked, and existing rows get a value in a column that
becomes NOT NULL. Alembic finds the differences; this module asks what they mean, and has those that
are left found again, see renames.py.
"""

import logging
from collections.abc import Iterator
from typing import Any

from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, MetaData, inspect

from schema_guard.autogenerate.check_constraints import (
    changed_checks,
    with_bound_checks,
    with_checks,
)
from schema_guard.autogenerate.enum_types import with_types
from schema_guard.autogenerate.fill_values import fill_value, model_default
from schema_guard.autogenerate.op_order import needed, ordered
from schema_guard.autogenerate.questioner import NOTHING, Questioner
from schema_guard.autogenerate.renames import Renames
from schema_guard.autogenerate.similarity import best_columns, best_tables
from schema_guard.core.errors import GuardError
from schema_guard.core.options import options_of
from schema_guard.online_ddl.rewrite import Comment, Pass, rewrite, with_losses, with_parts
from schema_guard.operations.backfilling import Fill
from schema_guard.revisions.heads import refuse_two

logger = logging.getLogger("alembic")


def propose(context: MigrationContext, _revision: object, directives: list[Any]) -> None:
    """Ask, and put what was answered into the revision; Alembic's process_revision_directives.

    Raises:
        GuardError: a question was not answered, or the models are not what they should be.
    """
    environment = context.environment_context
    if environment is None:  # somebody compares without a command
        return
    if not environment.context_opts["revision_context"].command_args["autogenerate"]:
        return
    script = directives[0]
    questioner = Questioner(options_of(environment.config))
    detector = Autodetector(context, questioner)
    if not getattr(environment.config.cmd_opts, "autogenerate", False):  # `flask db check`
        script.upgrade_ops.ops = detector.completed(script.upgrade_ops.ops, Renames())
        return
    if script.head == "head":
        refuse_two(environment.script, context.get_current_heads())
    found = detector.detect(script.upgrade_ops.ops)
    script.upgrade_ops.ops = detector.upgrade(found) if found else []
    script.downgrade_ops.ops = detector.downgrade(found) if found else []


def leave_out_empty(context: MigrationContext, _revision: object, directives: list[Any]) -> None:
    """Write no revision that does nothing; called last, once hooks of the application have run."""
    environment = context.environment_context
    if environment is None or not getattr(environment.config.cmd_opts, "autogenerate", False):
        return
    if all(each.is_empty() for script in directives for each in script.upgrade_ops_list):
        directives[:] = []
        logger.info("No changes in schema detected.")


class Autodetector:
    """The differences between the models and a database, as far as they are understood.

    Each pass takes operations and returns operations; none changes what it is given.
    """

    def __init__(self, context: MigrationContext, questioner: Questioner) -> None:
        """Ask about what is compared in a context."""
        self.context, self.questioner = context, questioner
        self.metadata: MetaData = context.opts["target_metadata"]
        self.values: dict[tuple[str, str], str] = {}
        self.unclear: set[str] = set()  # new columns that may be old ones

    def detect(self, found: list[Any]) -> list[Any]:
        """Ask what is renamed, what is to go, and what is to be filled; return the operations.

        Args:
            found: what autogenerate has found.
        """
        connection: Any = self.context.connection
        connection.rollback()  # no transaction waits for a person
        renames = Renames()
        self._check_models(found)
        renames.tables = self._renamed_tables(found)
        if renames.tables:
            found = self._compare(renames)
        renames.columns = self._renamed_columns(found, renames)
        if renames.tables or renames.columns:
            renames.log()
            made = renames.operations(self.context, self.metadata)
            found = [*made, *self._compare(renames)]
        self._ask_values(found)
        self.questioner.require_answers(self._tables())
        return self.completed(found, renames)

    def completed(self, found: list[Any], renames: Renames) -> list[Any]:
        """Return what autogenerate has found with what it does not see, in order."""
        connection: Any = self.context.connection
        inspector = renames.seen(inspect(connection))
        changed = changed_checks(self.context, inspector, self.metadata)
        found = with_checks([*found, *changed], inspector)
        found = with_types(self.context, ordered(found), inspector)
        connection.rollback()
        return found

    def upgrade(self, found: list[Any]) -> list[Any]:
        """Return what the revision does: filled, in safe forms, with comments."""
        # Only what is written needs it: it would slow every start.
        from schema_guard.lint.annotate import annotated  # noqa: PLC0415

        filled = needed(self._filled(found))
        written = rewrite(filled, self.context.dialect)
        return _body(with_losses(annotated(self.context, written)))

    def downgrade(self, found: list[Any]) -> list[Any]:
        """Return what undoes it, in safe forms."""
        undone = [_without_requiring(each.reverse()) for each in reversed(found)]
        undone = needed(with_bound_checks(undone, self.context))
        return _body(with_losses(rewrite(undone, self.context.dialect)))

    def _filled(self, found: list[Any]) -> Iterator[Any]:
        """Return the operations, with columns filled before they become NOT NULL."""
        for operation in found:
            if not isinstance(operation, ops.ModifyTableOps):
                yield operation
                continue
            parts, before, after = [], [], []
            for part in operation.ops:
                column = _column(part)
                value = self.values.get((operation.table_name, column))
                if value is None:
                    parts.append(part)
                    continue
                fill = Fill(operation.table_name, column, value, operation.schema)
                if isinstance(part, ops.AddColumnOp):
                    nullable, required = _in_two_steps(part)
                    parts.append(nullable)
                    after += [fill, with_parts(operation, [required])]
                else:
                    parts.append(part)
                    before.append(fill)
            yield from [*before, with_parts(operation, parts), *after]

    def _check_models(self, found: list[Any]) -> None:
        """Refuse to drop most tables: the models are probably not there."""
        gone = [operation for operation in found if isinstance(operation, ops.DropTableOp)]
        asked = [each for each in gone if ("drop-table", _name(each)) not in self.questioner.unused]
        made = sum(isinstance(operation, ops.CreateTableOp) for operation in found)
        kept = len(self.metadata.tables) - made
        if asked and len(gone) > max(made, kept):
            raise GuardError(
                f"{len(gone)} of {len(gone) + kept} tables have no model any more: the models are"
                " probably not imported. Import their modules where the application is made."
                f" {NOTHING} To drop the tables all the same, name each: "
                + " ".join(f"--drop-table {_name(each)}" for each in asked)
            )

    def _tables(self) -> set[str]:
        """Return the tables of the models and of the database, in the schemas of the models."""
        inspector = inspect(self.context.connection)
        found = set(self.metadata.tables)
        for schema in {table.schema for table in self.metadata.tables.values()} | {None}:
            place = f"{schema}." if schema else ""
            found |= {f"{place}{name}" for name in inspector.get_table_names(schema)}
        return found

    def _renamed_tables(self, found: list[Any]) -> dict[str, str]:
        """Ask what became of the tables that are gone; return new names by old ones."""
        new = {
            each.table_name: each.to_table()
            for each in found
            if isinstance(each, ops.CreateTableOp) and each.schema is None
        }
        renamed = {}
        for each in [operation for operation in found if isinstance(operation, ops.DropTableOp)]:
            likely = [] if each.schema else best_tables(self.context, each.to_table(), new)
            name = self.questioner.ask_rename(_name(each), likely, list(self.metadata.tables))
            if name is not None:
                renamed[each.table_name] = name
                new.pop(name, None)
        inspector = inspect(self.context.connection)
        there = set(inspector.get_table_names())
        return self._with_flags("rename-table", "", renamed, there, set(self.metadata.tables))

    def _renamed_columns(self, found: list[Any], renames: Renames) -> dict[str, dict[str, str]]:
        """Ask the same of columns; return new names by old ones, by the table's new name."""
        renamed: dict[str, dict[str, str]] = {}
        for operation in found:
            if not isinstance(operation, ops.ModifyTableOps):
                continue
            new = {
                part.column.name: part.column
                for part in operation.ops
                if isinstance(part, ops.AddColumnOp)
            }
            gone = [part for part in operation.ops if isinstance(part, ops.DropColumnOp)]
            for part in gone:
                old = part.to_column()
                likely = [] if operation.schema else best_columns(self.context, old, new)
                what = f"{_name(operation)}.{part.column_name}"
                columns = self.metadata.tables[_name(operation)].columns
                name = self.questioner.ask_rename(what, likely, [each.name for each in columns])
                if name is not None:
                    renamed.setdefault(operation.table_name, {})[part.column_name] = name
                    new.pop(name, None)
                elif self.questioner.unanswered:
                    self.unclear |= {f"{operation.table_name}.{name}" for name in likely}
        inspector = inspect(self.context.connection)
        for table, model in self.metadata.tables.items():
            if inspector.has_table(renames.before(table)):
                there = {each["name"] for each in inspector.get_columns(renames.before(table))}
                wanted = {column.name for column in model.columns}
                own = renamed.get(table, {})
                own = self._with_flags("rename", f"{table}.", own, there, wanted)
                renamed |= {table: own} if own else {}
        return renamed

    def _with_flags(
        self, flag: str, place: str, renamed: dict[str, str], there: set[str], wanted: set[str]
    ) -> dict[str, str]:
        """Return renames with those that only flags give, such as two names that change places.

        Args:
            flag: `rename` or `rename-table`.
            place: what is before a name in a flag.
            renamed: those that are known.
            there: the names in the database.
            wanted: the names in the models.
        """
        for old in sorted(there):
            new = self.questioner.unused.get((flag, f"{place}{old}"))
            if new in wanted:
                renamed = renamed | {old: new}
                self.questioner.flag(flag, f"{place}{old}")
        for old, new in renamed.items():
            taken = new in there and new not in renamed
            if taken or list(renamed.values()).count(new) > 1:
                raise GuardError(
                    f"{place}{old} cannot be renamed to {new}: that name is taken. {NOTHING}"
                )
        return renamed

    def _ask_values(self, found: list[Any]) -> None:
        """Ask for the value of existing rows in columns that become NOT NULL."""
        for operation in found:
            parts = operation.ops if isinstance(operation, ops.ModifyTableOps) else []
            for part in parts:
                what = f"{_name(operation)}.{_column(part)}"
                if what in self.unclear or not requires(part):
                    continue
                table = self.metadata.tables[_name(operation)]
                column = table.columns[_column(part)]
                why = f"{what} " + ("is new and NOT NULL" if _is_new(part) else "becomes NOT NULL")
                words = self.questioner.ask_value(what, why, model_default(column))
                if words is not None:
                    dialect = self.context.dialect.name
                    key = operation.table_name, column.name
                    self.values[key] = fill_value(column, words, dialect)

    def _compare(self, renames: Renames) -> list[Any]:
        """Return what autogenerate finds once the renames are done."""
        context = AutogenContext(self.context, autogenerate=True)
        found = ops.UpgradeOps([])
        connection: Any = self.context.connection
        vars(context)["inspector"] = renames.seen(inspect(connection))
        detected = logging.getLogger("alembic.autogenerate")
        level = detected.level
        detected.setLevel(logging.WARNING)  # the first time it has told
        try:
            compare = context.comparators.dispatch(
                "autogenerate", qualifier=connection.dialect.name
            )
            compare(context, found)
        finally:
            detected.setLevel(level)
        connection.rollback()
        return list(found.ops)


def _body(operations: list[Any]) -> list[Any]:
    """Return the operations of a function, which comments alone are not."""
    alone = operations and all(isinstance(each, Comment) for each in operations)
    return [*operations, Pass()] if alone else operations


def requires(part: Any) -> bool:
    """Return whether an operation fails on existing rows, for want of a value."""
    if isinstance(part, ops.AddColumnOp):
        column = part.column
        given = column.server_default is not None or column.computed or column.identity
        return not (column.nullable or given or column.primary_key)
    return isinstance(part, ops.AlterColumnOp) and part.modify_nullable is False


def _is_new(part: Any) -> bool:
    return isinstance(part, ops.AddColumnOp)


def _column(part: Any) -> str:
    """Return the name of the column that an operation is about."""
    return str(part.column.name if _is_new(part) else getattr(part, "column_name", ""))


def _name(operation: Any) -> str:
    return ".".join(filter(None, (operation.schema, operation.table_name)))


def _in_two_steps(part: ops.AddColumnOp) -> tuple[ops.AddColumnOp, ops.AlterColumnOp]:
    """Return what adds a nullable column, and what then makes it NOT NULL."""
    wanted = part.column
    nullable: Column[Any] = Column(wanted.name, wanted.type, comment=wanted.comment)
    require = ops.AlterColumnOp(
        part.table_name,
        wanted.name,
        schema=part.schema,
        existing_type=wanted.type,
        existing_nullable=True,
        existing_comment=wanted.comment,
        modify_nullable=False,
    )
    return ops.AddColumnOp(part.table_name, nullable, schema=part.schema), require


def _without_requiring(operation: Any) -> Any:
    """Return what brings a column back without its values, on a table with rows: nullable."""
    if not isinstance(operation, ops.ModifyTableOps):
        return operation
    parts = [
        _in_two_steps(part)[0] if isinstance(part, ops.AddColumnOp) and requires(part) else part
        for part in operation.ops
    ]
    return with_parts(operation, parts)

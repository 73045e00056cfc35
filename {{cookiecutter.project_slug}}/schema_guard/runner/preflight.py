"""What can be known of all pending revisions before the first one runs.

Promise: what would stop the seventh pending revision is said before the first one has run, all of
it at once. Nothing is refused here that would succeed: what cannot be known, such as a drop within
an `if` over what the database holds, is checked when it comes.

How: revisions are performed as `flask db lint` does, against a stand-in that runs nothing; only if
one of them drops something, and only those that use nothing but Alembic and SQLAlchemy: others may
do more than speak to the stand-in.
"""

import ast
import contextlib
import importlib.util
import io
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import alembic.context
import alembic.op
from alembic.operations import ops
from alembic.script import ScriptDirectory
from flask import current_app
from sqlalchemy import inspect, select

from schema_guard.admin.backup import check_backup
from schema_guard.core.errors import GuardError
from schema_guard.core.store import OWN_TABLES, journal, make_tables, stored, version_table
from schema_guard.dialects.base import backend
from schema_guard.revisions.suppressions import beside
from schema_guard.runner import history, resume
from schema_guard.runner.data_loss import Loss, LossError, Losses
from schema_guard.runner.rights import Lacking, lacking

# A downgrade is no part of what is pending.
DOWNGRADE = re.compile(r"^def downgrade\b.*?(?=^\S|\Z)", re.MULTILINE | re.DOTALL)
DROPS = re.compile(r"drop|recreate|rename", re.IGNORECASE)
# What revisions may import and still do nothing but speak to the stand-in.
HARMLESS = {
    *("__future__", "alembic", "collections", "datetime", "decimal", "enum", "functools"),
    *("itertools", "json", "re", "schema_guard", "sqlalchemy", "string", "textwrap", "typing"),
    *("uuid", "geoalchemy2", "pgvector"),
}
# Names by which they might do more, or find out what the stand-in does not know.
MORE = {
    *("__import__", "breakpoint", "compile", "config", "context", "create_engine", "eval", "exec"),
    *("engine", "environment_context", "get_x_argument", "globals", "implementation_for", "input"),
    *("listen", "listens_for", "open", "opts", "register_operation", "script"),
}
# What reads, and what reads the schema of the database at hand.
READS = re.compile(r"\(*(DESCRIBE|PRAGMA|SELECT|SHOW|VALUES|WITH)\b", re.IGNORECASE)
CATALOGUE = re.compile(r"inspect|reflect|autoload|information_schema|pg_|sqlite_", re.IGNORECASE)


def refuse(
    run: Losses, steps: list[Any], scripts: ScriptDirectory, known: list[str], *, back_up: bool
) -> None:
    """Refuse an upgrade that would be refused later, before anything is changed.

    Args:
        run: the upgrade.
        steps: the pending revisions, as Alembic has them; at least one.
        scripts: where they are from.
        known: what is wrong beside that.
        back_up: whether a backup was asked for.

    Raises:
        LossError: they would delete what nobody has allowed to go.
        GuardError: there are other reasons, too.
    """
    run.begin()
    reasons = list(known)
    with noted(reasons):
        run.fresh = not _half_done(run, steps[0])
    with noted(reasons):
        check_backup(run.connection, asked=back_up)
    rights = lacking(run.connection)
    found = losses(run, steps, scripts, rights)
    run.connection.rollback()
    if rights and rights.needed:
        reasons.append(str(rights))
    loss = LossError(found, "Nothing was changed.") if found else None
    if loss and not reasons:
        raise loss
    if loss:
        reasons.append(loss.message)
    if reasons:
        raise in_the_way(reasons)


@contextlib.contextmanager
def noted(reasons: list[str]) -> Iterator[None]:
    """Note what a check refuses, and go on to the next one."""
    try:
        yield
    except GuardError as error:
        reasons.append(error.message)


def in_the_way(reasons: list[str]) -> GuardError:
    """Return one error of several."""
    if len(reasons) == 1:
        return GuardError(reasons[0])
    listed = "".join(f"\n\n{number}. {each}" for number, each in enumerate(reasons, 1))
    return GuardError(f"{len(reasons)} problems. Nothing was changed.{listed}")


def _half_done(run: Losses, step: Any) -> bool:
    """Return whether an earlier run stopped within the first of the pending revisions."""
    kept = stored(run.connection, journal) if journal.name in (run.tables or ()) else None
    if kept is None or run.connection.execute(select(kept.c.number).limit(1)).first() is None:
        return False
    make_tables(run.connection)  # another version may have made them
    return bool(resume.read(run.connection, history.begin(step).step, run.resume).kept)


def drops(path: Path) -> bool:
    """Return whether a revision's file may drop something on its way up."""
    return bool(DROPS.search(DOWNGRADE.sub("", _source(path))))


def _source(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):  # what there is of it has been imported
        return ""


def losses(
    run: Losses, steps: list[Any], scripts: ScriptDirectory, rights: Lacking | None = None
) -> list[Loss]:
    """Return what pending revisions would drop, and nobody has allowed to go.

    Args:
        run: the upgrade; what it counts here it compares with later.
        steps: the pending ones, as Alembic has them.
        scripts: where they are from.
        rights: gets what they do, if there are any that the user has not.
    """
    tables = set(run.tables or ()) - OWN_TABLES - {version_table()}
    asked = [
        number
        for number, step in enumerate(steps)
        if rights or (tables and drops(Path(step.revision.path)))
    ]
    if not asked:
        return []
    simulation = Simulation(run, scripts, rights)
    found: list[Loss] = []
    with _apart():
        for step in steps[: asked[-1] + 1]:
            found += simulation.perform(step.revision)
    return found


class Simulation:
    """The pending revisions, performed one after the other."""

    def __init__(self, run: Losses, scripts: ScriptDirectory, rights: Lacking | None) -> None:
        """Begin with what the database holds."""
        from schema_guard.runner.row_ownership import RowOwnership  # noqa: PLC0415 - few migrations drop something

        self.run, self.scripts, self.rights = run, scripts, rights
        self.names = current_app.extensions["migrate"].db.metadata
        self.dialect = run.connection.dialect
        schema = self.dialect.default_schema_name
        self.ownership = RowOwnership(
            backend(self.dialect), run.tables or [], schema, fresh=run.fresh
        )
        self.unknown = ""  # the sources of revisions of which not all is known
        self.opaque = False  # whether one may do anything

    def perform(self, script: Any) -> Iterator[Loss]:
        """Return what a revision would drop, as far as that is known for certain."""
        from schema_guard.runner.recorder import record  # noqa: PLC0415 - slow, and seldom needed

        source = _source(Path(script.path))
        if self.opaque or not _is_plain(source):
            self.opaque = True
            return
        apart = SimpleNamespace(path=script.path, module=_import_again(script))
        with contextlib.redirect_stdout(io.StringIO()):
            done = record(apart, "upgrade", self.scripts, self.dialect, self.names)  # type: ignore[arg-type]
        has_read = False
        for recorded in done.operations:
            has_read |= bool(recorded.sql and READS.match(recorded.sql))
            if not has_read and not self.ownership.unsure:
                yield from self._drop(recorded, script.revision, source)
            if self.rights and not has_read and "except" not in source:
                self.rights.follow(recorded.operation, script.revision)
            self.ownership.apply(recorded.operation)
        if has_read or done.raised is not None:
            self.unknown += source
            self.opaque |= bool(CATALOGUE.search(DOWNGRADE.sub("", source)))

    def _drop(self, recorded: Any, revision: str, source: str) -> Iterator[Loss]:
        operation = recorded.operation
        if not isinstance(operation, ops.DropTableOp | ops.DropColumnOp) or operation.schema:
            return
        column = operation.column_name if isinstance(operation, ops.DropColumnOp) else None
        key = self.ownership.key(None, operation.table_name)
        table = self.ownership.tables.get(key)
        if table is None or table.original is None or self._is_uncertain(table, column):
            return
        original = table.original, column and table.original_column(column)
        number = self._count(*original)
        what, now = (
            f"{each}.{part}" if part else each for each, part in ((table.name, column), original)
        )
        same = what.lower() == now.lower()
        loss = Loss(now if same else what, number, bool(column), "" if same else now, revision)
        allowed = {each.rule for each in beside(source, recorded.line) if each.reason}
        if number and not self.run.allows(loss.what) and loss.rule not in allowed:
            yield loss

    def _is_uncertain(self, table: Any, column: str | None) -> bool:
        """Return whether nobody may lose what a drop of a table or column deletes."""
        names = {table.name.lower(), str(table.original).lower()}
        if names & set(re.findall(r"\w+", self.unknown.lower())):
            return True
        if table.reduced or self.ownership.copies_of(table):
            return True
        if column and (table.has_added(column) or column.lower() in table.updated):
            return True
        return bool(
            table.cascades and inspect(self.run.connection).get_foreign_keys(str(table.original))
        )

    def _count(self, table: str, column: str | None) -> int:
        """Count what there is when the command begins."""
        from schema_guard.runner.loss_count import find, resolve  # noqa: PLC0415 - as above

        present = find(inspect(self.run.connection), self.run.connection, table, None)
        name = resolve(column, present.types) if present and column else None
        if present is None or (column and name is None):
            return 0
        rows, values = present.count([name] if name else [])
        number = values[name] if name else rows
        self.run.before[table.lower(), name.lower() if name else None] = number
        return number


def _is_plain(source: str) -> bool:
    """Return whether a revision speaks to Alembic and SQLAlchemy, and to nothing else."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return False
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                modules = [alias.name for alias in node.names]
            case ast.ImportFrom():
                modules = [node.module or "."] if node.level == 0 else ["."]
                if any(alias.name in MORE for alias in node.names):
                    return False
            case ast.Name(id=name) | ast.Attribute(attr=name):
                if name in MORE:
                    return False
                continue
            case _:
                continue
        roots = {module.partition(".")[0] for module in modules}
        if any(root not in HARMLESS and not root.startswith("sqlalchemy_") for root in roots):
            return False
    return bool(source)


@contextlib.contextmanager
def _apart() -> Iterator[None]:
    """Keep `alembic.op` and `alembic.context` as they are while others take their places."""
    modules = (alembic.context, alembic.op)
    before = [dict(vars(module)) for module in modules]
    try:
        yield
    finally:
        for module, names in zip(modules, before, strict=True):
            vars(module).update(names)


def _import_again(script: Any) -> Any:
    """Return a revision's module anew: what it keeps between two calls is not mixed up."""
    spec = importlib.util.spec_from_file_location(script.module.__name__, script.path)
    if spec is None or spec.loader is None:
        raise GuardError(f"{script.path} cannot be read.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

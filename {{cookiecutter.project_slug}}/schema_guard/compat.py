"""Every private name of Alembic and SQLAlchemy that the guards use.

What goes missing is an error when this module is imported or when it is used, never a guard that is
off: there is no default here. The versions are checked first, so that the error is one sentence.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from schema_guard.core import versions

versions.check()

from alembic import command, util  # noqa: E402 - after the check
from alembic.autogenerate import renderers  # noqa: E402
from alembic.autogenerate.api import AutogenContext  # noqa: E402
from alembic.autogenerate.render import (  # noqa: E402
    _render_cmd_body,
    _render_gen_name,
    _repr_type,
)
from alembic.ddl.impl import _impls  # noqa: E402
from alembic.ddl.mysql import MySQLImpl  # noqa: E402
from alembic.operations import Operations, batch  # noqa: E402
from alembic.operations.batch import BatchOperationsImpl  # noqa: E402
from alembic.runtime.migration import MigrationContext  # noqa: E402
from alembic.script import ScriptDirectory  # noqa: E402
from alembic.util.sqla_compat import _get_constraint_final_name  # noqa: E402
from sqlalchemy import Column, Connection, Constraint, TextClause  # noqa: E402
from sqlalchemy.engine import ExecutionContext  # noqa: E402
from sqlalchemy.engine.default import DefaultExecutionContext  # noqa: E402
from sqlalchemy.types import TypeEngine  # noqa: E402

__all__ = [
    "affinity",
    "begin_failed",
    "bound_to_type",
    "command_of",
    "copy_column",
    "final_name",
    "in_batch",
    "installed",
    "made_with_type",
    "on_server",
    "plan_of",
    "render_body",
    "render_name",
    "render_type",
    "replace_plan",
    "requires_copy",
    "result_columns",
    "reverses",
    "set_rowcount",
    "variants",
    "version_locations",
    "without_status",
]

render_body = _render_cmd_body
render_name = _render_gen_name
render_type = _repr_type
final_name = _get_constraint_final_name
# What is overridden has to be there, or it would never be called.
batch.ApplyBatchImpl  # noqa: B018
MySQLImpl._exec  # noqa: B018, SLF001
DefaultExecutionContext._rowcount  # noqa: B018, SLF001


@contextmanager
def installed(
    *,
    renderings: Mapping[Any, Callable[..., Any]] = MappingProxyType({}),
    implementations: Mapping[Any, Callable[..., Any]] = MappingProxyType({}),
    impls: Mapping[str, type[Any]] = MappingProxyType({}),
    copies: type[Any] | None = None,
) -> Iterator[None]:
    """Have Alembic use other functions meanwhile; afterwards it is as it was.

    Args:
        renderings: how operations are written; Alembic writes a revision after env.py has run.
        implementations: how operations are run.
        impls: Alembic's `DefaultImpl` of DBMSs, by the dialect's name.
        copies: its `ApplyBatchImpl`, which copies tables in batch mode.
    """
    registries: list[tuple[dict[Any, Any], dict[Any, Any]]] = [
        (renderers._registry, {(name, "default"): run for name, run in renderings.items()}),  # noqa: SLF001
        (
            Operations._to_impl._registry,  # noqa: SLF001
            {(name, "default"): run for name, run in implementations.items()},
        ),
        (_impls, dict(impls)),
        (vars(batch), {"ApplyBatchImpl": copies} if copies else {}),
    ]
    before = [
        {name: registry[name] for name in ours if name in registry} for registry, ours in registries
    ]
    try:
        for registry, ours in registries:
            registry.update(ours)
        yield
    finally:  # what others have registered meanwhile stays
        for (registry, ours), theirs in zip(registries, before, strict=True):
            for name in ours:
                registry.pop(name, None)
            registry.update(theirs)


@contextmanager
def without_status() -> Iterator[None]:
    """Have Alembic's commands not say each of their steps meanwhile."""

    @contextmanager
    def silent(*_: Any, **__: Any) -> Iterator[None]:
        yield

    before = util.status, util.msg
    util.status, util.msg = silent, lambda *_, **__: None
    try:
        yield
    finally:
        util.status, util.msg = before


def in_batch(context: AutogenContext) -> bool:
    """Return whether operations are written for `batch_op`."""
    return bool(context._has_batch)  # noqa: SLF001


def requires_copy(batch: BatchOperationsImpl) -> bool:
    """Return whether Alembic's batch mode copies the table."""
    return batch.recreate == "always" or bool(batch.batch and batch._should_recreate())  # noqa: SLF001


def reverses(operation: Any) -> bool:
    """Return whether a drop knows what it drops, and can be undone."""
    return operation._reverse is not None  # noqa: SLF001


def bound_to_type(constraint: Constraint) -> bool:
    """Return whether a constraint comes with the type of a column, as an enum's CHECK."""
    return bool(constraint._type_bound)  # noqa: SLF001


def made_with_type(constraint: Any, compiler: Any) -> bool:
    """Return whether the DBMS of a compiler gets such a constraint."""
    rule = constraint._create_rule  # noqa: SLF001
    return bound_to_type(constraint) and rule is not None and bool(rule(compiler))


def affinity(kind: TypeEngine[Any]) -> Any:
    """Return what a type is a kind of: VARCHAR and TEXT are kinds of text."""
    return kind._type_affinity  # noqa: SLF001


def variants(kind: Any) -> Mapping[str, Any]:
    """Return the types that a type has on DBMSs, by the dialects' names."""
    found: Mapping[str, Any] = kind._variant_mapping  # noqa: SLF001
    return found


def copy_column(column: Column[Any]) -> Column[Any]:
    """Return a copy of a column that belongs to no table."""
    return column._copy()  # noqa: SLF001


def set_rowcount(context: Any, rows: int) -> None:
    """Have a statement that was not sent answer with a number of rows."""
    context._rowcount = rows  # noqa: SLF001 - some drivers' cursors have it read-only


def begin_failed(connection: Connection) -> None:
    """Let a connection begin transactions again after a `begin` listener that has failed.

    SQLAlchemy takes it for one that is still beginning, and from then on sends statements outside
    of any transaction.
    """
    name = "_Connection__in_begin"
    if name not in vars(connection):
        raise AttributeError(f"SQLAlchemy's Connection has no {name} any more")
    setattr(connection, name, False)


def command_of(context: MigrationContext) -> str:
    """Return which function of `alembic.command` was called, as in `upgrade`.

    Args:
        context: of the run.

    Returns:
        Its name; empty if somebody gave Alembic a function of their own.
    """
    environment = context.environment_context
    function = environment.context_opts["fn"] if environment else None
    name = getattr(function, "__qualname__", "").partition(".")[0]
    return name if name in vars(command) else ""


def plan_of(context: MigrationContext) -> Callable[..., Any]:
    """Return the function that gives the steps of a run, from the heads and a context."""
    found: Callable[..., Any] | None = context._migrations_fn  # noqa: SLF001 - there is no event
    assert found is not None  # noqa: S101 - Alembic demands one of every command
    return found


def replace_plan(context: MigrationContext, plan: Callable[..., Any]) -> None:
    """Have another function give the steps of a run."""
    plan_of(context)  # an error if Alembic does not have it there any more
    context._migrations_fn = plan  # noqa: SLF001


def version_locations(scripts: ScriptDirectory) -> list[str]:
    """Return the folders of the revisions, by default `versions` beside env.py."""
    return [str(each) for each in scripts._version_locations]  # noqa: SLF001


def on_server(context: ExecutionContext) -> bool:
    """Return whether the rows of an answer stay on the server, as with a named cursor."""
    return bool(context._is_server_side)  # type: ignore[attr-defined]  # noqa: SLF001


def result_columns(context: Any) -> list[str] | None:
    """Return the names of the columns that a statement returns; None if it returns no rows.

    Args:
        context: of an execution. Of SQL that was given as text nothing is known: one column.
    """
    if context.compiled is None or isinstance(context.compiled.statement, TextClause):
        return ["nothing"]
    return [entry.keyname for entry in context.compiled._result_columns] or None  # noqa: SLF001

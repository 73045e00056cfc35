"""A rule about loops that what they read decides."""

import ast
import textwrap
from collections.abc import Iterator
from pathlib import Path

from alembic.script import Script

from schema_guard.lint.context import Finding
from schema_guard.lint.registry import RULES, meta_rule
from schema_guard.revisions.suppressions import source_of

LOOP = meta_rule(
    "loop-around-queries",
    "Interrupted, it goes on by the answers that are kept; of many or large ones they are not.",
    early=False,
)
QUERIES = {"exec_driver_sql", "execute", "scalar", "scalars"}
Loop = ast.For | ast.While


def check_loops(script: Script, backend: str) -> Iterator[Finding]:
    """Return the loops that change something, as often as queries say, and are not repeatable.

    Only where each round may be committed: on MySQL and MariaDB, and in an `autocommit_block()`.

    Args:
        script: the revision.
        backend: the kind of DBMS.
    """
    source = source_of(Path(script.path))
    for function in ast.parse(source).body:
        if isinstance(function, ast.FunctionDef):
            for loop in _loops(function, commits=backend == "mysql"):
                if _asks(loop, function) and _changes(loop):
                    code = textwrap.indent(_code(source, loop), "    ")
                    recipe = (
                        "from schema_guard.operations import repeatable\n\n"
                        f"with repeatable():  # if a round looks for what is left to do\n{code}"
                    )
                    danger = RULES[LOOP].danger
                    yield Finding(LOOP, danger, function.name, recipe, loop.lineno)


def _loops(node: ast.AST, *, commits: bool) -> Iterator[Loop]:
    """Return the outermost loops of which a round may be committed, and that are not repeatable."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Loop) and commits:
            yield child
            continue
        inside = commits
        if isinstance(child, ast.With):
            names = {_called(item.context_expr) for item in child.items}
            if "repeatable" in names:
                continue
            inside = commits or "autocommit_block" in names
        yield from _loops(child, commits=inside)


def _asks(loop: Loop, function: ast.FunctionDef) -> bool:
    """Return whether answers of queries decide how often a loop runs."""
    decides = loop.test if isinstance(loop, ast.While) else loop.iter
    answers = {
        target.id
        for node in ast.walk(function)
        if isinstance(node, ast.Assign | ast.NamedExpr) and _has_query(node.value)
        for each in (node.targets if isinstance(node, ast.Assign) else [node.target])
        for target in ast.walk(each)
        if isinstance(target, ast.Name)
    }
    names = {node.id for node in ast.walk(decides) if isinstance(node, ast.Name)}
    stops = isinstance(loop, ast.While) and any(isinstance(n, ast.Break) for n in ast.walk(loop))
    asks_inside = stops and any(_has_query(node) for node in _values(loop))
    return _has_query(decides) or bool(names & answers) or asks_inside


def _changes(loop: Loop) -> bool:
    """Return whether a loop sends something of which it takes no answer, or calls an operation."""
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and (_called(node) in QUERIES or getattr(node.func.value, "id", "") == "op")
        for statement in loop.body
        for node in ast.walk(statement)
    )


def _has_query(node: ast.AST) -> bool:
    """Return whether something is asked of the database."""
    return any(
        isinstance(each, ast.Call)
        and isinstance(each.func, ast.Attribute)
        and each.func.attr in QUERIES
        for each in ast.walk(node)
    )


def _values(loop: Loop) -> Iterator[ast.expr]:
    """Return what is assigned, or decides, within a loop."""
    for node in ast.walk(loop):
        if isinstance(node, ast.Assign | ast.NamedExpr):
            yield node.value
        elif isinstance(node, ast.If):
            yield node.test


def _called(node: ast.AST) -> str:
    """Return the name of what is called, without what it belongs to."""
    if not isinstance(node, ast.Call):
        return ""
    return str(getattr(node.func, "attr", getattr(node.func, "id", "")))


def _code(source: str, loop: Loop) -> str:
    lines = source.splitlines()[loop.lineno - 1 : loop.end_lineno]
    return textwrap.dedent("\n".join(lines))

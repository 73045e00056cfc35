"""What a revision's author has allowed: `# schema_guard: allow drop-column -- reason`.

The comment stands on the lines of the operation or right above it. Without a reason it counts for
nothing.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import decode_source
from pathlib import Path
from types import FrameType

COMMENT = re.compile(
    r"#\s*schema_guard:\s*allow\b\s*(?P<rule>[\w-]*)(?:\s+--\s+(?P<reason>\S.*))?", re.IGNORECASE
)
# How a comment begins that says what an operation loses.
LOSES_DATA = "Loses data:"


@dataclass(frozen=True)
class Allowance:
    """A comment that allows something."""

    rule: str
    reason: str | None
    line: int


def allowance(rule: str, stack: Iterable[tuple[FrameType, int]]) -> str | None:
    """Return the reason for which a revision allows what it is doing; None if it does not.

    Args:
        rule: such as `drop-column`.
        stack: of the operation, as `traceback.walk_stack` gives it.
    """
    for frame, line in stack:
        if {"revision", "down_revision"} <= frame.f_globals.keys():
            source = source_of(Path(frame.f_code.co_filename))
            for found in beside(source, line):
                if found.rule == rule and found.reason:
                    return found.reason
    return None


def allowances(source: str) -> Iterator[Allowance]:
    """Return all that a revision allows, with a reason or without."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        found = COMMENT.search(token.string) if token.type == tokenize.COMMENT else None
        if found:
            yield Allowance(found["rule"], found["reason"], token.start[0])


def source_of(path: Path) -> str:
    """Return the text of a module, in the encoding that it says it has."""
    return decode_source(path.read_bytes())


def beside(source: str, line: int) -> list[Allowance]:
    """Return what is allowed by comments on the statement of a line, or right above it."""
    place = _with_comments(source, line)
    return [found for found in allowances(source) if found.line in place]


def says_loss(source: str, line: int) -> bool:
    """Return whether a comment right above the statement of a line says what it loses."""
    lines = source.splitlines()
    return any(
        lines[number - 1].lstrip().startswith(f"# {LOSES_DATA}")
        for number in _with_comments(source, line)
    )


def _with_comments(source: str, line: int) -> range:
    """Return the lines of the statement on a line, with the comments above it."""
    statement = statement_of(source, line)
    if statement is None:
        return range(0)
    lines = source.splitlines()
    decorators = getattr(statement, "decorator_list", [])
    first = min([statement.lineno, *(each.lineno for each in decorators)])
    while first > 1 and lines[first - 2].lstrip().startswith("#"):
        first -= 1
    return range(first, (statement.end_lineno or statement.lineno) + 1)


def statement_of(source: str, line: int) -> ast.stmt | None:
    """Return the smallest statement on a line: a `with` reaches over its whole body."""
    around = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    sizes = [(node.end_lineno or 0) - node.lineno for node in around]
    return around[sizes.index(min(sizes))] if around else None

"""What a revision's author has allowed: `# schema_guard: allow drop-column -- reason`.

The comment stands on the lines of the operation or right above it. Without a reason it counts for
nothing.
"""

import ast
import re
from collections.abc import Iterable
from pathlib import Path
from types import FrameType

COMMENT = re.compile(r"#\s*schema_guard:\s*allow\s+(?P<rule>[\w-]+)\s+--\s+(?P<reason>\S.*)")


def allowance(rule: str, stack: Iterable[tuple[FrameType, int]]) -> str | None:
    """Return the reason for which a revision allows what it is doing; None if it does not.

    Args:
        rule: such as `drop-column`.
        stack: of the operation, as `traceback.walk_stack` gives it.
    """
    for frame, line in stack:
        if {"revision", "down_revision"} <= frame.f_globals.keys():
            for text in _lines(Path(frame.f_code.co_filename).read_text(encoding="utf-8"), line):
                found = COMMENT.search(text)
                if found and found["rule"] == rule:
                    return found["reason"]
    return None


def _lines(source: str, line: int) -> list[str]:
    """Return the lines of the statement on a line, and the comments right above it."""
    lines = source.splitlines()
    # A `with` reaches over its whole body: the smallest one is meant.
    around = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    smallest = min(around, key=lambda node: (node.end_lineno or 0) - node.lineno)
    first = smallest.lineno - 1
    while first and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return lines[first : smallest.end_lineno]

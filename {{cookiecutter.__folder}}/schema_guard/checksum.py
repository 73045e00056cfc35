"""What a Python file does, as a number that its form does not change."""

import ast
import hashlib
from collections.abc import Callable

DOCUMENTED = (ast.Module, ast.FunctionDef, ast.ClassDef)
# How a string was written.
FORM = {"kind"}


def checksum(source: bytes) -> str:
    """Return a checksum of what a Python file does.

    Comments, formatting, docstrings and the version of Python do not change it.
    """
    parts: list[str] = []
    _tell(ast.parse(source), parts.append)
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def _tell(node: ast.AST, tell: Callable[[str], None]) -> None:
    """Tell what a part of a program means."""
    tell(f"({type(node).__name__}")
    for name in node._fields:
        value = getattr(node, name, None)
        # Which empty fields there are depends on the version of Python.
        if value is None or value == [] or name in FORM:
            continue
        tell(f" {name}=")
        if isinstance(value, ast.AST):
            _tell(value, tell)
        elif isinstance(value, list):
            documented = name == "body" and isinstance(node, DOCUMENTED) and is_text(value[0])
            for part in value[1:] if documented else value:
                _tell(part, tell) if isinstance(part, ast.AST) else tell(repr(part))
        else:
            tell(repr(value))
    tell(")")


def is_text(statement: ast.stmt) -> bool:
    """Return whether a statement is just a text: a docstring, at the beginning."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )

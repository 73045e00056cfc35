"""What a Python file does, as a number that its form does not change."""

import ast
import hashlib
from collections.abc import Callable
from typing import Any

DOCUMENTED = (ast.Module, ast.FunctionDef, ast.ClassDef)
# How a string was written.
FORM = {"kind"}


def checksum(source: bytes) -> str:
    """Return a checksum of what a Python file does.

    Comments, formatting, docstrings and the version of Python do not change it.
    """
    digest = hashlib.sha256()
    _feed(ast.parse(source), digest.update)
    return digest.hexdigest()


def _feed(node: Any, feed: Callable[[bytes], None]) -> None:
    """Tell a hash what a part of a program means."""
    if isinstance(node, list):
        for part in node:
            _feed(part, feed)
        return
    if not isinstance(node, ast.AST):
        feed(repr(node).encode())
        return
    feed(b"(%s" % type(node).__name__.encode())
    documented = isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None
    for name in node._fields:
        value = getattr(node, name, None)
        # Which empty fields there are depends on the version of Python.
        if value is None or value == [] or name in FORM:
            continue
        feed(b" %s=" % name.encode())
        _feed(value[1:] if documented and name == "body" else value, feed)
    feed(b")")

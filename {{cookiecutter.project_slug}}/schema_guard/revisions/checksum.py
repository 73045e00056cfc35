"""The files of revisions, compared by what they mean.

Promise: comments, formatting and docstrings do not count, nor does the version of Python.
"""

import ast
import hashlib

DOCUMENTED = (ast.Module, ast.FunctionDef, ast.ClassDef)


def digest(source: bytes) -> str:
    """Return a number for the bytes of a file."""
    return hashlib.sha256(source).hexdigest()


def means_the_same(one: bytes, other: bytes) -> bool:
    """Return whether two Python files do the same."""
    if one == other:
        return True
    try:
        return _meaning(one) == _meaning(other)
    except (SyntaxError, ValueError):  # what an older Python took, or what holds a NUL
        return False


def _meaning(source: bytes) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
        elif isinstance(node, ast.Constant):
            node.kind = None  # how a text was written
    return ast.dump(tree)

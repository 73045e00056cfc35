"""The files of revisions, compared by what they mean.

Promise: how a file is written does not count, nor does the version of Python; see normal_form.py.
"""

import hashlib

from schema_guard.revisions.normal_form import normal_form


def digest(source: bytes) -> str:
    """Return a number for the bytes of a file."""
    return hashlib.sha256(source).hexdigest()


def means_the_same(one: bytes, other: bytes) -> bool:
    """Return whether two Python files do the same."""
    if one == other:
        return True
    try:
        return normal_form(one) == normal_form(other)
    except (SyntaxError, ValueError):  # what an older Python took, or what holds a NUL
        return False

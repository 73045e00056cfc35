"""All rules: importing the modules that hold them registers them."""

from schema_guard.lint.context import RULES, find
from schema_guard.lint.rules import (  # noqa: F401
    columns,
    compatibility,
    constraints,
    data,
    enforcement,
    foreign_keys,
    indexes,
    maintenance,
    mysql,
    tables,
)

__all__ = ["RULES", "find"]

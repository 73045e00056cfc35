"""All rules: importing the modules that hold them registers them."""

from schema_guard.lint.context import find
from schema_guard.lint.registry import RULES, policy
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

__all__ = ["RULES", "find", "policy"]

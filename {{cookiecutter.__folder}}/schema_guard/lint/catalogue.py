"""All rules: importing the modules that hold them registers them."""

from schema_guard.lint import (  # noqa: F401
    columns,
    constraints,
    indexes,
    releases,
    rows,
    servers,
    tables,
)
from schema_guard.lint.rules import RULES, judge

__all__ = ["RULES", "judge"]

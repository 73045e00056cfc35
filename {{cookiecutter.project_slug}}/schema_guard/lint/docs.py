"""RULES.md: why each rule finds what it finds."""

import os
import re
from pathlib import Path

DOCS = Path(__file__).parent / "RULES.md"


def section(name: str) -> str:
    """Return what RULES.md says of a rule; empty for a rule of a project's own."""
    text = DOCS.read_text(encoding="utf-8")
    found = re.search(
        rf"^### {re.escape(name)}\n+(.*?)(?=^### |\Z)", text, re.MULTILINE | re.DOTALL
    )
    return found[1].strip() if found else ""


def docs_of(name: str) -> str:
    """Return where a rule is explained: RULES.md, or pyproject.toml's module of own rules."""
    if section(name):
        return f"{Path(os.path.relpath(DOCS)).as_posix()}#{name}"
    return "the project's own rule: lint-rules in pyproject.toml"

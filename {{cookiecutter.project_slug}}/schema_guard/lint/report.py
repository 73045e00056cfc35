"""How findings are reported: to people and to programs."""

import json
import os
import textwrap
from collections.abc import Iterator
from pathlib import Path

from schema_guard.lint.ci_formats import CI_FORMATS
from schema_guard.lint.context import Finding
from schema_guard.lint.docs import docs_of
from schema_guard.lint.linter import Judged

UNRELEASED = (
    "Only what loses data or fails was looked for: pyproject.toml says `released = false`. Set it"
    " to true before the first deployment whose data and requests count."
)


def report(judged: Judged, form: str) -> Iterator[str]:
    """Return the lines that tell what was found, as text, json, github, gitlab or sarif."""
    found = [(Path(os.path.relpath(path)).as_posix(), each) for path, each in judged.findings]
    if form in CI_FORMATS:
        yield from CI_FORMATS[form](found, judged.policy)
    elif form == "json":
        yield json.dumps([_data(path, finding) for path, finding in found], indent=2)
    else:
        for path, finding in found:
            yield from _text(path, finding)
        yield from _summary(judged)


def _data(path: str, finding: Finding) -> dict[str, object]:
    return {
        "rule": finding.rule,
        "path": path,
        "line": finding.line,
        "what": finding.what,
        "danger": finding.danger,
        "recipe": finding.recipe,
        "docs": docs_of(finding.rule),
    }


def _text(path: str, finding: Finding) -> Iterator[str]:
    yield f"{path}:{finding.line}: {finding.rule}: {finding.what}"
    yield f"    {finding.danger} Instead:"
    yield textwrap.indent(finding.recipe, " " * 8)
    yield f"    Why, and when it may be allowed: {docs_of(finding.rule)}"
    yield ""


def _summary(judged: Judged) -> Iterator[str]:
    number, of = len(judged.findings), len(judged.revisions)
    yield (
        f"{number or 'No'} finding{'' if number == 1 else 's'} in"
        f" {of} revision{'' if of == 1 else 's'}."
    )
    for name, reason in judged.settings.lint_off.items():
        yield f"Switched off in pyproject.toml: {name} -- {reason}"
    if not judged.settings.released:
        yield UNRELEASED

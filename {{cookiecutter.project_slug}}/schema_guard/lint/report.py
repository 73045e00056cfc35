"""How findings are reported: to people, to programs, to GitHub."""

import json
import os
import textwrap
from collections.abc import Iterator

from schema_guard.lint.context import Finding
from schema_guard.lint.docs import DOCS
from schema_guard.lint.linter import Judged

UNRELEASED = (
    "Only what loses data or fails was looked for: pyproject.toml says `released = false`. Set it"
    " to true before the first deployment whose data and requests count."
)


def report(judged: Judged, form: str) -> Iterator[str]:
    """Return the lines that tell what was found, as text, json or github."""
    findings = [(os.path.relpath(path), finding) for path, finding in judged.findings]
    if form == "json":
        yield json.dumps([_data(path, finding) for path, finding in findings], indent=2)
        return
    for path, finding in findings:
        yield from _text(path, finding) if form == "text" else [_annotation(path, finding)]
    if form == "text":
        number, of = len(findings), len(judged.revisions)
        yield (
            f"{number or 'No'} finding{'' if number == 1 else 's'} in"
            f" {of} revision{'' if of == 1 else 's'}."
        )
        if not judged.released:
            yield UNRELEASED


def _data(path: str, finding: Finding) -> dict[str, object]:
    return {
        "rule": finding.rule,
        "path": path,
        "line": finding.line,
        "what": finding.what,
        "danger": finding.danger,
        "recipe": finding.recipe,
        "docs": _docs(finding),
    }


def _docs(finding: Finding) -> str:
    return f"{os.path.relpath(DOCS)}#{finding.rule}"


def _text(path: str, finding: Finding) -> Iterator[str]:
    yield f"{path}:{finding.line}: {finding.rule}: {finding.what}"
    yield f"    {finding.danger} Instead:"
    yield textwrap.indent(finding.recipe, " " * 8)
    yield f"    Why, and when it may be allowed: {_docs(finding)}"
    yield ""


def _annotation(path: str, finding: Finding) -> str:
    """Return a command of GitHub's workflows that marks the line."""
    message = f"{finding.danger} Instead:\n{finding.recipe}\n{_docs(finding)}"
    title = _escaped(f"{finding.rule}: {finding.what}").replace(":", "%3A").replace(",", "%2C")
    place = _escaped(path).replace(":", "%3A").replace(",", "%2C")
    return f"::error file={place},line={finding.line},title={title}::{_escaped(message)}"


def _escaped(words: str) -> str:
    return words.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")

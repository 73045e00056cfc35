"""Findings as CI systems take them: GitHub's commands, GitLab's Code Quality, SARIF."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote

from schema_guard.lint.context import Finding
from schema_guard.lint.docs import docs_of, section
from schema_guard.lint.registry import Policy

# The file's path, as from where the command runs, and what was found in it.
Found = list[tuple[str, Finding]]
SARIF = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def github(found: Found, _policy: Policy) -> Iterator[str]:
    """Return commands of GitHub's workflows, each of which marks a line."""
    for path, finding in found:
        title = _property(f"{finding.rule}: {finding.what}")
        place = _property(path)
        words = _escaped(_message(finding))
        yield f"::error file={place},line={finding.line},title={title}::{words}"


def gitlab(found: Found, policy: Policy) -> Iterator[str]:
    """Return a report of GitLab's Code Quality."""
    issues = [
        {
            "check_name": finding.rule,
            "description": f"{finding.what}: {finding.danger}",
            "content": {"body": _message(finding)},
            "fingerprint": fingerprint,
            "severity": "critical" if policy.rules[finding.rule].early else "major",
            "location": {"path": path, "lines": {"begin": max(finding.line, 1)}},
        }
        for (path, finding), fingerprint in zip(found, _fingerprints(found), strict=True)
    ]
    yield json.dumps(issues, indent=2)


def sarif(found: Found, policy: Policy) -> Iterator[str]:
    """Return a log of SARIF 2.1.0, as GitHub's code scanning takes it."""
    names = list(dict.fromkeys(finding.rule for _, finding in found))
    rules = [
        {
            "id": name,
            "shortDescription": {"text": policy.rules[name].danger},
            "help": {"text": section(name) or policy.rules[name].danger},
        }
        for name in names
    ]
    results = [
        {
            "ruleId": finding.rule,
            "ruleIndex": names.index(finding.rule),
            "level": "error",
            "message": {"text": f"{finding.what}: {_message(finding)}"},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": quote(path), "uriBaseId": "%SRCROOT%"},
                        "region": {"startLine": max(finding.line, 1)},
                    }
                }
            ],
            "partialFingerprints": {"schemaGuard/v1": fingerprint},
        }
        for (path, finding), fingerprint in zip(found, _fingerprints(found), strict=True)
    ]
    run = {"tool": {"driver": {"name": "schema_guard", "rules": rules}}, "results": results}
    yield json.dumps({"$schema": SARIF, "version": "2.1.0", "runs": [run]}, indent=2)


CI_FORMATS: dict[str, Callable[[Found, Policy], Iterator[str]]] = {
    "github": github,
    "gitlab": gitlab,
    "sarif": sarif,
}


def _message(finding: Finding) -> str:
    return f"{finding.danger} Instead:\n{finding.recipe}\n{docs_of(finding.rule)}"


def _fingerprints(found: Iterable[tuple[str, Finding]]) -> Iterator[str]:
    """Return what a finding is known by from one commit to the next: its line does not count."""
    seen: Counter[str] = Counter()
    for path, finding in found:
        key = f"{path}|{finding.rule}|{finding.what}"
        seen[key] += 1
        yield hashlib.sha256(f"{key}|{seen[key]}".encode()).hexdigest()


def _property(words: str) -> str:
    return _escaped(words).replace(":", "%3A").replace(",", "%2C")


def _escaped(words: str) -> str:
    return words.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")

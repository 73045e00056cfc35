"""Check every answer before a file is written; change nothing.

cookiecutter renders this file, then runs it with its own interpreter in the project's folder.
"""

from __future__ import annotations

import json
import os
import re
import sys
import unicodedata
from pathlib import PurePath
from typing import Any, Mapping

# Parsed in main: answer_checks.py reads this file as it is.
ANSWERS = r"""{{ cookiecutter | tojson }}"""

SETUP_VARIABLE = "FLASK_MIGRATE_TEMPLATE_SETUP"
QUESTIONS = ("project_name", "project_slug", "description", "author_name")
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
OLDEST_PYTHON = (3, 11)
# Unicode keeps the last two of every plane, and one row, for no character ever.
LAST_TWO = "".join(
    chr(plane + last) for plane in range(0, 0x110000, 0x10000) for last in (0xFFFE, 0xFFFF)
)
NO_CHARACTER = re.compile(f"[\ufdd0-\ufdef{LAST_TWO}]")
SLUG_LENGTH = 63  # of a host name's label (RFC 1035); also of an identifier in PostgreSQL
RESERVED = {
    "Windows": {"con", "prn", "aux", "nul"}
    | {f"{device}{number}" for device in ("com", "lpt") for number in range(1, 10)},
    "PostgreSQL": {"postgres", "template0", "template1"},
    "MySQL": {"mysql", "sys", "information-schema", "performance-schema"},
}


def problems(
    answers: Mapping[str, Any], environ: Mapping[str, str], python: tuple[int, ...]
) -> list[str]:
    """Return what is wrong with the answers, one line each; nothing when all is well.

    Args:
        answers: cookiecutter's context.
        environ: the environment variables.
        python: the version of the interpreter, as in `sys.version_info`.
    """
    found = []
    if python[:2] < OLDEST_PYTHON:
        running = ".".join(map(str, python[:2]))
        found.append(f"Python is {running}: run cookiecutter with 3.11 or newer.")
    for question in QUESTIONS:
        found += problems_of(question, answers[question])
    if answers["database"] not in ("sqlite", "postgresql", "mysql"):
        found.append(f"database is {answers['database']!r}: choose sqlite, postgresql or mysql.")
    if environ.get(SETUP_VARIABLE, "no").lower() not in ("yes", "no"):
        found.append(
            f"{SETUP_VARIABLE} is {environ[SETUP_VARIABLE]!r} in the environment: set yes or no."
        )
    return found


def problems_of(question: str, answer: str) -> list[str]:
    """Return what is wrong with the answer to a question, one line each."""
    found = text_problems(question, answer)
    return found or (slug_problems(answer) if question == "project_slug" else [])


def text_problems(question: str, answer: str) -> list[str]:
    """Return what keeps an answer from being written to a file, and read back, exactly."""
    if not answer.strip() and question != "description":
        return [f"{question} is empty: give it a value."]
    for character in answer:
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
            kind = "a control character or line break"
        elif NO_CHARACTER.match(character):
            kind = "what Unicode says is no character"
        else:
            continue
        return [f"{question} holds {kind} (U+{ord(character):04X}): leave it out."]
    return []


def slug_problems(slug: str) -> list[str]:
    """Return what keeps a slug from naming a folder, a host and a database."""
    if not SLUG.fullmatch(slug):
        rule = "use lower-case letters a-z and digits, with single dashes between them"
        first, *below = PurePath(slug).parts or (slug,)
        left = below and first not in (os.pardir, PurePath(slug).anchor)
        note = f" cookiecutter leaves the folder {first} behind: delete it." if left else ""
        return [f"project_slug is {slug!r}: {rule}.{note}"]
    if len(slug) > SLUG_LENGTH:
        return [f"project_slug has {len(slug)} characters: {SLUG_LENGTH} are the most."]
    return [
        f"project_slug is {slug!r}, a name that {owner} keeps for itself: choose another."
        for owner, names in RESERVED.items()
        if slug in names
    ]


def main() -> int:
    """Print every problem; return 1 if there is one, 0 otherwise."""
    found = problems(json.loads(ANSWERS), os.environ, sys.version_info[:3])
    for problem in found:
        print("error: " + problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    # A terminal's encoding may lack a character of an answer.
    sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(main())

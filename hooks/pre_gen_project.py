"""Check every answer before a file is written; change nothing.

cookiecutter renders this file, then runs it with its own interpreter in the project's folder.
"""

import json
import os
import re
import sys
import unicodedata

ANSWERS = json.loads(r"""{{ cookiecutter | tojson }}""")

SETUP_VARIABLE = "FLASK_MIGRATE_TEMPLATE_SETUP"
QUESTIONS = ("project_name", "project_slug", "description", "author_name")
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
SLUG_LENGTH = 63  # of a host name's label (RFC 1035); also of an identifier in PostgreSQL
RESERVED = {
    "Windows": {"con", "prn", "aux", "nul"}
    | {f"{device}{number}" for device in ("com", "lpt") for number in range(1, 10)},
    "PostgreSQL": {"postgres", "template0", "template1"},
    "MySQL": {"mysql", "sys", "information-schema", "performance-schema"},
}


def problems(answers, environ, python):
    """Return what is wrong with the answers, one line each; nothing when all is well.

    Args:
        answers: cookiecutter's context.
        environ: the environment variables.
        python: the version of the interpreter, as in `sys.version_info`.
    """
    found = []
    if tuple(python[:2]) < (3, 11):
        running = ".".join(map(str, python[:2]))
        found.append(f"Python is {running}: run cookiecutter with 3.11 or newer.")
    for question in QUESTIONS:
        found += text_problems(question, answers[question])
    found += slug_problems(answers["project_slug"])
    if answers["database"] not in ("sqlite", "postgresql", "mysql"):
        found.append(
            f"database is {answers['database']!r}: choose sqlite, postgresql or mysql."
        )
    if environ.get(SETUP_VARIABLE, "no").lower() not in ("yes", "no"):
        found.append(
            f"{SETUP_VARIABLE} is {environ[SETUP_VARIABLE]!r} in the environment: say yes or no."
        )
    return found


def text_problems(question, answer):
    """Return what keeps an answer from being written to a file, and read back, exactly."""
    if not answer.strip() and question != "description":
        return [f"{question} is empty: give it a value."]
    for character in answer:
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
            kind = "a control character or line break"
        elif ord(character) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(character) <= 0xFDEF:
            kind = "what Unicode says is no character"
        else:
            continue
        return [f"{question} holds {kind} (U+{ord(character):04X}): leave it out."]
    return []


def slug_problems(slug):
    """Return what keeps a slug from naming a folder, a host and a database."""
    if not slug.strip():
        return []  # said already
    if not SLUG.fullmatch(slug):
        return [
            f"project_slug is {slug!r}: use lower-case letters a-z and digits,"
            " with single dashes between them."
        ]
    if len(slug) > SLUG_LENGTH:
        return [f"project_slug has {len(slug)} characters: {SLUG_LENGTH} are the most."]
    return [
        f"project_slug is {slug!r}, a name that {owner} keeps for itself: choose another."
        for owner, names in RESERVED.items()
        if slug in names
    ]


def main():
    """Print every problem; return 1 if there is one, 0 otherwise."""
    found = problems(ANSWERS, os.environ, sys.version_info)
    for problem in found:
        print("error: " + problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    # A terminal's encoding may lack a character of an answer.
    sys.stderr.reconfigure(errors="backslashreplace")
    sys.exit(main())

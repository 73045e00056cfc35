"""A new revision is formatted where ruff is installed: the hook `type = ruff` of alembic.ini.

Promise: it is written, whatever ruff says. What its author needs for the next line stays imported.
"""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
from alembic.script import write_hooks

# Only the order of imports and white space: the rest is the author's.
STEPS = (["check", "--quiet", "--fix", "--select", "I,W"], ["format", "--quiet"])


@write_hooks.register("ruff")
def tidy(path: str, _options: dict[str, Any]) -> None:
    """Format a file; Alembic calls this once it has written a revision."""
    if find_spec("ruff") is None:  # a tool of development
        click.echo(f"Note: ruff is not installed: {Path(path).name} is not formatted.", err=True)
        return
    for step in STEPS:
        done = subprocess.run(  # noqa: S603 - no shell
            [sys.executable, "-m", "ruff", *step, path],
            check=False,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )
        if done.returncode > 1:  # 1 is something that it does not fix
            said = (done.stderr.strip().splitlines() or ["no word of why"])[0]
            click.echo(f"Warning: ruff has not formatted {Path(path).name}: {said}", err=True)
            return

"""Whether a migration repository runs the guards: its env.py calls `schema_guard.env.run`.

Promise: one that does not, as Flask-Migrate's own, is named by every command, and takes none of the
guards' flags: what nobody heeds is not accepted.
"""

import ast
from pathlib import Path

import click

from schema_guard.core.errors import GuardError

# What `flask db init` makes a repository from, unless it is told otherwise.
TEMPLATE = Path(__file__).resolve().parent.parent / "repository"
MAKE_IT = "from alembic import context\n  from schema_guard import env\n  env.run(context)"


def check_environment(folder: Path, flags: list[str]) -> None:
    """Name a repository that does not run the guards.

    Args:
        folder: of the repository.
        flags: those of the guards that the command was given, as they are typed.

    Raises:
        GuardError: there are any.
    """
    path = folder / "env.py"
    if not path.is_file() or runs_guards(path.read_bytes()):
        return
    words = f"{path} does not call schema_guard.env.run, so no guard is on"
    way = f"Have it do so; a whole one is\n  {MAKE_IT}"
    if flags:
        named = ", ".join(f"--{flag}" for flag in flags)
        raise GuardError(f"{words}, and nothing heeds {named}. {way}")
    click.echo(
        f"Warning: {words}: no lock, no backup, no record, no check for losses. {way}", err=True
    )


def runs_guards(source: bytes) -> bool:
    """Return whether a file of Python imports what runs the guards."""
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError):  # running it says so
        return True
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom | ast.Import)]
    return any(name in {"schema_guard.env", "schema_guard.env.run"} for name in _names(imports))


def _names(imports: list[ast.ImportFrom | ast.Import]) -> list[str]:
    """Return what imports name, with the module."""
    return [
        f"{node.module}.{alias.name}" if isinstance(node, ast.ImportFrom) else alias.name
        for node in imports
        for alias in node.names
    ]

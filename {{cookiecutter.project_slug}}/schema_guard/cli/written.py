"""What the commands that write a file say: which one, and what to do next."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from alembic.script import ScriptDirectory
from flask import current_app

from schema_guard import compat
from schema_guard.revisions.script_directory import chosen_directory, shown_path, version_folders

WRITES = ("merge", "migrate", "revision")


@contextmanager
def reported(name: str, *, verbose: bool) -> Iterator[None]:
    """Say what a command has written, instead of each of Alembic's steps.

    Args:
        name: of the command.
        verbose: whether Alembic says its steps too.
    """
    if name not in {*WRITES, "init"}:
        yield
        return
    before = _files() if name in WRITES else set()
    if verbose:
        yield
    else:
        with compat.without_status():
            yield
    if name == "init":
        folder = chosen_directory() or current_app.extensions["migrate"].directory
        click.echo(f"Written: {shown_path(Path(folder))}. Next: flask db migrate")
        return
    for path in sorted(_files() - before):
        click.echo(f"Written: {shown_path(path)}")
        click.echo("Next: read it, `flask db lint` checks it; then `flask db upgrade` runs it.")


def _files() -> set[Path]:
    """Return the files of revisions that there are; read anew."""
    config = current_app.extensions["migrate"].migrate.get_config(chosen_directory())
    folders = version_folders(ScriptDirectory.from_config(config))
    return {path for folder in folders for path in folder.glob("*.py")}

"""A database that has run revisions whose files are not here: those of another branch of git, say.

Promise: every command says the same, names the branch that has the files, and one command to go
back. `flask db downgrade` needs no file: it takes what the record has kept of each.
"""

import ast
import importlib.util
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection

from schema_guard.core.errors import GuardError, cause
from schema_guard.revisions.heads import branch_with
from schema_guard.revisions.script_directory import (
    current_heads,
    shown_path,
    version_folders,
    way_back,
)
from schema_guard.runner import history


def refuse_lost(connection: Connection, scripts: ScriptDirectory) -> None:
    """Refuse to go on from revisions whose files are not here.

    Args:
        connection: to the database.
        scripts: the revisions of the code.

    Raises:
        GuardError: the database is at one.
    """
    current = [name for name in current_heads(connection) if not history.knows(scripts, name)]
    if current:
        error = GuardError(_message(connection, scripts, current))
        connection.rollback()
        raise error


def _message(connection: Connection, scripts: ScriptDirectory, current: list[str]) -> str:
    folder = version_folders(scripts)[0]
    branch, kept = branch_with(folder, current[0]), _kept(connection, scripts)
    where = f"The database is at revision {', '.join(current)}, which is not in"
    where += f" {shown_path(folder)}: {_whence(branch, known=bool(kept))}"
    ways = []
    if branch:
        ways.append(f"go back to that branch:\n  git switch {branch.removeprefix('origin/')}")
    elif kept:
        ways.append("run the code that has it, a newer release, say")
    target = _target(kept)
    if target and history.knows(scripts, target):
        undo = f"undo {', '.join(kept)} (what was added is dropped), with the files that the"
        ways.append(f"{undo} database has stored:\n  flask db downgrade {target}")
    if kept:
        commands = "".join(f"\n  {way_back(revision, folder)}" for revision in kept)
        ways.append(f"have the files here, as they were run:{commands}")
    if not ways:
        return where
    ways.append("in development, start over: `flask --debug db drop`, `flask db prepare`.")
    return f"{where}\n{_listed(ways)}"


def _listed(ways: list[str]) -> str:
    first, *others = ways
    return "\n".join([first[0].upper() + first[1:], *(f"or {way}" for way in others)])


def _whence(branch: str | None, *, known: bool) -> str:
    if branch:
        return f"it was run from the branch {branch}. Nothing was changed."
    if known:
        return (
            "it was run from another branch or by a newer release, or its file was deleted."
            " Nothing was changed."
        )
    return (
        "it is another project's, or newer than this code. Nothing was changed. Name another"
        " database in DATABASE_URL, in .env, or update the code."
    )


def _kept(connection: Connection, scripts: ScriptDirectory) -> dict[str, bytes]:
    """Return the files that are not here of the revisions that were run, in that order."""
    found = {}
    for revision in history.lost(connection, scripts):
        try:
            found[revision] = history.source_of(connection, revision)
        except GuardError:  # an earlier version has kept none
            return {}
    return found


def _target(kept: dict[str, bytes]) -> str | None:
    """Return the revision that the first of the kept ones comes after; None if that is not one."""
    before = {name for source in kept.values() for name in _down(source)} - kept.keys()
    return before.pop() if len(before) == 1 else None


def _down(source: bytes) -> tuple[str, ...]:
    """Return what a file says that it comes after; `base` for the first revision."""
    for node in ast.parse(source).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(each, ast.Name) and each.id == "down_revision" for each in targets):
            value = ast.literal_eval(node.value)  # type: ignore[attr-defined]
            return (value,) if isinstance(value, str) else tuple(value or ("base",))
    return ()


@contextmanager
def kept_files(connection: Connection, scripts: ScriptDirectory) -> Iterator[None]:
    """Have the files of lost revisions among the others meanwhile, as they were run here.

    Args:
        connection: to the database.
        scripts: the revisions of the code.

    Raises:
        GuardError: one cannot be read here.
    """
    kept = _kept(connection, scripts)
    connection.rollback()
    if not kept:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="revisions-") as folder:
        for revision, source in kept.items():
            path = Path(folder, f"{revision}.py")
            path.write_bytes(source)
            scripts.revision_map.add_revision(_script(revision, path))
        yield


def _script(revision: str, path: Path) -> Script:
    """Return a revision that is read from a file."""
    spec = importlib.util.spec_from_file_location(f"kept_{revision}", path)
    assert spec is not None  # noqa: S101 - of a .py file there is one
    assert spec.loader is not None  # noqa: S101 - as above
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise GuardError(
            f"The file of revision {revision}, stored in the database, cannot be read here:"
            f" {cause(error)}. Nothing was changed. Go back to the branch that it was run from."
        ) from error
    return Script(module, revision, str(path))

"""Two heads, which a merge of two branches leaves behind, and how they become one again.

Promise: nobody makes a second head by accident, and nobody rewrites a revision that has run here.
"""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from alembic.script import Script, ScriptDirectory

from schema_guard.core.errors import GuardError

# Where others have what is shared, the first one that there is.
MOST_BRANCHES = 100
SHARED = ("origin/HEAD", "origin/main", "origin/master", "main", "master")


def refuse_two(scripts: ScriptDirectory, current: Iterable[str]) -> None:
    """Refuse to go on while there are several heads.

    Args:
        scripts: the revisions of the code.
        current: where the database is.

    Raises:
        GuardError: there are; it says which, and what to do.
    """
    heads = scripts.get_heads()
    if len(heads) < 2:  # noqa: PLR2004 - one is what there should be
        return
    applied = ancestors(scripts, current)
    lines = [
        f"  {head}  {Path(script.path).name}, {'has' if head in applied else 'has not'} run here"
        for head in heads
        if (script := scripts.get_revision(head))
    ]
    raise GuardError(
        f"There are {len(heads)} heads:\n"
        + "\n".join(lines)
        + "\nNothing was changed. `flask db rebase` puts the one that is not shared yet after the"
        " other; where both are, `flask db merge heads -m merge` joins them. Branches that"
        " are to stay: name one, as in `label@head`, or run all of them: `flask db upgrade heads`."
    )


def rebase(scripts: ScriptDirectory, current: Iterable[str], mine: str | None) -> str:
    """Put the revisions of one head after the other head, by editing the first one's file.

    Args:
        scripts: the revisions of the code.
        current: where the database is.
        mine: the head to move; None for the one that git's main branch does not have.

    Returns:
        What was done, in a line.

    Raises:
        GuardError: it cannot be told which to move, or it has run on this database.
    """
    heads = scripts.get_heads()
    if len(heads) != 2:  # noqa: PLR2004 - nothing to rebase, or not one thing
        raise GuardError(
            f"There is 1 head, {heads[0]}: nothing to rebase."
            if len(heads) == 1
            else f"There are {len(heads)} heads, {', '.join(heads)}: rebase takes two."
        )
    if mine is None:
        own = [head for head in heads if is_shared(_script(scripts, head)) is False]
        if len(own) != 1:
            raise GuardError(
                f"Which of {heads[0]} and {heads[1]} is not shared yet is not known from git:"
                " name it, `flask db rebase REVISION`. Nothing was changed."
            )
        mine = own[0]
    if mine not in heads:
        raise GuardError(f"{mine} is no head: {' and '.join(heads)} are. Nothing was changed.")
    (other,) = (head for head in heads if head != mine)
    moved = ancestors(scripts, [mine]) - ancestors(scripts, [other])
    scripts_moved = [_script(scripts, revision) for revision in moved]
    (first,) = (script for script in scripts_moved if not set(_down(script)) & moved)
    have_run = moved & ancestors(scripts, current)
    down = _down(first)
    if have_run:
        raise GuardError(
            f"{mine} has run on this database: take it back first, `flask db downgrade"
            f" {down[0] if down else 'base'}` (what it added is dropped). Nothing was changed."
        )
    if len(down) > 1:
        raise GuardError(f"{first.revision} joins {' and '.join(down)}: it cannot be moved.")
    path = Path(first.path)
    path.write_text(_moved(path, down[0] if down else None, other), encoding="utf-8")
    return f"{path.name}: {first.revision} now comes after {other}"


def ancestors(scripts: ScriptDirectory, revisions: Iterable[str]) -> set[str]:
    """Return revisions and all that they build on, as far as there are files of them."""
    found: set[str] = set()
    left = list(revisions)
    known = {script.revision: script for script in scripts.walk_revisions()}
    while left:
        revision = left.pop()
        if revision in known and revision not in found:
            found.add(revision)
            left += _down(known[revision])
    return found


def is_shared(script: Script) -> bool | None:
    """Return whether git's main branch has a revision's file; None where that is not known."""
    path = Path(script.path)
    names = shared(path.parent)
    return None if names is None else path.name in names


def shared(folder: Path) -> set[str] | None:
    """Return the names of the files that git's main branch has in a folder; None without one."""
    for branch in SHARED:
        names = _git(folder, "ls-tree", "-z", "--name-only", branch, "./")
        if names is not None:
            return {name.rpartition("/")[2] for name in names.split("\0")}
    return None


def branch_with(folder: Path, revision: str) -> str | None:
    """Return the branch of git that has the file of a revision; None if none has, as far as known.

    Args:
        folder: of the revisions.
        revision: whose file it is.
    """
    # The newest that somebody has worked on; names of remote ones come after those of local ones.
    newest = ("for-each-ref", "--sort=-committerdate", f"--count={MOST_BRANCHES}")
    found = _git(folder, *newest, "--format=%(refname:short)", "refs/heads", "refs/remotes")
    branches = (found or "").split()
    pattern = rf"^revision\b.*=.*['\"]{re.escape(revision)}['\"]"
    named = branches and _git(folder, "grep", "-lE", pattern, *branches, "--", ".")
    have = {line.partition(":")[0] for line in (named or "").splitlines()}
    return next((branch for branch in sorted(branches, key=_is_remote) if branch in have), None)


def _is_remote(branch: str) -> bool:
    return branch.startswith("origin/")


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what a command of git says; None if it fails, or there is no git."""
    try:
        done = subprocess.run(  # noqa: S603 - no shell
            ["git", *arguments],  # noqa: S607 - found as anywhere
            cwd=folder,
            capture_output=True,
            check=False,
            encoding="utf-8",
        )
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


def _moved(path: Path, old: str | None, new: str) -> str:
    """Return a revision's file with another revision to come after."""
    text, quoted = path.read_text(encoding="utf-8"), re.escape(str(old))
    assignment = re.compile(rf"^(down_revision\b[^=\n]*=\s*)(['\"]?){quoted}\2", re.MULTILINE)
    changed, number = assignment.subn(rf'\g<1>"{new}"', text)
    if number != 1:
        raise GuardError(f"{path}: its down_revision is not written as a text. Change it by hand.")
    line = re.compile(rf"^Revises: *{quoted if old else ''}$", re.MULTILINE)
    return line.sub(f"Revises: {new}", changed)


def _script(scripts: ScriptDirectory, revision: str) -> Script:
    script = scripts.get_revision(revision)
    if script is None:
        raise GuardError(f"There is no revision {revision}.")
    return script


def _down(script: Script) -> tuple[str, ...]:
    down = script.down_revision
    return (down,) if isinstance(down, str) else tuple(down or ())

"""The files that this package consists of: are they as its template made them?

Nobody edits a dependency: what is changed here is lost when the project takes a newer one, and no
promise holds for it until then. `flask db check` names such files.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from schema_guard.core.errors import GuardError

PACKAGE = Path(__file__).resolve().parent.parent
MANIFEST = PACKAGE / "MANIFEST"


def lines() -> Iterator[str]:
    """Return the manifest of the files as they are now: `sha256  path`, sorted by path."""
    for path in sorted(PACKAGE.rglob("*")):
        name = path.relative_to(PACKAGE).as_posix()
        hidden = any(part.startswith((".", "__pycache__")) for part in name.split("/"))
        if path.is_file() and path != MANIFEST and not hidden:
            # Git may have checked it out with the line ends of Windows.
            text = path.read_bytes().replace(b"\r\n", b"\n")
            yield f"{hashlib.sha256(text).hexdigest()}  {name}"


def check() -> None:
    """Compare the files with the manifest; without one nothing is compared.

    Raises:
        GuardError: some were edited, added or deleted; it names them.
    """
    if not MANIFEST.exists():
        return
    then = _by_name(MANIFEST.read_text(encoding="utf-8").splitlines())
    now = _by_name(lines())
    changed = [
        f"  {name}: {'edited' if name in then and name in now else _state(name in now)}"
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name)
    ]
    if changed:
        raise GuardError(
            "These files of schema_guard/ are not as the template made them:\n"
            + "\n".join(changed)
            + "\nPut them back from git, and report what they lack to the template. To maintain"
            " schema_guard yourselves from now on, delete schema_guard/MANIFEST."
        )


def _state(exists: bool) -> str:  # noqa: FBT001 - of the file
    return "added" if exists else "deleted"


def _by_name(listed: Iterator[str] | list[str]) -> dict[str, str]:
    pairs = (line.partition("  ") for line in listed)
    return {name: digest for digest, _, name in pairs}

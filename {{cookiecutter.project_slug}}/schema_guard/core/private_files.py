"""Files that only their owner can read, from their first byte, and that appear when complete.

What a process that was killed has left of one is deleted by the next that writes into the folder;
one that is still being written is locked, and left alone.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from schema_guard.core.file_lock import try_lock

# The end of the name of a file that is not complete.
PART = ".backup-part"
# SQLite's own, beside a file that it writes.
BESIDE = ("-journal", "-wal", "-shm")


def private_folder(folder: Path) -> None:
    """Make a folder that is its owner's alone; one that exists becomes so.

    Raises:
        OSError: it cannot be made, or belongs to somebody else.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.name != "nt" and folder.stat().st_mode & 0o077:
        folder.chmod(0o700)


def existing(folder: Path) -> Path:
    """Return a folder, or the one in which it would be made.

    Raises:
        OSError: nothing can be written there.
    """
    place = folder
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(place))
    if not os.access(place, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))
    return place


@contextmanager
def private_file(path: Path) -> Iterator[Path]:
    """Give an empty file to write to, which becomes `path` if the block ends without an error.

    Args:
        path: does not exist; its folder does.

    Raises:
        OSError: it cannot be written; another process is writing it (FileExistsError).
    """
    remove_leftovers(path.parent)
    part = path.with_name(path.name + PART)
    file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(file, "w", encoding="utf-8") as locked:
            if os.name != "nt":  # where nobody can delete a file that is open
                try_lock(locked)
            yield part
            os.fsync(locked.fileno())
            if os.name != "nt":
                part.replace(path)
        if os.name == "nt":
            part.replace(path)
    finally:
        _remove(part)


def remove_leftovers(folder: Path) -> None:
    """Delete what processes that were killed have left in a folder."""
    for part in folder.glob(f"*{PART}"):
        with suppress(OSError):  # on Windows what somebody has open cannot be deleted
            if os.name == "nt":
                _remove(part)
                continue
            with part.open("r+", encoding="utf-8") as file:
                if try_lock(file):
                    _remove(part)


def _remove(part: Path) -> None:
    part.unlink(missing_ok=True)
    for end in BESIDE:
        part.with_name(part.name + end).unlink(missing_ok=True)

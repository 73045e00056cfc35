"""This process, as others on the database see it."""

import getpass
import os
import socket
from functools import lru_cache


@lru_cache(maxsize=1)
def whoami() -> str:
    """Return who runs this process, and where."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = "somebody"
    return f"{user}@{socket.gethostname()} (process {os.getpid()})"

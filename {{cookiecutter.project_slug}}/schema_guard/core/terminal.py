"""Whether a person is there to answer."""

import sys


def is_interactive() -> bool:
    """Return whether a person sees what is asked, and can answer."""
    return sys.stdin.isatty() and sys.stdout.isatty()

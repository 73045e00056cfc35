"""A revision in a direction."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """A revision that is run up or down.

    Attributes:
        source: its file; empty where there is none, as for a stamp.
    """

    revision: str
    direction: str
    source: bytes = b""

"""How far something long has come: a bar in a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, Self

import click

# Seconds: within the first nothing is shown; the second are between two lines.
QUIET, PAUSE = 2.0, 10.0
BYTES = "bytes"


class Progress:
    """Shows how far something has come, on standard error; nothing if it is quick.

    Used as a context, in which it is told of what is done.
    """

    def __init__(self, what: str, unit: str, total: int | None = None) -> None:
        """Begin to count.

        Args:
            what: what is done, as the beginning of a line.
            unit: what is counted: `BYTES`, or a word such as `rows`.
            total: how many there are, where that is known.
        """
        self.what, self.unit, self.total = what, unit, total
        self.done = 0
        self.started = time.monotonic()
        self.said = self.started + QUIET - PAUSE
        self.bar: Any = None

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the bar's line."""
        if self.bar:
            self.bar.render_finish()

    def advance(self, amount: int) -> None:
        """Count what was done, and show it if it is time."""
        self.done += amount
        now = time.monotonic()
        if now - self.started < QUIET:
            return
        if self.total and sys.stderr.isatty():
            self._draw(amount, now - self.started)
        elif now - self.said >= PAUSE:
            self.said = now
            click.echo(f"{self.what}: {self._count(now - self.started)}", err=True)

    def lines(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Pass lines on, and count their bytes."""
        for line in lines:
            yield line
            self.advance(len(line))

    def _draw(self, amount: int, elapsed: float) -> None:
        if self.bar is None:
            self.bar = click.progressbar(
                length=self.total,
                label=self.what,
                item_show_func=lambda rate: rate,
                file=sys.stderr,
            )
            self.bar.start -= elapsed
            amount = self.done
        self.bar.update(amount, self._rate(elapsed))

    def _count(self, elapsed: float) -> str:
        """Return how many are done, how fast, and how long it takes still."""
        if not self.total:
            return f"{self._amount(self.done)}, {self._rate(elapsed)}"
        left = max(0, self.total - self.done) * elapsed / max(1, self.done)
        done = self._amount(self.done).removesuffix(f" {self.unit}")
        return f"{done} of {self._amount(self.total)}, {self._rate(elapsed)}, {left:,.0f} s left"

    def _rate(self, elapsed: float) -> str:
        return f"{self._amount(int(self.done / elapsed))}/s"

    def _amount(self, number: int) -> str:
        return f"{number / 1e6:,.1f} MB" if self.unit == BYTES else f"{number:,} {self.unit}"

"""Where a quote or comment is open at the end of a line of SQL, and where none is.

For files that are too long to be read as a whole, line by line; see scan.py for statements.
"""

import re
from dataclasses import dataclass, field

# What opens a quote or a comment; the words before could be taken for parts of one.
POSTGRESQL = re.compile(
    rb"--[^\n]*|(?P<open>/\*|[eE]'|['\"]|\$(?:[A-Za-z_\x80-\xff][\w\x80-\xff]*)?\$)"
    rb"|[\w\x80-\xff][\w$\x80-\xff]*"
)
# A comment that the server executes, `/*! ... */`, is none.
MYSQL = re.compile(rb"--[ \t][^\n]*|#[^\n]*|(?P<open>/\*(?!M?!)|['\"`])")
CLOSE = {
    b"/*": re.compile(rb"(?P<close>\*/)"),
    b"'": re.compile(rb"''|(?P<close>')"),
    b"E'": re.compile(rb"\\.|''|(?P<close>')", re.DOTALL),
    b'"': re.compile(rb'""|(?P<close>")'),
    b"`": re.compile(rb"``|(?P<close>`)"),
}
ESCAPED = {b"'": CLOSE[b"E'"], b'"': re.compile(rb'\\.|""|(?P<close>")', re.DOTALL)}


@dataclass
class Quotes:
    """The quote or comment that is open; none if `open` is empty.

    Attributes:
        opening: of the DBMS, `POSTGRESQL` or `MYSQL`.
    """

    opening: re.Pattern[bytes]
    open: bytes = field(default=b"", init=False)

    def feed(self, line: bytes) -> None:
        """Read the next line."""
        at = 0
        while found := self._pattern().search(line, at):
            at = found.end()
            if self.open:
                self.open = b"" if found.groupdict()["close"] else self.open
            else:
                opened = found["open"] or b""
                self.open = b"E'" if opened == b"e'" else opened

    def _pattern(self) -> re.Pattern[bytes]:
        if not self.open:
            return self.opening
        if self.opening is MYSQL and self.open in ESCAPED:
            return ESCAPED[self.open]
        return CLOSE.get(self.open) or re.compile(b"(?P<close>" + re.escape(self.open) + b")")

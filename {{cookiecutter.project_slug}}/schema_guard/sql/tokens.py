"""SQL in its parts: statements, and names, with what stands in quotes out of the way.

A semicolon or a comment within a text ends nothing; what a text is, the DBMS decides.
"""

import re
from collections.abc import Iterator

# Within quotes these are not what they are elsewhere: they are put out of the way meanwhile.
SIGNS = ";,()'\"`-/*#$:\\\n"
AWAY = str.maketrans({sign: chr(0xE000 + ord(sign)) for sign in SIGNS})
BACK = str.maketrans({chr(0xE000 + ord(sign)): sign for sign in SIGNS})
# A comment, or a text or name in quotes.
QUOTES = {
    "postgresql": r"""(?P<comment>--[^\n]*|/\*.*?\*/)|\b[eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'"""
    r"""|"(?:[^"]|"")*"|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$""",
    "mysql": r"""(?P<comment>--(?=\s|$)[^\n]*|\#[^\n]*|/\*(?!M?!).*?\*/)"""
    r"""|'(?:[^'\\]|''|\\.)*'|"(?:[^"\\]|""|\\.)*"|`(?:[^`]|``)*`""",
    "sqlite": r"""(?P<comment>--[^\n]*|/\*.*?\*/)|'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`"""
    r"""|\[[^\]]*\]""",
}
EXECUTED_COMMENT = re.compile(r"/\*M?!\d*(.*?)\*/", re.DOTALL)
PART = r'(?:"[^"]+"|`[^`]+`|\[[^\]]+\]|[\w$]+)'
WHOLE = rf"{PART}(?:\.{PART})*"
NAME = rf"(?P<{{}}>{WHOLE})"
# The value of a column's default.
DEFAULT = re.compile(
    r"\bDEFAULT\s+(\([^)]*\)|'[^']*'|[^\s(]+(?:\([^)]*\))?(?:::\s*\w+)?)", re.IGNORECASE
)
# What has statements in it that are run later.
BODY = re.compile(
    r"CREATE\s+(?:OR\s+REPLACE\s+)?(?:DEFINER\s*=\s*\S+\s+)?(?:EVENT|FUNCTION|PROCEDURE|TRIGGER)\b"
    r"(?=.*\bBEGIN\b)",
    re.IGNORECASE | re.DOTALL,
)


def statements(sql: str, backend: str) -> Iterator[str]:
    """Return the statements of SQL, without comments, and with signs in quotes put away.

    Args:
        sql: one statement or several.
        backend: `postgresql`, `mysql` or `sqlite`, whose quotes and comments they have.
    """
    if backend == "mysql":
        sql = EXECUTED_COMMENT.sub(r"\1", sql)
    quotes = re.compile(QUOTES.get(backend, QUOTES["sqlite"]), re.DOTALL)

    def hide(found: re.Match[str]) -> str:
        whole = found[0]
        if found["comment"]:
            return " "
        start = whole.find("'") if whole[0] in "eE" else 0
        return whole[: start + 1] + whole[start + 1 : -1].translate(AWAY) + whole[-1]

    hidden = quotes.sub(hide, sql)
    if BODY.match(hidden.strip()):
        yield hidden.strip()
        return
    yield from filter(None, parts(hidden, ";"))


def parts(sql: str, separator: str) -> Iterator[str]:
    """Return what stands between separators that are in no brackets."""
    depth, start = 0, 0
    for place, character in enumerate(sql):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == separator and depth <= 0:
            yield sql[start:place].strip()
            start = place + 1
    yield sql[start:].strip()


def split_name(name: str) -> tuple[str | None, str]:
    """Return the schema and the last part of a name, without quotes."""
    parts = [_without_quotes(part) for part in re.findall(PART, name)] or [""]
    return ".".join(parts[:-1]) or None, parts[-1]


def _without_quotes(part: str) -> str:
    """Return a part of a name as it is: within quotes, two of them stand for one."""
    if part[0] not in '`"[':
        return part
    inside = part[1:-1].translate(BACK)
    return inside if part[0] == "[" else inside.replace(part[0] * 2, part[0])


def bare(name: str) -> str:
    """Return the last part of a name, without quotes."""
    return split_name(name)[1]


def columns_of(words: str) -> list[str]:
    """Return the names of columns in a list; expressions have none."""
    found = (re.fullmatch(rf"({WHOLE})(?:\s+(?:ASC|DESC))?", part) for part in parts(words, ","))
    return [bare(each[1]) if each else "(expression)" for each in found]


def outside(words: str) -> str:
    """Return words without what stands in brackets."""
    before = ""
    while words != before:
        before, words = words, re.sub(r"\([^()]*\)", " ", words)
    return words

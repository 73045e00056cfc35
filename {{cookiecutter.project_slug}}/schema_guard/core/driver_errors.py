"""What a DBMS says of an error, without the values of rows.

Promise: no message holds what a row holds, or a statement was given. The names of tables, columns
and constraints stay. PostgreSQL gives them in fields of their own; of its text only the first line
is read, and not that of an error about a value. MySQL and MariaDB put all into one text, in quotes,
in an order that their number decides; SQLite has few texts. Of an error that may hold a value and
is not known here the code and the kind are left.

What the author wrote stays: a text in quotes that is in the statement, outside its literals, is a
name. A statement that changes or reads rows is shown without its literals, since they may have been
put together from rows; one that defines something has its author's.
"""

import re
from typing import Any

HIDDEN = "…"
# PostgreSQL's classes of errors that hold no value: connections, transactions, rights, names,
# resources, limits, the server's own state. A syntax error quotes a part of the statement.
NAMING = {"08", "0A", "25", "26", "28", "2B", "2D", "3B", "3D", "3F", "40", "42", "53", "54", "55"}
NAMING |= {"57", "58", "F0", "XX"}
SYNTAX_ERRORS = {"42601", "42602", "42622"}
FIELDS = ("constraint_name", "schema_name", "table_name", "column_name", "datatype_name")
# MySQL's and MariaDB's errors whose text holds names and no value.
NAMED = {
    *(3, 1021, 1026, 1030, 1114),  # a file, a disk or a table is full or broken
    *(1005, 1007, 1008, 1025, 1044, 1045, 1046, 1048, 1049, 1050, 1051, 1052, 1054, 1059, 1060),
    *(1061, 1067, 1068, 1069, 1070, 1071, 1072, 1075, 1091, 1101, 1109, 1110, 1113, 1118, 1136),
    *(1138, 1142, 1143, 1146, 1166, 1170, 1171, 1205, 1213, 1215, 1216, 1217, 1227, 1235, 1264),
    *(1267, 1273, 1286, 1304, 1305, 1347, 1359, 1360, 1364, 1370, 1406, 1451, 1452, 1553, 1813),
    *(1826, 1832, 1833, 1834, 1845, 1846, 1901, 1905, 1906, 1969, 3024, 3780, 3819, 3822, 4025),
}
# The ones that hold a value first, and names after it; from the last of which the text is read.
VALUE_FIRST = {
    1062: ("duplicate entry", r"for key ('[^']*'|`[^`]*`)$"),
    1586: ("duplicate entry", r"for key ('[^']*'|`[^`]*`)$"),
    1265: ("data truncated", r"for column (.{1,200}?)(?: at row \d+)?$"),
    1292: ("incorrect value", r"for column (`[^`]*`(?:\.`[^`]*`)*|'[^']*') at row \d+$"),
    1366: ("incorrect value", r"for column (`[^`]*`(?:\.`[^`]*`)*|'[^']*') at row \d+$"),
    1411: ("incorrect value", r"for function (\w+)$"),
    1690: ("value out of range", None),
    3140: ("invalid JSON", r"in value for column '([^']*)'"),
    1644: ("an error that a trigger or routine signals", None),
}
# Errors of drivers that have no code: a connection that is lost, a statement that does not fit.
KEEPING = {"OperationalError", "InterfaceError", "ProgrammingError", "NotSupportedError"}
QUOTED = re.compile(r"""'[^']*'|"[^"]*"|`[^`]*`""", re.DOTALL)
# A literal of SQL; in double quotes MySQL has one, the others a name.
TEXT = re.compile(
    r"""(?P<dollar>\$\w*\$).*?(?P=dollar)|[A-Za-z]?'(?:[^'\\]|''|\\.)*(?:'|$)"""
    r"""|"(?:[^"\\]|""|\\.)*(?:"|$)""",
    re.DOTALL,
)
NAME = re.compile(r'"[\w$ .-]{1,63}"')
NUMBER = re.compile(r"(?<![\w.])\d{6,}(?:\.\d+)?(?![\w.])")
DEFINES = re.compile(r"\s*(ALTER|COMMENT|CREATE|DROP|RENAME)\b", re.IGNORECASE)


def without_values(statement: str) -> str:
    """Return a statement without the values in it, unless it defines something."""
    if DEFINES.match(statement):
        return statement
    found = list(TEXT.finditer(statement))
    if any(re.match(r"\w", statement[match.end() :]) for match in found):
        # A quote within a literal: where it ends is not known.
        return f"{statement[: found[0].start()]}'{HIDDEN}"
    return NUMBER.sub(HIDDEN, _without_literals(statement, f"'{HIDDEN}'"))


def _without_literals(statement: str, instead: str) -> str:
    return TEXT.sub(lambda match: match[0] if NAME.fullmatch(match[0]) else instead, statement)


def is_drivers(error: BaseException) -> bool:
    """Return whether an error is a driver's own, as PEP 249 names its kinds."""
    names = {kind.__name__ for kind in type(error).__mro__}
    theirs = not type(error).__module__.startswith("sqlalchemy.")
    return theirs and bool(names & {"DatabaseError", "InterfaceError"})


def described(original: Any, statement: str) -> str:
    """Return what a driver says of a statement that failed, without values.

    Args:
        original: the driver's error.
        statement: as it was sent.
    """
    code = getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)
    if code and hasattr(original, "diag"):
        return _postgresql(original, str(code), statement)
    name = getattr(original, "sqlite_errorname", None)
    if name:
        if name == "SQLITE_CONSTRAINT_TRIGGER":
            return f"an error that a trigger raises ({name})"
        return without_quoted(str(original), statement)
    arguments: tuple[Any, ...] = getattr(original, "args", ())
    if len(arguments) > 1 and isinstance(arguments[0], int):
        return _mysql(arguments[0], str(arguments[-1]), statement)
    if KEEPING & {kind.__name__ for kind in type(original).__mro__}:
        return without_quoted(str(original), statement)
    # Of a value that could not be converted, before anything was sent.
    return f"{type(original).__name__}, while the values of the statement were prepared"


def without_quoted(text: str, author: str) -> str:
    """Return a text without what it quotes, but for what the author wrote outside of literals."""
    known = _without_literals(author, " ")

    def name(match: re.Match[str]) -> str:
        inner = match[0][1:-1]
        is_known = inner and re.search(rf"(?<!\w){re.escape(inner)}(?!\w)", known)
        return match[0] if is_known else f"{match[0][0]}{HIDDEN}{match[0][0]}"

    # A value may hold quotes: with an odd number of them nothing is sure behind the first.
    for mark in "'\"":
        first, found, _ = text.partition(mark)
        if found and text.count(mark) % 2:
            text = f"{first}{HIDDEN}"
    return QUOTED.sub(name, text)


def _postgresql(original: Any, code: str, statement: str) -> str:
    if code in SYNTAX_ERRORS:
        return without_quoted(_primary(original), statement)
    if code[:2] in NAMING:
        return _primary(original)
    names = [
        f"{field.removesuffix('_name')} {value}"
        for field in FIELDS
        if (value := getattr(original.diag, field, None))
    ]
    kind = " ".join(re.findall("[A-Z][a-z]+", type(original).__name__)).lower()
    return ", ".join([f"{kind or 'error'} ({code})", *names])


def _primary(original: Any) -> str:
    """Return the first part of a message: the details of PostgreSQL hold rows."""
    return str(original.diag.message_primary or str(original).partition("\n")[0])


def _mysql(number: int, text: str, statement: str) -> str:
    if number in NAMED:
        return text
    if number not in VALUE_FIRST:
        return without_quoted(text, statement)
    kind, pattern = VALUE_FIRST[number]
    name = re.search(pattern, text, re.DOTALL) if pattern else None
    where = f" for {name[1]}" if name else ""
    return f"{kind}{where} ({number})"

"""Statements that put rows into tables: whether they are new, or copies of another table's.

Only plain forms are understood: `INSERT ... SELECT ... FROM people`, `CREATE TABLE ... AS SELECT`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from schema_guard.sql.tokens import NAME, PART, WHOLE, bare, parts, split_name

FLAGS = re.IGNORECASE | re.DOTALL
INSERT = re.compile(
    r"(?P<verb>INSERT|REPLACE)\b(?P<how>(?:\s+(?:LOW_PRIORITY|DELAYED|HIGH_PRIORITY|IGNORE"
    rf"|OR\s+\w+))*)(?:\s+INTO)?\s+(?:TABLE\s+)?{NAME.format('table')}"
    rf"(?:\s+AS\s+{PART})?\s*(?P<columns>\((?!\s*(?:SELECT|WITH)\b)[^()]*\))?(?P<rest>.*)",
    FLAGS,
)
# What an INSERT does to a row that exists, so that its number of rows is not that of new ones.
CHANGES_EXISTING = re.compile(r"\bON\s+CONFLICT\b.*\bDO\s+UPDATE\b|\bON\s+DUPLICATE\s+KEY\b", FLAGS)
CREATE_AS = re.compile(
    r"CREATE\b[^(]*?\bTABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?"
    rf"{NAME.format('table')}(?P<before>.*?)\b(?:AS\s*)?(?P<select>\(?\s*SELECT\b.*)",
    FLAGS,
)
SELECT = re.compile(r"\(*\s*SELECT\b", FLAGS)
# After a table: its alias, unless that is a word that goes on.
GOES_ON = r"WHERE|ORDER|GROUP|HAVING|LIMIT|OFFSET|UNION|EXCEPT|INTERSECT|FETCH|FOR|WINDOW"
FROM = re.compile(
    rf"\s*(?:ONLY\s+)?{NAME.format('table')}"
    rf"(?:\s+(?:AS\s+)?(?!(?:{GOES_ON}|JOIN|LEFT|RIGHT|INNER|FULL|CROSS|NATURAL|ON)\b)(?P<alias>{PART}))?"
    r"(?P<rest>.*)",
    FLAGS,
)
WHOLE_TABLE = re.compile(r"\s*(?:ORDER\s+BY\b.*)?\)*\s*(?:WITH\s+(?:NO\s+)?DATA)?\s*", FLAGS)
PLAIN = re.compile(
    rf"(?P<column>{WHOLE}|(?:{PART}\.)?\*)(?:\s+(?:AS\s+)?(?P<alias>{PART}))?", FLAGS
)
ALIAS = re.compile(rf"\bAS\s+(?P<alias>{PART})\s*$", FLAGS)


@dataclass(frozen=True)
class Item:
    """What a SELECT gives as one column.

    Attributes:
        column: of the table that is read, if it is given as it is; `*` for all of them.
        words: the names in the expression, in lower case.
        name: that it gets; empty if the statement does not say so.
    """

    column: str
    words: frozenset[str]
    name: str


@dataclass(frozen=True)
class Selected:
    """A SELECT from one table.

    Attributes:
        table: the name of the table that is read first, with its schema.
        items: what is read.
        single: whether no other table is read, and no row counts for several.
        whole: whether every row is read, once.
    """

    table: str
    items: tuple[Item, ...]
    single: bool
    whole: bool


@dataclass(frozen=True)
class Inserted:
    """An INSERT.

    Attributes:
        table: that gets the rows.
        columns: the names that it gives values for; empty if it names none.
        select: where the rows are from; None if they are in the statement.
        new: whether its number of rows is the number of new rows.
        understood: false if the rows are from what cannot be told.
    """

    table: str
    columns: tuple[str, ...]
    select: Selected | None
    new: bool
    understood: bool = True


def inserted(sql: str) -> Inserted | None:
    """Read an INSERT or a REPLACE, as `scan.statements` gives it; None for another statement."""
    found = INSERT.match(sql)
    if not found:
        return None
    listed = (found["columns"] or "")[1:-1]
    columns = tuple(bare(each) for each in parts(listed, ",") if each)
    rest = found["rest"].strip()
    verb = f"{found['verb']} {found['how']}".upper()
    new = "REPLACE" not in verb and not CHANGES_EXISTING.search(rest)
    values = re.match(
        r"(OVERRIDING\s+\w+\s+VALUE\s+)?(VALUES?|DEFAULT\s+VALUES|SET)\b", rest, FLAGS
    )
    if values:
        plain = not re.search(r"\bSELECT\b", rest, FLAGS)
        return Inserted(found["table"], columns, None, new, understood=plain)
    tables = re.search(r"\bFROM\b", rest, FLAGS)
    if SELECT.match(rest) and not tables:
        return Inserted(found["table"], columns, None, new)
    select = selected(rest)
    return Inserted(found["table"], columns, select, new, understood=select is not None)


def created_as(sql: str) -> Selected | None:
    """Read the SELECT of a CREATE TABLE ... AS; None if it has none, or is not understood."""
    found = CREATE_AS.match(sql)
    select = selected(found["select"]) if found else None
    if found and select and "(" in found["before"]:  # it gives the columns other names
        items = tuple(replace(each, name="") for each in select.items)
        return replace(select, items=items, whole=False)
    return select


def selects(sql: str) -> bool:
    """Return whether a CREATE TABLE takes rows from somewhere."""
    return bool(re.search(r"\bSELECT\b|\bAS\s+(TABLE|EXECUTE|VALUES|WITH)\b", sql, FLAGS))


def selected(sql: str) -> Selected | None:
    """Read a SELECT; None if it is not understood."""
    start = SELECT.match(sql)
    if not start:
        return None
    words = _unbracketed(sql).strip()
    words = words[len(re.match(r"SELECT\b", words, FLAGS)[0]) :]  # type: ignore[index]
    place = _from(words)
    if place is None:
        return None
    listed, after = words[:place], words[place + len("FROM") :]
    dedupes = re.match(r"\s*DISTINCT\b", listed, FLAGS)
    listed = re.sub(r"^\s*(ALL|DISTINCT(\s+ON\s*\([^)]*\))?)\b", "", listed, count=1, flags=FLAGS)
    table = FROM.fullmatch(after)
    if not table:
        return None
    rest = table["rest"]
    joined = re.match(r"\s*(,|(NATURAL|LEFT|RIGHT|INNER|FULL|CROSS|JOIN)\b)", rest, FLAGS)
    combined = re.search(r"\b(UNION|EXCEPT|INTERSECT|GROUP\s+BY)\b", rest, FLAGS)
    single = not joined and not combined and not dedupes
    # Where several tables are read, a column has to say which one it is of.
    only = bare(table["alias"] or table["table"]).lower() if joined else None
    items = tuple(_item(each, only) for each in parts(listed, ","))
    return Selected(table["table"], items, single, bool(single and WHOLE_TABLE.fullmatch(rest)))


def assigned(sql: str) -> Iterator[tuple[str, bool]]:
    """Return the columns that an UPDATE sets, and whether the value is in the statement."""
    found = re.search(r"\bSET\b(?P<list>.*)", sql, FLAGS)
    if not found:
        return
    for each in parts(re.split(r"\bWHERE\b", found["list"], maxsplit=1, flags=FLAGS)[0], ","):
        name, equals, value = each.partition("=")
        if equals:
            yield bare(name.strip()), bool(CONSTANT.fullmatch(value.strip()))


CONSTANT = re.compile(
    r"'[^']*'(::\w+)?|[-+]?[\d.]+|NULL|TRUE|FALSE|DEFAULT|CURRENT_\w+|NOW\(\)|\?|:\w+"
    r"|%s|%\(\w+\)s(::\w+)?",
    FLAGS,
)


def _item(words: str, only: str | None) -> Item:
    """Read what a SELECT gives as a column; with `only`, just columns of that table count."""
    plain = PLAIN.fullmatch(words.strip())
    if plain:
        qualifier, column = split_name(plain["column"].replace("*", "everything"))
        name = bare(plain["alias"] or column)
        if only is not None and (qualifier or "").lower() != only and plain["column"] != "*":
            return Item("", frozenset(), name)
        column = "*" if plain["column"].endswith("*") else column
        return Item(column, frozenset({column.lower()}), name)
    alias = ALIAS.search(words)
    name = bare(alias["alias"]) if alias else ""
    expression = words[: alias.start()] if alias else words
    if re.search(r"\bSELECT\b", expression, FLAGS):  # whose columns these are is not known
        return Item("", frozenset(), name)
    found = [split_name(each) for each in re.findall(WHOLE, re.sub(r"'[^']*'", " ", expression))]
    names = {column.lower() for table, column in found if only in (None, (table or "").lower())}
    return Item("", frozenset(names), name)


def _unbracketed(sql: str) -> str:
    words = sql.strip()
    while words.startswith("(") and words.endswith(")"):
        words = words[1:-1].strip()
    return words.lstrip("( ")


def _from(words: str) -> int | None:
    """Return where the FROM is that is in no brackets."""
    depth = 0
    for found in re.finditer(r"[()]|\bFROM\b", words, FLAGS):
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        if depth == 0 and found[0].upper() == "FROM":
            return found.start()
    return None

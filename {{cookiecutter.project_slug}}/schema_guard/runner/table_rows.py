"""What a table holds while an upgrade runs: its rows and columns, and where they come from."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from schema_guard.sql.inserts import Selected


@dataclass(eq=False)
class TableRows:
    """What a table holds, and whose it is.

    Attributes:
        name: what it is called now.
        original: what it was called when the command began; None if the run has made it.
        inserted: the rows that the run has inserted, as far as they surely are still there.
        renamed: what its columns were called when the command began, by what they are called now.
        added: its columns that the run has added.
        kept: where the table has taken another one's place, its columns that are that one's; None
            elsewhere: then all but the added ones.
        filled: the added ones whose values may come from somebody's.
        read: whether rows were inserted that the run may have read from other tables.
        copies: the rows that were copied into it from other tables.
        changed: how often rows or columns were taken out of it.
        reduced: whether rows may have been taken out of it.
        cascades: whether rows were deleted elsewhere, which may have taken rows of it along.
        unknown: whether it may hold rows of somebody's that came in a way that is not understood.
        updated: the words of the statements that have changed values in it.
        gone: whether it was dropped.
    """

    name: str
    original: str | None = None
    inserted: int = 0
    renamed: dict[str, str] = field(default_factory=dict)
    added: set[str] = field(default_factory=set)
    kept: set[str] | None = None
    filled: set[str] = field(default_factory=set)
    read: bool = False
    copies: list["Copy"] = field(default_factory=list)
    changed: int = 0
    reduced: bool = False
    cascades: bool = False
    unknown: bool = False
    updated: set[str] = field(default_factory=set)
    gone: bool = False

    @property
    def is_nobodys(self) -> bool:
        """Whether it holds nothing that would be lost with it."""
        return self.original is None and not self.unknown and all(c.is_spare for c in self.copies)

    @property
    def own_rows(self) -> int:
        """How many of its rows are the run's own, at least."""
        return max(0, self.inserted - sum(c.credited for c in self.copies if not c.is_spare))

    def has_added(self, column: str) -> bool:
        """Return whether the run has added a column."""
        column = column.lower()
        return column in self.added or (self.kept is not None and column not in self.kept)

    def original_column(self, column: str) -> str:
        """Return what a column was called when the command began."""
        return self.renamed.get(column.lower(), column.lower())


@dataclass(eq=False)
class Copy:
    """Rows that were copied from a table.

    Attributes:
        source: the table.
        columns: what they are called now where they were copied to; empty if that is not known.
        credited: how many of them count as the run's own, as long as they are where they were too.
        changed: how often rows were taken out of the source before.
        renamed: what the columns of the source were called then, by what they are called now.
    """

    source: TableRows
    select: Selected
    columns: tuple[str, ...]
    credited: int
    changed: int
    renamed: dict[str, str] = field(default_factory=dict)

    @property
    def is_spare(self) -> bool:
        """Whether what somebody would lose with them is still where it was."""
        if self.source.is_nobodys:
            return True
        return not self.source.gone and self.source.changed == self.changed


def succeed(copy: TableRows, table: TableRows, link: Copy) -> None:
    """Have a table that holds all rows of one that is gone stand for it."""
    copy.inserted = max(0, copy.inserted - link.credited) + table.inserted
    copy.original, copy.copies = table.original, list(table.copies)
    copy.cascades |= table.cascades
    copy.reduced |= table.reduced
    copy.updated |= table.updated
    copy.unknown |= table.unknown
    copy.read |= table.read
    if any(item.column == "*" for item in link.select.items):
        copy.added, copy.filled = copy.added | table.added, copy.filled | table.filled
        copy.renamed, copy.kept = {**table.renamed, **copy.renamed}, table.kept
        return
    if not link.columns:  # which column is which is not known
        return
    copy.kept = set()
    for name, item in zip(link.columns, link.select.items, strict=False):
        old = next((now for now, then in link.renamed.items() if then == item.column.lower()), "")
        old, new = old or item.column.lower(), name.lower()
        if old and table.has_added(old):
            copy.filled |= {new} if old in table.filled else set()
        elif item.words:
            copy.kept.add(new)
            copy.renamed |= {new: table.original_column(old)} if old else {}


def columns_left(copy: Copy, columns: Iterable[str]) -> Iterator[str]:
    """Return the columns of a source, of those that it has now, that a copy does not hold."""
    used: set[str] = set()
    for item in copy.select.items:
        used |= {"*"} if item.column == "*" else item.words
    for column in columns:
        if "*" not in used and copy.renamed.get(column.lower(), column.lower()) not in used:
            yield column

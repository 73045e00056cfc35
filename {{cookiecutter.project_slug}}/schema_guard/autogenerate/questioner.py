"""What `flask db migrate` asks, and the flags that answer it.

Promise: nothing is guessed. Without a terminal every question that no flag answers is listed, with
its flags, and nothing is written.
"""

from dataclasses import dataclass, field
from difflib import get_close_matches

import click

from schema_guard.core.errors import GuardError
from schema_guard.core.options import Options
from schema_guard.core.terminal import is_interactive

# The flags, each for `KEY:VALUE` or for `KEY` alone, and what is said of them.
FLAGS = {
    "rename": "TABLE.COLUMN:NEW was renamed.",
    "rename-table": "TABLE:NEW was renamed.",
    "drop": "TABLE.COLUMN may be dropped with its values.",
    "drop-table": "TABLE may be dropped with its rows.",
    "fill": "TABLE.COLUMN:VALUE is the value for existing rows.",
}
NOTHING = "Nothing was written."


@dataclass
class Questioner:
    """Questions, answered by flags or by a person.

    Attributes:
        options: the flags of the command.
    """

    options: Options
    unused: dict[tuple[str, str], str] = field(init=False)
    unanswered: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Read the flags.

        Raises:
            GuardError: one is not of its form, or is there twice.
        """
        self.unused = {}
        given = [(flag, words) for flag in FLAGS for words in self.options.values(flag)]
        for flag, words in given:
            key, colon, value = words.partition(":")
            wanted = "." in key if flag in {"rename", "drop", "fill"} else bool(key)
            if not wanted or bool(colon) != (not flag.startswith("drop")):
                form = FLAGS[flag].split(maxsplit=1)[0]
                raise GuardError(f"--{flag} {words}: it has the form {form}. {NOTHING}")
            if (flag, key) in self.unused:
                raise GuardError(f"--{flag} {key} is given twice. {NOTHING}")
            self.unused[flag, key] = value

    def flag(self, flag: str, key: str) -> str | None:
        """Return what a flag says of something; None if it is not given."""
        return self.unused.pop((flag, key), None)

    def ask_rename(self, what: str, candidates: list[str], names: list[str]) -> str | None:
        """Ask what something that the models no longer have has become.

        Args:
            what: as in `users.name`, or `users` for a table.
            candidates: what may be it by another name, the likeliest first.
            names: what a flag may name: all that is there by the models.

        Returns:
            The new name; None if it is to go, or (see `require_answers`) nobody knows.
        """
        column = "." in what
        rename, drop = ("rename", "drop") if column else ("rename-table", "drop-table")
        new = self.flag(rename, what)
        if new is not None:
            if new not in names:
                raise GuardError(f"--{rename} {what}:{new}: no model has {new}. {NOTHING}")
            return new
        if self.flag(drop, what) is not None:
            return None
        place = what.rpartition(".")[0]
        shown = {name: f"{place}.{name}" if column else name for name in candidates}
        if not is_interactive():
            lines = [f"{what} is no longer in the models:"]
            lines += [f"  --{rename} {what}:{name}" for name in candidates]
            self.unanswered.append("\n".join([*lines, f"  --{drop} {what}"]))
            return None
        new = choose(what, shown)
        content = "its values" if column else "its rows"
        if new is None and not click.confirm(f"Drop {what}, and {content}?"):
            raise GuardError(f"{what} is no longer in the models, and not to be dropped. {NOTHING}")
        return new

    def ask_value(self, what: str, why: str, default: str | None) -> str | None:
        """Ask for the value of existing rows in a column.

        Args:
            what: as in `users.phone`.
            why: what makes it necessary.
            default: what the model gives to new rows.
        """
        value = self.flag("fill", what)
        if value is not None:
            return value
        if is_interactive():
            asked = click.prompt(f"{why}. Value for existing rows of {what}", default)
            return str(asked)
        self.unanswered.append(f"{why}:\n  --fill {what}:{default or 'VALUE'}")
        return None

    def require_answers(self, tables: set[str]) -> None:
        """Go on only if everything is answered.

        Args:
            tables: those of the models and of the database, as flags name them.

        Raises:
            GuardError: a question was not answered, or a flag was not needed.
        """
        if self.unanswered:
            raise GuardError(
                f"Not an interactive terminal. {NOTHING} Run `flask db migrate` again in one, or"
                " answer each with a flag:\n" + "\n".join(self.unanswered)
            )
        for flag, key in self.unused:
            table = key if flag.endswith("-table") else key.rpartition(".")[0]
            if table not in tables:
                near = get_close_matches(table, tables, 1)
                raise GuardError(
                    f"--{flag} {key}: there is no table {table}"
                    f"{f' (is it {near[0]}?)' if near else ''}. {NOTHING}"
                )
            raise GuardError(
                f"--{flag} {key}: the models and the database do not call for it. {NOTHING}"
            )


def choose(what: str, candidates: dict[str, str]) -> str | None:
    """Have a person say what something was renamed to; None if it was not."""
    if len(candidates) == 1:
        ((name, shown),) = candidates.items()
        return name if click.confirm(f"Was {what} renamed to {shown}?") else None
    if candidates:
        click.echo(f"{what} is no longer in the models. Was it renamed?")
        for number, shown in enumerate(candidates.values(), 1):
            click.echo(f"  {number}. to {shown}")
        click.echo("  0. no")
        numbers = click.IntRange(0, len(candidates))
        number = click.prompt("Number", type=numbers, default=0)
        return list(candidates)[number - 1] if number else None
    return None

"""What a command was asked for beyond what Alembic knows: the flags that the guards add.

They travel in an attribute of Alembic's configuration, so an application's own `-x` arguments are
its own, whatever they are called. Python gives flags as `flask_migrate.upgrade(x_arg="backup")`
or `flask_migrate.migrate(x_arg=["rename=users.name:full_name"])`.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields
from typing import Any

from alembic.config import Config

ATTRIBUTE = "schema_guard.options"  # of Alembic's configuration
# How a person has an interrupted revision go on, by `--resume`.
RERUN, SKIP = "rerun", "skip"


@dataclass(frozen=True)
class Options:
    """The flags of one command; a flag that takes a value may be given several times.

    Attributes:
        allow_edited: run though revisions were edited or deleted after they were run.
        allow_loss: tables and columns that may be dropped with what they hold.
        backup: back up a server's database first, too.
        resume: how an interrupted revision goes on.
        rename: as in `users.name:full_name`; these and the next answer `flask db migrate`.
        rename_table: as in `people:users`.
        drop: as in `users.name`.
        drop_table: as in `people`.
        fill: as in `users.phone:none`.
    """

    allow_edited: bool = False
    allow_loss: tuple[str, ...] = ()
    backup: bool = False
    resume: tuple[str, ...] = ()
    rename: tuple[str, ...] = ()
    rename_table: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    drop_table: tuple[str, ...] = ()
    fill: tuple[str, ...] = ()

    @classmethod
    def parse(cls, arguments: Iterable[str]) -> "Options":
        """Return what Python has given as `x_arg`; what is not a flag of the guards is not ours."""
        found: dict[str, Any] = {}
        for argument in arguments:
            flag, equals, value = argument.partition("=")
            name = flag.replace("-", "_")
            if "_" in flag or name not in DEFAULTS or bool(equals) == (DEFAULTS[name] is False):
                continue
            found[name] = (*found.get(name, ()), value) if equals else True
        return cls(**found)

    def values(self, flag: str) -> tuple[str, ...]:
        """Return the values of a flag, by its name as it is typed, as in `drop-table`."""
        found: tuple[str, ...] = getattr(self, flag.replace("-", "_"))
        return found


DEFAULTS = {field.name: field.default for field in fields(Options)}
_given: ContextVar[Options | None] = ContextVar("given", default=None)


@contextmanager
def given(options: Options) -> Iterator[None]:
    """Have Alembic's configurations that are made meanwhile carry what a command line says."""
    token = _given.set(options)
    try:
        yield
    finally:
        _given.reset(token)


def attach(config: Any, x_arg: str | Iterable[str] | None) -> None:
    """Put the options of a command into its configuration.

    Args:
        config: Alembic's.
        x_arg: what Python gave to Flask-Migrate's function; of no account on a command line, where
            these are the application's own.
    """
    arguments = [x_arg] if isinstance(x_arg, str) else list(x_arg or ())
    config.attributes[ATTRIBUTE] = _given.get() or Options.parse(arguments)


def options_of(config: Config) -> Options:
    """Return the options of the command that a configuration is of."""
    options: Options = config.attributes.get(ATTRIBUTE, Options())
    return options

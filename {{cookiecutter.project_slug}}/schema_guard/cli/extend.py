"""What every command of `flask db` gets: the guards' flags, and one message for an error."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from functools import wraps
from pathlib import Path
from typing import Any

import click
from flask import current_app, g

from schema_guard.autogenerate.questioner import FLAGS
from schema_guard.cli.written import reported
from schema_guard.core import manifest
from schema_guard.core.errors import GuardError, trace
from schema_guard.core.model_errors import compared_models
from schema_guard.core.noise import verbosity
from schema_guard.core.options import RERUN, SKIP, Options, given
from schema_guard.revisions.environment import TEMPLATE, check_environment
from schema_guard.revisions.script_directory import reading, sound_revisions
from schema_guard.runner.interrupts import interruptible

# The flags that commands get, see core/options.py.
RESUMES = {
    "resume": f"{RERUN}|{SKIP} Run an interrupted revision again from its start, or continue it and"
    " leave out what was committed.",
}
ARGUMENTS: dict[str, dict[str, str]] = {
    "downgrade": RESUMES,
    "upgrade": {
        **RESUMES,
        "allow-edited": "Upgrade although applied revisions were edited or deleted.",
        "allow-loss": "TABLE[.COLUMN] may be dropped with its data.",
        "backup": "Back up the database first, on a server too.",
    },
    "migrate": FLAGS,
    "revision": FLAGS,
}
# Commands of ours to which Flask-Migrate's option for the folder belongs.
READS_REVISIONS = ("lint", "prepare", "rebase")
DIRECTORY = 'Migration script directory (default is "migrations")'


def extended(command: click.Command, *, is_own: bool) -> click.Command:
    """Return a command with the options that schema_guard adds.

    Args:
        command: one of Flask-Migrate's, or of ours. It is left as it is.
        is_own: whether it is of ours.
    """
    run: Any = command.callback
    arguments = ARGUMENTS.get(command.name or "", {})
    own = [option(argument, words) for argument, words in arguments.items()]
    if command.name in READS_REVISIONS:
        own.append(click.Option(["-d", "--directory"], help=DIRECTORY))
    tells_more = any(parameter.name == "verbose" for parameter in command.params)
    if not tells_more:
        own.append(option("verbose", "Show all that Alembic says, and the traceback of an error."))

    @wraps(run)
    def callback(*args: Any, **kwargs: Any) -> Any:
        verbose = kwargs["verbose"] if tells_more else kwargs.pop("verbose")
        flags = {argument: kwargs.pop(argument.replace("-", "_")) for argument in arguments}
        directory = kwargs.get("directory") or g.get("directory")
        if command.name in READS_REVISIONS:
            del kwargs["directory"]
        try:
            _check(
                command.name, directory, [flag for flag, value in flags.items() if value], kwargs
            )
            # `prepare` calls Flask-Migrate's functions, as Python does.
            options = (
                None if is_own else Options(**{k.replace("-", "_"): v for k, v in flags.items()})
            )
            with (
                verbosity(verbose=verbose),
                _guarded(directory, options),
                reported(command.name or "", verbose=verbose),
            ):
                return run(*args, **kwargs)
        except GuardError as error:
            if verbose:
                click.echo(trace(error, values=sys.stderr.isatty()), err=True)
            raise

    copied = copy(command)
    copied.callback, copied.params = callback, [*command.params, *own]
    return copied


def _check(
    name: str | None, directory: str | None, flags: list[str], given: dict[str, Any]
) -> None:
    """Refuse what cannot be done; for `init` choose what the repository is made from.

    Args:
        name: of the command.
        directory: that it was given for the repository.
        flags: of the guards, that it was given.
        given: what it was given beside.
    """
    if name == "check":
        manifest.check()
    if name == "init":
        if not (given["template"] or given["multidb"]):
            given["template"] = str(TEMPLATE)
        return
    if name == "revision" and flags and not given["autogenerate"]:
        raise click.UsageError("The flags that answer questions go with --autogenerate.")
    check_environment(Path(directory or current_app.extensions["migrate"].directory), flags)


@contextmanager
def _guarded(directory: str | None, options: Options | None) -> Iterator[None]:
    """Run a command: an interrupt, and what is wrong with files or models, is one message."""
    db = current_app.extensions["migrate"].db
    with reading(directory), interruptible(), sound_revisions(), compared_models(db):
        if options is None:
            yield
            return
        with given(options):
            yield


def option(argument: str, words: str) -> click.Option:
    """Return an option for an argument: one that is given, or one with values, as its help says."""
    form, _, said = words.partition(" ")
    if "|" in form:
        return click.Option(
            [f"--{argument}"], type=click.Choice(form.split("|")), multiple=True, help=said
        )
    if not form.isupper():
        return click.Option([f"--{argument}"], is_flag=True, help=words)
    return click.Option([f"--{argument}"], metavar=form, multiple=True, help=f"{form} {said}")

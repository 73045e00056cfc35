"""Where a database stands in the history of revisions."""

import re
import traceback
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from flask import current_app
from sqlalchemy import Connection

from schema_guard import compat
from schema_guard.core.errors import GuardError, cause

# Of this Alembic only warns: then it fails with a KeyError, or goes on with one of the two.
GAP = re.compile(r"Revision (\S+) referenced from (.*) is not present")
TWICE = re.compile(r"Revision (\S+) is present more than once")

# The folder that a command was given, instead of the application's.
_chosen: ContextVar[str | None] = ContextVar("directory", default=None)


@dataclass(frozen=True)
class SchemaState:
    """The revisions that a database is at, and the ones that the code wants."""

    current: tuple[str, ...]
    heads: tuple[str, ...]

    @property
    def at_head(self) -> bool:
        """Whether the schema is the one that the code wants."""
        return set(self.current) == set(self.heads)

    def describe(self) -> str:
        """Return the state in one line, as in `0002 (bio)`, or `at 0001 (users), head is 0002`."""
        scripts = script_directory()
        heads = named(scripts, self.heads) or "none"
        if self.at_head:
            return heads
        if not self.current:
            return f"no migration has run, head is {heads}"
        return f"at {named(scripts, self.current)}, head is {heads}"


def schema_state(connection: Connection) -> SchemaState:
    """Compare a database with the revision files of the current application.

    Raises:
        SQLAlchemyError: the database does not answer.
    """
    return SchemaState(current_heads(connection), wanted_heads(script_directory()))


def named(scripts: ScriptDirectory, revisions: Iterable[str]) -> str:
    """Return revisions with their messages, as in `0001 (users), 0002 (add users.bio)`."""
    said = ((revision, message_of(scripts, revision)) for revision in revisions)
    return ", ".join(
        f"{revision} ({message})" if message else revision for revision, message in said
    )


def message_of(scripts: ScriptDirectory, revision: str) -> str:
    """Return the message of a revision, the first lines of its file; empty without a file of it."""
    try:
        doc = scripts.get_revision(revision).doc
    except CommandError:
        return ""
    return " ".join(doc.split()).rstrip(".")


def unapplied(scripts: ScriptDirectory, current: Iterable[str]) -> list[str]:
    """Return the revisions that an upgrade of a database to the heads runs, in that order."""
    found = scripts.iterate_revisions("heads", tuple(current), implicit_base=True)
    return [script.revision for script in found][::-1]


def current_heads(connection: Connection) -> tuple[str, ...]:
    """Return the revisions that a database is at; none when no migration has run."""
    settings = current_app.extensions["migrate"].configure_args
    return MigrationContext.configure(connection, opts=settings).get_current_heads()


@contextmanager
def reading(directory: str | None) -> Iterator[None]:
    """Have a command read the revisions of another folder, as `--directory` says."""
    token = _chosen.set(directory)
    try:
        yield
    finally:
        _chosen.reset(token)


def chosen_directory() -> str | None:
    """Return the folder that the command was given; None for the application's."""
    return _chosen.get()


def script_directory() -> ScriptDirectory:
    """Return the application's revision files; read once, again for each call in debug."""
    migrate = current_app.extensions["migrate"]
    chosen = _chosen.get()
    if chosen is not None:
        return ScriptDirectory.from_config(migrate.migrate.get_config(chosen))
    if current_app.debug or not hasattr(migrate, "script_directory"):
        config = migrate.migrate.get_config()
        migrate.script_directory = ScriptDirectory.from_config(config)
    directory: ScriptDirectory = migrate.script_directory
    return directory


def wanted_heads(scripts: ScriptDirectory) -> tuple[str, ...]:
    """Return the heads that a database is at when all revisions have run.

    Where a revision depends on the head of another branch (`depends_on`), Alembic keeps the former
    only.
    """
    return tuple(script.revision for script in scripts.get_revisions("heads"))


def version_folders(scripts: ScriptDirectory) -> list[Path]:
    """Return the folders that hold the files of revisions; a new one goes to the first."""
    return [Path(each) for each in compat.version_locations(scripts)]


def shown_path(path: Path) -> str:
    """Return a path as it is typed: from the working directory, if it is within that."""
    absolute = path.absolute()
    return str(absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else path)


def way_back(revision: str, folder: Path) -> str:
    """Return the command that brings the file of a revision back from the record."""
    return f"flask db log {revision} --output {shown_path(folder / f'{revision}.py')}"


@contextmanager
def sound_revisions() -> Iterator[None]:
    """Refuse revisions that are read meanwhile, if one is missing, there twice or not to be read.

    Raises:
        GuardError: one is.
    """
    with warnings.catch_warnings():
        for pattern in (GAP, TWICE):
            warnings.filterwarnings("error", pattern.pattern)
        try:
            yield
        except UserWarning as warning:
            if gap := GAP.match(str(warning)):
                raise GuardError(_gap(gap[1], gap[2])) from warning
            if twice := TWICE.match(str(warning)):
                raise GuardError(
                    f"Two files in {' or '.join(map(shown_path, _folders()))} are revision"
                    f" {twice[1]}, and only one of them would run: no migration was run. Give one"
                    " of them another `revision`, and a `down_revision` that says which one it"
                    " comes after."
                ) from warning
            raise
        except GuardError:
            raise
        except (Exception, SystemExit) as error:
            # Flask-Migrate makes an exit of a RuntimeError.
            failed = error.__context__ if isinstance(error, SystemExit) else error
            if place := failed and _unreadable(failed):
                raise GuardError(
                    f"{place} cannot be read: {cause(failed)}. No migration was run. Correct it."
                ) from failed
            if isinstance(failed, KeyError) and "_add_depends_on" in _functions(failed):
                raise GuardError(_gap(failed.args[0], "depends_on")) from failed
            raise


def _gap(revision: str, where: str) -> str:
    return (
        f"There is no file of revision {revision}, on which others build ({where.rstrip(' ,')}). No"
        " migration was run. Get it back from git, or from a database on which it was run:"
        f"\n  {way_back(revision, _folders()[0])}"
    )


def _functions(error: BaseException) -> set[str]:
    """Return the names of the functions that an error went through."""
    return {frame.name for frame in traceback.extract_tb(error.__traceback__)}


def _unreadable(error: BaseException) -> str | None:
    """Return which line of which revision's file raised an error when it was imported."""
    places = [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    found = [(code.co_filename, line) for code, line in places if code.co_name == "<module>"]
    if isinstance(error, SyntaxError):
        found.append((error.filename or "", error.lineno or 0))
    folders = [folder.resolve() for folder in _folders()] if found else []
    for name, line in found:
        if any(Path(name).resolve().is_relative_to(folder) for folder in folders):
            return f"{Path(name).name}, line {line},"
    return None


def _folders() -> list[Path]:
    """Return the folders of the revisions that could not be read."""
    with suppress(Exception):  # what there is to say is the first error
        return version_folders(script_directory())
    return [Path("migrations", "versions")]

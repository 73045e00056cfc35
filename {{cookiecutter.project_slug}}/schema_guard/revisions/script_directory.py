"""Where a database stands in the history of revisions."""

import re
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import current_app
from sqlalchemy import Connection

from schema_guard.core.errors import GuardError, cause

# Of this Alembic only warns: then it fails with a KeyError, or goes on with one of the two.
GAP = re.compile(r"Revision (\S+) referenced from (.*) is not present")
TWICE = re.compile(r"Revision (\S+) is present more than once")


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
        """Return the state in one line, as in `0001`, or `at 0001, head is 0002`."""
        heads = ", ".join(self.heads) or "none"
        if self.at_head:
            return heads
        if not self.current:
            return f"no migration has run, head is {heads}"
        return f"at {', '.join(self.current)}, head is {heads}"


def schema_state(connection: Connection) -> SchemaState:
    """Compare a database with the revision files of the current application.

    Raises:
        SQLAlchemyError: the database does not answer.
    """
    return SchemaState(current_heads(connection), tuple(script_directory().get_heads()))


def current_heads(connection: Connection) -> tuple[str, ...]:
    """Return the revisions that a database is at; none when no migration has run."""
    settings = current_app.extensions["migrate"].configure_args
    return MigrationContext.configure(connection, opts=settings).get_current_heads()


def script_directory() -> ScriptDirectory:
    """Return the application's revision files; read once, again for each call in debug."""
    migrate = current_app.extensions["migrate"]
    if current_app.debug or not hasattr(migrate, "script_directory"):
        config = migrate.migrate.get_config()
        migrate.script_directory = ScriptDirectory.from_config(config)
    directory: ScriptDirectory = migrate.script_directory
    return directory


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
                    f"Two files in migrations/versions/ are revision {twice[1]}, and only one of"
                    " them would run: no migration was run. Give one of them another `revision`,"
                    " and a `down_revision` that says which one it comes after."
                ) from warning
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
        f"\n  flask db log {revision} --output migrations/versions/{revision}.py"
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
    for name, line in found:
        if Path(name).parent.name == "versions":
            return f"{Path(name).name}, line {line},"
    return None

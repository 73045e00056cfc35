"""Where a database stands in the history of revisions."""

from dataclasses import dataclass

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import current_app
from sqlalchemy import Connection


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

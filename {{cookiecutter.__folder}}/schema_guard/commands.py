"""The commands that schema_guard adds to `flask db`."""

from pathlib import Path

import click
import flask_migrate
from flask import current_app
from flask.cli import with_appcontext
from sqlalchemy import Engine

from schema_guard.connection import migration_connection
from schema_guard.database import (
    check_ownership,
    create_database,
    drop_database,
    settle,
)
from schema_guard.errors import GuardError
from schema_guard.revisions import current_heads, script_directory
from schema_guard.server import product


@click.command()
@with_appcontext
def create() -> None:
    """Create the database, unless it exists."""
    url = _engine().url
    state = "created" if create_database(url) else "exists already"
    click.echo(f"Database {url.database}: {state}.")


@click.command()
@with_appcontext
def drop() -> None:
    """Delete the database with all that it holds; asks for its name first. Only in debug."""
    engine = _engine()
    url = engine.url
    if not current_app.debug:
        raise GuardError(
            f"`flask db drop` would delete {url.render_as_string()}, and works in debug only."
            " Nothing was changed. If it can be thrown away: `flask --debug db drop`."
        )
    name = Path(url.database or "").name if url.get_backend_name() == "sqlite" else url.database
    click.echo(f"This deletes {url.render_as_string()} with all that it holds.")
    if click.prompt("Type the name of the database", default="", show_default=False) != name:
        raise GuardError(f"That is not its name, {name}. Nothing was changed.")
    engine.dispose()
    state = "dropped" if drop_database(url) else "there was none"
    click.echo(f"Database {name}: {state}.")


@click.command()
@click.option(
    "--wait",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=0,
    help="How long to wait for a server that is not there yet.",
)
@with_appcontext
def prepare(wait: float) -> None:
    """Create the database if it is missing, then upgrade it to head.

    What bin/setup runs, and what a container calls before it serves. A database with
    tables that these migrations did not make is refused. A server that is starting up is
    given 30 seconds in any case.
    """
    engine, scripts = _engine(), script_directory()
    # SQLite tidies its log away when the last connection is closed.
    click.get_current_context().call_on_close(engine.dispose)
    created = create_database(engine.url, wait)
    with migration_connection(engine, locked=True) as connection:
        before, heads = current_heads(connection), scripts.get_heads()
        check_ownership(connection, before, scripts)
        settle(connection)
        if set(before) != set(heads):
            flask_migrate.upgrade()
    database = f"{'created' if created else 'existing'} {product(engine.dialect)} database"
    revision = ", ".join(heads)
    done = f"at {revision} already" if set(before) == set(heads) else f"migrated to {revision}"
    click.echo(f"{database}, {done}")


def _engine() -> Engine:
    engine: Engine = current_app.extensions["migrate"].db.engine
    return engine

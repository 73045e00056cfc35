"""The commands that schema_guard adds to `flask db`."""

import click
import flask_migrate
from flask import current_app
from flask.cli import with_appcontext
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from schema_guard.database import check_ownership, create_database
from schema_guard.errors import GuardError, cause, connection_failed
from schema_guard.revisions import current_heads, script_directory


@click.command()
@with_appcontext
def create() -> None:
    """Create the database, unless it exists."""
    url = _engine().url
    state = "created" if create_database(url) else "exists already"
    click.echo(f"Database {url.database}: {state}.")


@click.command()
@with_appcontext
def prepare() -> None:
    """Create the database if it is missing, then upgrade it to head.

    What bin/setup runs, and what a container calls before it serves. A database with
    tables that these migrations did not make is refused.
    """
    engine, scripts = _engine(), script_directory()
    created = create_database(engine.url)
    try:
        with engine.connect() as connection:
            before = current_heads(connection)
            check_ownership(connection, before, scripts)
    except SQLAlchemyError as error:
        raise connection_failed(engine.url, error) from None
    heads = scripts.get_heads()
    database = f"{'created' if created else 'existing'} {engine.dialect.name} database"
    if set(before) == set(heads):
        click.echo(f"{database}, at {', '.join(heads)} already")
        return
    try:
        flask_migrate.upgrade()
    except SQLAlchemyError as error:
        raise GuardError(
            f"The migration of {engine.url.render_as_string()} failed: {cause(error)}."
            " `flask db upgrade` shows all of it."
        ) from None
    click.echo(f"{database}, migrated to {', '.join(heads)}")


def _engine() -> Engine:
    engine: Engine = current_app.extensions["migrate"].db.engine
    return engine

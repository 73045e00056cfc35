"""How Alembic reaches this service: with its engine, its models and its settings.

Flask-Migrate runs this file for every `flask db` command that reads or changes a database.
"""

import logging
from typing import Any

from alembic import context
from flask import current_app

from schema_guard.autogenerate.configure import settings
from schema_guard.runner.connection import changes_schema, migration_connection
from schema_guard.runner.runner import run_migrations

extension = current_app.extensions["migrate"]
metadata = extension.db.metadata
logger = logging.getLogger("alembic")


def configure_logging() -> None:
    """Show what runs; an application that logs already keeps its own way of doing so."""
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    # It would announce every plugin of autogenerate, every time.
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)
    handlers = [*logger.handlers, *logging.root.handlers]
    if all(isinstance(handler, logging.NullHandler) for handler in handlers):
        logger.addHandler(logging.StreamHandler())


def run_offline(options: dict[str, Any]) -> None:
    """Print the SQL instead of running it (`--sql`); no connection is made."""
    dialect = extension.db.engine.dialect.name
    context.configure(dialect_name=dialect, target_metadata=metadata, literal_binds=True, **options)
    with context.begin_transaction():
        context.run_migrations()


def run_online(options: dict[str, Any]) -> None:
    """Run the migrations, each in a transaction of its own."""
    # Tests hand in an engine of their own.
    engine = context.config.attributes.get("connection") or extension.db.engine
    with migration_connection(engine, locked=changes_schema(context)) as connection:
        run_migrations(context, connection, {"target_metadata": metadata, **options})


configure_logging()
options = settings(extension.configure_args)
if context.is_offline_mode():
    run_offline(options)
else:
    run_online(options)

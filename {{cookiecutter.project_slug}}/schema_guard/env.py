"""What migrations/env.py runs: Alembic with the engine, the models, the settings and the guards."""

import logging
from typing import Any

from flask import current_app

from schema_guard.autogenerate.configure import settings
from schema_guard.runner.connection import changes_schema, migration_connection
from schema_guard.runner.runner import run_migrations

logger = logging.getLogger("alembic")


def run(context: Any) -> None:
    """Run what Alembic was called for.

    Args:
        context: `alembic.context`. Tests hand in an engine of their own as its configuration's
            attribute `connection`.

    Raises:
        GuardError: a guard stopped it, or a revision failed; what was committed is said.
    """
    extension = current_app.extensions["migrate"]
    _configure_logging()
    options = {"target_metadata": extension.db.metadata, **settings(extension.configure_args)}
    if context.is_offline_mode():
        _print_sql(context, extension.db.engine.dialect.name, options)
        return
    engine = context.config.attributes.get("connection") or extension.db.engine
    with migration_connection(engine, locked=changes_schema(context)) as connection:
        run_migrations(context, connection, options)


def _configure_logging() -> None:
    """Show what runs; an application that logs already keeps its own way of doing so."""
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    # It would announce every plugin of autogenerate, every time.
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)
    handlers = [*logger.handlers, *logging.root.handlers]
    if all(isinstance(handler, logging.NullHandler) for handler in handlers):
        logger.addHandler(logging.StreamHandler())


def _print_sql(context: Any, dialect: str, options: dict[str, Any]) -> None:
    """Print the SQL instead of running it (`--sql`); no connection is made."""
    context.configure(dialect_name=dialect, literal_binds=True, **options)
    with context.begin_transaction():
        context.run_migrations()

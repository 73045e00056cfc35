"""What migrations/env.py runs: Alembic with the engine, the models, the settings and the guards."""

import logging
from typing import Any

from flask import current_app

from schema_guard import compat
from schema_guard.autogenerate.configure import settings
from schema_guard.core.model_errors import compared_models
from schema_guard.operations.in_place import IMPLS
from schema_guard.runner import data_loss, definite_order
from schema_guard.runner.connection import migration_connection
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
    act = _print_sql if context.is_offline_mode() else _migrate
    implementations: dict[Any, Any] = {
        **data_loss.IMPLEMENTATIONS,
        **definite_order.IMPLEMENTATIONS,
    }
    copies = definite_order.DefiniteBatch
    with (
        compat.installed(implementations=implementations, impls=IMPLS, copies=copies),
        compared_models(extension.db),
    ):
        act(context, extension.db.engine, options)


def _migrate(context: Any, engine: Any, options: dict[str, Any]) -> None:
    given = context.config.attributes.get("connection") or engine
    with migration_connection(given, locked=False) as connection:
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


def _print_sql(context: Any, engine: Any, options: dict[str, Any]) -> None:
    """Print the SQL instead of running it (`--sql`); no connection is made."""
    context.configure(dialect_name=engine.dialect.name, literal_binds=True, **options)
    with context.begin_transaction():
        context.run_migrations()

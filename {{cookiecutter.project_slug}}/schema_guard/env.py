"""What migrations/env.py runs: Alembic with the engine, the models, the settings and the guards."""

import logging
import os
import re
from logging.config import fileConfig
from typing import Any

from alembic.util import CommandError
from flask import current_app, has_app_context
from flask.cli import NoAppException, ScriptInfo
from sqlalchemy import Engine

from schema_guard import compat
from schema_guard.core.errors import GuardError, cause
from schema_guard.core.model_errors import compared_models
from schema_guard.core.noise import silence
from schema_guard.operations.in_place import IMPLS
from schema_guard.runner.command import run_migrations
from schema_guard.runner.connection import changes_schema, migration_connection

logger = logging.getLogger("alembic")


def run(context: Any) -> None:
    """Run what Alembic was called for.

    Args:
        context: `alembic.context`. Tests hand in an engine of their own as its configuration's
            attribute `connection`.

    Raises:
        GuardError: a guard stopped it, or a revision failed; what was committed is said.
    """
    if has_app_context():
        _run(context)
        return
    # `alembic -c migrations/alembic.ini`: the application that `flask` would find.
    try:
        app = ScriptInfo(app_import_path=os.environ.get("FLASK_APP")).load_app()
    except NoAppException as error:
        raise GuardError(
            f"{error.format_message().strip()}\nRun `flask db` in the project's folder, or name the"
            " application in FLASK_APP. Nothing was run."
        ) from None
    with app.app_context():
        _run(context)


def _run(context: Any) -> None:
    extension = current_app.extensions["migrate"]
    silence()
    _configure_logging(context.config)
    options = {"target_metadata": extension.db.metadata, **_settings(context)}
    act = _print_sql if context.is_offline_mode() else _migrate
    with (
        compat.installed(impls=IMPLS),
        compared_models(extension.db),
    ):
        act(context, extension.db.engine, options)


def _settings(context: Any) -> dict[str, Any]:
    """Return the settings for Alembic's `context.configure`."""
    given = current_app.extensions["migrate"].configure_args
    if changes_schema(context):  # nothing is compared or written
        return {"transaction_per_migration": True, **given}
    from schema_guard.autogenerate.configure import settings  # noqa: PLC0415 - slow

    return settings(given)


def _migrate(context: Any, engine: Any, options: dict[str, Any]) -> None:
    # Alembic's cookbook has a connection there; the guards need one that they have set themselves.
    given = context.config.attributes.get("connection") or engine
    if not isinstance(given, Engine) and given.in_nested_transaction():
        raise GuardError(
            "The connection in config.attributes is in a savepoint, to which somebody will roll"
            " back. Migrations need transactions of their own: none was run. Give the engine."
        )
    with migration_connection(given.engine, locked=False) as connection:
        run_migrations(context, connection, options)
    if compat.command_of(context.get_context()) == "check":
        from schema_guard.autogenerate.describe import refuse_differences  # noqa: PLC0415 - slow

        refuse_differences(context.get_context())


def _configure_logging(config: Any) -> None:
    """Show what runs; an application that logs already keeps its own way of doing so.

    Args:
        config: Alembic's. Where alembic.ini says what is logged, as Flask-Migrate's own does, that
            holds.
    """
    if config.config_file_name is not None and config.file_config.has_section("loggers"):
        fileConfig(config.config_file_name, disable_existing_loggers=False, encoding="utf-8")
        return
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
    try:
        with context.begin_transaction():
            context.run_migrations()
    except (CommandError, GuardError):
        raise
    except Exception as error:
        from schema_guard.runner.failure_report import place  # noqa: PLC0415 - slow

        if not (where := place(error)):
            raise
        # What stands for the connection then.
        if not re.search("NoneType|MockConnection", str(error)):
            raise GuardError(f"{where} failed: {cause(error)}. Correct the revision.") from error
        raise GuardError(
            f"{where} reads the database, and `--sql` asks none. The SQL before it is complete. Run"
            " `flask db upgrade` without --sql; or print the revisions before and after it, as in"
            " `flask db upgrade --sql FROM:TO`, and run that one alone."
        ) from error

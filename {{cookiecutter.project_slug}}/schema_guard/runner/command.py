"""What Alembic was called for: to change the schema, or only to look.

Most calls of `flask db upgrade` find nothing to do, in each replica that starts. They do not pay
for what runs revisions: it is imported when there is one to run.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import click
from alembic.util import CommandError
from flask import current_app
from sqlalchemy import Connection

from schema_guard import compat
from schema_guard.core.model_errors import check_models
from schema_guard.core.noise import listed_later
from schema_guard.revisions.script_directory import current_heads
from schema_guard.runner import history
from schema_guard.runner.connection import changes_schema, exclusive
from schema_guard.runner.pending import has_nothing_to_do
from schema_guard.runner.progress import pending, report_state


def run_migrations(context: Any, connection: Connection, settings: dict[str, Any]) -> None:
    """Run what Alembic was called for.

    Args:
        context: `alembic.context`, as env.py has it.
        connection: from `migration_connection`.
        settings: for `context.configure`.

    Raises:
        GuardError: a revision failed; what is kept of it is said.
    """
    try:
        connection.rollback()  # or Alembic would take the transaction for somebody else's
        context.configure(connection=connection, **settings)
        if changes_schema(context):
            if not has_nothing_to_do(context, connection):
                from schema_guard.runner.runner import run_guarded  # noqa: PLC0415 - see above

                with exclusive(connection), _lost_files(context, connection):
                    run_guarded(context, connection, settings)
            report_state(context, connection)
        else:
            command = compat.command_of(context.get_context())
            if command in {"check", "revision"}:
                check_models(current_app.extensions["migrate"].db)
                history.report_changes(connection, context.script, allowed=None)
            quiet = listed_later() if command == "check" else nullcontext()
            with quiet, context.begin_transaction():
                context.run_migrations()
            if command == "current" and (left := pending(context, current_heads(connection))):
                click.echo(left, err=True)
    except CommandError as error:
        from schema_guard.runner.error_hints import explain  # noqa: PLC0415 - see above

        raise explain(error, connection, context.script) from error


def _lost_files(context: Any, connection: Connection) -> AbstractContextManager[None]:
    """Have a downgrade find the files that are kept in the database only."""
    if compat.command_of(context.get_context()) != "downgrade":
        return nullcontext()
    from schema_guard.runner.lost_revisions import kept_files  # noqa: PLC0415 - see above

    return kept_files(connection, context.script)

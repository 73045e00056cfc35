"""Guard rails for schema changes: a Flask extension on top of Flask-Migrate.

A dependency that lies in the folder: the template that made this project replaces it as a whole.
Every command and option of Flask-Migrate works as its documentation says.

Public: this module, `operations` (what revisions import), `readiness` (for /readyz), `env` (for
migrations/env.py), `testing` (for the project's tests) and what `lint` exports (for its own rules).
Everything else may change.
"""

from collections.abc import Iterable
from typing import Any

from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

from schema_guard.cli.group import CommandGroup
from schema_guard.core.errors import GuardError
from schema_guard.core.model_errors import model_errors

__all__ = ["GuardError", "SchemaGuard", "__version__", "model_errors"]

__version__ = "0.1.0"


class SchemaGuard(Migrate):
    """Flask-Migrate, guarded.

    It changes nothing outside of its application: another one in the same process that uses
    `Migrate` keeps Flask-Migrate's own commands.
    """

    def init_app(self, app: Flask, db: SQLAlchemy | None = None, *args: Any, **kwargs: Any) -> None:
        """Bind to an application; takes what `Migrate.init_app` takes."""
        super().init_app(app, db, *args, **kwargs)
        name = app.extensions["migrate"].migrate.command
        theirs: Any = app.cli.commands[name]
        app.cli.add_command(CommandGroup(theirs), name)

    def get_config(
        self, directory: Any = None, x_arg: Any = None, opts: Iterable[str] | None = None
    ) -> Any:
        """Return Alembic's configuration, as every command of Flask-Migrate asks for it first."""
        from schema_guard.core.options import attach  # noqa: PLC0415 - not in workers
        from schema_guard.revisions import formatter  # noqa: F401, PLC0415 - as above
        from schema_guard.revisions.config import make_config  # noqa: PLC0415 - as above
        from schema_guard.runner.threads import guard_environments  # noqa: PLC0415 - as above

        guard_environments()
        config = make_config(str(directory or self.directory), x_arg, opts or ())
        attach(config, x_arg)
        return self.call_configure_callbacks(config)

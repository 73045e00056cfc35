"""Guard rails for schema changes: a Flask extension on top of Flask-Migrate.

Not yours to edit: the template that made this project replaces this package as a whole.
Every command and option of Flask-Migrate works as its documentation says; the modules
beside this file add to them.
"""

from typing import Any

from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

from schema_guard.cli.commands import OWN, THEIRS, extended

__all__ = ["SchemaGuard"]


class SchemaGuard(Migrate):
    """Flask-Migrate, with the commands of schema_guard/cli/commands.py."""

    def init_app(self, app: Flask, db: SQLAlchemy | None = None, *args: Any, **kwargs: Any) -> None:
        """Bind to an application; takes what `Migrate.init_app` takes."""
        super().init_app(app, db, *args, **kwargs)
        name = app.extensions["migrate"].migrate.command
        group: Any = app.cli.commands[name]
        for command in (*THEIRS, *OWN):
            group.add_command(extended(command))

"""The service: create_app() builds it, step by step, from the modules beside this file."""

from collections.abc import Mapping
from typing import Any

from flask import Flask
from sqlalchemy import make_url

from app import commands, config, engine, models, views
from app.extensions import db, migrate


def create_app(test_config: Mapping[str, Any] | None = None) -> Flask:
    """Build the application.

    Args:
        test_config: settings that win over the environment, for tests.

    Returns:
        The application, ready to serve; no connection to the database is made yet.

    Raises:
        ConfigError: a setting is missing or malformed.
    """
    app = Flask(__name__, instance_path=str(config.ROOT / "instance"))
    register_settings(app, test_config or {})
    register_extensions(app)
    models.import_all()
    views.register(app)
    commands.register(app)
    return app


def register_settings(app: Flask, test_config: Mapping[str, Any]) -> None:
    """Load the settings; a development server and tests may do without the secrets."""
    app.config.from_mapping(test_config)  # TESTING decides how strict to be
    app.config.from_mapping(config.settings(strict=not (app.debug or app.testing)))
    app.config.from_mapping(test_config)


def register_extensions(app: Flask) -> None:
    """Bind the extensions to this application."""
    url = make_url(app.config["SQLALCHEMY_DATABASE_URI"])
    app.config.setdefault("SQLALCHEMY_ENGINE_OPTIONS", engine.engine_options(url))
    db.init_app(app)
    with app.app_context():
        engine.limit_statements(db.engine, app.config["STATEMENT_TIMEOUT"])
    migrate.init_app(app, db)

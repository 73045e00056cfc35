"""What the service answers, one module for each concern."""

from flask import Flask

from app.views import errors, health, home


def register(app: Flask) -> None:
    """Register every blueprint and the error pages."""
    app.register_blueprint(home.blueprint)
    app.register_blueprint(health.blueprint)
    errors.register(app)

"""The page that says the service runs."""

from flask import Blueprint, current_app, render_template
from sqlalchemy.exc import SQLAlchemyError

from app import models
from app.extensions import db
from schema_guard.dialects.base import dotted, product, version
from schema_guard.revisions.script_directory import schema_state

blueprint = Blueprint("home", __name__)


@blueprint.get("/")
def home() -> str:
    """Show name, description, DBMS and revision; in debug, where to go on."""
    try:
        connection = db.session.connection()
        dbms = f"{product(connection.dialect)} {dotted(version(connection.dialect))}"
        state = schema_state(connection)
    except SQLAlchemyError:
        current_app.logger.exception("the home page found no database")
        dbms, state = None, None
    return render_template("home.html", dbms=dbms, state=state, models_path=models.__path__[0])

"""The page that says the service runs."""

from flask import Blueprint, current_app, render_template
from sqlalchemy.exc import SQLAlchemyError

from app import models
from app.extensions import db
from schema_guard import readiness

blueprint = Blueprint("home", __name__)


@blueprint.get("/")
def home() -> str:
    """Show name, description and state; in debug, DBMS, revision and where to go on."""
    reason = None
    try:
        connection = db.session.connection()
        dbms, state = readiness.server(connection), readiness.check(connection)
    except SQLAlchemyError as error:
        cause = readiness.cause(error)
        current_app.logger.error("the home page found no database: %s", cause)
        dbms, state, reason = None, None, readiness.not_ready(error)
    return render_template(
        "home.html", dbms=dbms, state=state, reason=reason, models_path=models.__path__[0]
    )

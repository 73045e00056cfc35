"""The page that says the service runs."""

from flask import Blueprint, current_app, render_template
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from app import models
from app.extensions import db
from schema_guard.revisions import schema_state

blueprint = Blueprint("home", __name__)

DBMS_NAMES = {
    "sqlite": "SQLite",
    "postgresql": "PostgreSQL",
    "mysql": "MySQL",
    "mariadb": "MariaDB",
}


@blueprint.get("/")
def home() -> str:
    """Show name, description, DBMS and revision; in debug, where to go on."""
    try:
        connection = db.session.connection()
        dbms, state = dbms_version(connection), schema_state(connection)
    except SQLAlchemyError:
        current_app.logger.exception("the home page found no database")
        dbms, state = None, None
    return render_template("home.html", dbms=dbms, state=state, models_path=models.__path__[0])


def dbms_version(connection: Connection) -> str:
    """Return the DBMS and its version, as in `PostgreSQL 18.1`."""
    dialect = connection.dialect
    name = "mariadb" if getattr(dialect, "is_mariadb", False) else dialect.name
    numbers = [part for part in dialect.server_version_info or () if isinstance(part, int)]
    return " ".join([DBMS_NAMES.get(name, name), ".".join(map(str, numbers))])

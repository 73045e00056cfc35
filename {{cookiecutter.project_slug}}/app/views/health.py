"""For load balancers and orchestrators: is the process alive, may it get requests?"""

from typing import Any

from flask import Blueprint, current_app
from sqlalchemy.exc import SQLAlchemyError

from app.extensions import db
from schema_guard.core.errors import cause
from schema_guard.dialects.connection_errors import not_ready
from schema_guard.revisions.script_directory import schema_state, script_directory
from schema_guard.runner.history import changes, is_newer

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def liveness() -> dict[str, str]:
    """Answer while the process lives; the database has no say, or its outage would restart us."""
    return {"status": "ok"}


@blueprint.get("/readyz")
def readiness() -> tuple[dict[str, Any], int]:
    """Answer 200 only when the database answers and its schema is what this code wants or newer."""
    try:
        connection = db.session.connection()
        state, scripts = schema_state(connection), script_directory()
        # A release migrates first: until its processes serve, the old ones have to.
        if newer := not state.at_head and is_newer(connection, scripts):
            warnings = ["the database is newer than this code"]
        else:
            warnings = [str(change) for change in changes(connection, scripts)]
    except SQLAlchemyError as error:
        current_app.logger.error("not ready: %s", cause(error))  # noqa: TRY400 - once a second
        return {"status": "unavailable", "reason": not_ready(error)}, 503
    if not state.at_head and not newer:
        return {"status": "unavailable", "reason": state.describe()}, 503
    answer = {"status": "ready", "revision": state.describe()}
    return {**answer, "warnings": warnings} if warnings else answer, 200

"""For load balancers and orchestrators: is the process alive, may it get requests?"""

from typing import Any

from flask import Blueprint, current_app
from sqlalchemy.exc import SQLAlchemyError

from app.extensions import db
from schema_guard import readiness

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def liveness() -> dict[str, str]:
    """Answer while the process lives; the database has no say, or its outage would restart us."""
    return {"status": "ok"}


@blueprint.get("/readyz")
def ready() -> tuple[dict[str, Any], int]:
    """Answer 200 only when the database answers and its schema is what this code wants or newer."""
    try:
        found = readiness.check(db.session.connection())
    except SQLAlchemyError as error:
        current_app.logger.error("not ready: %s", readiness.cause(error))
        return {"status": "unavailable", "reason": readiness.not_ready(error)}, 503
    if not found.ready:
        return {"status": "unavailable", "reason": found.revision}, 503
    answer: dict[str, Any] = {"status": "ready", "revision": found.revision}
    return {**answer, "warnings": found.warnings} if found.warnings else answer, 200

"""For load balancers and orchestrators: is the process alive, may it get requests?"""

from flask import Blueprint, current_app
from sqlalchemy.exc import SQLAlchemyError

from app.extensions import db
from schema_guard.errors import cause
from schema_guard.revisions import schema_state

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def liveness() -> dict[str, str]:
    """Answer while the process lives; the database has no say, or its outage would restart us."""
    return {"status": "ok"}


@blueprint.get("/readyz")
def readiness() -> tuple[dict[str, str], int]:
    """Answer 200 only when the database answers and its schema is the one this code wants."""
    try:
        state = schema_state(db.session.connection())
    except SQLAlchemyError as error:
        current_app.logger.error("not ready: %s", cause(error))  # noqa: TRY400 - once a second
        return {"status": "unavailable", "reason": "the database does not answer"}, 503
    if not state.at_head:
        return {"status": "unavailable", "reason": state.describe()}, 503
    return {"status": "ready", "revision": state.describe()}, 200

"""Whether a service may serve: for /readyz, and for pages that show where the database is."""

from dataclasses import dataclass, field

from sqlalchemy import Connection

from schema_guard.admin import restore_marker
from schema_guard.core.errors import cause
from schema_guard.dialects.base import dotted, product, version
from schema_guard.dialects.connection_errors import connection_failed, not_ready
from schema_guard.revisions.script_directory import schema_state, script_directory
from schema_guard.runner.history import changes, is_newer

__all__ = ["Readiness", "cause", "check", "connection_failed", "not_ready", "server"]


@dataclass(frozen=True)
class Readiness:
    """Where a database stands for this code.

    Attributes:
        ready: whether its schema is what the code wants, or newer.
        at_head: whether it is exactly what the code wants.
        revision: where it is, in one line, as in `0001` or `at 0001, head is 0002`.
        warnings: what somebody should look at though the service may serve.
    """

    ready: bool
    at_head: bool
    revision: str
    warnings: list[str] = field(default_factory=list)


def check(connection: Connection) -> Readiness:
    """Compare a database with the revisions of the current application.

    A release migrates first: until its processes serve, the old ones have to. So a database that
    has moved on from where this code wants it is ready too.

    Args:
        connection: to the database; nothing is changed.

    Raises:
        SQLAlchemyError: the database cannot be used; `not_ready` says why.
    """
    state, scripts = schema_state(connection), script_directory()
    if restore_marker.read(connection) is not None:
        return Readiness(ready=False, at_head=False, revision="a restore is not complete")
    if not state.at_head and is_newer(connection, scripts):
        return Readiness(
            ready=True,
            at_head=False,
            revision=state.describe(),
            warnings=["the database is newer than this code"],
        )
    warnings = [str(change) for change in changes(connection, scripts)]
    return Readiness(state.at_head, state.at_head, state.describe(), warnings)


def server(connection: Connection) -> str:
    """Return the DBMS that answers, with its version, as in `PostgreSQL 18.1`."""
    return f"{product(connection.dialect)} {dotted(version(connection.dialect))}"

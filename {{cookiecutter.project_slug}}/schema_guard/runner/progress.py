"""What a command says of what it did: what ran, how long it took, where the database is now."""

import logging
from typing import Any

from sqlalchemy import Connection

from schema_guard.revisions.script_directory import current_heads, named, unapplied

logger = logging.getLogger("alembic")

# How many pending revisions a message names.
SHOWN = 5


def report_step(row: dict[str, Any]) -> None:
    """Say how long a revision took.

    Args:
        row: of the record.
    """
    if row["direction"] != "stamp":
        logger.info("%s of %s: %.3f s", row["direction"], row["revision"], row["seconds"])


def report_state(context: Any, connection: Connection) -> None:
    """Say where the database is, and what is pending."""
    current = current_heads(connection)
    at = named(context.script, current) or "base"
    logger.info("The database is at %s. %s", at, pending(context, current) or "Nothing is pending.")
    connection.rollback()


def pending(context: Any, current: tuple[str, ...]) -> str:
    """Return how many revisions are pending, with their names, and what runs them; empty if none.

    Raises:
        CommandError: the code has no file of a revision that the database is at.
    """
    found = unapplied(context.script, current)
    if not found:
        return ""
    more = f" and {len(found) - SHOWN} more" if found[SHOWN:] else ""
    number = "1 revision is" if len(found) == 1 else f"{len(found)} revisions are"
    first = named(context.script, found[:SHOWN])
    return f"{number} pending: {first}{more}. Run: flask db upgrade"

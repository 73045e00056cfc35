"""What the guards say when they stop: one line, no traceback."""

import click
from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError


class GuardError(click.ClickException):
    """A guard stopped a command; the message says what, on what, and what to do next."""


def cause(error: BaseException) -> str:
    """Return the driver's own words for an error, in one line."""
    original = getattr(error, "orig", None) or error
    # MySQL's drivers give (number, text).
    text = str(original.args[-1]) if original.args else type(original).__name__
    return " ".join(text.split()).rstrip(".?!")


def connection_failed(url: URL, error: OSError | SQLAlchemyError) -> GuardError:
    """Return the error for a database that cannot be reached; the password is not shown."""
    sqlite = url.get_backend_name() == "sqlite"
    remedy = "Make its folder writable" if sqlite else "Start the server"
    return GuardError(
        f"Cannot use the database {url.render_as_string()}: {cause(error)}."
        f" {remedy}, or correct DATABASE_URL in .env."
    )

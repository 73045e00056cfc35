"""The settings: from the environment; what is not set there, from .env beside wsgi.py."""

import math
import os
import secrets
import shutil
import subprocess
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from dotenv import load_dotenv
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

# For a server this holds in debug and testing only: a deployment that forgot its
# DATABASE_URL must not come up on whatever listens on this machine.
DEFAULT_DATABASE_URL: str = PYPROJECT["tool"]["service"]["database-url"]

SECRET_KEY_LENGTH = 32

# Seconds. What is still running then nobody waits for any more.
DEFAULT_STATEMENT_TIMEOUT = "30"
# How many backups of a SQLite database are kept, of those taken before it was migrated.
DEFAULT_MIGRATION_BACKUPS = "5"
# Seconds. How long a statement of a migration waits for a table that somebody else uses.
DEFAULT_MIGRATION_LOCK_TIMEOUT = "5"
# Seconds. How long a migration waits for another one of the same database.
DEFAULT_MIGRATION_WAIT = "60"

# Bare names, and the ones that hosting providers hand out, mean the drivers installed here.
DRIVERS = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",  # as "mariadb" it would make UUID columns of another type
}


class ConfigError(click.ClickException):
    """A setting is missing or malformed; a click error, so that `flask` prints one line."""


def settings(*, strict: bool) -> dict[str, Any]:
    """Read all settings.

    Args:
        strict: whether SECRET_KEY and a server's DATABASE_URL must be set: yes, except in
            debug and testing.

    Returns:
        The settings as Flask's configuration takes them.

    Raises:
        ConfigError: naming the variable, never showing a password.
    """
    load_dotenv(ROOT / ".env")
    return {
        "SERVICE_NAME": PYPROJECT["tool"]["service"]["title"],
        "SERVICE_DESCRIPTION": PYPROJECT["project"]["description"],
        "SECRET_KEY": secret_key(os.environ.get("SECRET_KEY", ""), strict=strict),
        "SQLALCHEMY_DATABASE_URI": database_url(os.environ.get("DATABASE_URL", ""), strict=strict),
        "MIGRATION_BACKUPS": number("MIGRATION_BACKUPS", DEFAULT_MIGRATION_BACKUPS),
        "MIGRATION_LOCK_TIMEOUT": seconds("MIGRATION_LOCK_TIMEOUT", DEFAULT_MIGRATION_LOCK_TIMEOUT),
        # "heads" where several branches of revisions are meant to stay; then delete the test
        # of a single head in tests/test_migrations.py.
        "MIGRATION_TARGET": PYPROJECT["tool"]["service"].get("migration-target", "head"),
        "MIGRATION_WAIT": seconds("MIGRATION_WAIT", DEFAULT_MIGRATION_WAIT),
        "START_DATABASE": start_database,
        "STATEMENT_TIMEOUT": seconds("STATEMENT_TIMEOUT", DEFAULT_STATEMENT_TIMEOUT),
    }


def start_database() -> str | None:
    """Return the command that starts the server of compose.yaml; None where there is no Docker."""
    docker = shutil.which("docker")
    if docker is None or not (ROOT / "compose.yaml").exists():
        return None
    command = [docker, "compose", "version"]
    found = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - nobody's words
    return "docker compose up -d db" if found.returncode == 0 else None


def secret_key(value: str, *, strict: bool) -> str:
    """Return the key that signs sessions; when not strict, a missing one is made up."""
    if not value and not strict:
        return secrets.token_hex(SECRET_KEY_LENGTH)
    if len(value) < SECRET_KEY_LENGTH:
        state = f"has {len(value)}" if value else "is not set"
        raise ConfigError(
            f"SECRET_KEY {state}; it needs {SECRET_KEY_LENGTH} or more characters. Make one with"
            ' `python -c "import secrets; print(secrets.token_hex(32))"` and set it in the'
            " environment or in .env."
        )
    return value


def database_url(value: str, *, strict: bool) -> URL:
    """Parse a database URL and bring it to an installed driver.

    Args:
        value: what DATABASE_URL holds; empty for the default.
        strict: whether a server's URL must be given, and a database must outlive the process.

    Returns:
        The URL, with a driver that can be imported.

    Raises:
        ConfigError: the URL is missing or malformed, or its driver is not installed.
    """
    if not value and strict and not DEFAULT_DATABASE_URL.startswith("sqlite"):
        raise ConfigError(
            "DATABASE_URL is not set. Set it in the environment or in .env, for example"
            f" {DEFAULT_DATABASE_URL}"
        )
    try:
        url = make_url(value or DEFAULT_DATABASE_URL)
    except (ArgumentError, ValueError):  # their words may quote the password
        raise malformed() from None
    # What follows a second @ would be taken for a name, and shown.
    place = value.partition("?")[0] if url.get_backend_name() != "sqlite" else ""
    if "@" in (url.host or "") or place.count("@") > 1:
        raise malformed("a password must have @ written as %40")
    if ":" in (url.username or "") and url.password is None:
        raise malformed("the : between user and password is not written as %3A")
    url = url.set(drivername=DRIVERS.get(url.drivername, url.drivername))
    in_memory = url.database in {None, "", ":memory:"}
    if in_memory and (strict or url.get_backend_name() != "sqlite"):
        raise malformed("it names no database")
    try:
        url.get_dialect().import_dbapi()
        with suppress(ArgumentError):
            url.get_dialect()().create_connect_args(url)
    except (TypeError, ValueError):  # their words quote the value
        raise malformed("an option after the ? has a value that the driver does not take") from None
    except NoSuchModuleError:
        raise malformed(f"there is no DBMS or driver {url.drivername!r}") from None
    except ImportError as error:
        raise ConfigError(
            f"DATABASE_URL asks for {url.drivername}, whose driver is not installed"
            f" ({error}). Install it, or name another driver."
        ) from None
    return url


def seconds(name: str, default: str) -> float:
    """Return the seconds that a variable of the environment holds."""
    value = os.environ.get(name) or default
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise ConfigError(f"{name} is {value!r}; it takes seconds, as in 30 or 0.5; 0 is no limit.")
    return number


def number(name: str, default: str) -> int:
    """Return the whole number that a variable of the environment holds."""
    value = os.environ.get(name) or default
    if not (value.isascii() and value.isdigit()):
        raise ConfigError(f"{name} is {value!r}; it takes a whole number, as in 5; 0 is none.")
    return int(value)


def malformed(reason: str = "it does not read as a URL") -> ConfigError:
    """Return the error for a DATABASE_URL that cannot be used, without showing it."""
    return ConfigError(
        f"DATABASE_URL is malformed: {reason}. It reads"
        " driver://user:password@host:port/database, for example"
        f" {DEFAULT_DATABASE_URL}; in a password @ : / % are written %40 %3A %2F %25."
    )

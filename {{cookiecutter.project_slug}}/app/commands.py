"""Commands of the service itself; those of the migrations are under `flask db`."""

import secrets

import click
from flask import Flask
from flask.cli import with_appcontext
from sqlalchemy import inspect, select
from sqlalchemy.exc import DBAPIError

from app.extensions import db
from app.models import Role, User
from schema_guard.readiness import connection_failed

ROLES = {"admin": "May do everything.", "user": "May use the service."}


def register(app: Flask) -> None:
    """Add the commands to `flask`."""
    app.cli.add_command(seed)


@click.command()
@with_appcontext
def seed() -> None:
    """Add the roles, and an administrator whose password is printed once.

    What is there already is left as it is: a second run changes nothing.
    """
    try:
        migrated = inspect(db.session.connection()).has_table(User.__tablename__)
    except DBAPIError as error:
        raise connection_failed(db.engine.url, error) from None
    if not migrated:
        raise click.ClickException("There are no tables yet. Run `flask db upgrade` first.")
    roles = {role.name: role for role in db.session.scalars(select(Role))}
    missing = [name for name in ROLES if name not in roles]
    for name in missing:
        roles[name] = Role(name=name, description=ROLES[name])
        db.session.add(roles[name])
    click.echo(f"Roles added: {', '.join(missing) or 'none, all are there'}.")

    if db.session.scalar(select(User.id).where(User.username == "admin")) is None:
        password = secrets.token_urlsafe(16)
        admin = User(username="admin", email="admin@example.com", role=roles["admin"])
        admin.set_password(password)
        db.session.add(admin)
        db.session.commit()
        click.echo(f"Administrator added: admin, password {password} (shown this once).")
    else:
        db.session.commit()
        click.echo("Administrator: admin is there already.")

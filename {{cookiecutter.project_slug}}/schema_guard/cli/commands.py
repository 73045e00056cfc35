"""The commands that schema_guard adds to `flask db`."""

import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
import flask_migrate
from flask import current_app
from flask.cli import with_appcontext
from sqlalchemy import URL, Connection, Engine

from schema_guard.admin import restore_marker
from schema_guard.admin.database import (
    check_ownership,
    create_database,
    drop_database,
    settle,
)
from schema_guard.cli.lint_command import lint_revisions
from schema_guard.core.errors import GuardError
from schema_guard.core.redaction import shown
from schema_guard.core.store import make_tables
from schema_guard.dialects.base import product
from schema_guard.revisions.heads import rebase as rebase_head
from schema_guard.revisions.script_directory import (
    chosen_directory,
    current_heads,
    message_of,
    script_directory,
    wanted_heads,
)
from schema_guard.runner import history
from schema_guard.runner.connection import exclusive, migration_connection
from schema_guard.runner.interrupts import Interrupted, is_interrupted
from schema_guard.runner.lost_revisions import refuse_lost
from schema_guard.runner.pending import at_head
from schema_guard.runner.step import Step


@click.command()
@with_appcontext
def create() -> None:
    """Create the database, unless it exists."""
    url = _engine().url
    state = "created" if create_database(url) else "exists already"
    click.echo(f"Database {url.database}: {state}.")


@click.command()
@with_appcontext
def drop() -> None:
    """Delete the database with all its data, after you type its name. Only in debug."""
    engine = _engine()
    url = engine.url
    if not current_app.debug:
        raise GuardError(
            f"`flask db drop` would delete {shown(url)}, and works in debug only."
            " Nothing was changed. If it can be thrown away: `flask --debug db drop`."
        )
    _confirm(url, "This deletes {} with all its data.")
    engine.dispose()
    state = "dropped" if drop_database(url) else "there was none"
    click.echo(f"Database {_name(url)}: {state}.")


@click.command()
@click.option(
    "--wait",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=0,
    help="How long to wait for a server that does not answer yet.",
)
@with_appcontext
def prepare(wait: float) -> None:
    """Create the database if it is missing, then upgrade it to head.

    What bin/setup runs, and what a container calls before it serves. A database with
    tables that these migrations did not make is refused. A server that is starting up is
    given 30 seconds in any case.
    """
    engine, scripts = _engine(), script_directory()
    # SQLite tidies its log away when the last connection is closed.
    click.get_current_context().call_on_close(engine.dispose)
    target = str(current_app.config.get("MIGRATION_TARGET", "head"))
    heads = wanted_heads(scripts)
    created = create_database(engine.url, wait)
    with migration_connection(engine, locked=False) as connection, ExitStack() as stack:
        ready = at_head(connection, heads)
        if not ready:
            stack.enter_context(exclusive(connection))
        before = current_heads(connection)
        check_ownership(connection, before)
        refuse_lost(connection, scripts)
        settle(connection)
        if ready:
            history.report_changes(connection, scripts, allowed=False)
        else:
            flask_migrate.upgrade(chosen_directory(), target)
    database = f"{'created' if created else 'existing'} {product(engine.dialect)} database"
    revision = ", ".join(heads)
    done = f"at {revision} already" if set(before) == set(heads) else f"migrated to {revision}"
    click.echo(f"{database}, {done}")


@click.command()
@click.argument("revision", required=False)
@click.option("--output", type=click.Path(path_type=Path), help="Write it to this new file.")
@with_appcontext
def log(revision: str | None, output: Path | None) -> None:
    """Show what was run on this database, the newest first: when, by whom, with what outcome.

    With REVISION, print its file as it was run here.
    """
    if output and not revision:
        raise click.UsageError("--output needs a REVISION.")
    with migration_connection(_engine(), locked=False) as connection:
        if revision:
            source = history.source_of(connection, revision)
            if output is None:
                click.echo(source, nl=False)
                return
            try:
                with output.open("xb") as file:
                    file.write(source)
            except OSError as error:
                raise GuardError(
                    f"Cannot write {output}: {error.strerror}. Name another file."
                ) from None
            return
        scripts = script_directory()
        for row in history.rows(connection):
            messages = (message_of(scripts, each) for each in row.revision.split(", "))
            said = "; ".join(filter(None, messages))
            taken = f"{row.seconds:.3f} s"
            click.echo(
                f"{row.started_at:%Y-%m-%d %H:%M:%S} UTC  {row.direction} {row.revision}"
                f"  {row.outcome}  {taken}  {row.by_whom}{said and f'  {said}'}"
            )
            if row.note:
                click.echo(textwrap.indent(row.note, "    "))


@click.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@with_appcontext
def backup(file: Path | None) -> None:
    """Write a backup of the database to FILE, by default to a new file in backups/."""
    from schema_guard.admin import backup as backups  # noqa: PLC0415 - not for every command

    with migration_connection(_engine(), locked=False) as connection:
        path = backups.backup(connection, file)
        click.echo(f"{path}: {backups.contents(connection.dialect, path)}")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_appcontext
def restore(file: Path, *, yes: bool) -> None:
    """Replace the database by the backup in FILE, after you type its name."""
    from schema_guard.admin import backup as backups  # noqa: PLC0415 - not for every command

    engine = _engine()
    found = backups.contents(engine.dialect, file)
    click.echo(f"{file}: {found}")
    if not yes:
        _confirm(engine.url, "This replaces all data of {}.")
    created = create_database(engine.url)  # a database that was lost is one to restore into
    with migration_connection(engine, locked=True, restoring=True) as connection:
        run = history.Run(Step(found.revision, "restore"))
        if created:
            settle(connection)
        with _said_if_interrupted(connection):
            backups.restore(connection, file, found)
        make_tables(connection)
        record = history.Record(connection)
        record.add(run.end("done", str(file)))
        connection.commit()
    click.echo(f"Restored: {found}")


@contextmanager
def _said_if_interrupted(connection: Connection) -> Iterator[None]:
    """Say what the database holds when somebody interrupts a restore."""
    try:
        yield
    except BaseException as error:
        if not is_interrupted(error):
            raise
        connection.rollback()
        row = restore_marker.read(connection)
        if row is None:
            raise Interrupted("Nothing was changed.") from error
        before = f", {row.previous}" if row.previous else ""
        raise Interrupted(
            "The database may hold only a part of the backup. Run it again, or restore the backup"
            f" taken before it{before}."
        ) from error


@click.command()
@click.argument("revision", required=False)
@with_appcontext
def rebase(revision: str | None) -> None:
    """Put one of two heads after the other: REVISION, or the one that git's main lacks."""
    scripts = script_directory()
    with migration_connection(_engine(), locked=False) as connection:
        click.echo(rebase_head(scripts, current_heads(connection), revision))


OWN: dict[str, click.Command] = {
    str(command.name): command
    for command in (backup, create, drop, lint_revisions, log, prepare, rebase, restore)
}


def _confirm(url: URL, what: str) -> None:
    """Have the name of the database typed."""
    click.echo(what.format(shown(url)))
    name = _name(url)
    if click.prompt("Type the name of the database", default="", show_default=False) != name:
        raise GuardError(f"That is not its name, {name}. Nothing was changed.")


def _name(url: URL) -> str:
    database = url.database or ""
    return Path(database).name if url.get_backend_name() == "sqlite" else database


def _engine() -> Engine:
    engine: Engine = current_app.extensions["migrate"].db.engine
    return engine

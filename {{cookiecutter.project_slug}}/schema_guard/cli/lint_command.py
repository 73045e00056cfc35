"""`flask db lint`."""

from pathlib import Path

import click
from flask import current_app
from flask.cli import with_appcontext
from sqlalchemy import make_url

from schema_guard.core.settings import read_settings
from schema_guard.revisions.script_directory import script_directory

FORMATS = ("text", "json", "github", "gitlab", "sarif")
DIALECTS = ("postgresql", "mysql", "mariadb", "sqlite")
VERSION = """The oldest server that they run on, as in 16 or "MariaDB 10.11". By default the one in
pyproject.toml, or the oldest that is supported."""


@click.command("lint")
@click.argument("revisions", required=False)
@click.option("--dialect", type=click.Choice(DIALECTS), help="By default the project's.")
@click.option("--server-version", "version", metavar="VERSION", help=VERSION)
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True)
@with_appcontext
def lint_revisions(
    revisions: str | None, dialect: str | None, version: str | None, form: str
) -> None:
    """Check REVISIONS for unsafe operations; by default those that are not in git's main branch.

    REVISIONS is a revision, or a range such as `0007:head`. Nothing is run, no database is needed.
    The exit status is 1 if there is a finding.
    """
    # Nothing else needs the rules: they would slow every start.
    from schema_guard.lint.linter import lint  # noqa: PLC0415
    from schema_guard.lint.report import report  # noqa: PLC0415

    scripts = script_directory()
    own = current_app.extensions["migrate"].db.engine.dialect
    if version is None and dialect is None:  # what is set is a version of the project's own
        version = read_settings(Path(scripts.dir)).server_version
    spoken = make_url(f"{dialect}://").get_dialect()() if dialect else own
    judged = lint(scripts, spoken, revisions, version)
    for line in report(judged, form):
        click.echo(line)
    if judged.findings:
        click.get_current_context().exit(1)

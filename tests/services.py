"""A service as schema_guard sees one, within the tests: an application, a database, revisions.

It has nothing of the project's `app/`: what the guard promises, it promises to any application.
"""

import re
import shutil
import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import flask_migrate
import pytest
import servers
import sqlalchemy as sa
from click import ClickException
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from schema_guard import SchemaGuard
from schema_guard.lint.linter import Judged, lint
from schema_guard.revisions.script_directory import script_directory

(PROJECT,) = Path(__file__).resolve().parent.parent.glob("{{cookiecutter.*")
MIGRATIONS = PROJECT / "migrations"
CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
# Its downgrade is allowed to be missing, with a reason, wherever it is written.
NO_WAY_BACK = "raise NotImplementedError"
REVISION = '''"""A change."""
import sqlalchemy as sa
from alembic import op
{imports}
revision = "{number}"
down_revision = {before}


def upgrade():
{upgrade}


def downgrade():
{downgrade}
'''

Model = tuple[Any, ...]


class Service:
    """An application with SchemaGuard; its models are given as tables."""

    def __init__(self, folder: Path, url: sa.URL) -> None:
        """Make it.

        Args:
            folder: of its migrations.
            url: of its database.
        """
        for name in ("env.py", "script.py.mako"):
            shutil.copy(MIGRATIONS / name, folder)
        self.settings = (MIGRATIONS / "alembic.ini").read_text(encoding="utf-8")
        # ruff is slow to start: only one test has it read what is written.
        self.settings = re.sub(r"prepend_sys_path = .*\n", "", self.settings)
        plain = self.settings.replace("hooks = ruff", "")
        (folder / "alembic.ini").write_text(plain, encoding="utf-8")
        self.versions = folder / "versions"
        self.versions.mkdir()
        self.app = Flask("service", root_path=str(folder))
        self.app.config["SQLALCHEMY_DATABASE_URI"] = url
        self.app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"connect_args": connect_args(url)}
        db = SQLAlchemy()
        db.init_app(self.app)
        SchemaGuard(self.app, db, directory=str(folder))
        self.extension: Any = self.app.extensions["migrate"]
        with self.app.app_context():
            self.engine = db.engine
        if self.dialect == "sqlite":
            mind_foreign_keys(self.engine)

    @property
    def dialect(self) -> str:
        """The name of SQLAlchemy's dialect; MariaDB's is mysql."""
        return self.engine.dialect.name

    def invoke(self, *words: str, status: int = 0) -> str:
        """Run a command of `flask db`; return its output."""
        result = self.app.test_cli_runner().invoke(args=["db", *words])
        assert result.exit_code == status, result.output
        return result.output

    def models(self, *tables: Model) -> None:
        """Have these models from now on."""
        self.metadata = sa.MetaData(naming_convention=CONVENTION)
        for name, *parts in tables:
            sa.Table(name, self.metadata, *parts)
        self.extension.db = SimpleNamespace(engine=self.engine, metadata=self.metadata)

    def write(self, number: int, upgrade: str, downgrade: str) -> Path:
        """Write a revision; what its code imports goes to the top."""
        lines = upgrade.strip("\n").splitlines()
        imports = [line for line in lines if line.startswith("from ")]
        body = [line for line in lines if line not in imports]
        if all(line.lstrip().startswith("#") for line in body):
            body.append("pass")
        text = REVISION.format(
            number=f"{number:04}",
            before=repr(f"{number - 1:04}") if number > 1 else None,
            imports="\n".join(dict.fromkeys(imports)),
            upgrade="\n".join(f"    {line}" for line in body),
            downgrade="\n".join(f"    {line}" for line in downgrade.splitlines()),
        )
        if downgrade == NO_WAY_BACK:
            allow = "# schema_guard: allow irreversible-downgrade -- a backup is the way back"
            text = text.replace("def downgrade", f"{allow}\ndef downgrade")
        for old in self.versions.glob(f"{number:04}_*.py"):
            old.unlink()
        # A name of its own: Python would take a .pyc of the same second for current.
        path = self.versions / f"{number:04}_{abs(hash(text))}.py"
        path.write_text(text, encoding="utf-8")
        return path

    def migrate(self, *flags: str) -> str | None:
        """Write a revision; return its text, or none if there is nothing to write."""
        before = set(self.versions.glob("*.py"))
        number = f"{len(before) + 1:04}"
        with self.app.app_context():
            flask_migrate.migrate(message=f"change {number}", rev_id=number, x_arg=list(flags))
        new = set(self.versions.glob("*.py")) - before
        return new.pop().read_text(encoding="utf-8") if new else None

    def differs(self) -> bool:
        """Return what `flask db check` says."""
        with self.app.app_context():
            try:
                flask_migrate.check()
            except SystemExit:
                return True
        return False

    def refused(self, *flags: str) -> str:
        """Return why no revision is written."""
        before = set(self.versions.glob("*.py"))
        with pytest.raises(ClickException) as refusal:
            self.migrate(*flags)
        assert set(self.versions.glob("*.py")) == before
        return refusal.value.message

    def lint(
        self, asked: str | None = "0002", dialect: str | None = None, version: str | None = None
    ) -> Judged:
        """Judge revisions, for the DBMS at hand or another one."""
        other = dialect and sa.make_url(f"{dialect}://").get_dialect()()
        with self.app.app_context():
            vars(self.extension).pop("script_directory", None)
            return lint(script_directory(), other or self.engine.dialect, asked, version)

    def findings(self, asked: str | None = "0002", dialect: str | None = None) -> list[str]:
        """Return the names of the rules that find something in revisions."""
        return [finding.rule for _, finding in self.lint(asked, dialect).findings]

    def upgrade(self, *flags: str, revision: str = "head") -> None:
        """Run what is pending, up to a revision."""
        with self.app.app_context():
            flask_migrate.upgrade(revision=revision, x_arg=list(flags))

    def downgrade(self) -> None:
        """Undo the last revision."""
        with self.app.app_context():
            flask_migrate.downgrade()

    def change(self, *flags: str) -> str:
        """Write a revision, and run it; nothing is left to write. Return its text."""
        assert self.differs()
        text = self.migrate(*flags)
        assert text is not None
        self.upgrade()
        assert self.migrate() is None
        assert not self.differs()
        return text

    def run(self, statement: Any, values: Any = None) -> None:
        """Run a statement."""
        if isinstance(statement, str):
            statement = sa.text(statement)
        with self.engine.begin() as connection:
            connection.execute(statement, values)

    def rows(self, query: str) -> list[Any]:
        """Return what a query finds."""
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(query))]

    def column(self, query: str) -> list[Any]:
        """Return the first column of what a query finds."""
        return [first for first, *_ in self.rows(query)]

    def insert(self, table: str, rows: list[dict[str, Any]]) -> None:
        """Add rows."""
        columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in rows[0]]
        self.run(sa.insert(sa.table(table, *columns)), rows)

    def names(self, *tables: str) -> set[str]:
        """Return the names of the indexes and constraints of tables."""
        inspector = sa.inspect(self.engine)
        found = [
            info
            for table in tables
            for infos in (
                inspector.get_indexes(table),
                inspector.get_unique_constraints(table),
                inspector.get_foreign_keys(table),
            )
            for info in infos
        ]
        return {str(info["name"]) for info in found}


def connect_args(url: sa.URL) -> dict[str, Any]:
    """Return how a careful application connects: what does not fit into a column is an error."""
    arguments: dict[str, Any] = {**servers.password_of(url)}
    if url.get_backend_name() == "mysql":
        arguments["init_command"] = "SET sql_mode = 'TRADITIONAL'"
    return arguments


def mind_foreign_keys(engine: sa.Engine) -> None:
    """Have SQLite check foreign keys, as applications do; the rest is the guard's own."""

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA foreign_keys = ON")

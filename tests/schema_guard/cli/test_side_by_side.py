"""Every command and option of Flask-Migrate, with it alone and with SchemaGuard.

docs/flask-migrate.md of the project says what differs; here it is what a row says.
"""

import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import flask_migrate
import flask_migrate.cli
import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory
from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from services import PROJECT, Service

REVISION = """
revision = {0!r}
down_revision = {1!r}
branch_labels = {2!r}

import sqlalchemy as sa
from alembic import op


def upgrade():
    op.create_table({0!r}, sa.Column("id", sa.Integer, primary_key=True))


def downgrade():
    op.drop_table({0!r})
"""
# What is written or printed differs, not what it does.
SAME, PRINTS, WRITES = "same", "prints other words", "writes other files"
# Of each command: what is run, in this order, and whether it is as stock.
# The repository has the revisions one and two; the database is at one. {d} is the directory.
TABLE: dict[str, list[tuple[str, str]]] = {
    "branches": [("branches", SAME), ("branches -v -d {d}", SAME), ("branches --verbose", SAME)],
    "check": [
        ("check", SAME),
        ("upgrade", SAME),
        ("check -d {d}", PRINTS),  # a difference a line
    ],
    "current": [
        ("current", SAME),
        ("current -v -d {d}", SAME),
        ("upgrade", SAME),
        ("current", SAME),
    ],
    "downgrade": [
        ("downgrade --sql two:one", SAME),
        ("downgrade --tag t -x a=b -d {d}", SAME),
        ("downgrade", SAME),
        ("downgrade base", SAME),
    ],
    "edit": [("edit one", SAME), ("edit -d {d}", SAME), ("edit nowhere", SAME)],
    "heads": [("heads", SAME), ("heads -v --resolve-dependencies -d {d}", SAME)],
    "history": [
        ("history", SAME),
        ("history -v -i -d {d}", SAME),
        ("history -r one:two", SAME),
        ("history --rev-range base:one", SAME),
    ],
    "init": [
        ("init -d {d}/new", WRITES),  # the guard's env.py
        ("init -d {d}/package --package -t flask", WRITES),
        ("init -d {d}/several --multidb", WRITES),
        ("init -d {d}/new", SAME),
    ],
    "list-templates": [("list-templates", SAME)],
    "merge": [
        ("revision --head one --splice --rev-id three -m three", SAME),
        ("merge -m both --rev-id four --branch-label joined -d {d} two three", SAME),
        ("heads", SAME),
        ("merge heads", SAME),
    ],
    "migrate": [
        ("upgrade", SAME),
        ("migrate -m users --rev-id three --branch-label own -x a=b -d {d}", SAME),
        ("upgrade", SAME),
        ("migrate -m nothing", SAME),
        ("migrate --sql -m more --rev-id four", SAME),
        ("migrate --head two --splice --rev-id five --version-path {d}/versions", SAME),
    ],
    "revision": [
        ("revision -m plain --rev-id three", SAME),
        ("revision --head two --splice --branch-label side --rev-id four -d {d}", SAME),
        ("revision --version-path {d}/versions --head three --rev-id five", SAME),
        ("revision --head base --rev-id six", SAME),
        ("revision --sql --head three --splice --rev-id seven", SAME),
        ("revision --autogenerate --rev-id eight", SAME),
    ],
    "show": [("show", SAME), ("show one -d {d}", SAME), ("show nowhere", SAME)],
    "stamp": [
        ("stamp --sql one", SAME),
        ("stamp base --tag t -d {d}", SAME),
        ("stamp", SAME),
        ("stamp --purge one", SAME),
        ("stamp nowhere", SAME),
    ],
    "upgrade": [
        ("upgrade --sql one:two", SAME),
        ("upgrade +1 --tag t -x a=b -d {d}", SAME),
        ("upgrade", SAME),
        ("upgrade nowhere", SAME),
    ],
}


class Stock:
    """An application with Flask-Migrate alone."""

    def __init__(self, folder: Path, url: str) -> None:
        """Make it, with the repository that `flask db init` writes."""
        self.app = Flask("service", root_path=str(folder))
        self.app.config["SQLALCHEMY_DATABASE_URI"] = url
        db = SQLAlchemy(self.app)
        Migrate(self.app, db, directory=str(folder))
        with self.app.app_context():
            self.engine = db.engine
            flask_migrate.init(str(folder))
        self.versions = folder / "versions"
        env = folder / "env.py"
        text = env.read_text(encoding="utf-8")  # it would set up the logging of the tests
        env.write_text(text.replace("fileConfig(config.config_file_name)", ""), encoding="utf-8")


class Side:
    """One of the two, at the revision one of two, with a model that has no table."""

    def __init__(self, service: Any) -> None:
        """Prepare it."""
        self.app, self.engine, self.folder = service.app, service.engine, service.versions.parent
        for name, before in (("one", None), ("two", "one")):
            path = service.versions / f"{name}_.py"
            path.write_text(REVISION.format(name, before, None), encoding="utf-8")
        extension = self.app.extensions["migrate"]
        metadata = sa.MetaData()
        sa.Table("users", metadata, sa.Column("id", sa.Integer, primary_key=True))
        for name in ("one", "two"):
            sa.Table(name, metadata, sa.Column("id", sa.Integer, primary_key=True))
        extension.db = SimpleNamespace(engine=self.engine, metadata=metadata)
        self.printed = io.StringIO()
        extension.migrate.configure(self._print)
        self.run("upgrade one")

    def _print(self, config: Any) -> Any:
        config.stdout = config.output_buffer = self.printed
        return config

    def run(self, words: str) -> tuple[bool, str]:
        """Run a command; return whether it failed, and what Alembic printed."""
        # Flask-Migrate keeps its hook of a process's first command; people have one each.
        self.app.extensions["migrate"].configure_args.pop("process_revision_directives", None)
        self.printed.seek(0)
        self.printed.truncate()
        arguments = words.replace("{d}", str(self.folder)).split()
        result = self.app.test_cli_runner().invoke(args=["db", *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), words
        text = self.printed.getvalue().replace(str(self.engine.url), "URL")
        text = text.replace(str(self.folder), "FOLDER")
        text = re.sub(r"FOLDER/versions/\S+\.py", "FILE", text)
        text = re.sub(r"Create Date: .*|^-- Running .*\n", "", text, flags=re.MULTILINE)
        return result.exit_code != 0, re.sub(r"\s+", " ", text)

    def state(self) -> Any:
        """Return what there is: tables, the revision of the database, and those of the code."""
        with self.engine.connect() as connection:
            names = set(sa.inspect(connection).get_table_names())
            at = connection.exec_driver_sql("SELECT version_num FROM alembic_version").all()
        with self.app.app_context():
            config = self.app.extensions["migrate"].migrate.get_config()
            scripts = ScriptDirectory.from_config(config)
            made = {
                (str(each.revision), str(each.down_revision), str(each.doc), *each.branch_labels)
                for each in scripts.walk_revisions()
                if len(each.revision) < 12  # those of a chance name have no other
            }
            number = len(list(scripts.walk_revisions()))
        tables = names - {"schema_history", "schema_journal"}
        return tables, sorted(tuple(row) for row in at), made, number


@pytest.fixture
def sides(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Side, Side]]:
    """Return Flask-Migrate alone, and SchemaGuard."""
    monkeypatch.setenv("EDITOR", shutil.which("true") or "true")
    folder = tmp_path / "stock"
    stock = Stock(folder, f"sqlite:///{tmp_path}/stock.db")
    yield Side(stock), Side(service)
    stock.engine.dispose()


def test_every_option_is_in_the_table() -> None:
    for name, command in flask_migrate.cli.db.commands.items():
        rows = [words for words, _ in TABLE[name] if words.split()[0] == name]
        used = {word for words in rows for word in words.split()}
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert used & set(parameter.opts), (name, parameter.opts)
    assert TABLE.keys() == flask_migrate.cli.db.commands.keys()


@pytest.mark.parametrize("dbms", ["sqlite"])
@pytest.mark.parametrize("command", TABLE)
def test_it_does_what_it_does_in_stock(sides: tuple[Side, Side], command: str) -> None:
    stock, guarded = sides
    assert stock.state() == guarded.state()
    for words, difference in TABLE[command]:
        expected, found = stock.run(words), guarded.run(words)
        assert expected[0] == found[0], words
        if difference == SAME:
            assert expected[1] == found[1], words
        assert stock.state() == guarded.state(), words
    for each in (stock, guarded):
        created = {path.name for path in each.folder.glob("*/env.py")}
        assert created == ({"env.py"} if command == "init" else set())


def blocks() -> tuple[str, str]:
    """Return the code of the project's documentation for who takes the guards out."""
    text = (PROJECT / "docs" / "flask-migrate.md").read_text(encoding="utf-8")
    hidden, dropped = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return hidden, dropped


@pytest.mark.parametrize("dbms", ["sqlite"])
def test_taking_it_out_as_documented(service: Service, tmp_path: Path) -> None:
    service.models(("one", sa.Column("id", sa.Integer, primary_key=True)))
    (service.versions / "one_.py").write_text(REVISION.format("one", None, None), encoding="utf-8")
    service.upgrade()
    hidden, dropped = blocks()
    plain = Stock(tmp_path / "plain", service.app.config["SQLALCHEMY_DATABASE_URI"])
    shutil.copy(service.versions / "one_.py", plain.versions)
    extension = plain.app.extensions["migrate"]
    extension.db = SimpleNamespace(engine=service.engine, metadata=service.metadata)

    def run(words: str) -> int:
        extension.configure_args.pop("process_revision_directives", None)
        status: int = plain.app.test_cli_runner().invoke(args=["db", *words.split()]).exit_code
        return status

    assert run("check") == 1
    names: dict[str, Any] = {"Migrate": dict}
    exec(hidden, names)  # noqa: S102 - our own documentation
    extension.configure_args.update(names["migrate"])
    assert run("check") == 0
    del extension.configure_args["include_name"]

    path = plain.versions / "two_.py"
    text = REVISION.format("two", "one", None)
    path.write_text(text[: text.index("def upgrade")] + dropped, encoding="utf-8")
    assert run("upgrade") == 0
    assert run("check") == 0
    plain.engine.dispose()

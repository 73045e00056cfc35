"""A generated service with SQLite: its page, its settings, its migrations, its own tests."""

import ast
import json
import re
import sqlite3
import sys
from pathlib import Path

import pytest
from processes import serve
from projects import Baker, Project, assert_clean, follow_the_recipes

NEW_MODEL = '''
"""Note: what a user wrote down."""

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import Base


class Note(Base):
    """A note."""

    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    text: Mapped[str] = mapped_column(String(4000))
'''

TWO_REVISIONS = {
    "0002_works.py": """
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.create_table("whole", sa.Column("id", sa.Integer()))
""",
    "0003_fails.py": """
import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade():
    op.create_table("half", sa.Column("id", sa.Integer()))
    op.execute("INSERT INTO roles (name, description) VALUES ('half', '')")
    op.execute("INSERT INTO nowhere VALUES (1)")
""",
}


@pytest.fixture
def project(own_project: Project) -> Project:
    """Return the default project, for each test to change."""
    return own_project


# As tutorials have it. mypy refuses an ignore that nothing needs: the type of `Order` is known.
TUTORIAL = """
from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import db

bp = Blueprint("orders", __name__, url_prefix="/orders")


class Order(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(unique=True)
    user_id: Mapped[int | None] = mapped_column(db.ForeignKey("users.id"))


class Item(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(80), nullable=False)
    order_id = db.Column(db.Integer, db.ForeignKey("order.id"))
    order = db.relationship("Order", backref="items")

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<Item {self.name}>"


@bp.route("/", methods=["GET", "POST"])
def index() -> ResponseReturnValue:
    db.session.add(Order(title="first"))
    db.session.commit()
    orders = db.session.execute(db.select(Order).order_by(Order.title)).scalars()
    return jsonify([order.title for order in orders] + [db.get_or_404(Order, 1).title])


def oldest() -> Order | None:
    return Order.query.filter_by(title="first").first()


def mistaken() -> str:
    return str(Order().titel)  # type: ignore[attr-defined]
"""


def test_ruff_mypy_and_its_own_tests_are_clean(project: Project) -> None:
    assert_clean(project, types=False)
    tutorial = project.path / "app" / "models" / "tutorial.py"
    tutorial.write_text(TUTORIAL.lstrip())
    outcome = project.run("make", "lint")
    assert outcome.status == 0, outcome.output
    tutorial.unlink()


def test_make_migrate_wants_a_message_and_writes_a_revision(project: Project) -> None:
    assert "Say what changes" in project.run("make", "migrate").output
    module = project.path / "app" / "models" / "note.py"
    module.write_text(NEW_MODEL.lstrip())
    outcome = project.run("make", "migrate", "m=add 'notes'")
    assert outcome.status == 0, outcome.output
    assert list(project.path.glob("migrations/versions/*_add_notes.py"))


def test_flask_works_from_any_folder(project: Project, tmp_path: Path) -> None:
    for command in (["db", "current"], ["--app", str(project.path / "wsgi.py"), "db", "current"]):
        cwd = project.path if command[0] == "db" else tmp_path
        outcome = Project(cwd, "", project.environ).run(project.tool("flask"), *command)
        assert outcome.status == 0, outcome.output
        assert "0001 (head)" in outcome.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("server", ["flask", "gunicorn"])
def test_it_serves(project: Project, tmp_path: Path, server: str) -> None:
    commands: dict[str, list[str | Path]] = {
        "flask": [
            project.tool("flask"),
            "--app",
            project.path / "wsgi.py",
            "run",
            "--port",
            "{port}",
        ],
        "gunicorn": [
            *(project.tool("gunicorn"), "--chdir", project.path, "--bind", "127.0.0.1:{port}"),
            *("--workers", "2", "wsgi:app"),
        ],
    }
    with serve(project, *commands[server], cwd=tmp_path) as service:
        page = service.get("/")
        assert page.status == 200
        assert "My Service" in page.text
        assert "up to date" in page.text
        for only_in_debug in ("SQLite", "0001", str(project.path)):
            assert only_in_debug not in page.text
        assert json.loads(service.get("/healthz").text) == {"status": "ok"}
        ready = service.get("/readyz")
        name = "0001 (The first tables: roles and users)"
        assert (ready.status, json.loads(ready.text)["revision"]) == (200, name)
        missing = service.get("/nowhere", accept="application/json")
        assert (missing.status, json.loads(missing.text)["error"]) == (404, "Not Found")
        assert "<h1" in service.get("/nowhere").text


def test_debug_shows_where_to_go_on(project: Project) -> None:
    options = ("run", "--debug", "--no-reload", "--port", "{port}")
    with serve(project, project.tool("flask"), *options) as service:
        page = service.get("/").text
    assert str(project.path / "app" / "models") in page
    assert re.search(r"SQLite 3\.\d+", page)
    assert ">0001 (The first tables: roles and users)<" in page
    assert "flask db migrate" in page


def test_seed_prints_a_password_once(project: Project) -> None:
    first = project.flask("seed")
    second = project.flask("seed")

    assert re.search(r"password \S{20,} \(shown this once\)", first.output)
    assert second.status == 0
    assert "password" not in second.output
    with sqlite3.connect(project.path / "instance" / "demo.db") as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM roles").fetchone() == (2,)


def test_the_schema_is_the_promised_one(project: Project) -> None:
    with sqlite3.connect(project.path / "instance" / "demo.db") as connection:
        sql = " ".join(
            row[0] for row in connection.execute("SELECT sql FROM sqlite_master WHERE sql NOT NULL")
        )
    for name in ("ix_users_username", "uq_users_email", "uq_roles_name", "pk_users"):
        assert name in sql
    assert "fk_users_role_id_roles" in sql
    assert re.search(r"UNIQUE INDEX ix_users_username", sql)


def test_a_new_model_is_migrated(project: Project) -> None:
    assert "Run `flask db upgrade` first" not in project.flask("seed").output
    (project.path / "app" / "models" / "note.py").write_text(NEW_MODEL.lstrip())

    behind = project.flask("db", "check")
    assert behind.status == 1
    assert "notes" in behind.output
    message = 'Add notes, überall: "quoted", \\d and a last "'
    migrated = project.flask("db", "migrate", "-m", message)
    assert migrated.status == 0, migrated.output
    (revision,) = (project.path / "migrations" / "versions").glob("*add_notes*.py")
    text = revision.read_text(encoding="utf-8")
    assert 'op.create_table(\n        "notes"' in text
    assert "fk_notes_user_id_users" in text
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring is not None
    assert docstring.splitlines()[0] == message
    assert_clean(project, types=False)

    with serve(project) as service:
        not_ready = service.get("/readyz")
        assert not_ready.status == 503
        assert (
            "at 0001 (The first tables: roles and users), head is"
            in json.loads(not_ready.text)["reason"]
        )
        upgraded = project.run(sys.executable, "bin/setup")
        assert upgraded.status == 0, upgraded.output
        assert "migrated to" in upgraded.output
        assert service.get("/readyz").status == 200
    assert project.flask("db", "check").status == 0
    nothing = project.flask("db", "migrate", "-m", "nothing")
    assert "No changes in schema detected" in nothing.output
    assert len(list((project.path / "migrations" / "versions").glob("*.py"))) == 2
    downgraded = project.flask("db", "downgrade", "base")
    assert downgraded.status == 0, downgraded.output
    assert "Run `flask db upgrade` first" in project.flask("seed").output


def test_the_recipes_of_the_docs_keep_the_data(project: Project) -> None:
    follow_the_recipes(project)


def test_a_failing_revision_leaves_nothing_behind(project: Project) -> None:
    for name, text in TWO_REVISIONS.items():
        (project.path / "migrations" / "versions" / name).write_text(text)

    failed = project.setup()

    assert failed.status == 1
    assert "no such table: nowhere" in failed.output
    assert "Traceback" not in failed.output
    with sqlite3.connect(project.path / "instance" / "demo.db") as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
        # A transaction a revision: the one before the failing one is done.
        assert "whole" in names
        assert "half" not in names
        assert connection.execute("SELECT count(*) FROM roles").fetchone() == (0,)
        assert connection.execute("SELECT * FROM alembic_version").fetchall() == [("0002",)]


def test_every_command_of_flask_migrate_answers(project: Project) -> None:
    for command in ("history", "heads", "branches", "show", "current", "list-templates"):
        outcome = project.flask("db", command)
        assert outcome.status == 0, outcome.output
    sql = project.flask("db", "upgrade", "--sql")
    assert sql.status == 0, sql.output
    assert "CREATE TABLE users" in sql.output
    again = project.flask("db", "init")
    assert again.status == 1
    assert "already exists" in again.output


def without(project: Project, name: str) -> str:
    """Take a setting out of .env; return what .env was."""
    path = project.path / ".env"
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(rf"(?m)^{name}=.*\n", "", text), encoding="utf-8")
    return text


@pytest.mark.parametrize(
    ("command", "lines"),
    [(["flask", "db", "upgrade"], 1), (["flask", "run"], 1), (["gunicorn", "wsgi:app"], None)],
)
def test_no_secret_key_is_an_error_that_names_it(
    project: Project, command: list[str], lines: int | None
) -> None:
    kept = without(project, "SECRET_KEY")
    try:
        outcome = project.run(project.tool(command[0]), *command[1:])
        debug = project.flask("--debug", "db", "current")
    finally:
        (project.path / ".env").write_text(kept, encoding="utf-8")

    assert outcome.status != 0
    assert "SECRET_KEY is not set" in outcome.output
    if lines:
        assert outcome.output.startswith("Error: SECRET_KEY")
        assert len(outcome.output.splitlines()) == lines
    assert debug.status == 0, debug.output


@pytest.mark.parametrize("url", ["postgresql://u:tr0ub4dor@h:port/x", "mysql:tr0ub4dor"])
def test_a_malformed_url_is_an_error_that_names_it(project: Project, url: str) -> None:
    outcome = project.flask("run", DATABASE_URL=url)

    assert outcome.status == 1
    assert outcome.output.startswith("Error: DATABASE_URL is malformed")
    assert len(outcome.output.splitlines()) == 1
    assert "tr0ub4dor" not in outcome.output


@pytest.mark.parametrize("database", ["postgresql", "mysql"])
def test_a_server_without_its_url_does_not_start(
    project: Project, bake: Baker, database: str
) -> None:
    other = bake(database=database)
    without(other, "DATABASE_URL")

    # Any environment with Flask will do: the settings are refused before a driver is needed.
    outcome = other.run(project.tool("flask"), "run")

    assert outcome.status == 1
    assert outcome.output.startswith("Error: DATABASE_URL is not set")


def test_a_missing_driver_is_named(project: Project) -> None:
    outcome = project.flask("run", DATABASE_URL="postgresql+psycopg2://db/shop")

    assert outcome.status == 1
    assert re.match(
        r"Error: DATABASE_URL asks for postgresql\+psycopg2.*not installed", outcome.output
    )


def test_the_applications_logging_is_left_alone(project: Project) -> None:
    code = """
import logging
from app import create_app
logging.basicConfig(level=logging.ERROR)
mine = logging.getLogger("mine")
before = (logging.root.level, list(logging.root.handlers), mine.disabled)
import flask_migrate
with create_app().app_context():
    flask_migrate.upgrade()
assert before == (logging.root.level, list(logging.root.handlers), mine.disabled)
"""
    outcome = project.run(project.tool("python"), "-W", "error", "-c", code)

    assert outcome.status == 0, outcome.output


def test_an_upgrade_leaves_the_logging_of_a_process_as_it_was(any_project: Project) -> None:
    code = (
        "import logging; from wsgi import app; import flask_migrate\n"
        "logging.basicConfig(level=logging.ERROR, format='ours %(message)s')\n"
        "loggers = [logging.getLogger(), logging.getLogger('sqlalchemy'), app.logger]\n"
        "def state():\n"
        "  return [(l.level, l.handlers[:], l.disabled, l.propagate, l.filters) for l in loggers]\n"
        "before = state()\n"
        "with app.app_context():\n"
        "  flask_migrate.upgrade()\n"
        "assert state() == before\n"
        "logging.error('still')\n"
        "app.logger.error('here')\n"
    )
    path = any_project.path / "instance" / "logging.db"
    environ = {"DATABASE_URL": f"sqlite:///{path}", "PYTHONPATH": str(any_project.path)}
    outcome = any_project.run(any_project.tool("python"), "-c", code, **environ)

    assert outcome.status == 0, outcome.output
    assert "ours still" in outcome.output
    assert "here" in outcome.output

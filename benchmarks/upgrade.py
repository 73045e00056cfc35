"""What the guards cost: `flask db upgrade` of a project, as a ratio to bare Flask-Migrate's.

    python benchmarks/upgrade.py [--rounds 7] [--revisions 1000]

Both sides use one virtual environment, the same models and revisions, and databases of one
server: the bare side is a Flask application with Flask-SQLAlchemy and Flask-Migrate, and the
env.py that `flask db init` writes. Both run each revision in a transaction of its own, as Alembic
does by itself on SQLite and MySQL. They take turns. Servers are those of the tests. Measured are
whole processes, in seconds: with nothing to do, and with many revisions, each of which adds a row.
Shown is the median of the rounds, the ratio is that of pairs of runs.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
import servers
from first_request import clean
from servers import Server

TEMPLATE = Path(__file__).resolve().parent.parent
GOAL_NOTHING, GOAL_MANY = 1.10, 1.15

BARE = """
import os

from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import ForeignKey, String, make_url
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


db = SQLAlchemy(model_class=Base)


class Role(Base):
    __tablename__ = "roles"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    role_id: Mapped[int | None] = mapped_column(ForeignKey("roles.id"))


app = Flask(__name__)
url = make_url(os.environ["DATABASE_URL"])
arguments = {}
if url.drivername == "mysql+pymysql":
    arguments = {"password": url.password.encode()}  # or PyMySQL would send it as Latin-1
app.config["SQLALCHEMY_DATABASE_URI"] = url
app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"connect_args": arguments}
db.init_app(app)
Migrate(app, db, transaction_per_migration=True)
"""

REVISION = """
from alembic import op

revision = "{number:04}"
down_revision = "{before:04}"


def upgrade():
    op.execute("INSERT INTO roles (name, description) VALUES ('r{number}', '')")


def downgrade():
    pass
"""


def main() -> int:
    """Measure, and print a table; return whether a goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--revisions", type=int, default=1000)
    options = parser.parse_args()
    missed = False
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        guarded, bare = make_sides(Path(folder))
        print(f"{'':12}{'':22}{'guarded':>9}{'bare':>9}{'ratio':>7}{'goal':>7}")
        for dbms in ("sqlite", "postgresql", "mariadb"):
            server = None if dbms == "sqlite" else stack.enter_context(getattr(servers, dbms)())
            rows = measure(guarded, bare, server, options.rounds, options.revisions)
            for what, times, goal in rows:
                ours, theirs = (statistics.median(side) for side in zip(*times, strict=True))
                ratio = statistics.median(one / other for one, other in times)
                missed |= ratio > goal
                print(f"{dbms:12}{what:22}{ours:9.2f}{theirs:9.2f}{ratio:7.2f}{goal:7.2f}")
    return int(missed)


def make_sides(folder: Path) -> tuple[Path, Path]:
    """Bake the project, and make the bare application beside it; return both folders."""
    environ = clean()
    run(folder, environ, "cookiecutter", TEMPLATE, "--no-input", "project_slug=guarded")
    guarded, bare = folder / "guarded", folder / "bare"
    run(
        guarded,
        environ,
        *("uv", "pip", "install", "--quiet", "--compile-bytecode", "--python", ".venv"),
        *("psycopg[binary]", "PyMySQL[rsa]"),
    )
    bare.mkdir()
    (bare / "wsgi.py").write_text(BARE, encoding="utf-8")
    environ["DATABASE_URL"] = "sqlite:///init.db"
    run(bare, environ, guarded / ".venv/bin/flask", "db", "init")
    shutil.copy(guarded / "migrations/versions/0001_initial.py", bare / "migrations/versions")
    return guarded, bare


def measure(
    guarded: Path, bare: Path, server: Server | None, rounds: int, revisions: int
) -> Iterator[tuple[str, list[tuple[float, float]], float]]:
    """Measure both sides on one DBMS, in pairs."""
    sides = (guarded, bare)
    databases = [environment(side, guarded, server, side.name) for side in sides]

    def nothing() -> tuple[float, float]:
        ours, theirs = (upgrade(*each) for each in zip(sides, databases, strict=True))
        return ours, theirs

    nothing()  # makes the tables
    yield "nothing to do", [nothing() for _ in range(rounds)], GOAL_NOTHING

    def many(attempt: str) -> tuple[float, float]:
        names = [f"{side.name}{attempt}" for side in sides]
        ours, theirs = (
            upgrade(side, environment(side, guarded, server, name))
            for side, name in zip(sides, names, strict=True)
        )
        return ours, theirs

    with ExitStack() as stack:
        for side in sides:
            stack.enter_context(many_revisions(side, revisions))
        many("first")  # compiles them
        yield f"{revisions} revisions", [many(str(n)) for n in range(rounds)], GOAL_MANY


@contextmanager
def many_revisions(side: Path, revisions: int) -> Iterator[None]:
    """Add revisions, each of which adds a row."""
    folder = side / "migrations" / "versions"
    paths = []
    for number in range(2, revisions + 2):
        paths.append(folder / f"{number:04}_row.py")
        paths[-1].write_text(REVISION.format(number=number, before=number - 1), encoding="utf-8")
    yield
    for path in paths:
        path.unlink()


def environment(side: Path, guarded: Path, server: Server | None, name: str) -> dict[str, str]:
    """Return the variables of a side on a new database."""
    environ = clean()
    if server is None:
        environ["DATABASE_URL"] = f"sqlite:///{side / name}.db"
    else:
        environ["DATABASE_URL"] = server.url(name)
        run(guarded, environ, guarded / ".venv/bin/flask", "db", "create")
    return environ


def upgrade(side: Path, environ: dict[str, str]) -> float:
    """Return how long `flask db upgrade` takes."""
    started = time.perf_counter()
    run(side, environ, side.parent / "guarded/.venv/bin/flask", "db", "upgrade")
    return time.perf_counter() - started


def run(folder: Path, environ: dict[str, str], *command: str | Path) -> None:
    """Run a command; end the program if it fails."""
    result = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{result.stdout}")


if __name__ == "__main__":
    sys.exit(main())

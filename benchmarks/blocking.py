"""How long requests wait while a revision runs: the unsafe form, and what `flask db lint` advises.

    python benchmarks/blocking.py [--rows 1000000] [--only add-foreign-key]

On private servers of PostgreSQL and MariaDB, a table of many rows is read, updated and added to by
four threads of another process, and so is the one that it refers to, while `flask db upgrade` runs
the revision. Measured is the longest request, in seconds, of those that began or ended meanwhile.
The recipe is the one that the rule prints.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from first_request import TEMPLATE, clean
from upgrade import run

sys.path.insert(0, str(TEMPLATE / "tests"))
import servers
from servers import Server

CHECKED = "op.create_check_constraint('positive', 'events', 'amount >= 0')"
KEY = "op.create_foreign_key('fk_account', 'events', 'accounts', ['account_id'], ['id'])"
RETYPED = "op.alter_column('events', 'amount', existing_type=sa.Integer(), type_=sa.BigInteger())"
COMPUTED = (
    "op.add_column('events', sa.Column('twice', sa.Integer(),"
    " sa.Computed('amount * 2', persisted=True)))"
)
NUMBERED = "op.add_column('events', sa.Column('key', sa.String(36), server_default=sa.text('{}')))"
UPDATED = "op.execute(\"UPDATE events SET memo = 'x' WHERE memo IS NULL\")"
CASES = {
    "postgresql": {
        "index-not-concurrent": "op.create_index('ix_kind', 'events', ['kind'])",
        "add-unique": "op.create_unique_constraint('uq_code', 'events', ['code'])",
        "add-foreign-key": KEY,
        "add-check": CHECKED,
        "set-not-null": "op.alter_column('events', 'kind', nullable=False)",
        "volatile-default": NUMBERED.format("gen_random_uuid()::text"),
        "change-type": RETYPED,
        "stored-generated-column": COMPUTED,
        "backfill-unbatched": UPDATED,
    },
    "mariadb": {
        "add-foreign-key": KEY,
        "change-type": RETYPED,
        "stored-generated-column": COMPUTED,
        "mysql-expression-default": NUMBERED.format("(uuid())"),
        "backfill-unbatched": UPDATED,
    },
}
REVISION = """import sqlalchemy as sa
from alembic import op
{imports}

revision = "0002"
down_revision = "0001"


def upgrade():
    {body}


def downgrade():
    pass
"""
TABLES = """
    CREATE TABLE accounts (id integer PRIMARY KEY, seen integer NOT NULL);
    CREATE TABLE events (
        id integer PRIMARY KEY, account_id integer NOT NULL, amount integer NOT NULL,
        kind varchar(20), code varchar(20), memo varchar(20)
    );
    INSERT INTO accounts SELECT {n}, 0 FROM {thousand};
    INSERT INTO events
        SELECT {n}, 1 + {n} % 1000, {n} % 100, concat('k', {n} % 50), concat('c', {n}), NULL
        FROM {all};
"""
SERIES = {
    "postgresql": ("n", "generate_series(1, {}) AS n"),
    "mariadb": ("seq", "seq_1_to_{}"),
}
# Requests until its input ends; prints the beginning and the duration of each.
LOAD = """
import json, random, sys, threading, time
from sqlalchemy import text
from app import create_app
from app.extensions import db

rows = int(sys.argv[1])
app = create_app()
with app.app_context():
    engine = db.engine
over, requests, counter = threading.Event(), [], iter(range(rows + 1, 10**9))

def serve(statement):
    while not over.is_set():
        values = {"id": random.randint(1, rows), "new": next(counter)}
        began = time.monotonic()
        try:
            with engine.begin() as connection:
                connection.execute(text(statement), values)
        except Exception as error:
            print(error, file=sys.stderr)
        requests.append((began, time.monotonic() - began))
        time.sleep(0.002)

statements = [
    "SELECT id, account_id, amount, kind FROM events WHERE id = :id",
    "UPDATE events SET amount = amount + 1 WHERE id = :id",
    "INSERT INTO events (id, account_id, amount, kind, code)"
    " VALUES (:new, 1, 1, 'k', concat('n', :new))",
    "UPDATE accounts SET seen = seen + 1 WHERE id = 1 + mod(:id, 1000)",
]
threads = [threading.Thread(target=serve, args=[each]) for each in statements]
for thread in threads:
    thread.start()
while len(requests) < 100:
    time.sleep(0.01)
print("ready", flush=True)
sys.stdin.read()
over.set()
for thread in threads:
    thread.join()
print(json.dumps(requests))
"""


def main() -> int:
    """Measure, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--only", help="one rule")
    options = parser.parse_args()
    print("| DBMS | rule | unsafe: takes | longest request | recipe: takes | longest request |")
    print("|---|---|--:|--:|--:|--:|", flush=True)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        run(Path(folder), clean(), "cookiecutter", TEMPLATE, "--no-input", "project_slug=shop")
        project = Path(folder) / "shop"
        install = ("uv", "pip", "install", "--quiet", "--python", ".venv")
        run(project, clean(), *install, "psycopg[binary]", "PyMySQL[rsa]")
        for dbms, cases in CASES.items():
            server = stack.enter_context(getattr(servers, dbms)())
            for rule, unsafe in cases.items():
                if options.only in {None, rule}:
                    figures = measure(project, server, (dbms, rule, unsafe), options.rows)
                    told = " | ".join(f"{seconds:.2f} s" for seconds in figures)
                    print(f"| {dbms} | {rule} | {told} |", flush=True)
    return 0


def measure(project: Path, server: Server, case: tuple[str, str, str], rows: int) -> list[float]:
    """Return what the unsafe form takes and its longest request, and the same of the recipe."""
    dbms, rule, unsafe = case
    write(project, unsafe)
    environ = {**clean(), "DATABASE_URL": server.url(f"{dbms}_lint")}
    flask = project / ".venv/bin/flask"
    lint = [str(flask), "db", "lint", "0002", "--format", "json"]
    judged = subprocess.run(
        lint, cwd=project, env=environ, capture_output=True, text=True, check=False
    )
    (recipe,) = (each["recipe"] for each in json.loads(judged.stdout) if each["rule"] == rule)
    figures: list[float] = []
    for number, body in enumerate((unsafe, recipe)):
        name = f"{rule.replace('-', '_')}{number}"
        environ["DATABASE_URL"] = server.url(name)
        for path in (project / "migrations/versions").glob("0002*"):
            path.unlink()
        run(project, environ, flask, "db", "prepare")
        fill(server, name, dbms, rows)
        write(project, body)
        figures += under_load(project, environ, rows)
        server.execute(f"DROP DATABASE {server.name(name)}")
    return figures


def write(project: Path, body: str) -> None:
    """Write the revision; what its body imports goes to the top."""
    lines = body.splitlines()
    imports = [line for line in lines if line.startswith("from ")]
    plain = "\n    ".join(line for line in lines if line not in imports)
    text = REVISION.format(imports="\n".join(imports), body=plain)
    path = project / f"migrations/versions/0002_{abs(hash(text))}.py"
    for old in path.parent.glob("0002*"):
        old.unlink()
    path.write_text(text, encoding="utf-8")


def fill(server: Server, name: str, dbms: str, rows: int) -> None:
    """Make the tables, with their rows."""
    number, series = SERIES[dbms]
    text = TABLES.format(n=number, thousand=series.format(1000), all=series.format(rows))
    server.execute(*text.strip(" ;\n").split(";"), database=name)
    server.execute("ANALYZE TABLE events" if dbms == "mariadb" else "ANALYZE", database=name)


def under_load(project: Path, environ: dict[str, str], rows: int) -> list[float]:
    """Return how long the upgrade takes, and the longest request meanwhile."""
    load = subprocess.Popen(
        [str(project / ".venv/bin/python"), "-c", LOAD, str(rows)],
        cwd=project,
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    if load.stdout is None or load.stdout.readline() != "ready\n":
        sys.exit("the load did not start")
    began = time.monotonic()
    run(project, environ, project / ".venv/bin/flask", "db", "upgrade")
    ended = time.monotonic()
    output, _ = load.communicate()
    requests = json.loads(output)
    longest = max(took for start, took in requests if start + took > began and start < ended)
    return [ended - began, longest]


if __name__ == "__main__":
    sys.exit(main())

"""Interrupt revisions whose course comes from what they read, and run them again.

    python interrupted.py cases [STEP] [NAME]
    python interrupted.py random COUNT [SEED]

DATABASE_URL names a database that is empty. `cases` kills every revision of interrupted_cases.py at
each of its statements and commits. `random` makes up revisions of queries, loops over them, changes
of rows and of the schema, autocommit blocks, savepoints, batches and errors that they catch; kills
them, takes their connection away, or locks what they need, once to three times, at random, while
others write; then runs them again.

Each has to end as if it had not been disturbed, the same queries having had the same answers; or to
be refused, with nothing changed, and with the way on that it says leading there. Prints JSON.
"""

import contextlib
import difflib
import io
import json
import logging
import os
import pickle
import random
import re
import select
import shutil
import signal
import sqlite3
import sys
import tempfile
import textwrap
import threading
import time
import traceback
import types
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
(PROJECT,) = TESTS.parent.glob("{{cookiecutter.*")
sys.path += [str(TESTS), str(PROJECT), str(Path(__file__).parent)]
sys.dont_write_bytecode = True  # revisions of one second and size are not the same

import flask_migrate
import sqlalchemy as sa
from click import ClickException
from interrupted_cases import BASE, CASES, Revision, invent
from schema_guard.runner import answers, lock_timeout
from services import Service, connect_args
from sqlalchemy.pool import NullPool

TOP = """import sqlalchemy as sa
from alembic import op
from asked import ask, begin
from schema_guard.operations import backfill, repeatable

revision = "0002"
down_revision = "0001"


def upgrade():
    begin()
"""
READING = re.compile(r"\s*(DESCRIBE|PRAGMA|SELECT|SET|SHOW)\b")
REFUSED = ("cannot continue", "it cannot be known")
KEPT = {"alembic_version", "schema_history", "schema_journal"}
URL = sa.make_url(os.environ["DATABASE_URL"])
FOLDER = Path(tempfile.mkdtemp())
SERVICE = Service(FOLDER, URL)
REVISION = SERVICE.versions / "0002_interrupted.py"
TRACE = FOLDER / "answers"
ENGINE = sa.create_engine(URL, poolclass=NullPool, connect_args=connect_args(URL))
KIND = {"mysql": "mariadb"}.get(ENGINE.dialect.name, ENGINE.dialect.name)


@sa.event.listens_for(ENGINE, "connect")
@sa.event.listens_for(SERVICE.engine, "connect")
def _hurry(connection: Any, _record: object) -> None:
    """Wait for no disk: it is processes that are killed here."""
    quick = {"sqlite": "PRAGMA synchronous = OFF", "postgresql": "SET synchronous_commit = off"}
    if KIND in quick:
        cursor = connection.cursor()
        with contextlib.suppress(sqlite3.OperationalError):  # another process makes the file sound
            cursor.execute(quick[KIND])
        cursor.close()
        connection.commit()


class Asked(types.ModuleType):
    """What revisions ask by: it notes the answers, or gives those that it is told."""

    given: list[Any] | None = None
    answers: list[Any]

    def begin(self) -> None:
        """Forget the answers: the revision runs from its start."""
        self.answers = []
        TRACE.write_bytes(pickle.dumps([]))

    def ask(self, query: Any) -> Any:
        """Return the answer of a query."""
        if self.given is not None:
            return self.given.pop(0)
        answer = query()
        self.answers.append(answer)
        TRACE.write_bytes(pickle.dumps(self.answers))
        return answer


asked = Asked("asked")
sys.modules["asked"] = asked


@dataclass
class Fault:
    """What happens to a run.

    Attributes:
        at: the number of the statement or commit at which it does; seconds, for a timed one.
    """

    kind: str
    at: float
    lock: str = ""
    seconds: float = 0


@dataclass
class Ended:
    """How a run ended: done, killed, refused, failed or broken."""

    how: str
    output: str = ""
    events: int = 0
    first: int = 0


@dataclass
class Run:
    """A run in a process of its own."""

    fault: Fault | None = None
    given: list[Any] | None = None
    x_arg: list[str] = field(default_factory=list)

    def end(self) -> Ended:
        """Start it, disturb it, and return how it ended."""
        there, back = os.pipe(), os.pipe()
        output = TRACE.with_name("output")
        process = os.fork()
        if process == 0:
            self._migrate(there[1], back[0], output)
        os.close(there[1])
        os.close(back[0])
        holder = None
        if self.fault and self.fault.kind == "timed":
            time.sleep(self.fault.at)
            os.kill(process, signal.SIGKILL)
        elif select.select([there[0]], [], [], 60)[0] and os.read(there[0], 1) and self.fault:
            holder = disturb(self.fault)
            os.write(back[1], b"!")
        _, status = os.waitpid(process, 0)
        if holder is not None:
            holder.join()
        for end in (there[0], back[1]):
            os.close(end)
        if os.WIFSIGNALED(status):
            return Ended("killed")
        lines = output.read_text(encoding="utf-8")
        how = {0: "done", 2: "failed"}.get(os.WEXITSTATUS(status), "broken")
        if how == "failed" and any(words in lines for words in REFUSED):
            how = "refused"
        *said, numbers = lines.splitlines() or ["0 0"]
        events, first = map(int, numbers.split())
        return Ended(how, "\n".join(said), events, first)

    def _migrate(self, told: int, heard: int, output: Path) -> None:
        """Migrate, in the child; it never returns."""
        status, said = 1, io.StringIO()
        self.events, self.first = 0, 0
        asked.given = self.given
        try:
            with (
                SERVICE.app.app_context(),
                contextlib.redirect_stderr(said),
                contextlib.redirect_stdout(said),
            ):
                SERVICE.app.config["MIGRATION_LOCK_TIMEOUT"] = 0.2
                lock_timeout.PAUSE = (0.02, 0.05)
                for name in ("before_cursor_execute", "commit"):
                    sa.event.listen(SERVICE.engine, name, lambda *of: self._count(of, told, heard))
                flask_migrate.upgrade(revision="0002", x_arg=self.x_arg or None)
            status = 0
        except ClickException as error:
            said.write(error.format_message())
            status = 2
        except BaseException:
            traceback.print_exc(file=said)
        finally:
            output.write_text(f"{said.getvalue()}\n{self.events} {self.first}", encoding="utf-8")
            os._exit(status)

    def _count(self, of: tuple[Any, ...], told: int, heard: int) -> None:
        if len(of) > 2 and READING.match(of[2]) and "schema_journal" not in of[2]:
            return  # before it is as after the statement before
        self.events += 1
        if len(of) > 2 and "schema_journal" in of[2] and not self.first:
            self.first = self.events  # from here on it is about the revision
        if self.fault and self.fault.kind != "timed" and self.events == self.fault.at:
            if self.fault.kind == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            os.write(told, b"!")
            os.read(heard, 1)


def disturb(fault: Fault) -> threading.Thread | None:
    """Take the connections away, or lock something for a while."""
    connection = ENGINE.connect()
    if fault.kind == "lost":
        with contextlib.closing(connection):
            run = connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql
            if KIND == "postgresql":
                run(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            elif KIND == "mariadb":
                query = (
                    "SELECT id FROM information_schema.processlist"
                    " WHERE db = database() AND id <> connection_id()"
                )
                for number in run(query).scalars().all():
                    with contextlib.suppress(sa.exc.DBAPIError):
                        run(f"KILL {number}")
        return None
    taken = {
        "row": "SELECT id FROM t1 WHERE id = 20 FOR UPDATE NOWAIT",
        "read": "SELECT id FROM t1",
        "table": "LOCK TABLE t1 IN ACCESS EXCLUSIVE MODE NOWAIT",
    }[fault.lock]
    short = {
        "sqlite": "PRAGMA busy_timeout = 20",
        "postgresql": "SET lock_timeout = 20",
        "mariadb": "SET lock_wait_timeout = 1",
    }  # NOWAIT is about rows
    connection.exec_driver_sql(short[KIND])
    taken = "BEGIN IMMEDIATE" if KIND == "sqlite" else taken
    try:
        connection.exec_driver_sql(taken)
    except sa.exc.DBAPIError:  # the run has it
        connection.close()
        return None

    def hold() -> None:
        time.sleep(fault.seconds)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    return holder


def reset() -> None:
    """Make the database as it is before the revision."""
    with ENGINE.begin() as connection:
        metadata = sa.MetaData()
        metadata.reflect(connection)
        metadata.drop_all(connection, [t for t in metadata.sorted_tables if t.name not in KEPT])
        for own in ("schema_journal", "schema_history"):
            connection.execute(sa.text(f"DELETE FROM {own}"))
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0001'"))
        BASE.create_all(connection)
        rows = [
            {"id": n, "a": n if n % 3 == 0 else None, "n": n, "s": f"Zoë's {n}% 🎉"}
            for n in range(1, 41)
        ]
        connection.execute(BASE.tables["t1"].insert(), rows)
        connection.execute(BASE.tables["traffic"].insert(), [{"n": n} for n in range(3)])


def state(*, kept: bool = True) -> str:
    """Return all that the database holds, but for the record and what others write.

    Args:
        kept: with the journal.
    """
    others = {"schema_history", "traffic"} | (set() if kept else {"schema_journal"})
    found: dict[str, list[Any]] = {}
    with ENGINE.connect() as connection:
        metadata = sa.MetaData()
        metadata.reflect(connection)
        for table in metadata.sorted_tables:
            if table.name in others:
                continue
            columns = list(table.columns)
            if table.name == "log":  # ids are given once, whether they are kept or not
                columns = columns[1:]
            rows = connection.execute(sa.select(*columns)).all()
            found[table.name] = [
                [f"{column.name} {column.type} {column.nullable}" for column in table.columns],
                sorted(str(index.name) for index in table.indexes),
                sorted(str(tuple(row)) for row in rows),
            ]
        if {"log", "t2"} <= set(found):
            query = "SELECT t2.v, log.what FROM t2 LEFT JOIN log ON log.id = t2.ref ORDER BY 1, 2"
            found["t2"] = [str(tuple(row)) for row in connection.exec_driver_sql(query)]
    return json.dumps(found, indent=0, sort_keys=True, ensure_ascii=False)


@contextlib.contextmanager
def writers(*, there: bool) -> Any:
    """Have another process write all the while, if there is to be one."""
    if not there:
        yield
        return
    process = os.fork()
    if process == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # its connection may be taken away
        while True:
            with contextlib.suppress(Exception), ENGINE.begin() as connection:
                for _ in range(3):
                    connection.execute(BASE.tables["traffic"].insert(), [{"n": 1}])
                    connection.commit()
                    time.sleep(0.01)
    try:
        yield
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


class Wrong(Exception):
    """A revision ended as it must not."""


def write(revision: Revision) -> None:
    """Write the file of a revision."""
    body = textwrap.indent(revision.body, "    ")
    REVISION.write_text(TOP + body + "\n", encoding="utf-8")


def undisturbed(given: list[Any] | None = None) -> tuple[str, Ended]:
    """Return how the revision leaves the database, and how it ran."""
    reset()
    ended = Run(given=given).end()
    if ended.how != "done":
        raise Wrong(f"undisturbed, it ended as {ended}")
    return state(), ended


def check(
    revision: Revision, faults: list[Fault], wanted: str | None, *, busy: bool = False
) -> str:
    """Disturb a revision, and run it again; return how it ended.

    Args:
        revision: that is written.
        faults: one for each of the first runs.
        wanted: how it has to leave the database; by default as its answers have it.
        busy: whether others write meanwhile.
    """
    reset()
    with writers(there=busy):
        for fault in [*faults, None, None]:
            before = state(kept=False) if fault is None else ""
            ended = Run(fault).end()
            if ended.how in {"done", "refused"}:
                break
            if ended.how == "broken" or (ended.how == "failed" and fault is None):
                raise Wrong(f"{ended.how}: {ended.output}")
    found = state()
    way = "done"
    if ended.how == "refused":
        if revision.clean:
            raise Wrong(f"refused: {ended.output}")
        repeated = "Only what is repeatable was run now." in ended.output
        if before and not repeated and before != state(kept=False):
            raise Wrong(f"refused, and changed: {difference(before, found)}")
        if "--resume=rerun" not in ended.output or "--resume=skip" not in ended.output:
            raise Wrong(f"it says no way on: {ended.output}")
        way = revision.way
        if way == "by hand":
            return way
        ended = Run(x_arg=[f"resume={way}"]).end()
        if ended.how != "done":
            raise Wrong(f"{way}: {ended}")
        found = state()
    elif ended.how != "done":
        raise Wrong(f"it ended as {ended}")
    if wanted is None:
        wanted, _ = undisturbed(pickle.loads(TRACE.read_bytes()))
    if found != wanted:
        raise Wrong(f"{way}, but {difference(wanted, found)}")
    return way


def difference(wanted: str, found: str) -> str:
    lines = difflib.unified_diff(
        wanted.splitlines(), found.splitlines(), "wanted", "found", "", "", 1
    )
    return "\n".join(lines)


def settle(revision: Revision) -> None:
    """Have answers kept as far as the revision wants it."""
    answers.BYTES = revision.keeps


def other_faults(revision: Revision, at: int) -> list[Fault]:
    """Return what happens to a revision but kills."""
    # A revision that catches everything has decided what a lock or a lost connection means.
    if KIND == "sqlite" or "except Exception" in revision.body:
        return []
    return [Fault("lost", at), Fault("lock", at, "row", 0.5 if KIND == "postgresql" else 1.5)]


def run_cases(step: int = 1, only: str = "") -> dict[str, Any]:
    """Kill every case at each place, or each STEP-th; each has to be completed by itself."""
    counts: Counter[str] = Counter()
    for name, revision in CASES.items():
        if KIND not in revision.dbms or only not in name:
            continue
        write(revision)
        settle(revision)
        started = time.monotonic()
        try:
            wanted, ended = undisturbed()
            for at in range(ended.first + sum(counts.values()) % step, ended.events + 1, step):
                counts[check(revision, [Fault("kill", at)], wanted)] += 1
            for fault in other_faults(revision, (ended.first + ended.events) // 2):
                if step == 1 or (fault.kind == "lost") == bool(len(name) % 2):
                    counts[check(revision, [fault], wanted)] += 1
            print(
                name, ended.first, ended.events, f"{time.monotonic() - started:.1f} s", flush=True
            )
        except Wrong as error:
            sys.exit(f"{name}\n{revision.body}\n{error}")
    return dict(counts)


def run_random(count: int, seed: int) -> dict[str, Any]:
    """Make up revisions, and disturb them."""
    counts: Counter[str] = Counter()
    wrong = []
    for number in range(seed, seed + count):
        try:
            counts[one(number)] += 1
        except Wrong as error:
            wrong.append(number)
            print(f"seed {number}: {error}\n{REVISION.read_text()}", flush=True)
        if sum(counts.values()) % 25 == 0:
            print(number, dict(counts), wrong, flush=True)
    if wrong:
        sys.exit(f"wrong: {wrong}")
    return dict(counts)


def one(seed: int) -> str:
    """Check one revision that is made up."""
    chance = random.Random(seed)
    revision = invent(chance, KIND)
    write(revision)
    settle(revision)
    wanted, ended = undisturbed()
    kinds = ["kill"] * 6 + ["timed"] + (["lost", "lock"] if KIND != "sqlite" else ["lock"])
    faults = []
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        kind = chance.choice(kinds)
        at: float = chance.randint(ended.first, ended.events)
        if kind == "timed":
            at = chance.uniform(0.02, 0.3)
        locks = ["row", "read"] + (["table"] if KIND == "postgresql" else [])
        longest = 4 if KIND == "mariadb" else 1
        faults.append(Fault(kind, at, chance.choice(locks), chance.uniform(0.05, longest)))
    busy = chance.random() < 0.4
    try:
        return check(revision, faults, None if busy or revision.volatile else wanted, busy=busy)
    except Wrong as error:
        raise Wrong(f"{faults}, busy: {busy}, {error}") from None


def main() -> None:
    """Run what is asked for."""
    what, *numbers = sys.argv[1:]
    logging.getLogger("alembic").setLevel(logging.WARNING)
    SERVICE.write(1, "pass", "pass")
    with ENGINE.begin() as connection:
        there = sa.MetaData()
        there.reflect(connection)
        there.drop_all(connection)
    SERVICE.upgrade()
    SERVICE.engine.dispose()
    try:
        if what == "cases":
            step, only = (numbers + ["1", ""][len(numbers) :])[:2]
            counts = run_cases(int(step), only)
        else:
            count, seed = [*numbers, "1"][:2]
            counts = run_random(int(count), int(seed))
    finally:
        shutil.rmtree(FOLDER)
    print(json.dumps(counts))


if __name__ == "__main__":
    main()

"""`flask db migrate` asks before it loses anything, and `flask db upgrade` counts what goes."""

import os
import pty
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from projects import Outcome, Project, prepared


@contextmanager
def user_model(project: Project, old: str, new: str) -> Iterator[Path]:
    """Change the model of users; put it back, and remove the revisions written meanwhile."""
    module = project.path / "app" / "models" / "user.py"
    versions = project.path / "migrations" / "versions"
    text, kept = module.read_text(encoding="utf-8"), set(versions.iterdir())
    assert old in text
    module.write_text(text.replace(old, new), encoding="utf-8")
    try:
        yield versions
    finally:
        module.write_text(text, encoding="utf-8")
        for path in set(versions.glob("*.py")) - kept:
            path.unlink()


def typed(project: Project, answers: list[str], *arguments: str, **environ: str) -> Outcome:
    """Run `flask` in a terminal, and type an answer to each question; they come in order."""
    answers = list(answers)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [str(project.tool("flask")), *arguments],
        cwd=project.path,
        env={**project.environ, **environ},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    output = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # Linux: the other end is closed
            part = b""
        if not part:
            break
        output += part
        if answers and re.search(rb"[?\]:] ?(\[.*\])?:? $", output):
            os.write(ours, answers.pop(0).encode() + b"\n")
            output += b"\n"
    os.close(ours)
    assert not answers, output.decode()
    return Outcome(process.wait(timeout=60), output.decode().replace("\r\n", "\n"))


LOGIN = """login: Mapped[str] = mapped_column(String(64), unique=True, index=True)
    handle: Mapped[str | None] = mapped_column(String(64))"""
USERNAME = "username: Mapped[str] = mapped_column(String(64), unique=True, index=True)"


def test_a_person_is_asked(any_project: Project) -> None:
    url = prepared(any_project, None, "asked", seeded=True)
    rows = any_project.query("SELECT username FROM users", DATABASE_URL=url)
    migrate = ("db", "migrate", "-m", "login")
    with user_model(any_project, USERNAME, LOGIN) as versions:
        no = typed(any_project, ["0", "n"], *migrate, DATABASE_URL=url)
        assert no.status == 1
        assert "Drop users.username, and its values? [y/N]" in no.output
        assert "Nothing was written" in no.output
        assert not list(versions.glob("*_login.py"))

        yes = typed(any_project, ["1"], *migrate, DATABASE_URL=url)
        assert yes.status == 0, yes.output
        assert "users.username is no longer in the models. Was it renamed?" in yes.output
        assert "1. to users.login" in yes.output  # the likeliest first
        assert "2. to users.handle" in yes.output
        (path,) = versions.glob("*_login.py")
        assert re.fullmatch(r"\d{14}_[0-9a-f]{12}_login\.py", path.name)
        for tool, *arguments in (["ruff", "check"], ["ruff", "format", "--check"]):
            checked = any_project.run(any_project.tool(tool), *arguments, path)
            assert checked.status == 0, checked.output
        assert any_project.flask("db", "upgrade", DATABASE_URL=url).status == 0
        assert any_project.query("SELECT login FROM users", DATABASE_URL=url) == rows
        assert any_project.flask("db", "check", DATABASE_URL=url).status == 0
        assert any_project.flask("db", "downgrade", DATABASE_URL=url).status == 0
    assert any_project.query("SELECT username FROM users", DATABASE_URL=url) == rows


def test_a_drop_is_asked_twice(any_project: Project) -> None:
    url = prepared(any_project, None, "dropped", seeded=True)
    description = 'description: Mapped[str] = mapped_column(String(255), default="")'
    module = any_project.path / "app" / "models" / "role.py"
    text = module.read_text(encoding="utf-8")
    module.write_text(text.replace(f"    {description}\n", ""), encoding="utf-8")
    try:
        with user_model(any_project, "", ""):
            nobody = any_project.flask("db", "migrate", "-m", "less", DATABASE_URL=url)
            assert nobody.status == 1
            assert "Not an interactive terminal. Nothing was written." in nobody.output
            assert "--drop roles.description" in nobody.output
            ours, theirs = pty.openpty()
            unseen = subprocess.run(  # with its output in a pipe nobody sees a question
                [str(any_project.tool("flask")), "db", "migrate", "-m", "less"],
                cwd=any_project.path,
                env={**any_project.environ, "DATABASE_URL": url},
                stdin=theirs,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
                timeout=60,
            )
            os.close(ours)
            os.close(theirs)
            assert unseen.returncode == 1
            drop = typed(any_project, ["y"], "db", "migrate", "-m", "less", DATABASE_URL=url)
            assert drop.status == 0, drop.output

            upgrade = ("db", "upgrade")
            nobody = any_project.flask(*upgrade, DATABASE_URL=url)
            no = typed(any_project, ["n"], *upgrade, DATABASE_URL=url)
            assert nobody.status == no.status == 1
            assert "would drop roles.description, and 2 values with it" in nobody.output
            assert "Traceback" not in nobody.output
            yes = typed(any_project, ["y"], *upgrade, DATABASE_URL=url)
            assert yes.status == 0, yes.output
            assert (
                "This upgrade drops roles.description, and 2 values with it. Go on?" in yes.output
            )
            log = any_project.flask("db", "log", DATABASE_URL=url).output
            assert "Dropped roles.description, with 2 values." in log
            assert any_project.flask("db", "downgrade", DATABASE_URL=url).status == 0
    finally:
        module.write_text(text, encoding="utf-8")


def test_flags_of_the_command_line(any_project: Project) -> None:
    url = prepared(any_project, None, "flags", seeded=True)
    phone = "login: Mapped[str]\n    phone: Mapped[str] = mapped_column(default='-')"
    with user_model(any_project, USERNAME, phone) as versions:
        flags = ["--rename", "users.username:login"]
        asked = any_project.flask("db", "migrate", *flags, DATABASE_URL=url)
        assert "--fill users.phone:-" in asked.output
        flags += ["--fill", "users.phone:it's {{ x }}"]
        outcome = any_project.flask("db", "migrate", "-m", "flags", *flags, DATABASE_URL=url)
        assert outcome.status == 0, outcome.output
        assert len(list(versions.glob("*_flags.py"))) == 1
        assert any_project.flask("db", "upgrade", DATABASE_URL=url).status == 0
        assert any_project.flask("db", "check", DATABASE_URL=url).status == 0
    query = "SELECT login, phone FROM users"
    assert "it's {{ x }}" in any_project.query(query, DATABASE_URL=url)


ORDER = """
from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import Base


class Order(Base):
    __tablename__ = "{table}"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("{key}"))
"""


def test_a_mistake_in_a_model_is_one_message(any_project: Project) -> None:
    url = prepared(any_project, None, "mistake")
    module = any_project.path / "app" / "models" / "order.py"
    try:
        for table, key, said in (
            ("orders", "user.id", "orders.user_id refers to a table user, which no model makes"),
            # Of another length: a file of the same second and size has the bytecode of before.
            ("users", "other_roles.id", "the table users has a model already: Model User (app"),
        ):
            module.write_text(ORDER.format(table=table, key=key), encoding="utf-8")
            outcome = any_project.flask("db", "migrate", DATABASE_URL=url)
            assert outcome.status == 1
            assert f"Error: Model Order ({Path('app/models/order.py')}:8): {said}" in outcome.output
            assert "Traceback" not in outcome.output
            assert "DATABASE_URL" not in outcome.output
    finally:
        module.unlink()


def test_what_is_written_is_clean_and_goes_on(any_project: Project) -> None:
    url = prepared(any_project, None, "clean")
    messages = [
        "",
        'a\'b """ \\ {x} ${y} %s',
        "Zoë \u2013 ünï" + " and much more" * 9,
        " space \n\nx ",
    ]
    more = "description: Mapped[str | None] = mapped_column(String(9))\n    "
    with user_model(any_project, USERNAME, more + USERNAME) as versions:
        before = set(versions.glob("*.py"))
        for command in (
            ["migrate", "-m", "more", "--rev-id", "made"],
            *(["revision", *(["-m", message] if message else [])] for message in messages),
            ["revision", "-m", "other", "--head", "made", "--splice", "--rev-id", "other"],
            ["revision", "-m", "base", "--head", "base"],
            ["merge", "heads", "-m", "one"],
        ):
            seen = set(versions.glob("*.py"))
            outcome = any_project.flask("db", *command, DATABASE_URL=url)
            assert outcome.status == 0, outcome.output
            (path,) = set(versions.glob("*.py")) - seen
            text = path.read_text(encoding="utf-8")
            revision = re.search(r"^revision: str = \"(\w+)\"$", text, re.MULTILINE)
            assert revision
            assert f"_{revision[1]}_" in path.name
        files = sorted(set(versions.glob("*.py")) - before)
        for tool, *arguments in (["ruff", "check"], ["ruff", "format", "--check"]):
            checked = any_project.run(any_project.tool(tool), *arguments, *files)
            assert checked.status == 0, checked.output
        for path in files:  # as authors do, without another import
            text = path.read_text(encoding="utf-8")
            first = "def upgrade() -> None:\n"
            assert first in text
            more = f'{first}    op.execute(sa.text("SELECT 1"))\n'
            path.write_text(text.replace(first, more), encoding="utf-8")
        upgraded = any_project.flask("db", "upgrade", DATABASE_URL=url)
        assert upgraded.status == 0, upgraded.output

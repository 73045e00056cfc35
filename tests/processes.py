"""What runs beside a test: commands of a project, revisions for them, and services."""

import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import servers
from projects import Project

REVISION_BODY = """
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before:04}"


def downgrade():
    pass


def upgrade():
    {body}
"""


@contextmanager
def revisions(project: Project, bodies: dict[str, str]) -> Iterator[None]:
    """Add revisions to a project, and take them away again."""
    folder = project.path / "migrations" / "versions"
    paths = []
    for revision, body in bodies.items():
        text = REVISION_BODY.format(revision=revision, before=int(revision) - 1, body=body.strip())
        paths.append(folder / f"{revision}_test.py")
        paths[-1].write_text(text, encoding="utf-8")
    try:
        yield
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def start(project: Project, *arguments: str, **environ: str) -> "subprocess.Popen[str]":
    """Run the project's `flask` beside the test."""
    return subprocess.Popen(
        [str(project.tool("flask")), *arguments],
        cwd=project.path,
        env={**project.environ, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )


def read_until(process: "subprocess.Popen[str]", words: str) -> str:
    """Return the line of a process's output that holds some words."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if words in line:
            return line
    pytest.fail(f"it ended without saying {words!r}: {''.join(seen)}")


# Waits within the revision for as long as a file is there.
HOLD = """
    import pathlib, time
    op.execute("SELECT 1")
    while pathlib.Path("hold").exists():
        time.sleep(0.02)
"""


@contextmanager
def migrating(project: Project, url: str) -> Iterator[subprocess.Popen[str]]:
    """Have a process migrate for as long as the test wants."""
    hold = project.path / "hold"
    hold.touch()
    with revisions(project, {"0002": HOLD}):
        process = start(project, "db", "upgrade", DATABASE_URL=url)
        try:
            read_until(process, "0001 -> 0002")
            yield process
        finally:
            hold.unlink(missing_ok=True)
            process.communicate(timeout=60)


@dataclass(frozen=True)
class Answer:
    """What a service answered."""

    status: int
    text: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Service:
    """A running service.

    Attributes:
        url: where it answers, without a slash at the end.
    """

    url: str

    def get(self, path: str, accept: str = "text/html") -> Answer:
        """Request a path."""
        request = urllib.request.Request(self.url + path, headers={"Accept": accept})
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return Answer(response.status, response.read().decode(), dict(response.headers))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.read().decode(), dict(error.headers))


@contextmanager
def serve(
    project: Project,
    *command: str | Path,
    cwd: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> Iterator[Service]:
    """Serve a project, with `flask run` or the given command, until the block ends.

    `{port}` in the command stands for the port.
    """
    port = servers.free_port()
    words = command or (project.tool("flask"), "run", "--port", "{port}")
    with tempfile.TemporaryFile("w+") as log:  # a pipe that nobody reads would stop it one day
        process = subprocess.Popen(
            [str(word).format(port=port) for word in words],
            cwd=cwd or project.path,
            env={**project.environ, **(variables or {})},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        service = Service(f"http://127.0.0.1:{port}")
        try:
            deadline = time.monotonic() + 60
            while not answers(service):
                if process.poll() is not None or time.monotonic() > deadline:
                    process.kill()
                    log.seek(0)
                    pytest.fail(f"it does not serve: {log.read()}")
                time.sleep(0.05)
            yield service
        finally:
            process.terminate()
            process.wait(30)


def answers(service: Service) -> bool:
    """Return whether a service accepts requests yet."""
    try:
        return service.get("/healthz").status == 200
    except urllib.error.URLError:
        return False

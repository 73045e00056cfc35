"""Revisions whose course comes from what they read end as if they had not been interrupted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from projects import PROGRAMS
from servers import Server

# Revisions that are made up, for each DBMS; `interrupted.py random 1000` takes more of them.
COUNT = 8


@pytest.fixture
def url(server: Server | None, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """Return an empty database."""
    if server is None:
        return f"sqlite:///{tmp_path}/interrupted.db"
    name = request.function.__name__[-20:]
    server.execute(f"CREATE DATABASE {server.quote(server.name(name))}")
    return server.url(name)


def run(url: str, *arguments: str) -> dict[str, int]:
    """Run interrupted.py; return how revisions ended."""
    outcome = subprocess.run(
        [sys.executable, PROGRAMS / "interrupted.py", *arguments],
        env={**os.environ, "DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout[-5000:] + outcome.stderr[-3000:]
    ended: dict[str, int] = json.loads(outcome.stdout.splitlines()[-1])
    return ended


def test_each_way_of_reading_is_completed_or_refused(url: str) -> None:
    ended = run(url, "cases", "18")
    assert ended["done"] > 20
    assert ended["rerun"] > 0


def test_made_up_at_random(url: str) -> None:
    ended = run(url, "random", str(COUNT), "1")
    assert sum(ended.values()) == COUNT

"""What schema_guard costs a web worker at its start, beside what the service imports anyway.

    python benchmarks/imports.py [--rounds 15]

Each round is a process of its own: it imports Flask, Flask-SQLAlchemy and Flask-Migrate, and then
what a service imports of schema_guard. Prints milliseconds of CPU, without Python's own start.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

(PROJECT,) = Path(__file__).resolve().parent.parent.glob("{{cookiecutter.*")
CODE = """
import time
started = time.process_time()
import flask, flask_sqlalchemy, flask_migrate, sqlalchemy.orm
between = time.process_time()
import schema_guard, schema_guard.readiness
print((between - started) * 1000, (time.process_time() - between) * 1000)
"""


def measure(environ: dict[str, str]) -> str:
    """Return what one process prints."""
    command = [sys.executable, "-c", CODE]
    return subprocess.run(
        command, env=environ, capture_output=True, encoding="utf-8", check=True
    ).stdout


def main() -> None:
    """Print the median, the least and the most of both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:  # in the template's folder it would be baked
        environ = {**os.environ, "PYTHONPYCACHEPREFIX": folder, "PYTHONPATH": str(PROJECT)}
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        lines = [measure(environ) for _ in range(rounds + 1)][1:]  # the first compiles
    pairs = [tuple(map(float, line.split())) for line in lines]
    for place, name in enumerate(("what it builds on", "schema_guard")):
        values = [pair[place] for pair in pairs]
        low, high = min(values), max(values)
        print(f"{name}: {statistics.median(values):.0f} ms ({low:.0f} to {high:.0f})")


if __name__ == "__main__":
    main()

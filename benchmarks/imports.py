"""What schema_guard costs a web worker at its start, beside what the service imports anyway.

    python benchmarks/imports.py [--rounds 15]

Each round is a process of its own: it imports Flask, Flask-SQLAlchemy and Flask-Migrate, and then
what a service imports of schema_guard. Prints milliseconds of CPU, without Python's own start.
"""

import argparse
import statistics
import subprocess
import sys
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


def main() -> None:
    """Print the median, the least and the most of both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    command = [sys.executable, "-c", CODE]
    lines = [
        subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
        for _ in range(rounds + 1)
    ][1:]  # the first may compile
    pairs = [tuple(map(float, line.split())) for line in lines]
    for place, name in enumerate(("what it builds on", "schema_guard")):
        values = [pair[place] for pair in pairs]
        low, high = min(values), max(values)
        print(f"{name}: {statistics.median(values):.0f} ms ({low:.0f} to {high:.0f})")


if __name__ == "__main__":
    main()

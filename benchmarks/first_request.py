"""How long from `cookiecutter` to the first page, as a ratio to Django's way to its first page.

    python benchmarks/first_request.py [--rounds 5] [--pip]

Django's way, in the same loop: `uv venv`, `uv pip install django`, `django-admin startproject`,
`manage.py migrate`, and a server's start; it has SQLite too, and installs no tools. With `--pip`
the installation without uv is measured too, against plain `python -m venv` and `pip install -r`.
Caches are warm: one round goes before and does not count. Figures are medians, in seconds.
"""

import argparse
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parent.parent
SETUP_VARIABLE = "FLASK_MIGRATE_TEMPLATE_SETUP"
FOREIGN = ("FLASK_", "VIRTUAL_ENV", "DATABASE_URL", "SECRET_KEY", "PYTHONPATH", "PYTHONDONTWRITE")
GOAL, GOAL_WITHOUT_UV = 1.25, 0.5
SECONDS_TO_START = 60

Times = dict[str, float]
Measure = Callable[[Path, Mapping[str, str], Path], Times]


class Clock:
    """Measures the steps of one round."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        """Work in a folder, with an environment."""
        self.folder = folder
        self.environ = dict(environ)
        self.times: Times = {}

    def run(self, step: str, *command: str | Path, cwd: Path | None = None) -> str:
        """Run a command as a step; return what it printed. Ends the program if it fails."""
        started = time.perf_counter()
        result = subprocess.run(
            [str(word) for word in command],
            cwd=cwd or self.folder,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
        )
        self.times[step] = time.perf_counter() - started
        if result.returncode != 0:
            sys.exit(f"{step} failed:\n{result.stdout}")
        return result.stdout

    def first_page(self, project: Path, *command: str | Path) -> None:
        """Start a server as a step, up to its first page; `{port}` in the command is its port."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        started = time.perf_counter()
        process = subprocess.Popen(
            [str(word).format(port=port) for word in command],
            cwd=project,
            env=self.environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while True:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5):
                        break
                except urllib.error.URLError:
                    if time.perf_counter() - started > SECONDS_TO_START or process.poll():
                        sys.exit("the server does not answer")
                    time.sleep(0.005)
            self.times["first page"] = time.perf_counter() - started
        finally:
            process.terminate()
            process.wait()


def clean() -> dict[str, str]:
    """Return the environment without what would reach a project, with the programs of .venv."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    programs = [str(Path(sys.executable).parent), os.environ["PATH"]]
    return {**kept, "PATH": os.pathsep.join(programs)}


def template(folder: Path, environ: Mapping[str, str], _: Path) -> Times:
    """Bake the default project and ask for its page; with the steps that bin/setup timed."""
    clock = Clock(folder, environ)
    output = clock.run("cookiecutter", "cookiecutter", TEMPLATE, "--no-input")
    steps = dict(re.findall(r"^  (\w+)\.+ .*\((\d+\.\d) s\)$", output, re.MULTILINE))
    clock.first_page(folder / "my-service", ".venv/bin/flask", "run", "--port", "{port}")
    return clock.times | {f"  of it {name}": float(value) for name, value in steps.items()}


def django(folder: Path, environ: Mapping[str, str], _: Path) -> Times:
    """Make a project as Django's tutorial does, with uv, and ask for its page."""
    clock = Clock(folder, environ)
    clock.run("uv venv", "uv", "venv", "--python", sys.executable, ".venv")
    clock.run("uv pip install", "uv", "pip", "install", "--python", ".venv", "django")
    python = folder / ".venv" / "bin" / "python"
    clock.run("startproject", python, "-m", "django", "startproject", "site1", ".")
    clock.run("migrate", python, "manage.py", "migrate")
    clock.first_page(folder, python, "manage.py", "runserver", "--noreload", "{port}")
    return clock.times


def setup_without_uv(folder: Path, environ: Mapping[str, str], rendered: Path) -> Times:
    """Let bin/setup install on a PATH where there is no uv."""
    project = folder / "project"
    shutil.copytree(rendered, project)
    programs = folder / "programs"
    programs.mkdir()
    (programs / "git").symlink_to(shutil.which("git") or "git")
    clean = {name: value for name, value in environ.items() if name != "UV"}
    clock = Clock(project, clean | {"PATH": str(programs)})
    output = clock.run("bin/setup", sys.executable, "bin/setup")
    steps = dict(re.findall(r"^  (\w+)\.+ .*\((\d+\.\d) s\)$", output, re.MULTILINE))
    return {name: float(steps[name]) for name in ("environment", "requirements")}


def plain(folder: Path, environ: Mapping[str, str], rendered: Path) -> Times:
    """Install as everybody does without uv."""
    clock = Clock(folder, environ)
    python = folder / ".venv" / "bin" / "python"
    clock.run("python -m venv", sys.executable, "-m", "venv", ".venv")
    install = (str(python), "-m", "pip", "install", "--disable-pip-version-check")
    clock.run("pip install -r", *install, "-r", rendered / "requirements-dev.txt")
    return clock.times


def report(title: str, ours: list[Times], theirs: list[Times], goal: float) -> None:
    """Print a table of the medians, and the median of the rounds' ratios against the goal."""
    print(f"\n{title}\n")
    all_totals = []
    for name, rounds in (("ours", ours), ("theirs", theirs)):
        steps: dict[str, list[float]] = defaultdict(list)
        for times in rounds:
            for step, seconds in times.items():
                steps[step].append(seconds)
        for step, found in steps.items():
            print(f"  {name:<9} {step:<24} {statistics.median(found):6.2f} s")
        counted = [
            sum(value for step, value in times.items() if not step.startswith(" "))
            for times in rounds
        ]
        all_totals.append(counted)
        print(f"  {name:<9} {'TOTAL':<24} {statistics.median(counted):6.2f} s\n")
    ratio = statistics.median(one / other for one, other in zip(*all_totals, strict=True))
    print(f"  ratio {ratio:.2f}, goal at most {goal}: {'met' if ratio <= goal else 'NOT MET'}")


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (5)")
    parser.add_argument("--pip", action="store_true", help="measure without uv too")
    options = parser.parse_args()
    environ = clean()
    for program in ("cookiecutter", "uv"):
        if shutil.which(program, path=environ["PATH"]) is None:
            sys.exit(f"{program} is not installed. Run `make .venv/dev`, then .venv/bin/python.")

    with tempfile.TemporaryDirectory() as scratch:
        bake = Clock(Path(scratch), environ | {SETUP_VARIABLE: "no"})
        bake.run("render", "cookiecutter", TEMPLATE, "--no-input")
        rendered = Path(scratch) / "my-service"
        pairs: dict[str, tuple[Measure, Measure, float]] = {"Django": (template, django, GOAL)}
        if options.pip:
            pairs["without uv"] = (setup_without_uv, plain, GOAL_WITHOUT_UV)
        for title, (ours, theirs, goal) in pairs.items():
            measured: tuple[list[Times], list[Times]] = ([], [])
            for _ in range(options.rounds + 1):
                for side, measure in zip(measured, (ours, theirs), strict=True):
                    with tempfile.TemporaryDirectory() as folder:
                        side.append(measure(Path(folder), environ, rendered))
            report(title, measured[0][1:], measured[1][1:], goal)


if __name__ == "__main__":
    main()

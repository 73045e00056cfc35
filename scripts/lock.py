"""Refresh what is locked: the requirements of a project of each DBMS, and the template's own.

    make lock

Renders pyproject.toml for every DBMS and resolves it with uv for every platform and every
Python it allows: one set for production, and one for development that holds the same versions.
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path

from cookiecutter.main import cookiecutter

TEMPLATE = Path(__file__).resolve().parent.parent
REQUIREMENTS = TEMPLATE / "templates" / "requirements"
# What the project's README gives, and the head of each file repeats.
COMPILE = "uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes"
PRODUCTION = f"{COMPILE} -o requirements.txt"
DEVELOPMENT = f"{COMPILE} --group dev -c requirements.txt -o requirements-dev.txt"
# The tests run schema_guard in the template's own environment, with what projects run it with.
CONSTRAINTS = "".join(
    f" -c templates/requirements/{database}-dev.txt"
    for database in ("sqlite", "postgresql", "mysql")
)


def main() -> None:
    """Lock the requirements of every DBMS, then the template's own."""
    os.environ["FLASK_MIGRATE_TEMPLATE_SETUP"] = "no"
    databases = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))["database"]
    for database in databases:
        names = {"requirements": database, "requirements-dev": f"{database}-dev"}
        for name in names.values():
            (REQUIREMENTS / f"{name}.txt").touch()  # the template includes them
        with tempfile.TemporaryDirectory() as folder:
            answers = {"database": database}
            baked = cookiecutter(
                str(TEMPLATE), no_input=True, output_dir=folder, extra_context=answers
            )
            project = Path(baked)
            lock(project)
            for rendered, locked in names.items():
                text = (project / f"{rendered}.txt").read_text(encoding="utf-8")
                text = text.replace(f"{project.name} (", "{{ cookiecutter.project_slug }} (")
                (REQUIREMENTS / f"{locked}.txt").write_text(text, encoding="utf-8")
    lock(TEMPLATE, CONSTRAINTS)


def lock(project: Path, constraints: str = "") -> None:
    """Write the requirements*.txt of a folder, at the newest versions its pyproject.toml allows.

    Args:
        project: the folder.
        constraints: options that name what has been locked already.
    """
    for form in (PRODUCTION, DEVELOPMENT):
        command = form.replace(" -o ", f"{constraints} -o ")
        (project / command.split()[-1]).unlink(missing_ok=True)  # or uv would keep its pins
        options = ["--quiet", "--custom-compile-command", command]
        subprocess.run([*command.split(), *options], cwd=project, check=True)


if __name__ == "__main__":
    main()

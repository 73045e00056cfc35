"""The locked requirements: what pyproject.toml asks for, what that needs, and nothing else."""

import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from projects import TEMPLATE, Baker, Project, shared

DATABASES = ["sqlite", "postgresql", "mysql"]
FILES = ["requirements.txt", "requirements-dev.txt"]
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]


def locked(text: str) -> dict[str, Requirement]:
    """Return the requirements of a locked file."""
    lines = re.findall(r"^([a-z0-9].*?) \\$", text, re.MULTILINE)
    found = [Requirement(line) for line in lines]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def wanted(folder: Path, file: str) -> list[Requirement]:
    """Return what pyproject.toml asks for, with the group `dev` or without."""
    pyproject = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    lines = pyproject["project"]["dependencies"]
    if file == "requirements-dev.txt":
        lines = lines + pyproject["dependency-groups"]["dev"]
    return [Requirement(line) for line in lines]


@pytest.fixture(
    scope="module", params=[shared(__name__, name) for name in [*DATABASES, "template"]]
)
def folder(request: pytest.FixtureRequest, bake: Baker) -> Path:
    """Return a folder with a pyproject.toml and its locks: a project's, and the template's."""
    return TEMPLATE if request.param == "template" else bake(database=request.param).path


@pytest.mark.parametrize("file", FILES)
def test_a_lock_agrees_with_pyproject(folder: Path, file: str) -> None:
    text = (folder / file).read_text(encoding="utf-8")
    pins = locked(text)

    for requirement in wanted(folder, file):
        pin = pins[canonicalize_name(requirement.name)]
        (version,) = pin.specifier
        assert version.operator == "=="
        assert requirement.specifier.contains(version.version), requirement
        assert pin.marker == requirement.marker
    assert text.count("--hash=sha256:") >= len(pins)
    assert "://" not in text
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


@pytest.mark.parametrize("file", FILES)
def test_a_lock_holds_nothing_that_is_not_needed(folder: Path, file: str) -> None:
    text = (folder / file).read_text(encoding="utf-8")
    direct = {canonicalize_name(requirement.name) for requirement in wanted(folder, file)}

    for entry in re.split(r"\n(?=[a-z])", text)[1:]:
        name = canonicalize_name(re.split(r"[=\[]", entry)[0])
        needed_by = re.findall(
            r"#(?: via)? +([a-z][\w.-]*(?: \(pyproject\.toml[^)]*\))?)$", entry, re.MULTILINE
        )
        assert needed_by, entry
        by_pyproject = any("pyproject.toml" in reason for reason in needed_by)
        assert by_pyproject == (name in direct), entry


def test_production_and_development_hold_the_same_versions(folder: Path) -> None:
    production, development = (locked((folder / file).read_text()) for file in FILES)
    assert production.keys() < development.keys()
    for name, pin in production.items():
        assert development[name] == pin


@pytest.mark.parametrize("database", DATABASES)
def test_the_template_s_tests_run_on_what_projects_run_on(database: str) -> None:
    text = (TEMPLATE / "templates" / "requirements" / f"{database}-dev.txt").read_text()
    project, template = locked(text), locked((TEMPLATE / "requirements-dev.txt").read_text())
    both = project.keys() & template.keys()
    assert {"alembic", "flask", "flask-migrate", "flask-sqlalchemy", "sqlalchemy"} <= both
    assert {name: template[name].specifier for name in both} == {
        name: project[name].specifier for name in both
    }


def test_production_holds_no_tools(folder: Path) -> None:
    assert (
        not {"pytest", "mypy", "ruff", "uv", "pip"}
        & locked((folder / "requirements.txt").read_text()).keys()
    )


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("database", DATABASES)
def test_wheels_for_every_python_and_system(bake: Baker, database: str, python: str) -> None:
    project = bake(database=database)
    for platform in ("linux", "macos", "windows"):
        outcome = project.run(
            *("uv", "pip", "install", "--dry-run", "--target", project.path / platform),
            *("--python-version", python, "--python-platform", platform),
            *("--only-binary", ":all:", "--no-deps", "--require-hashes"),
            *("-r", "requirements-dev.txt"),
        )
        assert outcome.status == 0, outcome.output


def interpreters() -> list[str]:
    """Return the Pythons on this machine, of those that a project allows, but the running one."""
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    return [python for python in PYTHONS if python != running and find_python(python)]


def find_python(version: str) -> Path | None:
    """Return an interpreter of a version: on PATH, or pyenv's."""
    for folder in (Path.home() / ".pyenv" / "versions").glob(f"{version}.*"):
        return folder / "bin" / "python"
    return None


@pytest.mark.parametrize("version", interpreters())
def test_a_project_on_another_python(bake: Baker, version: str) -> None:
    python = find_python(version)
    assert python is not None
    project: Project = bake()

    outcome = project.run(python, "bin/setup")

    assert outcome.status == 0, outcome.output
    assert f"created .venv, Python {version}." in outcome.output
    tests = project.run(project.tool("pytest"), "-q")
    assert tests.status == 0, tests.output

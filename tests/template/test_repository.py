"""The template repository itself: its two commands, its README, and what it must not hold."""

import os
import re
import signal
import subprocess
import tomllib
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from projects import TEMPLATE, run

# What is in a commit: the index, and for the paths alone what is about to be added.
LIST = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]


def tracked() -> list[Path]:
    """Return the files of the repository that are text."""
    names = subprocess.run(LIST, cwd=TEMPLATE, check=True, capture_output=True, text=True).stdout
    paths = [TEMPLATE / name for name in names.splitlines()]
    return [path for path in paths if path.is_file() and path.suffix != ".png"]


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        (r"/(root|work|home/\w+)/[\w.]", "a machine's path"),
        (
            r"(index-url|find-links)\s*[=:]?\s*[\"']?(http|file)|pypi\.org|pythonhosted",
            "a registry",
        ),
        (r"-----BEGIN|AKIA[0-9A-Z]{16}", "a secret"),
        (r"(?m)^(<{7}|>{7}) ", "a conflict"),
    ],
)
def test_nothing_of_a_machine_is_committed(pattern: str, what: str) -> None:
    for path in tracked():
        if path != Path(__file__):
            found = re.search(pattern, path.read_text(encoding="utf-8"))
            assert found is None, f"{path} holds {what}: {found[0]}"


def test_no_line_of_python_in_the_template_holds_jinja_but_the_hooks() -> None:
    (folder,) = TEMPLATE.glob("{{*}}")
    for path in [*folder.rglob("*.py"), folder / "bin" / "setup"]:
        assert "cookiecutter" not in path.read_text(encoding="utf-8"), path


def test_the_prompts_cover_every_question() -> None:
    questions = yaml.safe_load((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
    asked = [name for name in questions if not name.startswith("_")]
    assert list(questions["__prompts__"]) == asked
    assert set(questions["__prompts__"]["database"]) == {"__prompt__", *questions["database"]}


def test_the_changelog_names_the_version() -> None:
    version = tomllib.loads((TEMPLATE / "pyproject.toml").read_text())["project"]["version"]
    assert f"## {version}" in (TEMPLATE / "CHANGELOG.md").read_text(encoding="utf-8")


def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    found = re.findall(r"(?m)^#+ (.*)", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


def test_links_between_the_documents_lead_somewhere() -> None:
    for path in tracked():
        if path.suffix == ".md":
            text = path.read_text(encoding="utf-8")
            for file, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text):
                page = path.parent / file if file else path
                assert page.exists(), f"{path}: {file}"
                assert not anchor or anchor in headings(page), f"{path}: {file}#{anchor}"


def test_make_demo_in_a_fresh_clone(tmp_path: Path, environ: Mapping[str, str]) -> None:
    clone = tmp_path / "clone"
    # As it would be committed now.
    for path in [*tracked(), *TEMPLATE.glob("docs/*.png")]:
        target = clone / path.relative_to(TEMPLATE)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
        target.chmod(path.stat().st_mode)
    assert run("git", "init", "--quiet", clone, cwd=tmp_path, environ=environ).status == 0
    process = subprocess.Popen(
        ["make", "demo"],
        cwd=clone,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        printed = ""
        for line in process.stdout:
            printed += line
            if found := re.search(r"Running on (http://127\.0\.0\.1:\d+)", line):
                break
        else:
            pytest.fail(f"make demo does not serve: {printed}")
        with urllib.request.urlopen(found[1], timeout=30) as answer:
            page = answer.read().decode()
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=60)
    assert printed.count("http://") == 1, printed  # the address that it is at
    assert "My Service" in page
    assert "0001" in page
    assert "flask db migrate" in page  # debug

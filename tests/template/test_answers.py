"""Answers are data: rejected with a message, or found again exactly as they were typed."""

import configparser
import html
import itertools
import json
import os
import pty
import re
import runpy
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from cookiecutter import prompt
from cookiecutter.environment import StrictEnvironment
from cookiecutter.generate import generate_context, generate_files
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from processes import serve
from projects import SETUP_VARIABLE, TEMPLATE, Baker, Project, cookiecutter, run

NASTY = {
    "project_name": """Bob's "B\\üro" {{ 7*7 }} {% raw %} 🚀 مرحبا <b>&amp; ${HOME} #1 100%""",
    "description": """it's <i> `$(touch pwned)`\\u0041 '''+exit(1)+''' %(x)s {#""",
    "author_name": """O'Brien, "Zoë" \\ 日本 {{ cookiecutter.__class__ }}""",
}


def context(answers: Mapping[str, Any]) -> dict[str, Any]:
    """Return cookiecutter's context for answers typed at its prompts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            prompt, "read_user_variable", lambda name, default, *_: answers.get(name, default)
        )
        patch.setattr(prompt, "read_user_choice", lambda _, options, *__: options[0])
        patch.setattr(prompt, "read_user_yes_no", lambda *_: False)
        found = generate_context(str(TEMPLATE / "cookiecutter.json"))
        found["cookiecutter"].update(prompt.prompt_for_config(found))
    return dict(found)


def load_hook(name: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """Render a hook as cookiecutter does, and import it."""
    source = (TEMPLATE / "hooks" / f"{name}.py").read_text(encoding="utf-8")
    rendered = StrictEnvironment(context=found).from_string(source).render(**found)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hook.py"
        path.write_text(rendered, encoding="utf-8")
        return runpy.run_path(str(path))


def problems(answers: Mapping[str, str]) -> list[str]:
    """Return what the pre hook says of answers."""
    hook = load_hook("pre_gen_project", context(answers))
    found: list[str] = hook["problems"](json.loads(hook["ANSWERS"]), {}, (3, 14, 0))
    return found


def rendered_answers(project: Path) -> dict[str, str]:
    """Return the answers as a project's pyproject.toml has them."""
    pyproject = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    return {
        "project_name": pyproject["tool"]["service"]["title"],
        "description": pyproject["project"]["description"],
        "author_name": pyproject["project"]["authors"][0]["name"],
    }


def parse_all(project: Path) -> None:
    """Parse every file of a project in whatever language it is."""
    for path in project.rglob("*"):
        if path.is_dir() or {".venv", ".git", "instance", "__pycache__"} & set(path.parts):
            continue
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".py" or path.name == "setup":
            compile(text, path, "exec")
        elif path.suffix == ".toml":
            tomllib.loads(text)
        elif path.suffix in {".yml", ".yaml"}:
            yaml.safe_load(text)
        elif path.suffix == ".ini":
            configparser.ConfigParser().read_string(text)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.fixed_dictionaries(dict.fromkeys(NASTY, st.text(max_size=40))))
@example(NASTY)
@example(dict.fromkeys(NASTY, '"\\'))
@example(dict.fromkeys(NASTY, "\ufeff\u202e\u200d\U0010fffd"))
def test_any_text_is_rejected_or_found_again(answers: dict[str, str]) -> None:
    found = context({"project_slug": "demo", **answers})
    hook = load_hook("pre_gen_project", found)
    rejected = hook["problems"](json.loads(hook["ANSWERS"]), {}, (3, 14, 0))
    if rejected:
        assert all(any(problem.startswith(name) for name in NASTY) for problem in rejected)
        return

    with tempfile.TemporaryDirectory() as folder:
        project = generate_files(TEMPLATE, found, folder, accept_hooks=False)
        parse_all(Path(project))
        assert rendered_answers(Path(project)) == answers
    assert (
        load_hook("post_gen_project", found)["ANSWERS"]["project_name"] == answers["project_name"]
    )


@pytest.fixture(scope="module")
def typed(
    tmp_path_factory: pytest.TempPathFactory, environ: Mapping[str, str]
) -> Iterator[Project]:
    """Bake a project with the nasty answers typed at the prompts, and set it up."""
    folder = tmp_path_factory.mktemp("typed")
    lines = [NASTY["project_name"], "typed", NASTY["description"], NASTY["author_name"], "1", "y"]
    outcome = run(
        *("cookiecutter", TEMPLATE), cwd=folder, environ=environ, stdin="\n".join(lines) + "\n"
    )
    assert outcome.status == 0, outcome.output
    yield Project(folder / "typed", outcome.output, environ)
    assert not list(folder.rglob("pwned"))


@pytest.mark.xdist_group("typed")
def test_typed_answers_arrive_as_typed(typed: Project) -> None:
    assert rendered_answers(typed.path) == NASTY
    parse_all(typed.path)
    with serve(typed) as service:
        page = service.get("/").text
    shown = re.findall(r'<(?:h1|p class="lead") dir="auto">(.*?)</', page)
    assert [html.unescape(text) for text in shown] == [NASTY["project_name"], NASTY["description"]]
    assert not [text for text in shown if "<" in text or '"' in text]


@pytest.mark.xdist_group("typed")
def test_ruff_stays_clean_whatever_the_answers(typed: Project) -> None:
    for arguments in (["check", "."], ["format", "--check", "."]):
        outcome = typed.run(typed.tool("ruff"), *arguments)
        assert outcome.status == 0, outcome.output
    assert typed.run(typed.tool("pytest"), "-q").status == 0


def test_cookiecutter_renders_jinja_in_answers_on_its_command_line(bake: Baker) -> None:
    project = bake(project_name="{{ 7*7 }}", description='quotes " and \\', author_name="Zoë")

    assert rendered_answers(project.path) == {
        "project_name": "49",
        "description": 'quotes " and \\',
        "author_name": "Zoë",
    }


@pytest.mark.parametrize(
    ("answer", "slug"),
    [("Ärger & Söhne", "arger-sohne"), ("🚀", "my-service"), ("x" * 80, "x" * 63)],
)
def test_the_slug_is_derived(answer: str, slug: str) -> None:
    assert context({"project_name": answer})["cookiecutter"]["project_slug"] == slug
    assert problems({"project_name": answer}) == []


BAD_SLUGS = [
    *("", " ", ".", "..", "../up", "a/b", "/abs", "a\\b", ".hidden", "-dash", "dash-", "a--b"),
    *("two words", "Upper", "under_score", "ümlaut", "a:b", "a\nb", "{{x}}", "x" * 64),
    *("con", "nul", "com1", "lpt9", "postgres", "template1", "mysql", "information-schema"),
]


@pytest.mark.parametrize("slug", BAD_SLUGS)
def test_a_slug_that_names_no_folder_host_or_database_is_rejected(slug: str) -> None:
    found = problems({"project_slug": slug})

    assert found
    assert all(problem.startswith("project_slug") for problem in found)
    assert len("\n".join(found).splitlines()) == len(found)


@pytest.mark.parametrize("slug", ["a", "7", "a-b-c", "x" * 63, "con1", "my-postgres"])
def test_a_good_slug_passes(slug: str) -> None:
    assert problems({"project_slug": slug}) == []


@pytest.mark.parametrize("slug", ["../up", "a/b", "a/b/c", "a\\b", "Two Words", "con"])
def test_a_rejection_leaves_no_project_behind(
    tmp_path: Path, environ: Mapping[str, str], slug: str
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()

    outcome = cookiecutter(folder, environ, project_slug=slug)

    assert outcome.status != 0
    assert "error: project_slug" in outcome.output
    left = [path for path in tmp_path.rglob("*") if path != folder]
    if slug.startswith("a/"):  # cookiecutter's own doing, before the hook
        assert left == [
            folder.joinpath(*slug.split("/")[:depth]) for depth in range(1, slug.count("/") + 1)
        ]
        assert "leaves the folder a behind" in outcome.output
    else:
        assert left == []


@pytest.mark.parametrize("slug", ["", ".."])
def test_a_folder_that_exists_is_refused(
    tmp_path: Path, environ: Mapping[str, str], slug: str
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()

    outcome = cookiecutter(folder, environ, project_slug=slug)

    assert outcome.status != 0
    assert "already exists" in outcome.output
    assert list(tmp_path.rglob("*")) == [folder]


def test_a_wrong_answer_is_asked_again_and_the_others_are_kept(
    tmp_path: Path, environ: Mapping[str, str]
) -> None:
    lines = [
        *("  ", "Zoë's Shop", "Bad Slug", "also_bad", "zoes-shop"),
        *("two\x07bells", "", "me", "3", "n"),  # Enter takes the default
    ]
    ours, theirs = pty.openpty()
    os.write(ours, "".join(f"{line}\n" for line in lines).encode())
    process = subprocess.Popen(
        [sys.executable, "-m", "cookiecutter", TEMPLATE],
        cwd=tmp_path,
        env=environ,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    try:
        output, _ = process.communicate(timeout=120)
    finally:
        process.kill()
        os.close(ours)
        os.close(theirs)

    assert process.returncode == 0, output
    assert output.count("project_slug is 'Bad Slug': use lower-case letters") == 1
    assert output.count("project_slug is 'also_bad'") == 1
    assert "project_name is empty" in output
    assert "description holds a control character or line break (U+0007)" in output
    assert rendered_answers(tmp_path / "zoes-shop") == {
        "project_name": "Zoë's Shop",
        "description": "A Flask service.",
        "author_name": "me",
    }
    assert (tmp_path / "zoes-shop" / "compose.yaml").exists()


def test_all_problems_are_told_at_once(tmp_path: Path, environ: Mapping[str, str]) -> None:
    outcome = cookiecutter(
        tmp_path,
        {**environ, SETUP_VARIABLE: "perhaps"},
        project_name="  ",
        project_slug="No Slug",
        description="two\nlines",
        author_name="a\x07bell",
    )

    assert outcome.status != 0
    told = [line for line in outcome.output.splitlines() if line.startswith("error: ")]
    assert [line.split()[1] for line in told] == [
        *("project_name", "project_slug", "description", "author_name"),
        SETUP_VARIABLE,
    ]
    assert "U+000A" in told[2]
    assert "U+0007" in told[3]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "character", ["\n", "\r", "\t", "\x00", "\x7f", "\x85", "\u2028", "\ufffe", "\ufdd0", "\ud800"]
)
def test_characters_that_files_cannot_keep_are_rejected(character: str) -> None:
    for question in NASTY:
        found = problems({"author_name": "A", question: f"a{character}b"})
        assert [problem.split()[0] for problem in found] == [question]
        assert f"U+{ord(character):04X}" in found[0]


def test_empty_names_are_rejected_and_an_empty_description_is_not() -> None:
    assert problems({"project_name": "", "author_name": "A"}) == [
        "project_name is empty: give it a value."
    ]
    assert problems({"author_name": "\u00a0"}) == ["author_name is empty: give it a value."]
    assert problems({"description": ""}) == []


def test_an_unknown_database_is_rejected() -> None:
    # Only a replay file can hold one: cookiecutter itself refuses it elsewhere.
    hook = load_hook("pre_gen_project", context({}))
    answers = {**json.loads(hook["ANSWERS"]), "database": "oracle"}
    assert hook["problems"](answers, {}, (3, 11)) == [
        "database is 'oracle': choose sqlite, postgresql or mysql."
    ]


def test_an_old_python_is_rejected() -> None:
    hook = load_hook("pre_gen_project", context({}))
    answers = json.loads(hook["ANSWERS"])
    assert hook["problems"](answers, {}, (3, 10, 9)) == [
        "Python is 3.10: run cookiecutter with 3.11 or newer."
    ]
    assert hook["problems"](answers, {}, (3, 11, 0)) == []


def combinations() -> list[dict[str, Any]]:
    """Return every combination of the choices in cookiecutter.json."""
    questions = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
    choices = {
        name: [True, False] if isinstance(value, bool) else value
        for name, value in questions.items()
        if not name.startswith("_") and isinstance(value, list | bool)
    }
    return [
        dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())
    ]


EXPECTED = {
    ".editorconfig",
    ".gitattributes",
    ".github/dependabot.yml",
    ".github/workflows/ci.yml",
    ".gitignore",
    ".pre-commit-config.yaml",
    "Makefile",
    "README.md",
    "app/__init__.py",
    "app/commands.py",
    "app/config.py",
    "app/engine.py",
    "app/extensions.py",
    "app/models/__init__.py",
    "app/models/role.py",
    "app/models/user.py",
    "app/static/icon.svg",
    "app/static/style.css",
    "app/templates/base.html",
    "app/templates/error.html",
    "app/templates/home.html",
    "app/types.py",
    "app/views/__init__.py",
    "app/views/errors.py",
    "app/views/health.py",
    "app/views/home.py",
    "bin/setup",
    "docs/changing-the-schema.md",
    "docs/deploying.md",
    "docs/flask-migrate.md",
    "docs/recovery.md",
    "docs/settings.md",
    "docs/troubleshooting.md",
    "docs/zero-downtime.md",
    "migrations/alembic.ini",
    "migrations/env.py",
    "migrations/script.py.mako",
    "migrations/versions/0001_initial.py",
    "pyproject.toml",
    "requirements-dev.txt",
    "requirements.txt",
    "schema_guard/CHANGELOG.md",
    "schema_guard/LICENSE",
    "schema_guard/MANIFEST",
    "schema_guard/README.md",
    "schema_guard/__init__.py",
    "schema_guard/admin/__init__.py",
    "schema_guard/admin/backup.py",
    "schema_guard/admin/client_programs.py",
    "schema_guard/admin/database.py",
    "schema_guard/admin/dump.py",
    "schema_guard/admin/load.py",
    "schema_guard/admin/restore_marker.py",
    "schema_guard/admin/sqlite_copy.py",
    "schema_guard/autogenerate/__init__.py",
    "schema_guard/autogenerate/autodetector.py",
    "schema_guard/autogenerate/check_constraints.py",
    "schema_guard/autogenerate/configure.py",
    "schema_guard/autogenerate/constraint_names.py",
    "schema_guard/autogenerate/describe.py",
    "schema_guard/autogenerate/enum_types.py",
    "schema_guard/autogenerate/fill_values.py",
    "schema_guard/autogenerate/op_order.py",
    "schema_guard/autogenerate/questioner.py",
    "schema_guard/autogenerate/renames.py",
    "schema_guard/autogenerate/server_defaults.py",
    "schema_guard/autogenerate/similarity.py",
    "schema_guard/backfill.py",
    "schema_guard/cli/__init__.py",
    "schema_guard/cli/commands.py",
    "schema_guard/cli/extend.py",
    "schema_guard/cli/group.py",
    "schema_guard/cli/lint_command.py",
    "schema_guard/cli/written.py",
    "schema_guard/compat.py",
    "schema_guard/core/__init__.py",
    "schema_guard/core/driver_errors.py",
    "schema_guard/core/errors.py",
    "schema_guard/core/file_lock.py",
    "schema_guard/core/listeners.py",
    "schema_guard/core/manifest.py",
    "schema_guard/core/model_errors.py",
    "schema_guard/core/noise.py",
    "schema_guard/core/options.py",
    "schema_guard/core/private_files.py",
    "schema_guard/core/process.py",
    "schema_guard/core/progress.py",
    "schema_guard/core/redaction.py",
    "schema_guard/core/settings.py",
    "schema_guard/core/store.py",
    "schema_guard/core/terminal.py",
    "schema_guard/core/versions.py",
    "schema_guard/dialects/__init__.py",
    "schema_guard/dialects/adapter.py",
    "schema_guard/dialects/base.py",
    "schema_guard/dialects/connection_errors.py",
    "schema_guard/dialects/mysql.py",
    "schema_guard/dialects/postgresql.py",
    "schema_guard/dialects/server_connection.py",
    "schema_guard/dialects/server_version.py",
    "schema_guard/dialects/sqlite.py",
    "schema_guard/dialects/sqlite_connection.py",
    "schema_guard/enums.py",
    "schema_guard/env.py",
    "schema_guard/lint/RULES.md",
    "schema_guard/lint/__init__.py",
    "schema_guard/lint/annotate.py",
    "schema_guard/lint/ci_formats.py",
    "schema_guard/lint/context.py",
    "schema_guard/lint/docs.py",
    "schema_guard/lint/linter.py",
    "schema_guard/lint/registry.py",
    "schema_guard/lint/report.py",
    "schema_guard/lint/rules/__init__.py",
    "schema_guard/lint/rules/columns.py",
    "schema_guard/lint/rules/compatibility.py",
    "schema_guard/lint/rules/constraints.py",
    "schema_guard/lint/rules/data.py",
    "schema_guard/lint/rules/downgrades.py",
    "schema_guard/lint/rules/enforcement.py",
    "schema_guard/lint/rules/foreign_keys.py",
    "schema_guard/lint/rules/indexes.py",
    "schema_guard/lint/rules/loops.py",
    "schema_guard/lint/rules/maintenance.py",
    "schema_guard/lint/rules/mysql.py",
    "schema_guard/lint/rules/tables.py",
    "schema_guard/lint/schema_state.py",
    "schema_guard/mypy.ini",
    "schema_guard/online.py",
    "schema_guard/online_ddl/__init__.py",
    "schema_guard/online_ddl/render.py",
    "schema_guard/online_ddl/rewrite.py",
    "schema_guard/online_ddl/type_changes.py",
    "schema_guard/operations/__init__.py",
    "schema_guard/operations/backfilling.py",
    "schema_guard/operations/enums.py",
    "schema_guard/operations/in_place.py",
    "schema_guard/py.typed",
    "schema_guard/readiness.py",
    "schema_guard/repository/README",
    "schema_guard/repository/alembic.ini.mako",
    "schema_guard/repository/env.py",
    "schema_guard/repository/script.py.mako",
    "schema_guard/revisions/__init__.py",
    "schema_guard/revisions/checksum.py",
    "schema_guard/revisions/config.py",
    "schema_guard/revisions/environment.py",
    "schema_guard/revisions/formatter.py",
    "schema_guard/revisions/heads.py",
    "schema_guard/revisions/normal_form.py",
    "schema_guard/revisions/script_directory.py",
    "schema_guard/revisions/suppressions.py",
    "schema_guard/ruff.toml",
    "schema_guard/runner/__init__.py",
    "schema_guard/runner/answers.py",
    "schema_guard/runner/command.py",
    "schema_guard/runner/connection.py",
    "schema_guard/runner/data_loss.py",
    "schema_guard/runner/definite_order.py",
    "schema_guard/runner/error_hints.py",
    "schema_guard/runner/failure_report.py",
    "schema_guard/runner/first_error.py",
    "schema_guard/runner/history.py",
    "schema_guard/runner/interrupted_restore.py",
    "schema_guard/runner/interrupts.py",
    "schema_guard/runner/journal.py",
    "schema_guard/runner/journal_entry.py",
    "schema_guard/runner/lock.py",
    "schema_guard/runner/lock_timeout.py",
    "schema_guard/runner/loss_count.py",
    "schema_guard/runner/lost_revisions.py",
    "schema_guard/runner/pending.py",
    "schema_guard/runner/preflight.py",
    "schema_guard/runner/progress.py",
    "schema_guard/runner/reconnect.py",
    "schema_guard/runner/recorder.py",
    "schema_guard/runner/repeatable.py",
    "schema_guard/runner/resume.py",
    "schema_guard/runner/rights.py",
    "schema_guard/runner/row_ownership.py",
    "schema_guard/runner/runner.py",
    "schema_guard/runner/schema_snapshot.py",
    "schema_guard/runner/sessions.py",
    "schema_guard/runner/stand_in.py",
    "schema_guard/runner/step.py",
    "schema_guard/runner/table_rows.py",
    "schema_guard/runner/threads.py",
    "schema_guard/sql/__init__.py",
    "schema_guard/sql/inserts.py",
    "schema_guard/sql/maintenance.py",
    "schema_guard/sql/mysql_actions.py",
    "schema_guard/sql/open_quotes.py",
    "schema_guard/sql/parser.py",
    "schema_guard/sql/raw.py",
    "schema_guard/sql/tokens.py",
    "schema_guard/testing.py",
    "tests/conftest.py",
    "tests/test_app.py",
    "tests/test_commands.py",
    "tests/test_config.py",
    "tests/test_health.py",
    "tests/test_migrations.py",
    "tests/test_models.py",
    "wsgi.py",
}
# And this beside them, where there is a server.
COMPOSE = "compose.yaml"
# Files of formats that others define, and the name that check-jsonschema has for each.
FORMATS = {
    ".github/workflows/ci.yml": "github-workflows",
    ".github/dependabot.yml": "dependabot",
    COMPOSE: "compose-spec",
}
# These hold Jinja or Mako of their own.
OWN_JINJA = {".html", ".mako"}


def assert_format(path: Path, schema: str) -> None:
    """Check a file against the schema that those who read it publish."""
    command = ["check-jsonschema", "--builtin-schema", f"vendor.{schema}", str(path)]
    environ = {"PATH": str(Path(sys.executable).parent)}
    outcome = run(*command, cwd=path.parent, environ=environ)
    assert outcome.status == 0, outcome.output


@pytest.mark.parametrize(
    "answers", combinations(), ids=lambda answers: "-".join(map(str, answers.values()))
)
def test_every_combination_renders_the_same_files(
    cookies: Any, monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any]
) -> None:
    monkeypatch.setenv(SETUP_VARIABLE, "no")

    result = cookies.bake(extra_context=answers)

    assert result.exit_code == 0, result.exception
    project: Path = result.project_path
    files = {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}
    assert files == EXPECTED | ({COMPOSE} if answers["database"] != "sqlite" else set())
    for name in FORMATS.keys() & files:
        assert_format(project / name, FORMATS[name])
    assert os.access(project / "bin" / "setup", os.X_OK)
    parse_all(project)
    for name in files:
        text = (project / name).read_text(encoding="utf-8")
        assert text.endswith("\n") or not text, name
        if Path(name).suffix not in OWN_JINJA:
            assert "cookiecutter." not in text, name
            assert "{%" not in text, name
            assert "\n\n\n\n" not in text, name
            assert not [line for line in text.splitlines() if line != line.rstrip()], name

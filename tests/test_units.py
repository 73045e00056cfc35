"""Parts of schema_guard by themselves, imported from where they lie."""

from conftest import DATA, TEMPLATE, Project

GUARDS = TEMPLATE / "{{cookiecutter.project_slug}}"


def test_the_parts(any_project: Project) -> None:
    pytest = (any_project.tool("pytest"), "-q", "-c", "pyproject.toml", "-o", "pythonpath=")
    outcome = any_project.run(
        *pytest, DATA / "units.py", PYTHONPATH=str(GUARDS), PYTHONDONTWRITEBYTECODE="1"
    )

    assert outcome.status == 0, outcome.output
    assert "59 passed" in outcome.output


def test_an_upgrade_leaves_the_logging_of_a_process_as_it_was(any_project: Project) -> None:
    code = (
        "import logging; from wsgi import app; import flask_migrate\n"
        "logging.basicConfig(level=logging.ERROR, format='ours %(message)s')\n"
        "loggers = [logging.getLogger(), logging.getLogger('sqlalchemy'), app.logger]\n"
        "def state():\n"
        "  return [(l.level, l.handlers[:], l.disabled, l.propagate, l.filters) for l in loggers]\n"
        "before = state()\n"
        "with app.app_context():\n"
        "  flask_migrate.upgrade()\n"
        "assert state() == before\n"
        "logging.error('still')\n"
        "app.logger.error('here')\n"
    )
    path = any_project.path / "instance" / "logging.db"
    environ = {"DATABASE_URL": f"sqlite:///{path}", "PYTHONPATH": str(any_project.path)}
    outcome = any_project.run(any_project.tool("python"), "-c", code, **environ)

    assert outcome.status == 0, outcome.output
    assert "ours still" in outcome.output
    assert "here" in outcome.output

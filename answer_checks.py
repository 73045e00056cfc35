"""Ask again at once for an answer that the pre hook would refuse, and keep the others.

cookiecutter.json names the extension of Jinja, and gives it each question after its answer. Without
a terminal, or where a tool renders again, it does nothing: the pre hook reports all problems.
"""

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import click
from cookiecutter.prompt import read_user_variable
from jinja2 import Environment
from jinja2.ext import Extension

TEMPLATE = Path(__file__).resolve().parent


class AnswerChecks(Extension):
    """Adds the filter `asked_again`."""

    def __init__(self, environment: Environment) -> None:
        """Register the filter."""
        super().__init__(environment)
        environment.filters["asked_again"] = self.asked_again

    def asked_again(self, answers: dict[str, Any], question: str) -> str:
        """Ask a question until its answer can be used; change it in cookiecutter's context.

        Args:
            answers: what cookiecutter knows so far.
            question: the question that was just answered.

        Returns:
            Nothing to render.
        """
        if interactive():
            hook = runpy.run_path(str(TEMPLATE / "hooks" / "pre_gen_project.py"))
            asked = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))
            default = self.environment.from_string(asked[question]).render(cookiecutter=answers)
            while found := hook["problems_of"](question, answers[question]):
                click.echo(f"  {found[0]}")
                prompts = asked["__prompts__"]
                answers[question] = read_user_variable(question, default, prompts, "  ")
        return ""


def interactive() -> bool:
    """Return whether cookiecutter's command asks questions, in a terminal."""
    context = click.get_current_context(silent=True)
    asks = context is not None and context.params.get("no_input") is False
    return asks and sys.stdin.isatty()

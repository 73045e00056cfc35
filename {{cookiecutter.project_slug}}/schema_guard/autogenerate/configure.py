"""What env.py configures Alembic with: the guards, beside what the application gives to Migrate."""

from collections.abc import Callable
from typing import Any

from schema_guard.autogenerate.autodetector import leave_out_empty, propose
from schema_guard.autogenerate.server_defaults import compare_default
from schema_guard.core.store import include_name
from schema_guard.online_ddl.render import include_object, render_item

GUARDS: dict[str, Any] = {
    "compare_server_default": compare_default,
    "include_name": include_name,
    "include_object": include_object,
    "render_item": render_item,
    "transaction_per_migration": True,
}


def settings(given: dict[str, Any]) -> dict[str, Any]:
    """Return the settings for Alembic's `context.configure`.

    Args:
        given: what the application gave to `Migrate(...)`. It adds to what the guards hide, render
            and write; anything else of it replaces theirs.
    """
    joined: dict[str, Callable[..., Any]] = {
        "include_name": _both,
        "include_object": _both,
        "render_item": _first_answer,
    }
    hooks = propose, given.get("process_revision_directives"), leave_out_empty
    ours: dict[str, Any] = {
        name: joined[name](GUARDS[name], theirs)
        for name, theirs in given.items()
        if name in joined and theirs is not None
    }
    ours["process_revision_directives"] = _one_after_the_other(*filter(None, hooks))
    return GUARDS | given | ours


def _both(ours: Callable[..., bool], theirs: Callable[..., bool]) -> Callable[..., bool]:
    return lambda *arguments: ours(*arguments) and theirs(*arguments)


def _one_after_the_other(*hooks: Callable[..., None]) -> Callable[..., None]:
    """Return one hook: that of the application gets the proposal, an empty one too, as in stock."""

    def each(*arguments: Any) -> None:
        for hook in hooks:
            hook(*arguments)

    return each


def _first_answer(ours: Callable[..., Any], theirs: Callable[..., Any]) -> Callable[..., Any]:
    def render(*arguments: Any) -> Any:
        answer = theirs(*arguments)
        return ours(*arguments) if answer is False else answer

    return render

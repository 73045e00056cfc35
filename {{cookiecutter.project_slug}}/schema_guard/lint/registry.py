"""Rules: what each finds, why that is dangerous, where, and which of them are kept.

A rule is a function: for one recorded operation of a revision it gives its findings, each as what
it is about (such as `users.bio`) and the code that does the same without the danger.
"""

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from schema_guard.core.errors import GuardError, cause
from schema_guard.core.settings import Settings
from schema_guard.runner.recorder import RecordedOperation

# What a rule finds: the thing it is about, and the code to write instead.
Findings = Iterator[tuple[str, str]]
Find = Callable[[RecordedOperation, Any], Findings]
SERVERS = ("postgresql", "mysql")
EVERYWHERE = (*SERVERS, "sqlite")


@dataclass(frozen=True)
class Rule:
    """What a rule is called, what it warns of, and for which DBMS.

    Attributes:
        early: whether it is about what is lost or fails, with nobody using the service yet.
        own: whether it is the project's.
    """

    name: str
    danger: str
    backends: tuple[str, ...]
    find: Find
    early: bool = False
    own: bool = False


RULES: dict[str, Rule] = {}


def rule(name: str, danger: str, *backends: str, early: bool = False) -> Callable[[Find], Find]:
    """Make a function a rule of schema_guard.

    Args:
        name: as in `# schema_guard: allow NAME -- reason`, and in RULES.md.
        danger: one line that says what happens.
        backends: where; everywhere by default.
        early: whether it is about what is lost or fails: before the first release, too.
    """

    def register(find: Find) -> Find:
        RULES[name] = Rule(name, danger, backends or EVERYWHERE, find, early)
        return find

    return register


def own_rule(name: str, danger: str, *backends: str, early: bool = False) -> Callable[[Find], Find]:
    """Make a function a rule of the project, in the module that `lint-rules` names.

    Args:
        name: as in `# schema_guard: allow NAME -- reason`.
        danger: one line that says what happens.
        backends: of `postgresql`, `mysql` (MariaDB too) and `sqlite`; all by default.
        early: whether it is kept before the first release, too.
    """

    def mark(find: Find) -> Find:
        marked: Any = find
        marked.lint_rule = Rule(name, danger, backends or EVERYWHERE, find, early, own=True)
        return find

    return mark


def meta_rule(name: str, danger: str, *, early: bool = True) -> str:
    """Register a meta rule, found otherwise than in an operation; return its name."""
    RULES[name] = Rule(name, danger, EVERYWHERE, lambda _recorded, _context: iter(()), early)
    return name


@dataclass(frozen=True)
class Policy:
    """Which rules there are, and which are kept.

    Attributes:
        rules: all, by their names.
        in_force: those that are kept here and now.
    """

    rules: Mapping[str, Rule]
    in_force: Mapping[str, Rule]


def policy(settings: Settings, backend: str, said: frozenset[str] = frozenset()) -> Policy:
    """Return the rules of schema_guard and of the project, and which of them are kept.

    Args:
        settings: the project's.
        backend: the kind of DBMS.
        said: rules that are kept however early it is.

    Raises:
        GuardError: the project's rules cannot be read, or a rule is switched off that there is not.
    """
    rules = RULES | _own_rules(settings)
    for name in settings.lint_off:
        if name not in rules:
            raise GuardError(
                f"{settings.file}: lint-off names {name!r}, and there is no such rule."
            )
    return Policy(
        rules,
        {
            name: each
            for name, each in rules.items()
            if backend in each.backends
            and name not in settings.lint_off
            and (settings.released or each.early or name in said)
        },
    )


def _own_rules(settings: Settings) -> dict[str, Rule]:
    if settings.lint_rules is None:
        return {}
    place = f"{settings.file}: lint-rules is {settings.lint_rules!r}"
    try:
        module = importlib.import_module(settings.lint_rules)
    except Exception as error:
        raise GuardError(
            f"{place}, which cannot be imported: {cause(error)}. Correct it."
        ) from error
    marked = [getattr(value, "lint_rule", None) for value in vars(module).values()]
    own = {each.name: each for each in marked if isinstance(each, Rule)}
    if not own:
        raise GuardError(f"{place}, which has no rule: a function under `schema_guard.lint.rule`.")
    if taken := own.keys() & RULES.keys():
        raise GuardError(f"{place}; its rule {min(taken)} has the name of one of schema_guard's.")
    return own

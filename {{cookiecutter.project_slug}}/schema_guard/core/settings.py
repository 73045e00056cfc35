"""What a project says to the guards: `[tool.service]` of its pyproject.toml."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schema_guard.core.errors import GuardError


@dataclass(frozen=True)
class Settings:
    """What is set; without a pyproject.toml, the defaults.

    Attributes:
        file: the pyproject.toml; None if there is none.
        released: whether there is a release whose data and requests count.
        server_version: of the oldest server that the revisions run on, as in `MariaDB 10.11`; None
            for the oldest that is supported.
        lint_rules: the module with the project's own rules of `flask db lint`.
        lint_off: the rules that are not kept, each with the reason.
    """

    file: Path | None = None
    released: bool = True
    server_version: str | None = None
    lint_rules: str | None = None
    lint_off: Mapping[str, str] = field(default_factory=dict)


# By their names in pyproject.toml: the attribute, its type, and an example.
KNOWN: Mapping[str, tuple[str, type[Any], str]] = {
    "released": ("released", bool, "true or false"),
    "lint-off": ("lint_off", dict, "a table of rules, each with the reason as a text"),
    "lint-rules": ("lint_rules", str, 'a module, as in "app.lint_rules"'),
    "server-version": ("server_version", str, 'a text, as in "16" or "MariaDB 10.11"'),
}


def read_settings(folder: Path) -> Settings:
    """Return the settings of the project that a folder lies in.

    Args:
        folder: of its migrations. The first pyproject.toml from there upwards is read.

    Raises:
        GuardError: it is not TOML, or a setting has another type.
    """
    files = (each / "pyproject.toml" for each in (folder, *folder.resolve().parents))
    file = next((each for each in files if each.is_file()), None)
    if file is None:
        return Settings()
    try:
        tools = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {})
    except (OSError, ValueError) as error:
        raise GuardError(f"Cannot read {file}: {error}. Correct it.") from error
    service = tools.get("service", {}) if isinstance(tools, dict) else None
    if not isinstance(service, dict):
        raise GuardError(f"{file}: tool.service is no table. Correct it.")
    found = {}
    for name, value in service.items():
        if name in KNOWN:
            attribute, kind, form = KNOWN[name]
            if not isinstance(value, kind) or (kind is dict and not _reasons(value)):
                raise GuardError(f"{file}: {name} in [tool.service] is {value!r}; it takes {form}.")
            found[attribute] = value
    return Settings(file, **found)


def _reasons(table: Mapping[str, Any]) -> bool:
    """Return whether there is a reason for each."""
    return all(isinstance(reason, str) and reason.strip() for reason in table.values())

"""The releases that the guards fit.

They use private names of these libraries, and what a minor release changes there could switch a
guard off without a word. So they fit one minor release of each.
"""

from collections.abc import Mapping
from importlib.metadata import version

from schema_guard.core.errors import GuardError

# As in pyproject.toml's requirements.
FITS = {"alembic": "1.20", "SQLAlchemy": "2.1", "Flask-Migrate": "4.1"}


def check(installed: Mapping[str, str] | None = None) -> None:
    """Refuse other releases of the libraries.

    Args:
        installed: versions by names; by default those of this environment.

    Raises:
        GuardError: one does not fit; it says which, and what does.
    """
    found = installed or {name: version(name) for name in FITS}
    wrong = [
        f"{name} {found[name]} (it fits {wanted}.*)"
        for name, wanted in FITS.items()
        if not f"{found[name]}.".startswith(f"{wanted}.")
    ]
    if wrong:
        raise GuardError(
            f"schema_guard does not fit {' and '.join(wrong)}. Nothing was run. Install what"
            " requirements.txt locks, or take a newer schema_guard from the template."
        )

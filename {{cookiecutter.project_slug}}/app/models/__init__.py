"""The models, one module each. A new module here needs no import anywhere."""

import pkgutil
from importlib import import_module

from app.models.role import Role
from app.models.user import User

__all__ = ["Role", "User", "import_all"]


def import_all() -> None:
    """Import every module of this package, so that migrations see all the tables."""
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        import_module(module.name)

"""What the project's own tests need: databases of theirs, and what to leave out of comparisons."""

from schema_guard.admin.database import create_database
from schema_guard.core.store import OWN_TABLES, include_name
from schema_guard.revisions.script_directory import script_directory, wanted_heads

__all__ = ["OWN_TABLES", "create_database", "include_name", "script_directory", "wanted_heads"]

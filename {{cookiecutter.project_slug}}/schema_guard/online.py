"""Where revisions of earlier versions import from: see schema_guard.operations."""

from schema_guard.operations import online

__all__ = ["online"]

"""Where revisions of earlier versions import from: see schema_guard.operations."""

from schema_guard.operations import add_enum_value, create_enum, drop_enum

__all__ = ["add_enum_value", "create_enum", "drop_enum"]

"""What a revision imports. Frozen: a revision that was written once runs for ever."""

from schema_guard.operations.backfilling import backfill
from schema_guard.operations.enums import add_enum_value, create_enum, drop_enum
from schema_guard.operations.in_place import online
from schema_guard.runner.repeatable import repeatable

__all__ = ["add_enum_value", "backfill", "create_enum", "drop_enum", "online", "repeatable"]

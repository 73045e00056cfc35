"""Where revisions of earlier versions import from: see schema_guard.operations."""

from schema_guard.operations import backfill

__all__ = ["backfill"]

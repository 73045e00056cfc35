"""`flask db lint`: checks revisions for unsafe operations before they run.

Promise: every operation of a revision is judged as `upgrade()` performs it; each finding says what
happens, to what, and what to write instead. No server is asked, no database touched.

Public, for rules of a project's own (`lint-rules` in pyproject.toml): `rule`, and the types that
such a rule is written with.
"""

from schema_guard.lint.context import RuleContext
from schema_guard.lint.registry import Findings
from schema_guard.lint.registry import own_rule as rule
from schema_guard.runner.recorder import RecordedOperation

__all__ = ["Findings", "RecordedOperation", "RuleContext", "rule"]

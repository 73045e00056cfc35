"""No input ends lint: revisions at random, for every DBMS.

EXAMPLES=5000 pytest tests/schema_guard/lint/test_every_input.py
"""

import os

import pytest
from hypothesis import HealthCheck, example, given, settings
from samples import write_base
from services import NO_WAY_BACK, Service
from strategies import IMPORTS, REVISIONS

EXAMPLES = int(os.environ.get("EXAMPLES", "150"))
pytestmark = pytest.mark.parametrize("dbms", ["sqlite"])


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(
    dialect="mysql",
    lines=[
        "op.alter_column('users', 'name', existing_server_default=sa.text('x'), nullable=False)"
    ],
)
@example(dialect="mysql", lines=["op.create_index('ix', 'users', ['name', 'name'])"])
@given(**REVISIONS)
def test_every_revision_is_judged(service: Service, dialect: str, lines: list[str]) -> None:
    if not list(service.versions.glob("*.py")):
        write_base(service)
    path = service.write(2, "\n".join(lines), NO_WAY_BACK)
    text = path.read_text(encoding="utf-8").replace("\nrevision =", f"{IMPORTS}\nrevision =", 1)
    path.write_text(text, encoding="utf-8")
    judged = service.lint(dialect=dialect)
    for _, finding in judged.findings:
        assert finding.recipe

"""Rules of a project's own, and rules that it has switched off."""

from pathlib import Path

import pytest
from samples import write_base
from schema_guard.core.errors import GuardError
from schema_guard.lint.report import report
from services import NO_WAY_BACK, Service

pytestmark = pytest.mark.parametrize("dbms", ["sqlite"])
OWN = """
from alembic.operations import ops

from schema_guard.lint import Findings, RecordedOperation, RuleContext, rule


@rule("table-name", "Our tables have plural names.", early=True)
def table_name(recorded: RecordedOperation, context: RuleContext) -> Findings:
    operation = recorded.operation
    if isinstance(operation, ops.CreateTableOp) and not operation.table_name.endswith("s"):
        better = ops.CreateTableOp(operation.table_name + "s", operation.columns)
        yield operation.table_name, context.code(better)


@rule("no-mysql", "Not on MySQL.", "mysql")
def no_mysql(recorded, context):
    raise RuntimeError("a mistake")
"""
BODY = "op.create_table('cat', sa.Column('x', sa.Integer))\nop.create_index('i', 'users', ['name', 'email', 'age', 'id'])"


@pytest.fixture
def settings(
    service: Service, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Path:
    """Have a module with rules, of a name of its own, and return the pyproject.toml."""
    folder = service.versions.parent.parent
    monkeypatch.syspath_prepend(str(folder))
    name = f"own_rules_{abs(hash(request.node.name))}"
    (folder / f"{name}.py").write_text(OWN, encoding="utf-8")
    path = folder / "pyproject.toml"
    path.write_text(f"[tool.service]\nlint-rules = '{name}'\n", encoding="utf-8")
    write_base(service)
    service.write(2, BODY, NO_WAY_BACK)
    return path


def add(settings: Path, words: str) -> None:
    settings.write_text(settings.read_text(encoding="utf-8") + words, encoding="utf-8")


def test_a_rule_of_a_project_s_own_is_kept(service: Service, settings: Path) -> None:
    judged = service.lint()
    assert [finding.rule for _, finding in judged.findings] == ["table-name", "wide-index"]
    assert "op.create_table('cats'," in judged.findings[0][1].recipe
    text = "\n".join(report(judged, "text"))
    assert "the project's own rule: lint-rules in pyproject.toml" in text

    allowed = f"# schema_guard: allow table-name -- there is one\n{BODY}"
    service.write(2, allowed, NO_WAY_BACK)
    assert service.findings() == ["wide-index"]
    add(settings, "released = false\n")
    service.write(2, BODY, NO_WAY_BACK)
    assert service.findings() == ["table-name"]


def test_a_rule_that_fails_is_a_finding(service: Service, settings: Path) -> None:
    assert settings.exists()
    found = [finding for _, finding in service.lint(dialect="mysql").findings]
    own = [finding for finding in found if finding.rule == "no-mysql"]
    assert [finding.what for finding in own] == ["cat", "users.i"]
    why = "# The code for this operation could not be written (RuntimeError: a mistake)."
    assert [finding.recipe for finding in own] == [why, why]


def test_a_rule_can_be_switched_off_with_a_reason(service: Service, settings: Path) -> None:
    add(settings, "[tool.service.lint-off]\nwide-index = 'reports need them'\ntable-name = 'old'\n")
    judged = service.lint()
    assert judged.findings == []
    text = "\n".join(report(judged, "text"))
    assert "Switched off in pyproject.toml: wide-index -- reports need them" in text
    # What allows it where it is switched off is no finding.
    service.write(2, f"# schema_guard: allow wide-index -- used\n{BODY}", NO_WAY_BACK)
    assert service.findings() == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("lint-rules = 'nothing_here'", "No module named 'nothing_here'. Correct it."),
        ("lint-rules = 'json'", "which has no rule"),
        ("lint-rules = 5", "it takes a module"),
        ("lint-off = {wide-idx = 'typo'}", "lint-off names 'wide-idx', and there is no such rule"),
        ("lint-off = {wide-index = ''}", "each with the reason as a text"),
        ("lint-off = ['wide-index']", "each with the reason as a text"),
    ],
)
def test_a_mistake_is_one_message(
    service: Service, settings: Path, words: str, message: str
) -> None:
    settings.write_text(f"[tool.service]\n{words}\n", encoding="utf-8")
    with pytest.raises(GuardError) as refusal:
        service.lint()
    assert message in refusal.value.message
    assert str(settings) in refusal.value.message


def test_a_name_that_is_taken_is_refused(service: Service, settings: Path) -> None:
    (module,) = settings.parent.glob("own_rules_*.py")
    text = OWN.replace("table-name", "drop-table")
    module.write_text(text, encoding="utf-8")
    with pytest.raises(GuardError, match="drop-table has the name of one of schema_guard's"):
        service.lint()

"""Findings as CI systems take them."""

import json

import pytest
from samples import write_base
from schema_guard.lint.report import report
from services import NO_WAY_BACK, Service

pytestmark = pytest.mark.parametrize("dbms", ["sqlite"])
UNSAFE = "op.drop_column('users', 'age')\nop.drop_column('users', 'age')\nop.rename_table('posts', 'Ünï')"


def written(service: Service, form: str, body: str = UNSAFE) -> str:
    write_base(service)
    service.write(2, body, NO_WAY_BACK)
    return "\n".join(report(service.lint(), form))


def test_gitlab(service: Service) -> None:
    issues = json.loads(written(service, "gitlab"))
    assert [issue["check_name"] for issue in issues] == [
        "drop-column",
        "drop-column",
        "rename-table",
    ]
    assert [issue["location"]["lines"]["begin"] for issue in issues] == [10, 11, 12]
    assert [issue["severity"] for issue in issues] == ["critical", "critical", "major"]
    assert issues[0]["description"].startswith("users.age: The running release still uses it")
    assert "allow drop-column" in issues[0]["content"]["body"]
    path = issues[0]["location"]["path"]
    assert path.endswith(".py")
    assert not path.startswith("/")
    assert len({issue["fingerprint"] for issue in issues}) == 3  # or GitLab shows one of them
    moved = json.loads("\n".join(report(service.lint(), "gitlab")))
    assert [each["fingerprint"] for each in moved] == [each["fingerprint"] for each in issues]


def test_sarif(service: Service) -> None:
    log = json.loads(written(service, "sarif"))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["drop-column", "rename-table"]
    assert "First a release" in rules[0]["help"]["text"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        place = result["locations"][0]["physicalLocation"]
        assert place["region"]["startLine"] in {10, 11, 12}
        assert place["artifactLocation"]["uriBaseId"] == "%SRCROOT%"
    assert run["results"][2]["message"]["text"].startswith("posts: The running release asks")


@pytest.mark.parametrize("form", ["gitlab", "sarif", "json"])
def test_nothing_found_is_a_document_too(service: Service, form: str) -> None:
    document = json.loads(written(service, form, "op.execute('SELECT 1')"))
    assert (document["runs"][0]["results"] if form == "sarif" else document) == []

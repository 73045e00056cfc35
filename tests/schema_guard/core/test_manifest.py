"""Edited files of the package are named."""

from pathlib import Path

import pytest
from schema_guard.core import manifest
from schema_guard.core.errors import GuardError


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a package with a manifest."""
    for name in ("a.py", "room/b.py", "room/c.md", "__pycache__/a.pyc", ".ruff_cache/x"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"text of {name}\nzoë\n", encoding="utf-8")
    monkeypatch.setattr(manifest, "PACKAGE", tmp_path)
    monkeypatch.setattr(manifest, "MANIFEST", tmp_path / "MANIFEST")
    listed = "".join(f"{line}\n" for line in manifest.lines())
    (tmp_path / "MANIFEST").write_text(listed, encoding="utf-8")
    return tmp_path


def test_files_as_they_were_made_are_no_finding(package: Path) -> None:
    manifest.check()
    (package / "a.py").write_bytes((package / "a.py").read_bytes().replace(b"\n", b"\r\n"))
    (package / "__pycache__" / "new.pyc").write_text("compiled", encoding="utf-8")
    manifest.check()


def test_what_was_edited_added_or_deleted_is_named(package: Path) -> None:
    (package / "a.py").write_text("other", encoding="utf-8")
    (package / "room" / "b.py").unlink()
    (package / "room" / "d.py").write_text("", encoding="utf-8")
    with pytest.raises(GuardError) as refusal:
        manifest.check()
    lines = refusal.value.message.splitlines()
    assert lines[1:4] == ["  a.py: edited", "  room/b.py: deleted", "  room/d.py: added"]
    assert "delete schema_guard/MANIFEST" in lines[-1]


def test_without_a_manifest_nothing_is_compared(package: Path) -> None:
    (package / "a.py").write_text("other", encoding="utf-8")
    (package / "MANIFEST").unlink()
    manifest.check()


def test_what_is_shipped_is_as_its_manifest_says() -> None:
    listed = manifest.MANIFEST.read_text(encoding="utf-8").splitlines()
    assert listed == list(manifest.lines()), "after a change to schema_guard: make manifest"
    manifest.check()

"""What is shown of something that takes long."""

import sys

import pytest
from schema_guard.core.progress import BYTES, Progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the time, which a test sets."""
    now = [1000.0]
    monkeypatch.setattr("schema_guard.core.progress.time.monotonic", lambda: now[0])
    return now


def test_nothing_is_shown_of_what_is_quick(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress("Filling users.locale", "rows", 100) as shown:
        clock[0] += 1.9
        shown.advance(100)
    assert capsys.readouterr().err == ""


def test_a_line_now_and_then(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("Filling users.locale", "rows", 1_000_000) as shown:
        for _ in range(15):
            clock[0] += 1
            shown.advance(10_000)
    assert capsys.readouterr().err.splitlines() == [
        "Filling users.locale: 20,000 of 1,000,000 rows, 10,000 rows/s, 98 s left",
        "Filling users.locale: 120,000 of 1,000,000 rows, 10,000 rows/s, 88 s left",
    ]


def test_without_a_total_how_many_and_how_fast(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress("Backup", BYTES) as shown:
        for line in shown.lines([b"x" * 1_500_000] * 4):
            assert len(line) == 1_500_000
            clock[0] += 1
    assert capsys.readouterr().err == "Backup: 3.0 MB, 1.5 MB/s\n"


def test_a_bar_in_a_terminal(
    clock: list[float], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Progress("Restore", BYTES, 4_000_000) as shown:
        for _ in range(4):
            clock[0] += 1
            shown.advance(1_000_000)
    bars = capsys.readouterr().err.split("\r")
    assert "Restore" in bars[-1]
    assert "50%" in bars[1]
    assert "1.0 MB/s" in bars[1]
    assert "100%" in bars[-1]
    assert bars[-1].endswith("\n")

"""What pyproject.toml says to the guards."""

from pathlib import Path

import pytest
from schema_guard.core.errors import GuardError
from schema_guard.core.settings import Settings, read_settings


def written(folder: Path, text: str) -> Path:
    file = folder / "pyproject.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_the_nearest_file_is_read(tmp_path: Path) -> None:
    migrations = tmp_path / "service" / "db" / "migrations"
    migrations.mkdir(parents=True)
    assert read_settings(migrations) == Settings()
    written(tmp_path, "[tool.service]\nreleased = false\n")
    assert not read_settings(migrations).released
    file = written(tmp_path / "service", "[tool.service]\nserver-version = '16'\ntitle = 'Ü'\n")
    assert read_settings(migrations) == Settings(file, server_version="16")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[tool.service]\nreleased = 'no'\n", "released in [tool.service] is 'no'; it takes true"),
        ("[tool.service]\nserver-version = 16\n", 'is 16; it takes a text, as in "16"'),
        ("[tool", "Cannot read"),
        ("tool = 1", "tool.service is no table"),
        ("[tool]\nservice = 1", "tool.service is no table"),
    ],
)
def test_a_mistake_is_one_message(tmp_path: Path, text: str, words: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(GuardError) as refusal:
        read_settings(tmp_path)
    assert words in refusal.value.message
    assert str(file) in refusal.value.message

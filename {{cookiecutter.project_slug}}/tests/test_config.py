"""The settings: what is refused, and which driver a URL comes to."""

import pytest
from sqlalchemy import make_url

from app import config, create_app
from app.config import ConfigError, database_url, secret_key, settings


@pytest.mark.parametrize("value", ["", "short", "x" * 31])
def test_a_secret_key_must_be_long(value: str) -> None:
    with pytest.raises(ConfigError, match="SECRET_KEY"):
        secret_key(value, strict=True)


def test_a_secret_key_is_made_up_in_debug_and_testing_only() -> None:
    assert secret_key("", strict=False) != secret_key("", strict=False)
    with pytest.raises(ConfigError, match="has 31"):
        secret_key("x" * 31, strict=False)


def test_an_application_without_a_secret_key_does_not_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SECRET_KEY", "short")

    with pytest.raises(ConfigError, match="SECRET_KEY"):
        create_app()


def test_a_server_needs_its_url_outside_debug_and_testing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(config, "DEFAULT_DATABASE_URL", "mysql://127.0.0.1/never_used")

    with pytest.raises(ConfigError, match="DATABASE_URL is not set"):
        database_url("", strict=True)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("tr0ub4dor", "does not read as a URL"),
        ("sqlite:/tr0ub4dor", "does not read as a URL"),
        ("nosuch://me:tr0ub4dor@host/name", "'nosuch'"),
        ("sqlite://me:tr0ub4dor@host:port/name", "does not read as a URL"),
        ("sqlite://me:tr0ub4dor@4@host/name", "%40"),
        ("postgresql://me:t@tr0ub4dor/4@host/name", "%40"),
        ("sqlite://me%3Atr0ub4dor@/name", "%3A"),
        ("sqlite:////name.db?timeout=tr0ub4dor", "an option"),
        ("sqlite://", "names no database"),
        ("sqlite:///:memory:", "names no database"),
    ],
)
def test_a_malformed_url_is_refused_without_showing_its_password(value: str, reason: str) -> None:
    with pytest.raises(ConfigError, match="DATABASE_URL is malformed") as caught:
        database_url(value, strict=True)

    assert reason in caught.value.message
    assert "tr0ub4dor" not in caught.value.message


def test_the_statement_timeout_is_a_number_of_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATEMENT_TIMEOUT", "0.5")
    assert settings(strict=False)["STATEMENT_TIMEOUT"] == 0.5

    for wrong in ("soon", "-1", "nan", "inf"):
        monkeypatch.setenv("STATEMENT_TIMEOUT", wrong)
        with pytest.raises(ConfigError, match=f"STATEMENT_TIMEOUT is '{wrong}'"):
            settings(strict=False)


def test_the_number_of_backups_is_a_whole_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIGRATION_BACKUPS", "0")
    assert settings(strict=False)["MIGRATION_BACKUPS"] == 0

    for wrong in ("some", "-1", "1.5"):
        monkeypatch.setenv("MIGRATION_BACKUPS", wrong)
        with pytest.raises(ConfigError, match=f"MIGRATION_BACKUPS is '{wrong}'"):
            settings(strict=False)


def test_a_missing_driver_is_named() -> None:
    with pytest.raises(ConfigError, match=r"oracle.*not installed"):
        database_url("oracle+cx_oracle://host/name", strict=True)


@pytest.mark.parametrize(
    ("name", "driver"),
    [
        ("postgres", "postgresql+psycopg"),
        ("postgresql", "postgresql+psycopg"),
        ("mysql", "mysql+pymysql"),
        ("mariadb", "mysql+pymysql"),
    ],
)
def test_bare_names_come_to_the_drivers_installed_here(name: str, driver: str) -> None:
    assert config.DRIVERS[name] == driver


def test_a_password_with_special_characters_survives() -> None:
    url = database_url("sqlite://me:%40%3A%2F%25%27%C3%A9@/file.db", strict=True)

    assert url.password == "@:/%'é"
    assert make_url(url.render_as_string(hide_password=False)).password == "@:/%'é"

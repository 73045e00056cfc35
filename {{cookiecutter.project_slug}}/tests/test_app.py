"""The pages: home and errors."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.orm import Session


def test_home_shows_the_service(app: Flask, client: FlaskClient) -> None:
    page = client.get("/")

    assert page.status_code == 200
    name = app.jinja_env.from_string("{{ config.SERVICE_NAME }}").render(config=app.config)
    assert name in page.text
    assert "up to date" in page.text


def test_home_shows_dbms_revision_and_paths_in_debug_only(
    app: Flask, client: FlaskClient, head: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = client.get("/").text
    assert head not in page
    assert ">answers<" in page
    assert "models" not in page

    monkeypatch.setitem(app.config, "DEBUG", True)
    page = client.get("/").text
    assert f">{head}" in page
    assert "models" in page


def test_home_works_without_tables(client: FlaskClient, session: Session) -> None:
    session.execute(text("DELETE FROM alembic_version"))
    session.commit()

    page = client.get("/")

    assert page.status_code == 200
    assert "not up to date" in page.text


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html"),
        ("*/*", "text/html"),
        ("application/json", "application/json"),
        ("application/json, text/html;q=0.5", "application/json"),
    ],
)
def test_errors_answer_as_the_client_accepts(
    client: FlaskClient, accept: str, content_type: str
) -> None:
    answer = client.get("/no-such-page", headers={"Accept": accept})

    assert answer.status_code == 404
    assert answer.mimetype == content_type
    assert "Not Found" in answer.text


def test_a_wrong_method_keeps_its_headers(client: FlaskClient) -> None:
    answer = client.post("/healthz", headers={"Accept": "application/json"})

    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]
    assert answer.json is not None
    assert answer.json["error"] == "Method Not Allowed"


def test_an_exception_answers_500_and_keeps_its_words_to_itself(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> str:
        raise RuntimeError("the secret inside")

    monkeypatch.setitem(app.view_functions, "home.home", fail)
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)

    answer = client.get("/", headers={"Accept": "application/json"})

    assert answer.status_code == 500
    assert answer.json is not None
    assert answer.json["error"] == "Internal Server Error"
    assert "secret" not in answer.text

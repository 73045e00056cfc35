"""Liveness and readiness."""

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.extensions import db


def test_ready_at_head(client: FlaskClient, head: str) -> None:
    answer = client.get("/readyz")

    assert (answer.status_code, answer.get_json()["status"]) == (200, "ready")
    assert answer.get_json()["revision"].startswith(head)  # and its message


def test_not_ready_behind_head(client: FlaskClient, session: Session, head: str) -> None:
    session.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    session.commit()

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.get_json()["status"] == "unavailable"
    assert answer.get_json()["reason"].startswith(f"at 0000, head is {head}")


def test_an_outage_stops_readiness_but_not_liveness(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        error = ConnectionResetError("with a password in it")
        raise OperationalError("SELECT 1", None, error, connection_invalidated=True)

    monkeypatch.setattr(db.session, "connection", refuse)

    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json == {"status": "unavailable", "reason": "the database does not answer"}
    assert client.get("/healthz").json == {"status": "ok"}
    assert "does not answer" in client.get("/").text

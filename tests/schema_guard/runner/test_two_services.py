"""Two services that share a database, each with a table of revisions of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click import ClickException
from schema_guard.readiness import check
from services import NO_WAY_BACK, Service
from sqlalchemy import URL

TABLE = "op.create_table('{}', sa.Column('id', sa.Integer, primary_key=True))"


@pytest.fixture
def other(database: URL, tmp_path: Path, service: Service) -> Iterator[Service]:
    """Return another service in the same database."""
    service.write(1, TABLE.format("shop"), "op.drop_table('shop')")
    service.upgrade()
    folder = tmp_path / "other"
    folder.mkdir()
    other = Service(folder, database)
    other.extension.configure_args["version_table"] = "blog_version"
    other.write(1, TABLE.format("blog"), "op.drop_table('blog')")
    other.write(2, TABLE.format("posts"), NO_WAY_BACK)
    yield other
    other.engine.dispose()


def test_each_has_its_own_record(service: Service, other: Service) -> None:
    other.upgrade(revision="0001")
    other.upgrade()
    service.upgrade()  # 0002 was not deleted: it never was its own
    for each, head in ((service, "0001"), (other, "0002")):
        with each.app.app_context(), each.engine.connect() as connection:
            ready = check(connection)
        assert (ready.ready, ready.revision, ready.warnings) == (True, f"{head} (A change)", [])
        log = each.app.test_cli_runner().invoke(args=["db", "log"]).output
        assert log.count(" upgrade ") == int(head)
        source = each.app.test_cli_runner().invoke(args=["db", "log", "0001"]).output
        assert ("shop" in source) == (each is service)
    service.downgrade()
    assert other.rows("SELECT * FROM blog") == []


@pytest.mark.parametrize("dbms", ["mariadb"])
def test_an_interrupted_revision_is_its_owners(service: Service, other: Service) -> None:
    half = "op.execute('INSERT INTO nowhere VALUES (1)')"
    service.write(2, f"{TABLE.format('kept')}\n{half}", NO_WAY_BACK)
    with pytest.raises(ClickException, match="CREATE TABLE kept"):
        service.upgrade()

    for revision in ("head", "0001"):
        with pytest.raises(ClickException) as refusal:
            other.upgrade(revision=revision)
        assert "Another service in this database, whose revisions are in alembic_version, was" in (
            refusal.value.message
        )
    stamped = other.app.test_cli_runner().invoke(args=["db", "stamp", "0001"])
    assert stamped.exit_code == 1

    service.write(2, TABLE.format("kept"), NO_WAY_BACK)
    service.upgrade()
    other.upgrade()
    assert other.rows("SELECT * FROM posts") == []

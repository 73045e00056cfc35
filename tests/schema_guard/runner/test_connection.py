"""Which errors are told as a database that cannot be used: those of connecting only."""

import pytest
import sqlalchemy as sa
from schema_guard import GuardError
from schema_guard.runner.connection import migration_connection
from services import Service

TABLES = (
    "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
    "CREATE TABLE child (id INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
)


def leave_an_orphan(connection: sa.Connection) -> None:
    """Commit what the database refuses at the COMMIT only."""
    connection.execute(sa.text("INSERT INTO child VALUES (1)"))
    connection.commit()


@pytest.mark.parametrize("dbms", ["postgresql"])
def test_a_commit_that_fails_is_no_connection_that_does(service: Service) -> None:
    for statement in TABLES:
        service.run(statement)
    with (
        service.app.app_context(),
        pytest.raises(GuardError) as error,
        migration_connection(service.engine, locked=False) as connection,
    ):
        leave_an_orphan(connection)
    assert "foreign key" in error.value.message.lower()
    assert "Cannot use the database" not in error.value.message
    assert "DATABASE_URL" not in error.value.message


@pytest.mark.parametrize("dbms", ["sqlite"])
def test_an_error_of_the_models_stays_one(service: Service) -> None:
    with (
        service.app.app_context(),
        pytest.raises(sa.exc.NoReferencedTableError),
        migration_connection(service.engine, locked=False),
    ):
        raise sa.exc.NoReferencedTableError("no such table", "customers")

"""No limit that protects requests ends a migration: real limits, and work that takes longer."""

from pathlib import Path

import pytest
from servers import Server
from services import NO_WAY_BACK, Service
from sqlalchemy import URL

SECONDS = 1
# Idle in a transaction that has written, idle between transactions, and a statement that lasts.
LONG = """
import time
connection = op.get_bind()
sleep = "pg_sleep" if connection.dialect.name == "postgresql" else "sleep"
op.execute("INSERT INTO roles VALUES ('before')")
time.sleep(1.5)
op.execute("INSERT INTO roles VALUES ('after')")
with op.get_context().autocommit_block():
    time.sleep(1.5)
    op.execute(f"SELECT {sleep}(1.5)")
connection.exec_driver_sql("SELECT count(*) FROM roles").scalar()
time.sleep(1.5)
op.create_table("late", sa.Column("id", sa.Integer()))
"""
POSTGRESQL = (
    "statement_timeout",
    "transaction_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
)
MYSQL = (
    "max_statement_time",
    "idle_transaction_timeout",
    "idle_readonly_transaction_timeout",
    "idle_write_transaction_timeout",
    "wait_timeout",
)


def limited_by_role_database_and_url(server: Server, url: URL) -> URL:
    """Limit what connects to a database; return its URL with another limit in it."""
    found = server.query(f"SELECT name FROM pg_settings WHERE name IN {POSTGRESQL}")
    assert len(found) >= len(POSTGRESQL) - 2  # older servers know fewer
    database = server.quote(str(url.database))
    for number, name in enumerate(found):
        whose = (
            f"ROLE {url.username} IN DATABASE {database}" if number % 2 else f"DATABASE {database}"
        )
        server.execute(f"ALTER {whose} SET {name} = '{SECONDS}s'")
    options = f"-c idle_in_transaction_session_timeout={SECONDS}s"
    return url.update_query_dict({"options": options})


def limited_by_server(server: Server) -> list[str]:
    """Limit what connects to a server; return the variables."""
    found = server.query(f"SHOW VARIABLES WHERE variable_name IN {MYSQL}")
    assert "wait_timeout" in found
    server.execute(*(f"SET GLOBAL {name} = {SECONDS}" for name in found))
    return found


@pytest.mark.parametrize("dbms", ["postgresql", "mariadb"])
def test_work_that_is_longer_than_every_limit_is_done(
    server: Server, database: URL, tmp_path: Path
) -> None:
    variables = []
    if server.is_postgresql:
        url = limited_by_role_database_and_url(server, database)
    else:
        seconds = str(SECONDS)
        url = database.update_query_dict({"read_timeout": seconds, "write_timeout": seconds})
        variables = limited_by_server(server)
    service = Service(tmp_path, url)
    try:
        service.write(1, 'op.create_table("roles", sa.Column("name", sa.String(9)))', NO_WAY_BACK)
        service.write(2, LONG, NO_WAY_BACK)
        service.upgrade()
    finally:
        server.execute(*(f"SET GLOBAL {name} = DEFAULT" for name in variables))

    assert sorted(service.column("SELECT name FROM roles")) == ["after", "before"]
    service.engine.dispose()

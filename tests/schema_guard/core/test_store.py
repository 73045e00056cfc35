"""The tables that schema_guard makes for itself."""

import pytest
import sqlalchemy as sa
from schema_guard.core.store import make_tables
from services import Service, connect_args


@pytest.mark.parametrize("dbms", ["mariadb"])
@pytest.mark.parametrize("dialect", ["mysql", "mariadb"])
def test_they_have_transactions_whatever_the_server_makes_by_default(
    service: Service, dialect: str
) -> None:
    url = service.engine.url.set(drivername=f"{dialect}+pymysql")
    default = {"init_command": "SET default_storage_engine = MyISAM"}
    engine = sa.create_engine(url, connect_args=connect_args(service.engine.url) | default)
    with engine.connect() as connection:
        make_tables(connection)
        query = "SELECT engine FROM information_schema.tables WHERE table_schema = DATABASE()"
        engines = list(connection.exec_driver_sql(query).scalars())
    engine.dispose()

    assert engines == ["InnoDB", "InnoDB"]

"""The extensions, made once; create_app() binds them to an application."""

import sqlite3
from typing import Any

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Connection, Dialect, Engine, MetaData, event
from sqlalchemy.orm import DeclarativeBase

from app.config import ROOT
from schema_guard import SchemaGuard


class Base(DeclarativeBase):
    """What every model inherits from.

    Every constraint gets a name, the same on every DBMS, so that a later migration can
    alter or drop it.
    """

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


db = SQLAlchemy(model_class=Base)
migrate = SchemaGuard(directory=str(ROOT / "migrations"))


@event.listens_for(Engine, "connect")
def _leave_transactions_to_sqlalchemy(dbapi_connection: Any, _record: object) -> None:
    # sqlite3 begins a transaction only before an INSERT, UPDATE or DELETE: DDL would be
    # committed as it goes, and a failing migration would stay half done.
    if isinstance(dbapi_connection, sqlite3.Connection):
        dbapi_connection.isolation_level = None


@event.listens_for(Engine, "begin")
def _begin(connection: Connection) -> None:
    if connection.dialect.driver == "pysqlite":
        connection.exec_driver_sql("BEGIN")


@event.listens_for(Engine, "do_connect")
def _encode_password(
    dialect: Dialect, _record: object, _args: object, parameters: dict[str, Any]
) -> None:
    # PyMySQL would send it as Latin-1; the server keeps passwords as UTF-8.
    if dialect.driver == "pymysql" and isinstance(parameters.get("password"), str):
        parameters["password"] = parameters["password"].encode()

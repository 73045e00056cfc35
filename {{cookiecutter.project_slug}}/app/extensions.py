"""The extensions, made once; create_app() binds them to an application."""

from datetime import datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from flask_sqlalchemy import SQLAlchemy, model
from sqlalchemy import Double, MetaData, Numeric, String
from sqlalchemy.orm import DeclarativeBase, registry

from app import types
from app.config import ROOT
from schema_guard import SchemaGuard


class Base(DeclarativeBase):
    """What every model inherits from.

    Every constraint gets a name, the same on every DBMS, so that a later migration can
    alter or drop it. And every `Mapped[...]` that names no type of column gets one that
    keeps the same values on every DBMS.
    """

    registry = registry(
        metadata=MetaData(
            naming_convention={
                "ix": "ix_%(table_name)s_%(column_0_N_name)s",
                "uq": "uq_%(table_name)s_%(column_0_N_name)s",
                "ck": "ck_%(table_name)s_%(constraint_name)s",
                "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
                "pk": "pk_%(table_name)s",
            }
        ),
        type_annotation_map={
            bytes: types.LargeBytes,
            datetime: types.UTCDateTime(),
            Decimal: Numeric(15, 4),  # MySQL's default has no decimals; SQLite keeps 15 digits
            dict[str, Any]: types.Document,
            float: Double(),  # MySQL's FLOAT keeps 7 digits
            str: String(255),  # MySQL demands a length
            time: types.ExactTime,
        },
    )


if TYPE_CHECKING:
    # mypy takes `class Order(db.Model)` only where `db` is a class. Here it is one whose own type
    # is SQLAlchemy, so that `db.session` and the like are what they are below.
    class Extension(type, SQLAlchemy):
        """What `db` is."""

    class db(metaclass=Extension):
        """The database."""

        class Model(Base, model.Model):
            """Base, with Flask-SQLAlchemy's names of tables and `query`."""

            __abstract__ = True

else:
    db = SQLAlchemy(model_class=Base)
migrate = SchemaGuard(directory=str(ROOT / "migrations"))

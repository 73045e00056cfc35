"""A model module with a bit of everything, for a baked project: app/models/kitchen_sink.py.

Right after its migration `flask db migrate` must find nothing, and every value must come
back as it went in, on every DBMS.
"""

import enum
import uuid
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Enum,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Numeric,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    Uuid,
    false,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import Base
from app.types import LongText


class Colour(enum.Enum):
    """Its names are kept."""

    RED = 1
    GREEN = 2


class Everything(Base):
    """Every common type; most may be NULL."""

    __tablename__ = "everything"
    __table_args__ = (
        CheckConstraint("small >= 0", name="small_is_positive"),
        UniqueConstraint("name", "kind"),
        Index(None, "kind", "born"),
        # No emoji: MariaDB keeps none in a comment.
        {"comment": 'It\'s a table: "all" of 100% of them, é \\ Ω'},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int | None] = mapped_column(
        ForeignKey("everything.id", ondelete="SET NULL"), index=True
    )
    name: Mapped[str] = mapped_column(comment="what people 'call' it: 100% é")
    kind: Mapped[str] = mapped_column(String(20), server_default='it\'s "new"')
    long: Mapped[str | None] = mapped_column(LongText)
    prose: Mapped[str | None] = mapped_column(Text)
    yes: Mapped[bool] = mapped_column(server_default=false())
    maybe: Mapped[bool | None]
    small: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    whole: Mapped[int | None] = mapped_column(server_default=text("42"))
    big: Mapped[int | None] = mapped_column(BigInteger)
    real: Mapped[float | None]
    price: Mapped[Decimal | None]
    exact: Mapped[Decimal | None] = mapped_column(Numeric(12, 2), server_default="0.00")
    born: Mapped[date | None]
    opens: Mapped[time | None]
    lasts: Mapped[timedelta | None]
    happened: Mapped[datetime | None]
    created: Mapped[datetime] = mapped_column(server_default=func.now())
    document: Mapped[dict[str, Any] | None]
    blob: Mapped[bytes | None]
    uid: Mapped[uuid.UUID | None] = mapped_column(Uuid, unique=True)
    colour: Mapped[Colour | None] = mapped_column(Enum(Colour, native_enum=False, length=20))
    checked: Mapped[Colour] = mapped_column(
        Enum(Colour, native_enum=False, length=20, create_constraint=True, name="colour"),
        server_default="RED",
    )
    native: Mapped[Colour | None] = mapped_column(Enum(Colour, name="native_colour"))


class Line(Base):
    """A composite key."""

    __tablename__ = "lines"

    order_number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    everything_id: Mapped[int] = mapped_column(ForeignKey("everything.id", ondelete="CASCADE"))


class Note(Base):
    """A composite foreign key."""

    __tablename__ = "notes"
    __table_args__ = (
        ForeignKeyConstraint(
            ["order_number", "position"],
            ["lines.order_number", "lines.position"],
            ondelete="CASCADE",
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    order_number: Mapped[int]
    position: Mapped[int]
    words: Mapped[str | None] = mapped_column(Text)

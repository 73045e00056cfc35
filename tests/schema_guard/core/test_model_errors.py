"""A mistake in a model is one message: which model, where it is written, what to write."""

import importlib
import itertools
import sys
from pathlib import Path
from typing import Any

import flask_migrate
import pytest
import sqlalchemy as sa
from click import ClickException
from schema_guard import GuardError, model_errors
from schema_guard.readiness import not_ready
from services import Service, connect_args
from sqlalchemy.exc import OperationalError

BEGINNING = """
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    metadata = sa.MetaData(naming_convention={"ck": "ck_%(table_name)s_%(constraint_name)s"})


db = SQLAlchemy(model_class=Base)


class User(db.Model):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)


class Odd: ...


class Order(db.Model):
    __tablename__ = "orders"
"""
LINE = BEGINNING.splitlines().index("class Order(db.Model):") + 1
KEY = "id: Mapped[int] = mapped_column(primary_key=True)"
numbers = itertools.count(1)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that modules are imported from, which is the current one too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def module(folder: Path, *lines: str) -> str:
    """Write a module of models, whose last one has these lines; return its name."""
    name = f"models_{next(numbers)}"
    body = "".join(f"    {line}\n" for line in lines)
    (folder / f"{name}.py").write_text(f"{BEGINNING}{body}", encoding="utf-8")
    return name


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["name: Mapped[str]"], "it has no primary key. Write `id: Mapped[int]"),
        (['__tablename__ = "users"', KEY], "the table users has a model already: Model User ("),
        ([KEY, "a: Mapped[Odd]"], "no type of column is known for the annotation of a"),
        ([KEY, "a: Mapped['Nothing']"], "names a type that is not imported"),
        ([KEY, "a: int = mapped_column()"], "the annotation of Order.a has to be `Mapped[...]`"),
        ([KEY, "a = mapped_column()"], "Order.a has no type."),
        (
            [KEY, '__table_args__ = (sa.CheckConstraint("id > 0"),)'],
            'a CheckConstraint has no name. Write `CheckConstraint(..., name="...")`',
        ),
        (
            [KEY, '__table_args__ = (sa.Index("ix", "nope"),)'],
            "Index names nope, which is no column of it",
        ),
        ([KEY, "a: Mapped[int] = mapped_column('id')"], "two of its columns are called id"),
        ([KEY, "__table_args__ = 3"], "__table_args__ value must be a tuple"),  # SQLAlchemy's words
    ],
)
@pytest.mark.filterwarnings("ignore:On class")
def test_a_class_that_is_no_model(folder: Path, lines: list[str], said: str) -> None:
    name = module(folder, *lines)
    with pytest.raises(GuardError) as refusal, model_errors():
        importlib.import_module(name)
    assert f"Model Order ({name}.py:{LINE}): " in refusal.value.message
    assert said in refusal.value.message
    assert "sqlalche.me" not in refusal.value.message


def test_an_argument_that_there_is_not(folder: Path) -> None:
    name = module(folder, "id: Mapped[int] = mapped_column(primarykey=True)")
    with pytest.raises(GuardError) as refusal, model_errors():
        importlib.import_module(name)
    assert refusal.value.message == (
        f"{name}.py:{LINE + 2}: there is no argument primarykey. Correct its name."
    )


@pytest.mark.parametrize("line", ["id: Mapped[int] = mapped_colum()", "id: int = len(3)"])
def test_pythons_own_errors_stay(folder: Path, line: str) -> None:
    name = module(folder, line)
    with pytest.raises((NameError, TypeError)), model_errors():
        importlib.import_module(name)


@pytest.mark.parametrize("dbms", ["sqlite"])
@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            ['user_id: Mapped[int] = mapped_column(sa.ForeignKey("usres.id"))'],
            "orders.user_id refers to a table usres, which no model makes (is it users?).",
        ),
        (
            ['user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.uid"))'],
            'ForeignKey("users.uid") refers to a column that users does not have.',
        ),
        (['user: Mapped["Usr"] = relationship()'], "a relationship names Usr, which is neither"),
        (['user: Mapped["User"] = relationship()'], "no foreign key links the two tables of"),
        (
            [
                'a: Mapped[int] = mapped_column(sa.ForeignKey("users.id"))',
                'b: Mapped[int] = mapped_column(sa.ForeignKey("users.id"))',
                'user: Mapped["User"] = relationship()',
            ],
            "Say which: `relationship(foreign_keys=[...])`",
        ),
    ],
)
def test_models_that_lead_nowhere(
    service: Service, folder: Path, lines: list[str], said: str
) -> None:
    name = module(folder, KEY, *lines)
    models = importlib.import_module(name)
    service.extension.db = _WithEngine(models.db, service)
    message = service.refused()
    assert message.startswith(f"Model Order ({name}.py:{LINE}): ")
    assert said in message
    with service.app.app_context(), pytest.raises(ClickException):
        flask_migrate.check()
    service.write(1, "op.create_table('t', sa.Column('id', sa.Integer))", "op.drop_table('t')")
    service.upgrade()  # no model is asked


class _WithEngine:
    """The extension of a module, on the database of a service."""

    def __init__(self, db: Any, service: Service) -> None:
        self.metadata, self.Model, self.engine = db.metadata, db.Model, service.engine


@pytest.mark.parametrize("dbms", ["sqlite"])
def test_every_foreign_key_that_leads_nowhere_is_named(service: Service) -> None:
    service.models(
        ("a", sa.Column("x", sa.ForeignKey("gone.id")), sa.Column("y", sa.ForeignKey("away.id"))),
        ("b", sa.Column("z", sa.ForeignKey("a.id"))),
    )
    lines = service.refused().splitlines()
    assert [line.partition(" refers")[0] for line in lines] == [
        "The table a: a.x",
        "The table a: a.y",
        'The table b: ForeignKey("a.id")',
    ]


class Vague(sa.types.UserDefinedType[str]):
    """A type that says nothing that makes it."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Return how it is called in SQL."""
        return "VARCHAR(40)"

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class Wide(Vague):
    """A type whose argument a revision would have to import."""

    def __repr__(self) -> str:
        return "Wide(Integer())"


class Email(sa.String):
    """A kind of text."""


@pytest.mark.parametrize("dbms", ["sqlite"])
@pytest.mark.parametrize("kind", [Vague(), Wide()])
def test_a_type_that_cannot_be_written(service: Service, kind: Any) -> None:
    service.models(("orders", sa.Column("id", sa.Integer, primary_key=True), sa.Column("a", kind)))
    message = service.refused()
    name = type(kind).__name__
    assert f"The type {name} ({__name__}) of orders.a cannot be written" in message
    assert f"as in `{name}(length=8)`" in message


@pytest.mark.parametrize("dbms", ["sqlite"])
def test_a_kind_of_text_is_imported(service: Service) -> None:
    service.models(
        ("orders", sa.Column("id", sa.Integer, primary_key=True), sa.Column("a", Email(80)))
    )
    assert f"import {__name__}" in service.change()


@pytest.mark.parametrize("dbms", ["sqlite"])
@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("rename-table=peple:x", "--rename-table peple: there is no table peple (is it people?)"),
        ("rename=gone.name:x", "--rename gone.name: there is no table gone."),
        ("drop=gone.name", "--drop gone.name: there is no table gone."),
        ("fill=people.nope:1", "--fill people.nope: the models and the database do not call"),
    ],
)
def test_a_flag_that_names_a_table_that_is_not_there(
    service: Service, flag: str, said: str
) -> None:
    service.models(("people", sa.Column("id", sa.Integer, primary_key=True)))
    assert said in service.refused(flag)


@pytest.mark.parametrize("dbms", ["postgresql", "mariadb"])
def test_a_database_that_there_is_not(service: Service) -> None:
    url = service.engine.url.set(database="not there")
    engine = sa.create_engine(url, connect_args=connect_args(url))
    service.extension.db = type("db", (), {"engine": engine, "metadata": sa.MetaData()})
    with pytest.raises(GuardError) as refusal:
        service.upgrade()
    assert "has no database of that name. Create it with `flask db prepare`" in (
        refusal.value.message
    )
    with pytest.raises(OperationalError) as error:
        engine.connect()
    assert not_ready(error.value) == ("the database does not exist: `flask db prepare` creates it")


@pytest.fixture(autouse=True)
def _forget_modules() -> Any:
    before = set(sys.modules)
    yield
    for name in {name for name in sys.modules if name.startswith("models_")} - before:
        del sys.modules[name]

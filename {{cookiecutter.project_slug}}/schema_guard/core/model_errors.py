"""What is wrong with the application's models: which one, where it is written, what to write.

Promise: a mistake in a model is one message, and never taken for a database that cannot be used.
"""

import ast
import re
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from types import FrameType
from typing import Any

from sqlalchemy.exc import (
    DBAPIError,
    DisconnectionError,
    NoReferenceError,
    NoSuchTableError,
    PendingRollbackError,
    ResourceClosedError,
    SQLAlchemyError,
    TimeoutError,  # noqa: A004 - of its pool
)
from sqlalchemy.orm import DeclarativeBase

from schema_guard.core.errors import GuardError

# What SQLAlchemy says, and what is said instead: what is the matter, what to write.
KINDS = {
    r"column '(?P<column>[^']+)' could not find table '(?P<table>[^']+)'": (
        "{column} refers to a table {table}, which no model makes{near}. Correct its ForeignKey, or"
        " write the model in a module that the application imports"
    ),
    r"ForeignKey '(?P<key>[^']+)' on table '[^']+': table '(?P<table>[^']+)' has no column": (
        'ForeignKey("{key}") refers to a column that {table} does not have. Correct it, or add the'
        " column to the model of {table}"
    ),
    r"Table '(?P<table>[^']+)' is already defined": (
        "the table {table} has a model already{other}. Give this one another __tablename__"
    ),
    "could not assemble any primary key": (
        "it has no primary key. Write `id: Mapped[int] = mapped_column(primary_key=True)`"
    ),
    "does not have a __table__ or __tablename__": (
        'it has no table. Write `__tablename__ = "..."`; or, if it is a base of models,'
        " `__abstract__ = True`"
    ),
    r"Multiple classes found for path \"(?P<name>[^\"]+)\"": (
        'a relationship names {name}, and two models are called so. Write "module.{name}", or'
        " rename one of them"
    ),
    r"expression '(?P<name>.+?)' failed to locate a name": (
        "a relationship names {name}, which is neither a model nor a table. Correct the name, or"
        " write the model in a module that the application imports"
    ),
    r"relationship (?P<name>[\w.]+) - there are no foreign keys": (
        "no foreign key links the two tables of {name}. Add a column with a ForeignKey to one of"
        " them"
    ),
    r"relationship (?P<name>[\w.]+) - there are multiple foreign key": (
        "several foreign keys link the two tables of {name}. Say which:"
        " `relationship(foreign_keys=[...])`"
    ),
    r"Mapper '.*' has no property '(?P<name>[^']+)'": (
        "back_populates of a relationship names {name}, which its model does not have. Add the"
        " other relationship there, or leave back_populates out"
    ),
    r"type indicated by '(?P<type>.+?)' inside the Mapped\[\] annotation for the '(?P<name>\w+)'": (
        "no type of column is known for the annotation of {name}. Give one, as in"
        " `mapped_column(JSON)`; or add it to the type_annotation_map of the base class"
    ),
    r"resolve all types within mapped annotation: \"(?P<type>.+?)\"\.": (
        "{type} names a type that is not imported in its module. Import it, or correct the name"
    ),
    r"Type annotation for \"(?P<name>[^\"]+)\" can't be correctly interpreted": (
        "the annotation of {name} has to be `Mapped[...]`, or `ClassVar[...]` if it is no column"
    ),
    r"annotation is required for attribute \"(?P<name>[^\"]+)\"": (
        "{name} has no type. Write it as an annotation, `Mapped[str]`, or as the first argument of"
        " mapped_column"
    ),
    r"%\(constraint_name\)s token requires": (
        'a CheckConstraint has no name. Write `CheckConstraint(..., name="...")`'
    ),
    r"Can't create (?P<kind>\w+) on table '[^']+': no column named '(?P<name>[^']+)'": (
        "{kind} names {name}, which is no column of it. Correct the name"
    ),
    r"column with name '(?P<name>[^']+)' is already present": (
        "two of its columns are called {name}. Rename one of them"
    ),
    r"should be named <dialectname>_<argument>, got '(?P<name>[^']+)'": (
        "there is no argument {name}. Correct its name"
    ),
    r"Attribute name '(?P<name>\w+)' is reserved": (
        "{name} is a name of SQLAlchemy's own. Name the attribute otherwise, and keep the column:"
        ' `{name}_: Mapped[str] = mapped_column("{name}")`'
    ),
}
# What else SQLAlchemy raises: a database has said no, or its connection is gone.
OF_CONNECTIONS = (
    DBAPIError,
    DisconnectionError,
    PendingRollbackError,
    ResourceClosedError,
    TimeoutError,
)
TABLE = re.compile(
    r"column '(?P<column>[\w.]+)\.\w+'|(?:on table|in table|Table) '(?P<table>[^']+)'"
)
CLASS = re.compile(
    r"Mapper\[(\w+)\(|relationship (\w+)\.|(?:attribute|for) \"(\w+)\.|class (\w+) |path \"(\w+)\""
)


@contextmanager
def model_errors() -> Iterator[None]:
    """Say in one message what is wrong with a model, while the application is imported.

    Raises:
        GuardError: something is.
    """
    try:
        yield
    except (SQLAlchemyError, TypeError) as error:
        frames = list(traceback.walk_tb(error.__traceback__))
        if not is_of_models(error) and not _is_sqlalchemys(frames[-1][0]):
            raise
        classes = [frame.f_locals.get("cls") for frame, _ in frames]
        made = [each for each in classes if isinstance(each, type) and hasattr(each, "registry")]
        frame, line = [each for each in frames if not _is_sqlalchemys(each[0])][-1]
        place = f"{_shown(Path(frame.f_code.co_filename))}:{line}"
        if made:
            place = f"Model {made[-1].__name__} ({place})"
        raise GuardError(f"{place}: {_words(error, made[-1] if made else None)}.") from error


@contextmanager
def compared_models(db: Any) -> Iterator[None]:
    """Say in one message what is wrong with the models, while they are compared or written.

    Args:
        db: the Flask-SQLAlchemy extension.

    Raises:
        GuardError: something is.
    """
    try:
        yield
    except SQLAlchemyError as error:
        if not is_of_models(error):
            raise
        gone = isinstance(error, NoSuchTableError)  # of the database: between two looks at it
        said = f"There is no table {error} in the database." if gone else explained(error, db)
        raise GuardError(said) from error


def check_models(db: Any) -> None:
    """Refuse models whose foreign keys or relationships lead nowhere, before they are compared.

    Args:
        db: the Flask-SQLAlchemy extension.

    Raises:
        GuardError: there are such models; it names them all.
    """
    found = [
        explained(error, db)
        for table in db.metadata.tables.values()
        for key in sorted(table.foreign_keys, key=lambda each: each.parent.name)
        if (error := _unresolved(key))
    ]
    base = getattr(db, "Model", None)
    if base is not None and not found:
        try:
            base.registry.configure(cascade=True)
        except SQLAlchemyError as error:
            found.append(explained(error, db))
    if found:
        raise GuardError("\n".join(found))


def explained(error: BaseException, db: Any) -> str:
    """Return what is wrong with a model, in a line.

    Args:
        error: SQLAlchemy's, or of a type of the application's own.
        db: the Flask-SQLAlchemy extension.
    """
    text, base = str(error), getattr(db, "Model", None)
    words = _words(error, base, db.metadata.tables)
    table = TABLE.search(text)
    name = table and (table["column"] or table["table"])
    model = CLASS.search(text)
    for each in _models(base):
        if each.__table__.key == name or (model and each.__name__ in model.groups()):
            return f"{_place(each)}: {words}."
    return f"The table {name}: {words}." if name else f"The models: {words}."


def is_of_models(error: BaseException) -> bool:
    """Return whether an error is about the models, and not of a database or its connection."""
    return isinstance(error, SQLAlchemyError) and not isinstance(error, OF_CONNECTIONS)


def _is_sqlalchemys(frame: FrameType) -> bool:
    """Return whether a function is SQLAlchemy's, or made by it."""
    package = str(frame.f_globals.get("__name__")).partition(".")[0]
    written = frame.f_code.co_filename.startswith("<")
    return written or package in {"sqlalchemy", "flask_sqlalchemy"}


def _unresolved(key: Any) -> NoReferenceError | None:
    try:
        key.column  # noqa: B018 - looks it up
    except NoReferenceError as error:
        return error
    return None


def _words(error: BaseException, base: Any, tables: Iterable[str] = ()) -> str:
    """Return what is the matter, and what to write; SQLAlchemy's words where that is not known."""
    text = " ".join(str(error).split("(Background on this error")[0].split())
    for pattern, words in KINDS.items():
        if found := re.search(pattern, text):
            table = found.groupdict().get("table")
            there = [each for each in _models(base) if each.__table__.key == table]
            other = f": {_place(there[0])}" if there else ""
            near = get_close_matches(table or "", tables, 1)
            return words.format(
                other=other, near=f" (is it {near[0]}?)" if near else "", **found.groupdict()
            )
    return text.rstrip(". ")


def _models(base: Any, within: Any = DeclarativeBase) -> list[Any]:
    """Return the classes that have tables, of a base class or another one with its registry."""
    found = []
    for each in within.__subclasses__() if base is not None else ():
        own = getattr(each, "registry", None) is base.registry and "__mapper__" in vars(each)
        found += [each] if own and hasattr(each, "__table__") else []
        found += _models(base, each)
    return found


def _place(model: type) -> str:
    """Return a model with its file and line, as in `Model User (app/user.py:15)`."""
    path = getattr(sys.modules.get(model.__module__), "__file__", None)
    where = f"{_shown(Path(path))}:{_line(Path(path), model)}" if path else model.__module__
    return f"Model {model.__name__} ({where})"


def _shown(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _line(path: Path, model: type) -> int:
    """Return the line on which a class begins; of several of its name the last one."""
    name = model.__name__
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return 1
    classes = (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    return max((node.lineno for node in classes if node.name == name), default=1)

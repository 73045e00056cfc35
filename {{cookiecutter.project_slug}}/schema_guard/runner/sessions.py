"""What a revision uses beside `op`: the application's session, and connections of its own.

Promise: what a revision does by `db.session`, by models too, is part of its transaction like all
else, and is undone with it. Any further connection to the same database is refused when it is made:
it would see nothing of what the revision has done, would not be undone with it, and as soon as both
want the same table it would wait for the migration, which waits for it.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import current_app
from sqlalchemy import URL, Connection, Engine
from sqlalchemy.orm import Session, scoped_session

from schema_guard.core.listeners import listening
from schema_guard.runner.stand_in import SessionConnection


class SecondConnectionError(Exception):
    """A revision has opened a connection of its own to the database that it migrates."""

    def __init__(self) -> None:
        """Say what to use instead."""
        super().__init__(
            "it opens a second connection to the database (by db.engine, or a session on it), which"
            " would wait for the migration and is not undone with it; use the migration's own:"
            " op.get_bind(), Session(bind=op.get_bind()) or db.session"
        )


class OwnConnections:
    """The connections that a revision would make, refused while it runs."""

    def __init__(self, connection: Any) -> None:
        """Guard the database of a connection.

        Args:
            connection: the migration's; or what stands for it while nothing is run, and then no
                database is to be connected to.
        """
        self.connection, self.active = connection, False
        self.thread = threading.get_ident()

    @contextmanager
    def watch(self) -> Iterator["OwnConnections"]:
        """Look at the connections that are made meanwhile; `bound` says when to refuse them."""
        with listening((Engine, "engine_connect", self._refuse)):
            yield self

    @contextmanager
    def bound(self) -> Iterator[None]:
        """Have the application's session use the migration's connection while a revision runs."""
        self.active = True
        try:
            with bound_session(self.connection):
                yield
        finally:
            self.active = False

    def _refuse(self, other: Connection) -> None:
        ours = other is self.connection or isinstance(other, SessionConnection)
        if ours or not self.active or threading.get_ident() != self.thread:
            return
        if isinstance(self.connection, Connection) and not _same(self.connection, other):
            return
        other.close()
        raise SecondConnectionError


def _same(one: Connection, other: Connection) -> bool:
    """Return whether two connections are to the same database, as far as their URLs tell."""
    if one.engine is other.engine:
        return True
    places = [_place(each.engine.url) for each in (one, other)]
    return places[0] == places[1] and one.engine.url.database not in {None, "", ":memory:"}


def _place(url: URL) -> tuple[Any, ...]:
    return url.get_backend_name().replace("mariadb", "mysql"), url.host, url.port, url.database


@contextmanager
def bound_session(connection: Any) -> Iterator[None]:
    """Have `db.session` of this thread be a session on a connection, if there is such a thing.

    A commit of it releases a savepoint: the transaction is Alembic's to commit.

    Args:
        connection: the migration's, or what stands for it.
    """
    scoped = getattr(current_app.extensions["migrate"].db, "session", None)
    if not isinstance(scoped, scoped_session):
        yield
        return
    registry = scoped.registry
    before = registry() if registry.has() else None
    session: Session = scoped.session_factory(join_transaction_mode="create_savepoint")
    engine_of, own = session.get_bind, current_app.extensions["migrate"].db.engine

    # Flask-SQLAlchemy's session looks for an engine itself, and takes no other.
    def get_bind(*arguments: Any, **named: Any) -> Any:
        found = engine_of(*arguments, **named)
        return connection if found is own else found

    vars(session)["get_bind"] = get_bind
    registry.set(session)
    try:
        yield
    finally:
        session.close()
        if before is None:
            registry.clear()
        else:
            registry.set(before)

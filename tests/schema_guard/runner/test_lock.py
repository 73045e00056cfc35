"""A database has one lock, by whatever name it is called."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from flask import Flask
from schema_guard import GuardError
from schema_guard.admin.database import drop_database
from schema_guard.runner.connection import exclusive, migration_connection
from servers import Server
from services import connect_args
from sqlalchemy import URL, create_engine, make_url


@contextmanager
def locked(url: URL) -> Iterator[None]:
    """Hold the lock of the database that a URL leads to."""
    engine = create_engine(url, connect_args=connect_args(url))
    app = Flask("migrates")
    app.config["MIGRATION_WAIT"] = 0
    with (
        app.app_context(),
        migration_connection(engine, locked=False) as connection,
        exclusive(connection),
    ):
        yield
    engine.dispose()


def have_one_lock(*urls: URL) -> None:
    """Check that URLs lead to one lock, which is free afterwards."""
    with locked(urls[0]):
        for url in urls[1:]:
            with pytest.raises(GuardError, match="Another migration of"), locked(url):
                pass
    for url in urls:
        with locked(url):
            pass


@pytest.mark.parametrize("dbms", ["postgresql", "mariadb"])
def test_a_server_has_one_by_whatever_way_it_is_reached(server: Server, database: URL) -> None:
    urls = [database, database.set(host="localhost")]
    if server.program is not None:
        folder = server.program.folder
        if server.is_postgresql:
            query = {"host": str(folder), "port": str(database.port)}
        else:
            query = {"unix_socket": str(folder / "socket")}
        urls.append(
            URL.create(
                database.drivername,
                database.username,
                database.password,
                database=database.database,
                query=query,
            )
        )
    have_one_lock(*urls)


def test_a_file_has_one_by_whatever_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a folder" / "shöp.db"
    file.parent.mkdir()
    monkeypatch.chdir(tmp_path)
    link, folder = tmp_path / "link.db", tmp_path / "folder"
    link.symlink_to(file)
    folder.symlink_to(file.parent, target_is_directory=True)
    names = [str(file), str(link), str(folder / file.name), "link.db", f"a folder/../{link.name}"]
    uris = [f"file:{quote(str(name))}?mode=rwc&uri=true" for name in (file, link)]
    have_one_lock(*(make_url(f"sqlite:///{name}") for name in [*names, *uris]))
    assert [path.name for path in tmp_path.rglob("*-lock")] == ["shöp.db-lock"]

    # What is dropped is the database, not the link to it.
    assert drop_database(make_url(f"sqlite:///{link}"))
    assert not list(file.parent.iterdir())
    assert not link.is_symlink()


def test_a_file_of_two_names_is_refused(tmp_path: Path) -> None:
    urls = [make_url(f"sqlite:///{tmp_path}/{name}.db") for name in ("first", "second")]
    with locked(urls[0]):
        pass
    (tmp_path / "second.db").hardlink_to(tmp_path / "first.db")
    for url in urls:
        with pytest.raises(GuardError, match=r"has 2 names \(hard links\)"), locked(url):
            pass
    (tmp_path / "second.db").unlink()
    with locked(urls[0]):
        pass

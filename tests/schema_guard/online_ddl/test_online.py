"""`online()` on a server: it changes tables without a copy and without a lock, or refuses."""

import flask_migrate
import pytest
import sqlalchemy as sa
from click import ClickException
from samples import run_base, write_base
from services import NO_WAY_BACK, Service

pytestmark = pytest.mark.parametrize("dbms", ["mariadb"])

ONLINE = "from schema_guard.operations import online\nwith online():\n"
KEY = "    op.create_foreign_key('fk', 'posts', 'users', ['user_id'], ['id'])"


def test_rows_that_refer_to_nothing_are_refused(service: Service) -> None:
    write_base(service)
    service.write(2, ONLINE + KEY, NO_WAY_BACK)
    run_base(service)
    service.run("UPDATE posts SET user_id = 77 WHERE id = 1")

    with pytest.raises(ClickException, match=r"1 rows of posts refer by user_id to no users\.id"):
        service.upgrade()
    service.run("UPDATE posts SET user_id = 1 WHERE id = 1")
    service.upgrade()
    assert service.column("SELECT version_num FROM alembic_version") == ["0002"]
    with pytest.raises(sa.exc.IntegrityError):
        service.run("UPDATE posts SET user_id = 77 WHERE id = 1")


def test_later_statements_are_checked_again(service: Service) -> None:
    write_base(service)
    orphan = "\nop.execute('INSERT INTO posts (id, user_id) VALUES (98, 77)')"
    service.write(2, ONLINE + KEY + orphan, NO_WAY_BACK)
    run_base(service)
    with pytest.raises(ClickException, match="foreign key constraint fails"):
        service.upgrade()


@pytest.mark.parametrize(
    "change",
    [
        "op.alter_column('users', 'age', existing_type=sa.Integer(), type_=sa.BigInteger())",
        "op.alter_column('users', 'id', existing_type=sa.Integer(), type_=sa.String(20))",
    ],
)
def test_a_copy_is_refused(service: Service, change: str) -> None:
    write_base(service)
    service.write(2, f"{ONLINE}    {change}", NO_WAY_BACK)
    run_base(service)
    with pytest.raises(ClickException, match="ALGORITHM=INPLACE is not supported"):
        service.upgrade()


def test_a_key_that_is_printed_is_checked_by_who_runs_it(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    write_base(service)
    service.write(2, ONLINE + KEY, NO_WAY_BACK)
    run_base(service)
    service.run("UPDATE posts SET user_id = 77 WHERE id = 1")
    capsys.readouterr()
    with service.app.app_context():
        flask_migrate.upgrade(sql=True, revision="0001:0002")
    printed = capsys.readouterr().out
    assert "foreign_key_checks" not in printed
    assert "-- This checks existing rows and blocks writes meanwhile" in printed
    (statement,) = [line for line in printed.split(";") if "FOREIGN KEY" in line]
    with pytest.raises(sa.exc.IntegrityError):
        service.run(statement)
    service.run("UPDATE posts SET user_id = 1 WHERE id = 1")
    service.run(statement)

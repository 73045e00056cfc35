"""Published ways to write a revision, which lint performs to the end."""

import pytest
from services import NO_WAY_BACK, Service

# https://alembic.sqlalchemy.org/en/latest/cookbook.html#replaceable-objects, by its interface.
REPLACEABLE = """
from alembic.operations import MigrateOperation, Operations


class View:
    def __init__(self, name, sqltext):
        self.name, self.sqltext = name, sqltext


class Reversible(MigrateOperation):
    def __init__(self, target):
        self.target = target

    @classmethod
    def invoke_for_target(cls, operations, target):
        return operations.invoke(cls(target))

    @classmethod
    def replace(cls, operations, target, replaces=None, replace_with=None):
        version, name = (replaces or replace_with).split(".")
        old = getattr(operations.get_context().script.get_revision(version).module, name)
        operations.invoke(DropView(old))
        operations.invoke(CreateView(target))


@Operations.register_operation("create_view", "invoke_for_target")
@Operations.register_operation("replace_view", "replace")
class CreateView(Reversible):
    def reverse(self):
        return DropView(self.target)


@Operations.register_operation("drop_view", "invoke_for_target")
class DropView(Reversible):
    def reverse(self):
        return CreateView(self.target)


@Operations.implementation_for(CreateView)
def create_view(operations, operation):
    operations.execute(f"CREATE VIEW {operation.target.name} AS {operation.target.sqltext}")


@Operations.implementation_for(DropView)
def drop_view(operations, operation):
    operations.execute(f"DROP VIEW {operation.target.name}")
"""
TABLE = """
key = sa.Column("id", sa.Integer, primary_key=True)
op.create_table("users", key, sa.Column("name", sa.String(40)))
"""
LAST = "\nop.drop_column('users', 'name')\n"
ORM = """
from sqlalchemy.orm import Session, declarative_base
Base = declarative_base()
class User(Base):
    __tablename__ = "users"
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String(40))
for session in (Session(bind=op.get_bind()), Session(op.get_bind())):
    for user in session.query(User).filter(User.name.is_(None)):
        user.name = "never"
    added = User(name="é")
    session.add_all([added, User(name="b"), User(id=7)])
    session.flush()
    assert added.id
    added.name = "changed"
    session.flush()
    session.delete(added)
    assert session.execute(sa.update(User).values(name="x")).rowcount == 0
    assert session.scalars(sa.select(User.name)).all() == []
    assert session.scalar(sa.select(sa.func.count(User.id))) is None
    assert session.get(User, 1) is None
    session.bulk_save_objects([User(name="c")])
    session.execute(sa.insert(User), [{"name": "d"}, {"name": "e"}])
    with session.begin_nested():
        session.execute(sa.text("DELETE FROM users WHERE id = :id"), {"id": 1})
    session.commit()
    session.rollback()
    session.close()
with Session(op.get_bind()) as session, session.begin():
    session.add(User(name="f"))
"""


@pytest.fixture(params=["postgresql", "mysql", "sqlite"])
def judged_for(request: pytest.FixtureRequest) -> str:
    """Return what lint judges for in turn."""
    return str(request.param)


@pytest.mark.parametrize("dbms", ["sqlite"])
def test_replaceable_objects(service: Service, judged_for: str) -> None:
    first = "op.create_view(view)"
    later = 'op.replace_view(view, replaces="0001.view")'
    for number, body in enumerate([TABLE + first, later + LAST], 1):
        path = service.write(number, body, NO_WAY_BACK)
        head = 'view = View("names", "SELECT name FROM users")\n\n\ndef upgrade'
        text = path.read_text(encoding="utf-8").replace("def upgrade", REPLACEABLE + head)
        path.write_text(text, encoding="utf-8")
    found = service.findings("base:head", judged_for)
    assert "not-read" not in found
    assert "drop-column" in found


@pytest.mark.parametrize("dbms", ["sqlite"])
def test_a_session_on_the_migrations_connection(service: Service, judged_for: str) -> None:
    service.write(1, TABLE, NO_WAY_BACK)
    service.write(2, ORM + LAST, NO_WAY_BACK)
    found = service.findings("0002", judged_for)
    assert "not-read" not in found
    assert "drop-column" in found
    assert "raw-sql" not in found
    service.upgrade(revision="0001")
    assert service.rows("SELECT * FROM users") == []


SESSION = """
from flask import current_app
db = current_app.extensions["sqlalchemy"]
db.session.execute(sa.text("DELETE FROM users"))
db.session.commit()
"""


@pytest.mark.parametrize("dbms", ["sqlite"])
def test_nothing_is_run_by_the_applications_session(service: Service) -> None:
    service.extension.db = service.app.extensions["sqlalchemy"]
    service.write(1, TABLE, NO_WAY_BACK)
    service.upgrade()
    service.run("INSERT INTO users (id, name) VALUES (1, 'Zoë')")
    service.write(2, SESSION + LAST, NO_WAY_BACK)
    assert service.findings() == ["truncate-or-delete-all", "drop-column"]
    by_engine = SESSION.replace("db.session.execute", "db.engine.connect().execute")
    service.write(2, by_engine, NO_WAY_BACK)
    ((_, finding),) = service.lint().findings
    assert finding.rule == "not-read"
    assert "opens a second connection" in finding.danger
    assert service.rows("SELECT * FROM users") == [(1, "Zoë")]

"""What is dropped is asked for when the revision is written, and counted when it runs."""

import pytest
from click import ClickException
from samples import TEXTS, fill, posts, users
from services import Service

BIOS = [None, *TEXTS[1:]]


def test_a_drop_is_counted_first(service: Service) -> None:
    service.models(users(), posts())
    fill(service)
    service.insert("users", [{"id": 50, "name": "nobody"}])
    service.models((*users()[:3], *users()[4:]))
    assert service.migrate("drop=users.bio", "drop-table=posts")

    with pytest.raises(ClickException) as refusal:
        service.upgrade()
    said = refusal.value.message
    assert "  users.bio: 7 values, dropped by revision 0002\n  posts: 8 rows" in said
    assert "flask db upgrade --allow-loss users.bio --allow-loss posts\n" in said
    assert "# schema_guard: allow drop-column -- why" in refusal.value.message
    bios = service.rows("SELECT bio FROM users WHERE id < 50 ORDER BY id")
    assert [row[0] for row in bios] == BIOS

    (path,) = service.versions.glob("*0002.py")
    text = path.read_text(encoding="utf-8")
    for comment, missing in {
        "# schema_guard: allow drop-column": "users.bio: 7 values",
        "# schema_guard: allow drop-column nobody reads them": "users.bio: 7 values",
        "# schema_guard: allow drop-table -- nobody reads them": "users.bio: 7 values",
        "# schema_guard: allow drop-column -- nobody reads them": "posts, and 8 rows",
    }.items():
        lines = text.splitlines()
        number = next(i for i, line in enumerate(lines) if "drop_column" in line)
        lines.insert(number, f"        {comment}")
        path.write_text("\n".join(lines), encoding="utf-8")
        with pytest.raises(ClickException) as refusal:
            service.upgrade()
        assert missing in refusal.value.message
    assert service.rows("SELECT count(*) FROM posts") == [(8,)]
    service.upgrade("allow-loss=posts")
    query = "SELECT note FROM schema_history WHERE outcome = 'done' ORDER BY id DESC"
    note = service.rows(query)[0][0]
    assert "Dropped posts, with 8 rows." in note
    assert "Dropped users.bio, with 7 values." in note


@pytest.mark.parametrize(
    "drop",
    [
        'op.execute("ALTER TABLE users DROP COLUMN bio")',
        'op.get_bind().execute(sa.text("alter table users drop bio"))',
        'op.execute("DROP TABLE IF EXISTS users")',
        'op.drop_table("users")',
        'with op.batch_alter_table("users") as batch_op: batch_op.drop_column("bio")',
    ],
)
def test_every_way_to_drop_is_seen(service: Service, drop: str) -> None:
    service.models(users())
    service.migrate()
    service.upgrade()
    service.insert("users", [{"id": 1, "name": "a", "bio": "b"}])
    text = f"""
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    {drop}


def downgrade():
    pass
"""
    (service.versions / "0002_drop.py").write_text(text, encoding="utf-8")

    with pytest.raises(ClickException) as refusal:
        service.upgrade()
    assert "would drop users" in refusal.value.message
    assert service.rows("SELECT bio FROM users") == [("b",)]
    service.run("DELETE FROM users")
    service.upgrade()  # there is nothing to lose


def test_models_that_were_not_imported(service: Service) -> None:
    service.models(users(), posts())
    fill(service)
    service.models()

    assert "the models are probably not imported" in service.refused()
    assert service.migrate("drop-table=users", "drop-table=posts") is not None

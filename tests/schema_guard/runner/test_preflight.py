"""An upgrade deletes nothing of somebody's; what it would is said before anything runs."""

import threading
from typing import Any

import pytest
import sqlalchemy as sa
from click import ClickException
from schema_guard.runner.data_loss import LossError
from services import Service

FIRST = """
op.create_table("people", sa.Column("id", sa.Integer, primary_key=True),
                sa.Column("name", sa.String(40)), sa.Column("bio", sa.Text))
op.create_table("posts", sa.Column("id", sa.Integer, primary_key=True),
                sa.Column("author", sa.Integer, sa.ForeignKey("people.id", ondelete="CASCADE")),
                sa.Column("title", sa.String(40)))
op.create_table("words", sa.Column("id", sa.Integer, primary_key=True),
                sa.Column("word", sa.String(40)))
"""
NAMES = ["Zoë", "b", None, "d", "😀"]
BIOS = ["it's", None, "100% :x", "", None]
MARK = 'op.create_table("marker", sa.Column("id", sa.Integer))'


@pytest.fixture
def people(service: Service) -> Service:
    """Return a service that has run its first revision, and has rows of somebody's."""
    service.models()
    service.write(1, FIRST, "pass")
    service.upgrade()
    columns = zip(range(1, 6), NAMES, BIOS, strict=True)
    service.insert("people", [{"id": i, "name": name, "bio": bio} for i, name, bio in columns])
    posts = [(1, 1, "DROP TABLE people"), (2, 1, None), (3, 5, "x"), (4, None, "y")]
    service.insert("posts", [{"id": i, "author": by, "title": title} for i, by, title in posts])
    return service


def add(service: Service, bodies: list[str], first: int = 2) -> None:
    """Add revisions, of which the first one marks that something has run."""
    for number, body in enumerate([MARK, *bodies], first):
        service.write(number, body, "pass")


def refused(service: Service, allowed: list[str]) -> dict[str, int]:
    """Return what an upgrade does not delete; nothing if it ended well."""
    try:
        service.upgrade(*(f"allow-loss={each}" for each in allowed))
    except LossError as error:
        return {loss.what: loss.number for loss in error.losses}
    return {}


def has_run(service: Service) -> bool:
    """Return whether the first of the added revisions has run."""
    return "marker" in sa.inspect(service.engine).get_table_names()


REBUILD = """
op.create_table("people_new", sa.Column("id", sa.Integer, primary_key=True),
                sa.Column("full_name", sa.String(40)), sa.Column("bio", sa.Text),
                sa.Column("kind", sa.String(9), server_default="old"))
op.execute("INSERT INTO people_new (id, full_name, bio) SELECT id, {name}, bio FROM people{rest}")
{between}
op.drop_table("posts")
op.execute("DROP TABLE people")
op.rename_table("people_new", "people")
"""
PLAIN = REBUILD.format(name="name", rest="", between="")
CTAS = """
op.execute("DELETE FROM posts")
op.drop_table("posts")
op.execute("CREATE TABLE copied AS SELECT {columns} FROM people{rest}")
op.drop_table("people")
op.rename_table("copied", "people")
"""
WORDS = "op.execute(\"INSERT INTO words (id, word) VALUES (1, 'a'), (2, 'b')\")"
BULK = """
new = op.create_table("tags", sa.Column("id", sa.Integer, primary_key=True),
                      sa.Column("tag", sa.Text))
op.bulk_insert(new, [{"id": 1, "tag": "a"}, {"id": 2, "tag": None}])
"""
BATCH = 'with op.batch_alter_table("people", recreate="always") as batch: batch.{}'
OTHER = " p LEFT JOIN people q ON q.id = 1"
GROUPED = OTHER + " GROUP BY p.id, p.name"
NESTED = "id, name, (SELECT max(w.word) AS bio FROM words w) AS bio"
SPLIT = """
op.create_table("bios", sa.Column("id", sa.Integer, primary_key=True), sa.Column("bio", sa.Text))
op.execute("INSERT INTO bios SELECT id, bio FROM people")
op.drop_column("people", "bio")
"""
BY_PYTHON = """
bios = op.create_table("bios", sa.Column("id", sa.Integer, primary_key=True),
                       sa.Column("bio", sa.Text))
found = op.get_bind().execute(sa.text("SELECT id, bio FROM people")).all()
op.bulk_insert(bios, [{"id": id, "bio": bio} for id, bio in found])
op.drop_column("people", "bio")
"""
ARCHIVE = """
op.execute("CREATE TABLE archive AS SELECT * FROM people")
op.drop_table("posts")
op.execute("DELETE FROM people")
"""
IF = """
if op.get_bind().scalar(sa.text("SELECT count(*) FROM people")) {}:
    op.drop_column("people", "bio")
"""

# What is pending, what is allowed, and what is refused then, before the first revision runs.
BEFORE: list[tuple[list[str], list[str], dict[str, int]]] = [
    (["op.drop_column('people', 'bio')"], [], {"people.bio": 3}),
    (["pass", "op.drop_column('people', 'bio')"], [], {"people.bio": 3}),
    (
        [
            "op.drop_column('people', 'bio')",
            "op.drop_table('posts')",
            "op.drop_column('people', 'name')",
        ],
        [],
        {"people.bio": 3, "posts": 4, "people.name": 4},
    ),
    (
        [
            "op.drop_column('people', 'bio')",
            "op.drop_table('posts')",
            "op.drop_column('people', 'name')",
        ],
        ["people.bio", "posts"],
        {"people.name": 4},
    ),
    (
        [
            "# schema_guard: allow drop-column -- it is in posts\nop.drop_column('people', 'bio')",
            "op.drop_table('posts')",
        ],
        [],
        {"posts": 4},
    ),
    (["op.rename_table('posts', 'texts')", "op.drop_table('texts')"], [], {"texts": 4}),
    (
        [
            "op.alter_column('people', 'bio', new_column_name='about', existing_type=sa.Text())",
            "op.drop_column('people', 'about')",
        ],
        [],
        {"people.about": 3},
    ),
    (
        [
            "op.execute('ALTER TABLE people RENAME COLUMN bio TO about')",
            "op.execute('ALTER TABLE people DROP COLUMN about')",
        ],
        [],
        {"people.about": 3},
    ),
    (
        [
            "op.execute(\"INSERT INTO posts (id, title) VALUES (9, 'ours')\")",
            "op.drop_table('posts')",
        ],
        [],
        {"posts": 4},
    ),
    (["op.drop_table('posts')", BATCH.format("drop_column('bio')")], ["posts"], {"people.bio": 3}),
    (
        [
            "op.drop_table('posts')",
            BATCH.format("alter_column('name', type_=sa.Text(), existing_type=sa.String(40))"),
            "op.drop_table('people')",
        ],
        ["posts"],
        {"people": 5},
    ),
    (["op.execute('DROP TABLE IF EXISTS posts')"], [], {"posts": 4}),
    (["op.execute('ALTER TABLE people DROP COLUMN BIO')"], [], {"people.bio": 3}),
    ([PLAIN, "op.drop_table('people')"], ["posts"], {"people": 5}),
    ([PLAIN, "op.drop_column('people', 'full_name')"], ["posts"], {"people.full_name": 4}),
    (
        [CTAS.format(columns="*", rest=""), "op.drop_column('people', 'bio')"],
        ["posts"],
        {"people.bio": 3},
    ),
]
# The same, when it comes.
LATE: list[tuple[list[str], list[str], dict[str, int]]] = [
    ([IF.format("> 4")], [], {"people.bio": 3}),
    (["import os\nop.drop_column('people', 'bio')"], [], {"people.bio": 3}),
    ([REBUILD.format(name="name", rest=" WHERE id < 4", between="")], ["posts"], {"people": 2}),
    ([REBUILD.format(name="NULL", rest="", between="")], ["posts"], {"people.name": 4}),
    (
        [
            REBUILD.format(
                name="name", rest="", between="op.execute('UPDATE people_new SET bio = NULL')"
            )
        ],
        ["posts"],
        {"people.bio": 3},
    ),
    (
        [
            REBUILD.format(
                name="name", rest="", between="op.execute('DELETE FROM people_new WHERE id = 1')"
            )
        ],
        ["posts"],
        {"people": 1},
    ),
    ([CTAS.format(columns="id, bio", rest="")], ["posts"], {"people.name": 4}),
    ([CTAS.format(columns="*", rest=" WHERE name IS NOT NULL")], ["posts"], {"people": 1}),
    ([CTAS.format(columns="p.id, q.name, p.bio", rest=OTHER)], [], {"people.name": 4}),
    ([CTAS.format(columns="p.id, p.name, max(q.bio) AS bio", rest=GROUPED)], [], {"people.bio": 3}),
    ([CTAS.format(columns=NESTED, rest="")], [], {"people.bio": 3}),
    ([SPLIT, "op.drop_table('bios')"], ["people.bio"], {"bios": 5}),
    ([BY_PYTHON, "op.drop_table('bios')"], ["people.bio"], {"bios": 5}),
    ([ARCHIVE, "op.drop_table('archive')"], ["posts"], {"archive": 5}),
    (["op.execute('DELETE FROM posts WHERE id = 1')", "op.drop_table('posts')"], [], {"posts": 3}),
]
# What nobody loses.
NEVER: list[tuple[list[str], list[str]]] = [
    ([BULK, "op.drop_column('tags', 'tag')", "op.drop_table('tags')"], []),
    ([WORDS, "op.drop_column('words', 'word')"], []),
    ([WORDS, "op.drop_table('words')"], []),
    ([WORDS, "op.execute('DELETE FROM words WHERE id = 1')", "op.drop_table('words')"], []),
    ([WORDS, "op.rename_table('words', 'terms')", "op.execute('DROP TABLE terms')"], []),
    (
        [
            "op.execute('CREATE TABLE posts_old AS SELECT * FROM posts')",
            "op.drop_table('posts_old')",
        ],
        [],
    ),
    (
        [
            "op.add_column('people', sa.Column('kind', sa.Text))",
            "op.execute(\"UPDATE people SET kind = 'x'\")",
            "op.drop_column('people', 'kind')",
        ],
        [],
    ),
    ([PLAIN], ["posts"]),
    ([PLAIN, "op.drop_column('people', 'kind')"], ["posts"]),
    ([REBUILD.format(name="coalesce(name, '-')", rest=" ORDER BY id", between="")], ["posts"]),
    ([CTAS.format(columns="*", rest="")], []),
    ([CTAS.format(columns="id, bio AS about, name", rest=" p WHERE p.id > 0")], []),
    ([CTAS.format(columns="p.id, lower(p.name) AS name, p.bio", rest=OTHER)], []),
    ([CTAS.format(columns="p.*", rest=" AS p LEFT JOIN words w ON w.id = p.id")], []),
    (["op.execute('DELETE FROM posts')", "op.drop_table('posts')"], []),
    (["op.execute('UPDATE people SET bio = NULL')", "op.drop_column('people', 'bio')"], []),
    ([IF.format("> 5")], []),
    (
        [
            "op.drop_table('posts')",
            BATCH.format("alter_column('name', type_=sa.Text(), existing_type=sa.String(40))"),
        ],
        ["posts"],
    ),
    ([ARCHIVE, "op.execute('INSERT INTO people SELECT * FROM archive')"], ["posts"]),
    (
        ["if op.get_bind().scalar(sa.text('SELECT 1')) == 2: op.drop_column('people', 'bio')"],
        [],
    ),
    (
        [
            "op.execute('DROP TABLE IF EXISTS nowhere')",
            "op.create_table('nowhere', sa.Column('id', sa.Integer))",
            "op.execute('INSERT INTO nowhere VALUES (1)')",
            "op.drop_table('nowhere')",
        ],
        [],
    ),
]


@pytest.mark.parametrize(("pending", "allowed", "lost"), BEFORE)
def test_a_loss_is_known_before_anything_runs(
    people: Service, pending: list[str], allowed: list[str], lost: dict[str, int]
) -> None:
    add(people, pending)

    assert refused(people, allowed) == lost
    assert not has_run(people)
    assert people.column("SELECT name FROM people ORDER BY id") == NAMES
    assert people.column("SELECT bio FROM people ORDER BY id") == BIOS
    assert refused(people, [*allowed, *lost]) == {}


@pytest.mark.parametrize(("pending", "allowed", "lost"), LATE)
def test_a_loss_that_cannot_be_known_is_refused_when_it_comes(
    people: Service, pending: list[str], allowed: list[str], lost: dict[str, int]
) -> None:
    add(people, pending)

    assert refused(people, allowed) == lost
    assert has_run(people)
    assert refused(people, [*allowed, *lost]) == {}


@pytest.mark.parametrize(("pending", "allowed"), NEVER)
def test_what_nobody_loses_is_not_refused(
    people: Service, pending: list[str], allowed: list[str]
) -> None:
    add(people, pending)

    assert refused(people, allowed) == {}


@pytest.mark.parametrize("dbms", ["postgresql", "mariadb"])
def test_rows_that_others_insert_meanwhile_count(people: Service) -> None:
    second = 'op.create_table("second", sa.Column("id", sa.Integer))'
    add(people, [WORDS, second, "op.drop_table('words')"])

    @sa.event.listens_for(people.engine, "before_cursor_execute")
    def serve(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.lstrip().startswith("CREATE TABLE second"):
            row = [{"id": 9, "word": "theirs"}]
            other = threading.Thread(target=people.insert, args=("words", row))
            other.start()
            other.join()

    assert refused(people, []) == {"words": 1}
    assert people.column("SELECT word FROM words ORDER BY id") == ["a", "b", "theirs"]


def test_all_that_is_in_the_way_is_one_message(people: Service) -> None:
    people.write(1, FIRST + "op.execute('SELECT 1')", "pass")
    add(people, ["op.drop_table('posts')"])

    with pytest.raises(ClickException) as refusal:
        people.upgrade()

    said = refusal.value.message
    assert said.startswith("2 problems. Nothing was changed.")
    assert "revision 0001 was edited after it was run here" in said
    assert "Revision 0003 would drop posts, and 4 rows with it" in said
    assert not has_run(people)
    people.upgrade("allow-edited", "allow-loss=posts")

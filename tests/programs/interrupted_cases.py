"""Revisions for interrupted.py: written, and made up at random."""

import random
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Callable

BASE = sa.MetaData()
sa.Table(
    "t1",
    BASE,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("a", sa.Integer),
    sa.Column("n", sa.Integer, nullable=False),
    sa.Column("s", sa.String(40)),
)
sa.Table(
    "t2",
    BASE,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("ref", sa.Integer),
    sa.Column("v", sa.String(40)),
)
sa.Table(
    "log",
    BASE,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("what", sa.String(40), unique=True),
    sa.Column("n", sa.Integer),
)
sa.Table("traffic", BASE, sa.Column("id", sa.Integer, primary_key=True), sa.Column("n", sa.Integer))

ALL = ("sqlite", "postgresql", "mariadb")


@dataclass
class Revision:
    """A revision.

    Attributes:
        dbms: which it is for.
        clean: whether it has to be completed without a person.
        way: which is right where it is refused.
        volatile: whether its queries never answer the same.
        keeps: how many bytes are kept of an answer.
    """

    body: str
    dbms: tuple[str, ...] = ALL
    clean: bool = True
    way: str = "by hand"
    volatile: bool = False
    keeps: int = 2**18


SOME = {
    "mariadb": "WHERE a IS NULL ORDER BY id LIMIT 5",
    "other": "WHERE id IN (SELECT id FROM t1 WHERE a IS NULL ORDER BY id LIMIT 5)",
}
ISSUE = {
    # A count decides how often a loop runs.
    "count": """
with op.get_context().autocommit_block():
    missing = ask(lambda: op.get_bind().exec_driver_sql("SELECT count(*) FROM t1 WHERE a IS NULL").scalar())
    for _ in range((missing + 4) // 5):
        op.execute("UPDATE t1 SET a = id, n = n + 1 {some}")
""",
    # What is left decides what is next, and whether.
    "while": """
with op.get_context().autocommit_block():
    query = sa.text("SELECT id FROM t1 WHERE a IS NULL ORDER BY id LIMIT 5")
    while ids := ask(lambda: list(op.get_bind().scalars(query))):
        op.execute(f"UPDATE t1 SET a = n, n = n + 1 WHERE id IN ({{', '.join(map(str, ids))}})")
""",
}
CASES = {
    f"{name} {kind}": Revision(body.format(some=SOME.get(kind, SOME["other"])), (kind,))
    for name, body in ISSUE.items()
    for kind in ALL
}
CASES |= {
    "looks for itself": Revision(
        """
with op.get_context().autocommit_block():
    columns = ask(lambda: [c["name"] for c in sa.inspect(op.get_bind()).get_columns("t1")])
    if "x" not in columns:
        op.add_column("t1", sa.Column("x", sa.Integer))
        op.execute("UPDATE t1 SET x = id * 2")
    if "y" not in columns:
        op.add_column("t1", sa.Column("y", sa.Integer))
    if "made" not in ask(lambda: sa.inspect(op.get_bind()).get_table_names()):
        op.create_table("made", sa.Column("id", sa.Integer, primary_key=True))
    if not ask(lambda: sa.inspect(op.get_bind()).has_table("other")):
        op.create_table("other", sa.Column("id", sa.Integer, primary_key=True))
        op.execute("INSERT INTO other VALUES (1)")
    op.create_index("ix_made", "t1", ["x"])
"""
    ),
    "catches errors": Revision(
        """
with op.get_context().autocommit_block():
    op.execute("INSERT INTO log (what, n) VALUES ('one', 1)")
    try:
        op.execute("INSERT INTO log (what, n) VALUES ('one', 2)")
    except sa.exc.IntegrityError:
        op.execute("UPDATE log SET n = n + 5")
    try:
        op.drop_index("ix_none", table_name="t1")
    except sa.exc.DBAPIError as error:
        op.execute("INSERT INTO log (what, n) VALUES ('none', 3)")
    op.execute("UPDATE t1 SET n = n + 1")
"""
    ),
    "takes back": Revision(
        """
for number in range(3):
    savepoint = op.get_bind().begin_nested()
    op.execute(f"INSERT INTO log (what, n) VALUES ('{number}', 1)")
    rows = ask(lambda: op.get_bind().exec_driver_sql("SELECT count(*) FROM log").scalar())
    savepoint.rollback() if number == 1 else savepoint.commit()
    op.execute(f"UPDATE log SET n = n + {rows}")
op.execute("SAVEPOINT own")
op.execute("UPDATE t1 SET n = n + 50")
op.execute("ROLLBACK TO SAVEPOINT own")
with op.get_context().autocommit_block():
    op.execute("UPDATE t1 SET n = n + 1")
    op.create_table("made", sa.Column("id", sa.Integer, primary_key=True))
    op.execute("UPDATE t1 SET n = n * 2")
"""
    ),
    "returning": Revision(
        """
log = sa.table("log", sa.column("id", sa.Integer), sa.column("what"), sa.column("n"))
t2 = sa.table("t2", sa.column("ref"), sa.column("v"))
with op.get_context().autocommit_block():
    for number in range(3):
        given = op.get_bind().execute(log.insert().values(what=f"é{number}", n=number).returning(log.c.id))
        op.execute(t2.insert().values(ref=given.scalar_one(), v=str(number)))
    op.create_index("ix_made", "t1", ["n"])
    op.execute("UPDATE log SET n = n + 1")
"""
    ),
    # It is refused; to run it again is right.
    "not kept": Revision(
        """
with op.get_context().autocommit_block():
    for row in op.get_bind().exec_driver_sql("SELECT id, n, s FROM t1 WHERE a IS NULL ORDER BY id").all():
        op.get_bind().execute(sa.text("UPDATE t1 SET a = :n WHERE id = :id"), {"id": row.id, "n": row.n})
    op.execute("UPDATE t1 SET a = 0 WHERE a IS NULL")
""",
        clean=False,
        way="rerun",
        keeps=100,
    ),
    # An answer that is not kept decides how often the same is done; who catches that is refused too.
    "not kept, counted": Revision(
        """
with op.get_context().autocommit_block():
    missing = op.get_bind().exec_driver_sql("SELECT id, n, s FROM t1 WHERE a IS NULL").all()
    for _ in range(len(missing) // 9):
        try:
            op.execute("UPDATE t1 SET n = n + 1, a = CASE WHEN id < 20 THEN 1 ELSE a END")
        except Exception:
            pass
""",
        clean=False,
        keeps=100,
    ),
    "caught": Revision(
        """
log = sa.table("log", sa.column("id", sa.Integer), sa.column("what"), sa.column("n"))
rows = [{"what": f"é{number}", "n": number} for number in range(90)]
with op.get_context().autocommit_block():
    try:
        for _ in op.get_bind().execute(log.insert().returning(log.c.id), rows).all()[:3]:
            op.execute("UPDATE t1 SET n = n + 1")
    except Exception:
        pass
""",
        clean=False,
        keeps=60,
    ),
    "caught, and more": Revision(
        """
log = sa.table("log", sa.column("id", sa.Integer), sa.column("what"), sa.column("n"))
rows = [{"what": f"é{number}", "n": number} for number in range(90)]
there = []
with op.get_context().autocommit_block():
    try:
        there = op.get_bind().execute(log.insert().returning(log.c.id), rows).all()
    except Exception:
        pass
    op.execute("INSERT INTO t2 (ref, v) VALUES (NULL, 'x')")
    for _ in there[:2]:
        op.execute("UPDATE t1 SET n = n + 1")
""",
        clean=False,
        keeps=60,
    ),
    "returning rows": Revision(
        """
log = sa.table("log", sa.column("id", sa.Integer), sa.column("what"), sa.column("n"))
with op.get_context().autocommit_block():
    rows = [{"what": f"{number}", "n": number} for number in range(2500)]
    given = op.get_bind().execute(log.insert().returning(log.c.id, log.c.n), rows).all()
    for id, n in given[::900]:
        op.execute(f"INSERT INTO t2 (ref, v) VALUES ({id}, '{n}')")
    op.execute("UPDATE t1 SET n = n + 1")
"""
    ),
    # Seeds 9, 28 and 38 on SQLite: a table that was rebuilt was counted as lost, and half of it was
    # taken for what another tool had left.
    "rebuilds": Revision(
        """
with op.get_context().autocommit_block():
    with op.batch_alter_table("t1") as batch_op:
        batch_op.add_column(sa.Column("x", sa.Integer, server_default="1"))
        batch_op.create_index("ix_x", ["x"])
    with op.batch_alter_table("t1") as batch_op:
        batch_op.alter_column("x", existing_type=sa.Integer, nullable=False)
    op.execute("UPDATE t1 SET n = n + x")
"""
    ),
    # Seeds 1122 and 1213 on SQLite, and every table with several indexes on MariaDB: sets have no order.
    "indexes": Revision(
        """
with op.get_context().autocommit_block():
    op.create_table("made", *[sa.Column(name, sa.Integer, index=True) for name in "abcde"])
    with op.batch_alter_table("made", recreate="always") as batch_op:
        batch_op.add_column(sa.Column("x", sa.Integer))
        batch_op.create_unique_constraint("uq_one", ["a", "b"])
        batch_op.create_check_constraint("two", "c > 1")
        batch_op.create_check_constraint("three", "d > 1")
    with op.batch_alter_table("made", recreate="always") as batch_op:
        batch_op.alter_column("x", existing_type=sa.Integer, nullable=False)
    op.execute("INSERT INTO made (a, c, d, x) VALUES (1, 2, 3, 4)")
"""
    ),
    # Seed 1345 on SQLite: what may be repeated is, while the table that it needs is being rebuilt.
    "repeats before a rebuild": Revision(
        """
with op.get_context().autocommit_block():
    with repeatable():
        for row in op.get_bind().exec_driver_sql("SELECT id FROM t1 WHERE a IS NULL").all():
            op.execute(f"UPDATE t1 SET a = {row.id} WHERE id = {row.id} AND a IS NULL")
    with op.batch_alter_table("t1") as batch_op:
        batch_op.alter_column("a", existing_type=sa.Integer, nullable=False)
""",
        ("sqlite",),
        clean=False,
    ),
    "repeats": Revision(
        """
op.execute("UPDATE t1 SET n = n + 1")
with repeatable(), op.get_context().autocommit_block():
    for row in op.get_bind().exec_driver_sql("SELECT * FROM t1 WHERE a IS NULL").all():
        op.execute(f"UPDATE t1 SET a = {row.n} WHERE id = {row.id}")
    op.execute("CREATE TABLE IF NOT EXISTS made (id integer)")
with op.get_context().autocommit_block():
    op.execute("UPDATE t1 SET n = n + 10")
    op.execute("UPDATE t1 SET n = n * 2")
""",
        keeps=60,
    ),
    "batches": Revision(
        """
import schema_guard.operations.backfilling as batches
batches.BATCH = 7
op.add_column("t1", sa.Column("x", sa.Integer))
batches.backfill("t1", "x", 5)
op.execute("UPDATE t1 SET x = x + 1")
with op.get_context().autocommit_block():
    op.execute("UPDATE t1 SET n = n + x")
with repeatable(), op.get_context().autocommit_block():
    while op.get_bind().exec_driver_sql("SELECT count(*) FROM t1 WHERE a IS NULL").scalar():
        op.execute("UPDATE t1 SET a = 1 WHERE a IS NULL AND id <= (SELECT m FROM"
                   " (SELECT min(id) + 5 AS m FROM t1 WHERE a IS NULL) AS x)")
with op.batch_alter_table("t1") as batch_op:
    batch_op.alter_column("x", existing_type=sa.Integer, nullable=False)
    # schema_guard: allow drop-column -- a test
    batch_op.drop_column("s")
op.execute("UPDATE t1 SET n = n + 1")
"""
    ),
}


class Writer:
    """Writes a revision at random."""

    def __init__(self, chance: random.Random, kind: str) -> None:
        self.chance, self.kind, self.number = chance, kind, 0
        self.volatile = False
        self.some = SOME.get(kind, SOME["other"])

    def name(self) -> str:
        self.number += 1
        return f"x{self.number}"

    def block(self) -> str:
        """Return a few lines."""
        makers: list[Callable[[], str]] = [
            self.rows,
            self.rows,
            self.rows,
            self.schema,
            self.schema,
            self.counted,
            self.whiled,
            self.looking,
            self.looking,
            self.catching,
            self.nested,
            self.nested,
            self.traffic,
            self.traffic,
            self.returned,
            self.filled,
            self.repeated,
            self.new,
            self.each,
            self.batch,
            self.words,
            self.zoo,
            self.many,
        ]
        return textwrap.dedent(self.chance.choice(makers)()).strip()

    def rows(self) -> str:
        name, k = self.name(), self.chance.randint(1, 9)
        return self.chance.choice(
            [
                f"op.execute('UPDATE t1 SET n = n + {k} WHERE id > {k}')",
                "op.execute('UPDATE t1 SET n = n * 2 - id')",
                f"op.execute(\"INSERT INTO log (what, n) VALUES ('{name}', {k})\")",
                f"op.execute('INSERT INTO t2 (ref, v) SELECT NULL, s FROM t1 WHERE id < {k}')",
                # By no id: those of a transaction that is rolled back are not given again.
                f"op.execute('DELETE FROM t2 WHERE v IN (SELECT s FROM t1 WHERE n % {k + 1} = 0)')",
                (
                    f"op.bulk_insert(sa.table('log', sa.column('what'), sa.column('n')),"
                    f" [{{'what': '{name} é', 'n': 1}}, {{'what': '{name} %s :x', 'n': 2}}])"
                ),
            ]
        )

    def schema(self) -> str:
        name = self.name()
        return self.chance.choice(
            [
                (
                    f"op.create_table('{name}', sa.Column('id', sa.Integer, primary_key=True), sa.Column('v', sa.String(40)))\n"
                    f'op.execute("INSERT INTO {name} SELECT id, s FROM t1 WHERE n % 2 = 0")'
                ),
                f"op.add_column('t1', sa.Column('{name}', sa.Integer, server_default='3'))",
                f"op.create_index('ix_{name}', 't1', ['n'])",
                f"op.create_table('{name}', sa.Column('id', sa.Integer))\nop.drop_table('{name}')",
                f"op.create_table('{name}', *[sa.Column(c, sa.Integer, index=True) for c in 'abcde'])",
                (
                    f"op.add_column('t1', sa.Column('{name}', sa.Integer))\n"
                    f"op.execute('UPDATE t1 SET {name} = n')\n"
                    f"# schema_guard: allow drop-column -- a test\nop.drop_column('t1', '{name}')"
                ),
                f"op.create_index('ix_{name}', 't1', ['a'])\nop.drop_index('ix_{name}', table_name='t1')",
                "op.execute('CREATE TABLE IF NOT EXISTS same (id integer)')",
            ]
        )

    def counted(self) -> str:
        return f"""
            count = ask(lambda: op.get_bind().scalar(sa.text("SELECT count(*) FROM t1 WHERE a IS NULL")))
            for _ in range((count + 4) // 5):
                op.execute("UPDATE t1 SET a = n, n = n + 1 {self.some}")
        """

    def whiled(self) -> str:
        return """
            some = sa.text("SELECT id FROM t1 WHERE a IS NULL ORDER BY id LIMIT 6")
            while ids := ask(lambda: list(op.get_bind().scalars(some))):
                op.execute(f"UPDATE t1 SET a = n, n = n + {len(ids)} WHERE id IN ({', '.join(map(str, ids))})")
        """

    def looking(self) -> str:
        name = self.name()
        return self.chance.choice(
            [
                f"""
            if "{name}" not in ask(lambda: [c["name"] for c in sa.inspect(op.get_bind()).get_columns("t1")]):
                op.add_column("t1", sa.Column("{name}", sa.Integer))
                op.execute("UPDATE t1 SET {name} = n + 1")
            """,
                f"""
            if not ask(lambda: sa.inspect(op.get_bind()).has_table("{name}")):
                op.create_table("{name}", sa.Column("id", sa.Integer, primary_key=True))
                op.execute("INSERT INTO {name} SELECT id FROM t1")
            """,
                f"""
            if not ask(lambda: op.get_bind().scalar(sa.text("SELECT n FROM log WHERE what = '{name}'"))):
                op.execute("INSERT INTO log (what, n) VALUES ('{name}', 7)")
                op.create_index("ix_{name}", "t1", ["s"])
                op.execute("UPDATE t1 SET n = n + 3")
            """,
            ]
        )

    def catching(self) -> str:
        name = self.name()
        guard = (
            "op.get_bind().begin_nested()"
            if self.kind != "mariadb"
            else "__import__('contextlib').nullcontext()"
        )
        return f"""
            op.execute("INSERT INTO log (what, n) VALUES ('{name}', 1)")
            try:
                with {guard}:
                    op.execute("{
            self.chance.choice(
                [
                    f"INSERT INTO log (what, n) VALUES ('{name}', 2)",
                    "SELECT x FROM nowhere",
                    "DROP TABLE nowhere",
                    "CREATE INDEX ix ON nowhere (x)",
                ]
            )
        }")
            except sa.exc.DBAPIError:
                op.execute("UPDATE t1 SET n = n + 2")
        """

    def nested(self) -> str:
        name = self.name()
        return f"""
            savepoint = op.get_bind().begin_nested()
            op.execute("INSERT INTO log (what, n) VALUES ('{name}', 1)")
            op.execute("UPDATE t1 SET n = n + 1")
            found = ask(lambda: op.get_bind().scalar(sa.text("SELECT sum(n) FROM t1")))
            if int(found) % 2 == {self.chance.randint(0, 1)}:
                savepoint.rollback()
            else:
                savepoint.commit()
            op.execute(f"UPDATE t1 SET n = n + {{int(found) % 3}}")
        """

    def traffic(self) -> str:
        self.name()
        return self.chance.choice(
            [
                """
            count = ask(lambda: op.get_bind().scalar(sa.text("SELECT count(*) FROM traffic")))
            for _ in range(count % 4):
                op.execute("UPDATE t1 SET n = n + 1")
            """,
                f"""
            count = ask(lambda: op.get_bind().scalar(sa.text("SELECT count(*) FROM traffic")))
            op.execute(sa.text("INSERT INTO log (what, n) VALUES ('{self.name()}', :n)").bindparams(n=count))
            """,
            ]
        )

    def returned(self) -> str:
        name = self.name()
        return f"""
            log = sa.table("log", sa.column("id", sa.Integer), sa.column("what"), sa.column("n"))
            made = op.get_bind().execute(log.insert().values(what="{name}", n=1).returning(log.c.id)).scalar_one()
            op.execute(f"INSERT INTO t2 (ref, v) VALUES ({{made}}, '{name}')")
        """

    def filled(self) -> str:
        name = self.name()
        size = self.chance.choice([7, 1000])
        return f"""
            import schema_guard.operations.backfilling as batches
            batches.BATCH = {size}
            op.add_column("t1", sa.Column("{name}", sa.Integer))
            batches.backfill("t1", "{name}", {self.chance.randint(1, 9)})
            op.execute("UPDATE t1 SET {name} = {name} + 1")
        """

    def repeated(self) -> str:
        return """
            with repeatable():
                for row in op.get_bind().execute(sa.text("SELECT id FROM t1 WHERE a IS NULL")).all():
                    op.execute(f"UPDATE t1 SET a = {row.id} WHERE id = {row.id} AND a IS NULL")
        """

    def new(self) -> str:
        """What answers otherwise every time."""
        self.volatile = True
        query = {"sqlite": "abs(random() % 1000)", "postgresql": "floor(random() * 1000)::int"}
        query |= {"mariadb": "floor(rand() * 1000)"}
        return f"""
            value = ask(lambda: int(op.get_bind().scalar(sa.text("SELECT {query[self.kind].replace(":", chr(92) + ":")}"))))
            op.execute(f"INSERT INTO log (what, n) VALUES ('{self.name()}', {{value}})")
            op.get_bind().execute(sa.text("SELECT 1")).scalar()
        """

    def each(self) -> str:
        return """
            t1 = sa.Table("t1", sa.MetaData(), autoload_with=op.get_bind())
            for row in ask(lambda: [tuple(r) for r in op.get_bind().execute(sa.select(t1.c.id, t1.c.n).where(t1.c.id < 6))]):
                op.get_bind().execute(t1.update().where(t1.c.id == row[0]).values(n=row[1] * 2 + 1))
        """

    def batch(self) -> str:
        name = self.name()
        return f"""
            with op.batch_alter_table("t1") as batch_op:
                batch_op.add_column(sa.Column("{name}", sa.Integer, server_default="1"))
                batch_op.create_index("ix_{name}", ["{name}"])
            with op.batch_alter_table("t1") as batch_op:
                batch_op.alter_column("{name}", existing_type=sa.Integer, nullable=False)
        """

    def words(self) -> str:
        return """
            op.execute("SAVEPOINT own")
            op.execute("UPDATE t1 SET n = n + 11")
            op.execute("ROLLBACK TO SAVEPOINT own")
            op.execute("UPDATE t1 SET n = n + 1")
        """

    def zoo(self) -> str:
        query = {
            "postgresql": "SELECT 1.50::numeric, now()::date, 'x'::bytea, ARRAY[1,2], '1 day'::interval,"
            " '[1]'::jsonb, 'a'::\\\"char\\\", NULL, true, 1.5::float8, '::1'::inet, gen_random_uuid() IS NULL",
            "mariadb": "SELECT 1.50, current_date, 'x', x'ff', NULL, true, time '10:11:12', 1.5e0",
            "sqlite": "SELECT 1.5, date(), x'ff', NULL, 'ü'",
        }[self.kind]
        return f"""
            row = op.get_bind().exec_driver_sql("{query}").one()
            op.execute(f"INSERT INTO log (what, n) VALUES ('{self.name()}', {{len(repr(tuple(row)))}})")
        """

    def many(self) -> str:
        return """
            rows = op.get_bind().execute(sa.text("SELECT id, s FROM t1 ORDER BY id"), execution_options={"stream_results": STREAM})
            assert rows.fetchone() == (1, "Zoë's 1% 🎉")
            assert len(rows.fetchmany(3)) == 3
            op.execute(f"UPDATE t1 SET n = n + {len(rows.all())}")
        """.replace("STREAM", str(self.chance.random() < 0.1))


def invent(chance: random.Random, kind: str) -> Revision:
    """Return a revision of a few blocks."""
    writer, lines = Writer(chance, kind), []
    in_transactions = ["begin_nested", "SAVEPOINT", "backfill"]
    if kind == "postgresql":  # its cursors on the server are too
        in_transactions.append('"stream_results": True')
    for _ in range(chance.randint(1, 4)):
        blocks = [writer.block() for _ in range(chance.randint(1, 3))]
        part = "\n".join(blocks)
        alone = chance.random() < (0.35 if kind == "mariadb" else 0.75)
        if alone and not any(words in part for words in in_transactions):
            lines += ["with op.get_context().autocommit_block():", textwrap.indent(part, "    ")]
        else:
            lines.append(part)
    small = chance.random() < 0.15
    body = "\n".join(lines)
    streams = '"stream_results": True' in body
    # A table that is read again may be in the middle of being rebuilt.
    rereads = "repeatable" in body or "backfill(" in body
    rebuilds = kind == "sqlite" and "batch_alter" in body and rereads
    return Revision(
        body,
        (kind,),
        clean=not (small or streams or rebuilds),
        volatile=writer.volatile,
        keeps=60 if small else 2**18,
    )

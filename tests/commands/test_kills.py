"""A migration that is killed, at any moment, is completed by running it again."""

import json

from processes import revisions
from projects import PROGRAMS, Project, prepared
from servers import Server

# Rounds beyond the kills before and after every statement.
AT_RANDOM = 4

# What runs twice, or not at all, leaves other sums: nothing here may be run again unnoticed.
REVISIONS = {
    "0002": """
    op.create_table(
        "accounts",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("owner", sa.String(100), nullable=True),
        sa.Column("balance", sa.Integer(), nullable=False),
    )
    accounts = sa.table("accounts", *map(sa.column, ("id", "owner", "balance")))
    rows = [{"id": n, "owner": f"Zoë {n} 🎉 it's \\\\ 100%", "balance": n} for n in range(1, 400)]
    op.bulk_insert(accounts, [*rows, {"id": 400, "owner": None, "balance": 0}])
""",
    "0003": """
    from schema_guard.operations import backfilling as batches
    op.create_table(
        "entries",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("account_id", sa.Integer(),
                  sa.ForeignKey("accounts.id", name="fk_entries_account", ondelete="CASCADE"),
                  nullable=False),
        sa.Column("words", sa.String(100)),
    )
    op.execute("INSERT INTO entries SELECT id, id, owner FROM accounts")
    op.add_column("accounts", sa.Column("visits", sa.Integer()))
    batches.BATCH = 250
    batches.backfill("accounts", "visits", 1)
    op.execute("UPDATE accounts SET visits = visits + id, balance = balance + 1")
    op.create_index("ix_entries_words", "entries", ["words"])
    op.execute("UPDATE accounts SET balance = balance + 100 WHERE owner LIKE '%100\\\\%%' OR 1 = 1")
    with op.batch_alter_table("accounts") as batch_op:
        batch_op.alter_column("visits", existing_type=sa.Integer(), nullable=False)


def downgrade() -> None:
    op.execute("UPDATE accounts SET balance = balance - 1")
    op.drop_table("entries")
    op.execute("UPDATE accounts SET balance = balance - 60")
    with op.batch_alter_table("accounts") as batch_op:
        batch_op.drop_column("visits")
    op.execute("UPDATE accounts SET balance = balance - 40")
""",
    "0004": """
    op.execute("UPDATE accounts SET balance = balance * 2")
    with op.get_context().autocommit_block():
        op.create_index("ix_accounts_owner", "accounts", ["owner"], postgresql_concurrently=True)
        for first in range(1, 401, 100):
            done = op.get_bind().exec_driver_sql(
                "UPDATE accounts SET balance = balance + 7"
                f" WHERE id BETWEEN {first} AND {first + 99}"
            )
            assert done.rowcount == 100
    if op.get_context().dialect.name != "sqlite":
        from schema_guard.operations import online
        key = ("fk_entries_id", "entries", "accounts", ["id"], ["id"])
        with online():
            op.create_foreign_key(*key, postgresql_not_valid=True)
    if op.get_context().dialect.name == "postgresql":
        with op.get_context().autocommit_block():
            op.execute("ALTER TABLE entries VALIDATE CONSTRAINT fk_entries_id")
    op.execute("UPDATE accounts SET balance = balance + 1000")


def downgrade() -> None:
    if op.get_context().dialect.name != "sqlite":
        op.drop_constraint("fk_entries_id", "entries", type_="foreignkey")
    op.execute("UPDATE accounts SET balance = balance - 1000")
    with op.get_context().autocommit_block():
        op.execute("UPDATE accounts SET balance = balance - 7")
        op.drop_index("ix_accounts_owner", "accounts", postgresql_concurrently=True)
    op.execute("UPDATE accounts SET balance = balance / 2")
""",
}


def test_it_ends_as_without_the_kills(any_project: Project, server: Server | None) -> None:
    url = prepared(any_project, server, "kills")
    with revisions(any_project, REVISIONS):
        upgraded = any_project.flask("db", "upgrade", "0002", DATABASE_URL=url)
        assert upgraded.status == 0, upgraded.output
        outcome = any_project.run(
            any_project.tool("python"),
            PROGRAMS / "kills.py",
            str(AT_RANDOM),
            PYTHONPATH=str(any_project.path),
            DATABASE_URL=url,
        )
    assert outcome.status == 0, outcome.output[-3000:]
    told = json.loads(outcome.output.splitlines()[-1])
    assert min(told["boundaries"].values()) > 20
    assert told["killed"] >= sum(told["boundaries"].values())

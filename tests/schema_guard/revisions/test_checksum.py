"""When a revision that has run counts as edited."""

import pytest
from schema_guard.revisions.checksum import means_the_same

SOURCE = '''
"""What it is."""
import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Do it."""
    with op.batch_alter_table("users") as batch_op:
        batch_op.add_column(sa.Column("x", sa.Integer(), server_default=f"{1 + 2}"))
'''


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"""What it is."""', '"""What else it is."""\n# A comment.'),
        ('"""Do it."""', '"""Do it, gently."""'),
        ('"users"', "\n        'users'\n    "),
        ("\n", "\r\n"),
        ('"users"', 'u"users"'),
    ],
)
def test_how_a_file_is_written_does_not_matter(before: str, after: str) -> None:
    assert before in SOURCE
    assert means_the_same(SOURCE.replace(before, after).encode(), SOURCE.encode())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("users", "user"),
        ("1 + 2", "2 + 1"),
        ('"0001"', "None"),
        ("Integer()", "Integer"),
        ("def", "fed"),  # what this Python does not take is not the same as anything
    ],
)
def test_what_a_file_does_matters(before: str, after: str) -> None:
    assert before in SOURCE
    assert not means_the_same(SOURCE.replace(before, after).encode(), SOURCE.encode())

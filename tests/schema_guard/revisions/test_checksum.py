"""When a revision that has run counts as edited."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from schema_guard.revisions.checksum import means_the_same
from schema_guard.revisions.normal_form import normal_form
from services import PROJECT

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
        (
            "import sqlalchemy as sa\n",
            "import sqlalchemy as sa  # noqa: F401\nimport os, app.models\n",
        ),
        (
            "import sqlalchemy as sa\nfrom alembic import op",
            "from alembic import op\nimport sqlalchemy as sa",
        ),
        (
            "from alembic import op\n",
            "from __future__ import annotations\nfrom alembic import op as op\n",
        ),
        (
            "import sqlalchemy as sa\nfrom",
            "import sqlalchemy as sa, typing as t\nif t.TYPE_CHECKING:\n    import x\nfrom",
        ),
        ("import sqlalchemy as sa\n", "import sqlalchemy as sa\nimport sqlalchemy\n"),
        (": str = ", " = "),
        ('"0001"\n', '"0001"\nbranch: str | None\n'),
        (" -> None", ""),
        ('"""Do it."""', "pass"),
        ('"users"', '("us" "ers")'),
        ('"users"', '"us" + "ers"'),
        ('"users"', 'f"users"'),
        ('f"{1 + 2}"', 'f"{(1 + 2)}" f"" ""'),
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
        ("alembic import op", "other import op"),
        ("import sqlalchemy as sa", "import other as sa"),
        ("import sqlalchemy as sa", "import other as sa  # import sqlalchemy as sa"),
        ("import sqlalchemy as sa\n", ""),
        ('{1 + 2}"', '{1 + 2!r}"'),
        ('{1 + 2}"', '{1 + 2:>3}"'),
        ("def", "fed"),  # what this Python does not take is not the same as anything
    ],
)
def test_what_a_file_does_matters(before: str, after: str) -> None:
    assert before in SOURCE
    assert not means_the_same(SOURCE.replace(before, after).encode(), SOURCE.encode())


# What people write into revisions, in every way that a tool writes otherwise.
MIXED = '''
"""Ünïcode."""
from __future__ import annotations
import os, sys
import datetime as dt
from typing import TYPE_CHECKING, Sequence, Union
from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, mysql
from sqlalchemy import (text,
    select as choose)
from schema_guard.operations import (backfill, online)
try:
    import orjson as json
except ImportError:
    import json
if TYPE_CHECKING:
    from collections.abc import Iterable
revision: str = '0003'
down_revision: Union[str, Sequence[str], None] = ('0002', '0001b')
depends_on=None
users = sa.table('users', sa.column('id', sa.Integer), sa.column("name"))

class Colour(sa.types.UserDefinedType):
    """A type."""
    cache_ok: bool = True
    def get_col_spec(self, **kw: object) -> str:
        return ("VARCHAR"
            "(20)")

def upgrade() -> None:
    """Do it."""
    bind: sa.Connection = op.get_bind()
    seen: int
    rows = bind.execute(choose(users.c.id).where(users.c.name == None)).all()
    for (number,) in rows :
        if not number in {1,2, 0x10, 1_000}: continue
        bind.execute(users.update().where((users.c.id == number)).values(
                {'name': f"user {number!r:>10} of {len(rows)}" f"!", "b": b'x'}))
    op.execute(text("UPDATE users SET name = 'it''s' " + 'WHERE id = :id').bindparams(id = (3)))
    with online(), op.batch_alter_table('users', schema=None) as batch_op:
        batch_op.create_check_constraint(op.f('ck_users_name'), f"name <> ''")
        batch_op.add_column(sa.Column('at', sa.DateTime(timezone=True),
          server_default=sa.text('CURRENT_TIMESTAMP'), nullable = True))
        batch_op.alter_column("name", existing_type=sa.String(length=20),
            type_=sa.Text().with_variant(mysql.LONGTEXT(), "mysql"), postgresql_using='name::text')
    backfill('users','colour',value=json.dumps({"a": [1.5, None, -2, ...]}))
    def inner(x: int = 3, *, y: str='y') -> Iterable[int]:
        del (rows)
        yield from (x if x > 2 else y for _ in range(3))
    print(* inner(), sep = os.linesep); sys.stdout.flush()
    assert dt.date(2024,1,31) < dt.date.max, "late"
    try: postgresql.ENUM('a', "b", name='colour').create(bind, checkfirst = False)
    except (ValueError, TypeError) as error: raise RuntimeError("no: %s" % error) from error
    finally:
        pass

def downgrade() -> None:
    pass
'''
README = "\n".join(
    re.findall(
        r"```python\n((?:def|with).*?)```",
        "".join(path.read_text(encoding="utf-8") for path in sorted(PROJECT.glob("docs/*.md"))),
        re.DOTALL,
    )
)
SAMPLES = {
    "source": SOURCE,
    "mixed": MIXED,
    "readme": f"import sqlalchemy as sa\nfrom alembic import op\n{README}",
    **{
        path.stem: path.read_text(encoding="utf-8")
        for path in PROJECT.glob("migrations/versions/*.py")
    },
}
TOOLS = (
    ["format", "--line-length", "40"],
    ["format", "--line-length", "320", "--config", "format.quote-style='single'"],
    ["format", "--preview", "--config", "format.skip-magic-trailing-comma=true"],
    ["format", "--target-version", "py314", "--config", "format.indent-style='tab'"],
    ["check", "--fix", "--select", "I,F,W,E,Q,COM,ISC,D,PIE790,RUF100"],
    [
        *("check", "--fix", "--select", "I", "--config", "lint.isort.force-single-line=true"),
        *("--config", "lint.isort.force-sort-within-sections=true"),
        *("--config", "lint.isort.required-imports=['from __future__ import annotations']"),
    ],
    ["check", "--fix", "--config", str(PROJECT / "pyproject.toml")],
)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: " ".join(tool)[:60])
def test_no_tool_makes_a_revision_another_one(tmp_path: Path, tool: list[str]) -> None:
    folder = tmp_path / "migrations" / "versions"
    folder.mkdir(parents=True)
    for name, text in SAMPLES.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    if "--config" in tool and tool[-1].endswith("pyproject.toml"):  # as in a project
        rules = (PROJECT / "pyproject.toml").read_text(encoding="utf-8").partition("[tool.ruff]")
        (tmp_path / "pyproject.toml").write_text("".join(rules[1:]), encoding="utf-8")
        tool = tool[:-2]
    else:
        tool = [*tool, "--isolated"]
    command = [sys.executable, "-m", "ruff", *tool, "--no-cache", "--quiet", str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, cwd=tmp_path)
    assert done.returncode in {0, 1}, done.stderr  # 1 is something that it does not fix
    changed = 0
    for name, text in SAMPLES.items():
        after = (folder / f"{name}.py").read_bytes()
        changed += after != text.encode()
        assert means_the_same(text.encode(), after), after.decode()
    assert changed


def mutations(source: str) -> Iterator[tuple[str, str]]:
    """Return a source with one thing that it does changed, again for each; and which it is."""
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    unread: set[int] = set()  # annotations, docstrings
    for node in nodes:
        said = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        said += [node.value] if isinstance(node, ast.Expr) else []
        for each in said:
            if isinstance(each, ast.expr) and not isinstance(each, ast.Call):
                unread |= {id(inner) for inner in ast.walk(each)}
    for number, node in enumerate(nodes):
        if id(node) in unread:
            continue
        other = ast.parse(source)
        twin = list(ast.walk(other))[number]
        if _change(twin):
            yield ast.unparse(ast.fix_missing_locations(other)), ast.dump(twin)[:200]


def _change(node: ast.AST) -> bool:
    """Have a node do something else, if it is one that does something by itself."""
    if isinstance(node, ast.Constant):
        node.value = f"x{node.value}" if isinstance(node.value, str) else -17
    elif isinstance(node, ast.Call) and (node.args or node.keywords):
        (node.args or node.keywords).pop()
    elif isinstance(node, ast.Attribute):
        node.attr += "x"
    elif isinstance(node, ast.Compare):
        node.ops = [ast.GtE()]
    elif isinstance(node, ast.FunctionDef) and len(node.body) > 2:
        node.body[-2:] = reversed(node.body[-2:])
    else:
        return False
    return True


@pytest.mark.parametrize("name", SAMPLES)
def test_what_a_revision_does_differently_counts(name: str) -> None:
    source = SAMPLES[name]
    assert means_the_same(source.encode(), ast.unparse(ast.parse(source)).encode())
    before, changed = normal_form(source.encode()), list(mutations(source))
    assert len(changed) > 10
    for text, what in changed:
        assert normal_form(text.encode()) != before, what

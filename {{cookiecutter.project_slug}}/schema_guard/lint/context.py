"""Rules: what each finds, why that is dangerous, and what to write instead.

A rule is a function: for one act of a revision it gives what it has found, as the thing it is about
(such as `users.bio`) and the code that does the same without the danger.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from alembic.autogenerate import render
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, Dialect, MetaData
from sqlalchemy.types import NullType

from schema_guard.dialects.base import backend
from schema_guard.lint.schema_state import Shape
from schema_guard.online_ddl.render import render_item
from schema_guard.online_ddl.rewrite import Block, Comment, in_place, rewrite
from schema_guard.runner.recorder import Act, Rebuild
from schema_guard.sql.parser import Raw

# What a rule finds: the thing it is about, and the code to write instead.
Hits = Iterator[tuple[str, str]]
SERVERS = ("postgresql", "mysql")
# What SQLite's ALTER TABLE does not know.
IN_BATCH = ops.AddConstraintOp, ops.AlterColumnOp, ops.DropConstraintOp
EVERYWHERE = (*SERVERS, "sqlite")


@dataclass(frozen=True)
class Rule:
    """What a rule is called, what it warns of, and for which DBMS."""

    name: str
    danger: str
    backends: tuple[str, ...]
    find: Callable[[Act, "Scene"], Hits]


@dataclass
class Finding:
    """What a rule has found.

    Attributes:
        what: it is about, such as `users.bio`.
        recipe: code to write instead.
        line: in the revision's file.
    """

    rule: str
    danger: str
    what: str
    recipe: str
    line: int
    act: Act | None = None


RULES: dict[str, Rule] = {}


def rule(name: str, danger: str, *backends: str) -> Callable[[Any], Any]:
    """Make a function a rule.

    Args:
        name: as in `# schema_guard: allow NAME -- reason`, and in RULES.md.
        danger: one line that says what happens.
        backends: where; everywhere by default.
    """

    def register(find: Any) -> Any:
        RULES[name] = Rule(name, danger, backends or EVERYWHERE, find)
        return find

    return register


def told(name: str, danger: str) -> str:
    """Make a rule of what is found otherwise than in acts; return its name."""
    RULES[name] = Rule(name, danger, EVERYWHERE, lambda _act, _scene: iter(()))
    return name


@dataclass
class Scene:
    """What surrounds an act.

    Attributes:
        shape: the schema before it.
        acts: all of its revision.
        made: tables that the revision has made.
        added: columns that came since the release that runs.
    """

    dialect: Dialect
    shape: Shape = field(default_factory=Shape)
    acts: list[Act] = field(default_factory=list)
    revision: str = ""
    made: set[str] = field(default_factory=set)
    added: set[tuple[str | None, str]] = field(default_factory=set)

    @property
    def backend(self) -> str:
        """The kind of DBMS."""
        return backend(self.dialect)

    def changes_table(self, act: Act) -> bool:
        """Return whether an act changes a table that others use already."""
        return act.table is not None and act.table not in self.made

    def before(self, act: Act) -> list[Act]:
        """Return what the revision does before an act."""
        return self.acts[: next(i for i, each in enumerate(self.acts) if each is act)]

    def after(self, act: Act) -> list[Act]:
        """Return what the revision does after an act."""
        return self.acts[len(self.before(act)) + 1 :]

    def of_statement(self, act: Act) -> list[Act]:
        """Return the acts that one statement of SQL comes to."""
        return [each for each in self.acts if each.sql is act.sql and each.line == act.line]

    def safely(self, *operations: Any) -> str:
        """Return the code of operations in the forms that stop nobody."""
        return self.code(*rewrite(operations, self.dialect))

    def allow(self, name: str, act: Act, reason: str) -> str:
        """Return the code of an act that somebody has decided on."""
        comment = Comment(f"schema_guard: allow {name} -- {reason}")
        if act.source is not None:
            return f"# {comment.text}\n{act.source}"
        forms = rewrite([act.operation if act.sql is None else self.sent(act)], self.dialect)
        _insert(forms, comment, act)
        return self.code(*forms)

    def sent(self, act: Act) -> ops.ExecuteSQLOp:
        """Return the SQL of an act, which tells MySQL and MariaDB to copy nothing."""
        sql = str(act.sql)
        if self.backend == "mysql" and self.changes_table(act) and in_place(act.operation):
            if isinstance(act.operation, ops.CreateIndexOp):
                sql += " ALGORITHM=INPLACE LOCK=NONE"
            elif not isinstance(act.operation, ops.DropIndexOp) and not act.online:
                sql += ", ALGORITHM=INPLACE, LOCK=NONE"
        return ops.ExecuteSQLOp(sql.replace(":", r"\:"))

    def type(self, kind: Any) -> str:
        """Return a type as a revision has it."""
        return str(render._repr_type(kind, self._written()))  # noqa: SLF001 - there is no other

    def code(self, *operations: Any) -> str:
        """Return operations as a revision has them, with what they import."""
        written = self._written()
        ready = list(self._batched(operations))
        body = render._render_cmd_body(ops.UpgradeOps(ready), written)  # noqa: SLF001
        lines = [line for line in body.splitlines() if line and "# ###" not in line]
        return "\n".join([*sorted(written.imports), *lines])

    def _batched(self, operations: Iterable[Any]) -> Iterator[Any]:
        """Return operations in batch mode, where the DBMS needs it, with their comments."""
        above: list[Any] = []
        for operation in operations:
            if isinstance(operation, Comment):
                above.append(operation)
                continue
            if self.backend == "sqlite" and isinstance(operation, IN_BATCH):
                changed: Any = operation
                key = isinstance(operation, ops.CreateForeignKeyOp)
                name = changed.source_table if key else changed.table_name
                schema = changed.kw.get("source_schema") if key else changed.schema
                yield ops.ModifyTableOps(name, [*above, changed], schema=schema)
            else:
                yield from [*above, operation]
            above = []

    def _written(self) -> AutogenContext:
        make: Any = type(self.dialect)
        plain = make(paramstyle="named")  # others double every %
        context = MigrationContext.configure(dialect=plain, opts={"target_metadata": MetaData()})
        options = {
            "sqlalchemy_module_prefix": "sa.",
            "alembic_module_prefix": "op.",
            "render_item": render_item,
            "render_as_batch": self.backend == "sqlite",
            "user_module_prefix": None,
        }
        return AutogenContext(context, opts=options)


def _insert(forms: list[Any], comment: Comment, act: Act) -> bool:
    """Put a comment above the operation that is meant, or the first one."""
    for place, each in enumerate(forms):
        if isinstance(each, Block) and _insert(each.ops, comment, act):
            return True
        if type(each) is type(act.operation) or act.sql is not None:
            forms.insert(place, comment)
            return True
    return False


def judge(scene: Scene) -> Iterator[Finding]:
    """Return what the rules find in the acts of a scene, and change its shape as they do."""
    for act in scene.acts:
        for each in RULES.values():
            if scene.backend in each.backends:
                for what, recipe in each.find(act, scene):
                    yield Finding(each.name, each.danger, what, recipe, act.line, act)
        if isinstance(act.operation, ops.CreateTableOp) or is_raw(act, "create-table"):
            scene.made.add(act.table or "")
        if isinstance(act.operation, ops.RenameTableOp) and act.table in scene.made:
            scene.made.add(act.operation.new_table_name)
        if isinstance(act.operation, ops.AddColumnOp):
            scene.added.add((act.table, act.operation.column.name))
        scene.shape.apply(act, scene.revision)


def is_raw(act: Act, *kinds: str) -> bool:
    """Return whether an act is SQL of one of some kinds."""
    return isinstance(act.operation, Raw) and act.operation.kind in kinds


def changes_schema(act: Act) -> bool:
    """Return whether an act changes what a table is."""
    if isinstance(act.operation, Raw):
        return is_raw(act, "unknown")
    return not isinstance(act.operation, ops.BulkInsertOp | Rebuild)


def known(kind: Any) -> bool:
    """Return whether a type is known well enough to be written."""
    return kind is not None and not isinstance(kind, NullType)


def column_like(column: Column[Any]) -> Column[Any]:
    """Return a column of the same name and type that may be empty, with nothing else."""
    return Column(column.name, column.type, nullable=True, comment=column.comment)

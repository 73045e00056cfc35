"""Rules about rows, and about SQL that is no operation."""

import re

from alembic.operations import ops

from schema_guard.lint.context import SERVERS, Hits, Scene, changes_schema, is_raw, rule
from schema_guard.online_ddl.rewrite import AutocommitBlock
from schema_guard.operations.backfilling import Fill
from schema_guard.runner.recorder import Act

# One column, of all rows or of those in which it is NULL.
ASSIGNMENT = re.compile(
    r"""UPDATE\s+[`"\w.]+\s+SET\s+[`"]?(?P<column>\w+)[`"]?\s*=\s*(?P<value>[^,:]*?)
    (?:\s+WHERE\s+[`"]?(?P<null>\w+)[`"]?\s+IS\s+NULL)?\s*$""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)


def _updates(act: Act, scene: Scene) -> bool:
    """Return whether an act changes rows of a table in use, all in one statement."""
    changes = is_raw(act, "update") or (
        is_raw(act, "delete") and not act.operation.facts["everything"]
    )
    return changes and not act.batched and scene.changes_table(act)


def _has_ddl(act: Act, scene: Scene) -> bool:
    """Return whether it changes them while a table that it changed is locked."""
    same = (
        each
        for each in scene.acts
        if each is not act
        and changes_schema(each)
        and (each.transaction == act.transaction or scene.backend == "mysql")
    )
    return any(scene.changes_table(each) for each in same)


def _in_batches(act: Act, scene: Scene, name: str) -> str:
    """Return what fills a column in batches, if that is what the statement does."""
    found = ASSIGNMENT.match(act.operation.sql)
    if found is not None and not re.search(r"\b(FROM|WHERE|SET)\b", found["value"], re.IGNORECASE):
        column = found["column"]
        empty = found["null"] == column or (act.table, column) in scene.added
        if empty and act.operation.kind == "update":
            value = f"sa.text({found['value']!r})"
            of = act.operation
            return scene.code(Fill(of.table_name, column, value, of.schema))
    return scene.allow(name, act, "it changes few rows: N")


@rule(
    "backfill-with-ddl",
    "The changed table stays locked until all rows are written.",
    *SERVERS,
)
def backfill_with_ddl(act: Act, scene: Scene) -> Hits:
    """Find rows that are changed while a change of the schema is not committed."""
    if _updates(act, scene) and _has_ddl(act, scene):
        yield str(act.table), _in_batches(act, scene, "backfill-with-ddl")


@rule(
    "backfill-unbatched",
    "All its rows stay locked until the last one is written.",
    *SERVERS,
)
def backfill_unbatched(act: Act, scene: Scene) -> Hits:
    """Find rows that are changed all at once."""
    if _updates(act, scene) and not _has_ddl(act, scene):
        yield str(act.table), _in_batches(act, scene, "backfill-unbatched")


@rule("truncate-or-delete-all", "All rows are lost.")
def truncate_or_delete_all(act: Act, scene: Scene) -> Hits:
    """Find tables that are emptied."""
    if not is_raw(act, "truncate", "delete") or not act.operation.facts["everything"]:
        return
    if scene.changes_table(act):
        yield str(act.table), scene.allow("truncate-or-delete-all", act, "nobody needs them")


@rule("raw-sql", "What this statement locks, rewrites or loses is not known here.")
def raw_sql(act: Act, scene: Scene) -> Hits:
    """Find SQL that is not understood."""
    if is_raw(act, "unknown") or (is_raw(act, "lock") and scene.backend != "mysql"):
        words = " ".join(act.operation.sql.split())
        what = words if len(words) <= 60 else f"{words[:60]} …"  # noqa: PLR2004 - one line
        yield what, scene.allow("raw-sql", act, "what it locks, and for how long")


@rule(
    "transaction-in-sql",
    "What came before it is kept, though the rest may fail.",
)
def transaction_in_sql(act: Act, scene: Scene) -> Hits:
    """Find transactions that a revision begins or ends by itself."""
    if is_raw(act, "transaction"):
        then = [
            each.sql for each in scene.after(act) if each.sql and not is_raw(each, "transaction")
        ]
        code = scene.code(
            AutocommitBlock([ops.ExecuteSQLOp(sql.replace(":", r"\:")) for sql in then[:1]])
        )
        yield " ".join(act.operation.sql.split()), code if then else "# without this line"

"""The reader of PostgreSQL's SQL against PostgreSQL's own parser, on statements made at random.

EXAMPLES=5000 pytest tests/schema_guard/sql

pglast has that parser. It is GPL: a requirement of these tests, and of nothing that is shipped.
"""

import os
import re
from collections.abc import Iterator
from typing import Any

from alembic.operations import ops
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pglast import ast, parse_sql
from schema_guard.sql.parser import read
from schema_guard.sql.raw import Raw

EXAMPLES = int(os.environ.get("EXAMPLES", "200"))
NAMES = [
    "users",
    "posts",
    "s.users",
    '"a b"',
    '"Ä"',
    '"a""b"',
    '"select"',
    '"a;b"',
    '"x--y"',
    's."a.b"',
]
COLUMNS = ["name", "x", '"Größe"', '"a,b"', '"c)d"', '"default"', "column_1"]
TEXTS = ["'x'", "'it''s'", "'a; DROP TABLE users'", "E'\\\\'';'", "$$a;'b$$", "$t$ -- $t$", "'/*'"]
# T: a table, C and D: columns, N: a name of something else, X: a text.
STATEMENTS = [
    "DROP TABLE T",
    "DROP TABLE IF EXISTS T, T CASCADE",
    "CREATE TABLE T (C int)",
    "CREATE TABLE IF NOT EXISTS T (C text DEFAULT X, CHECK (C <> X))",
    "CREATE TEMPORARY TABLE T (C int)",
    "CREATE INDEX N ON T (C)",
    "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS N ON ONLY T USING btree (C, D DESC)",
    "CREATE INDEX ON T (lower(C)) WHERE C = X",
    "DROP INDEX N",
    "DROP INDEX CONCURRENTLY IF EXISTS N, s.N",
    "ALTER TABLE T ADD COLUMN C int",
    "ALTER TABLE IF EXISTS ONLY T ADD C varchar(20) NOT NULL DEFAULT X, DROP COLUMN D",
    "ALTER TABLE T ADD COLUMN IF NOT EXISTS C int DEFAULT 5 CHECK (C > 0) REFERENCES T (D)",
    "ALTER TABLE T DROP C CASCADE",
    "ALTER TABLE T DROP COLUMN IF EXISTS C, ALTER COLUMN D TYPE bigint USING D::bigint",
    "ALTER TABLE T ALTER C SET NOT NULL, ALTER COLUMN D DROP NOT NULL",
    "ALTER TABLE T ALTER C SET DATA TYPE numeric(10, 2)",
    "ALTER TABLE T ALTER C SET DEFAULT X",
    "ALTER TABLE T ALTER COLUMN C DROP DEFAULT",
    "ALTER TABLE T RENAME COLUMN C TO D",
    "ALTER TABLE T RENAME C TO D",
    "ALTER TABLE T RENAME TO N",
    "ALTER TABLE T RENAME CONSTRAINT N TO N",
    "ALTER TABLE T ADD CONSTRAINT N UNIQUE (C, D)",
    "ALTER TABLE T ADD PRIMARY KEY (C)",
    "ALTER TABLE T ADD CONSTRAINT N CHECK (C <> X) NOT VALID",
    "ALTER TABLE T ADD CONSTRAINT N FOREIGN KEY (C) REFERENCES T (D) ON DELETE CASCADE",
    "ALTER TABLE T ADD CONSTRAINT N EXCLUDE USING gist (C WITH &&)",
    "ALTER TABLE T ADD CONSTRAINT N UNIQUE USING INDEX N",
    "ALTER TABLE T VALIDATE CONSTRAINT N",
    "ALTER TABLE T DROP CONSTRAINT IF EXISTS N",
    "ALTER TABLE T ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE T DISABLE TRIGGER ALL, ENABLE TRIGGER N",
    "ALTER TABLE T SET (fillfactor = 70), SET UNLOGGED",
    "ALTER TABLE T SET TABLESPACE N",
    "ALTER TABLE T ATTACH PARTITION N FOR VALUES FROM (1) TO (10)",
    "ALTER TABLE T DETACH PARTITION N CONCURRENTLY",
    "ALTER TABLE T DETACH PARTITION N",
    "ALTER TABLE T OWNER TO N",
    "ALTER TABLE T CLUSTER ON N",
    "ALTER SCHEMA s RENAME TO N",
    "ALTER TYPE N ADD VALUE IF NOT EXISTS 'x' AFTER 'y'",
    "ALTER TYPE N RENAME VALUE 'x' TO 'y'",
    "UPDATE T SET C = X",
    "UPDATE ONLY T AS u SET C = (SELECT X WHERE true)",
    "UPDATE T SET C = X WHERE D = 5",
    "DELETE FROM T",
    "DELETE FROM T USING (SELECT 1 WHERE true) x WHERE C = X",
    "TRUNCATE TABLE T, T RESTART IDENTITY",
    "MERGE INTO T USING posts ON true WHEN MATCHED THEN UPDATE SET C = X",
    "INSERT INTO T (C) VALUES (X), (X)",
    "SELECT X, C FROM T WHERE C = X",
    "LOCK TABLE T IN SHARE MODE",
    "SET session_replication_role = 'replica'",
    "SET LOCAL session_replication_role TO replica",
    "SET search_path TO s",
    "REINDEX TABLE CONCURRENTLY T",
    "REINDEX (VERBOSE) INDEX N",
    "VACUUM (FULL, ANALYZE) T",
    "VACUUM FULL",
    "VACUUM T",
    "CLUSTER T USING N",
    "REFRESH MATERIALIZED VIEW CONCURRENTLY N",
    "REFRESH MATERIALIZED VIEW N WITH NO DATA",
    "CREATE TRIGGER N BEFORE UPDATE OF C ON T FOR EACH ROW EXECUTE FUNCTION f()",
    "CREATE OR REPLACE TRIGGER N AFTER INSERT OR DELETE ON T EXECUTE FUNCTION f('ON')",
    "DROP TRIGGER IF EXISTS N ON T",
    "CREATE POLICY N ON T FOR SELECT USING (C = X)",
    "DROP POLICY N ON T",
    "BEGIN",
    "COMMIT",
    "COMMENT ON TABLE T IS X",
    "GRANT SELECT ON T TO N",
    "ANALYZE T",
]
Facts = list[tuple[Any, ...]]
BETWEEN = [" ", " ", " ", "\n", "\t ", " /* ; ' */ ", " -- x; '\n"]


@st.composite
def statements(draw: st.DrawFn) -> str:
    """Return SQL: statements with names, texts, blanks and comments at random."""

    def put(found: re.Match[str]) -> str:
        kinds = {"T": NAMES, "C": COLUMNS, "D": COLUMNS, "N": ["ix", '"i x"', '"q""q"'], "X": TEXTS}
        return draw(st.sampled_from(kinds[found[0]]))

    def written(template: str) -> str:
        words = [re.sub(r"(?<![\w'$])[TCDNX](?![\w'])", put, word) for word in template.split(" ")]
        blanks = draw(st.lists(st.sampled_from(BETWEEN), min_size=len(words), max_size=len(words)))
        return "".join(word + blank for word, blank in zip(words, blanks, strict=True)).rstrip()

    chosen = draw(st.lists(st.sampled_from(STATEMENTS), min_size=1, max_size=3))
    return "\n;\n".join(written(template) for template in chosen)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
@example('ALTER TABLE "a""b" DROP COLUMN "c)d", ADD x text DEFAULT \'--\'')
@given(statements())
def test_what_is_read_is_what_postgresql_parses(sql: str) -> None:
    theirs = [fact for parsed in parse_sql(sql) for fact in parser_facts(parsed.stmt)]
    ours = [fact for operation, _ in read(sql, "postgresql") for fact in own_facts(operation)]
    assert ours == theirs


def own_facts(operation: Any) -> Facts:  # noqa: C901, PLR0911 - a case each
    """Return what our reader says of an operation."""
    schema, table = getattr(operation, "schema", None), getattr(operation, "table_name", None)
    of = (schema, table)
    match operation:
        case ops.DropTableOp():
            return [("drop-table", *of)]
        case ops.CreateIndexOp():
            concurrently = operation.kw["postgresql_concurrently"]
            return [
                ("create-index", *of, operation.index_name or "", operation.unique, concurrently)
            ]
        case ops.DropIndexOp():
            return [("drop-index", operation.index_name, operation.kw["postgresql_concurrently"])]
        case ops.AddColumnOp():
            column = operation.column
            keys = len(column.foreign_keys)
            default = column.server_default is not None
            return [("add-column", *of, column.name, column.nullable, default, keys)]
        case ops.DropColumnOp():
            return [("drop-column", *of, operation.column_name)]
        case ops.RenameTableOp():
            return [("rename-table", *of, operation.new_table_name)]
        case ops.AlterColumnOp():
            return [("alter-column", *of, operation.column_name, *_changes(operation))]
        case ops.DropConstraintOp():
            return [("drop-constraint", *of, operation.constraint_name)]
        case ops.CreateForeignKeyOp():
            key = operation.kw["source_schema"], operation.source_table
            return [("foreignkey", *key, operation.constraint_name, _is_valid(operation))]
        case ops.AddConstraintOp():
            constraint: Any = operation
            name = constraint.constraint_name
            return [(operation.constraint_type, *of, name, _is_valid(operation))]
        case Raw():
            return _raw(operation)
    raise AssertionError(operation)


# Of which the table does not matter.
ALONE = {"add-value", "checks-off", "rename-schema", "rename-value", "transaction", "unknown"}


def _changes(operation: ops.AlterColumnOp) -> tuple[Any, ...]:
    if operation.modify_name:
        return ("name", operation.modify_name)
    if operation.modify_type is not None:
        return ("type",)
    if operation.modify_nullable is not None:
        return ("nullable", operation.modify_nullable)
    return ("default", operation.modify_server_default is not None)


def _is_valid(operation: Any) -> bool:
    return not operation.kw.get("postgresql_not_valid")


def _raw(operation: Raw) -> Facts:  # noqa: PLR0911 - a case each
    of, facts = (operation.schema, operation.table_name), operation.facts
    match operation.kind:
        case "harmless":
            return []
        case "update" | "delete":
            return [(operation.kind, *of, facts["everything"])]
        case "validate":
            return [("validate", *of, facts["name"])]
        case "attach" | "detach":
            return [(operation.kind, *of, facts["name"], "concurrently" in facts)]
        case "vacuum":
            return [("vacuum", *of, facts["full"])]
        case "reindex":
            return [("reindex", facts["concurrently"])]
        case "refresh":
            return [("refresh", "concurrently" in facts)]
        case (
            "unknown"
            | "transaction"
            | "rename-schema"
            | "add-value"
            | "rename-value"
            | "checks-off"
        ):
            return [(operation.kind,)]
    return [(operation.kind, *of)]


def _of(relation: ast.RangeVar | None) -> tuple[str | None, str | None]:
    return (relation.schemaname, relation.relname) if relation else (None, None)


def parser_facts(stmt: Any) -> Iterator[tuple[Any, ...]]:  # noqa: C901, PLR0912 - a case each
    """Return the same of what PostgreSQL's parser says."""
    node: Any = stmt
    match stmt:
        case ast.DropStmt():
            yield from _drops(stmt)
        case ast.CreateStmt():
            yield ("create-table", *_of(node.relation))
        case ast.IndexStmt():
            facts = (node.idxname or "", bool(node.unique), bool(node.concurrent))
            yield ("create-index", *_of(node.relation), *facts)
        case ast.AlterTableStmt():
            for command in node.cmds:
                yield from _command(command, _of(node.relation))
        case ast.RenameStmt():
            yield from _rename(node)
        case ast.AlterEnumStmt():
            yield ("rename-value" if node.oldVal else "add-value",)
        case ast.UpdateStmt() | ast.DeleteStmt():
            kind = "update" if isinstance(node, ast.UpdateStmt) else "delete"
            yield (kind, *_of(node.relation), node.whereClause is None)
        case ast.TruncateStmt() | ast.LockStmt():
            kind = "truncate" if isinstance(node, ast.TruncateStmt) else "lock"
            for each in node.relations:
                yield (kind, *_of(each))
        case ast.MergeStmt():
            yield ("merge", *_of(node.relation))
        case ast.VariableSetStmt(name="session_replication_role"):
            yield ("checks-off",)
        case ast.ReindexStmt():
            names = {each.defname for each in node.params or ()}
            yield ("reindex", "concurrently" in names)
        case ast.VacuumStmt() if node.is_vacuumcmd:
            full = "full" in {each.defname for each in node.options or ()}
            yield from (("vacuum", *_of(each.relation), full) for each in node.rels or ())
            if not node.rels:
                yield ("vacuum", None, None, full)
        case ast.ClusterStmt():
            yield ("cluster", *_of(node.relation))
        case ast.RefreshMatViewStmt():
            yield ("refresh", bool(node.concurrent))
        case ast.CreateTrigStmt():
            yield ("trigger", *_of(node.relation))
        case ast.CreatePolicyStmt():
            yield ("policy", *_of(node.table))
        case ast.TransactionStmt():
            yield ("transaction",)


def _drops(node: Any) -> Iterator[tuple[Any, ...]]:
    kinds = {"OBJECT_TABLE": "drop-table", "OBJECT_TRIGGER": "trigger", "OBJECT_POLICY": "policy"}
    for each in node.objects:
        names = [part.sval for part in each]
        if node.removeType.name == "OBJECT_INDEX":
            yield ("drop-index", names[-1], bool(node.concurrent))
            continue
        kind = kinds[node.removeType.name]
        *schema, table = names if kind == "drop-table" else names[:-1]
        yield (kind, ".".join(schema) or None, table)


def _rename(node: Any) -> Iterator[tuple[Any, ...]]:
    kind = node.renameType.name
    if kind == "OBJECT_COLUMN":
        yield ("alter-column", *_of(node.relation), node.subname, "name", node.newname)
    elif kind == "OBJECT_TABLE":
        yield ("rename-table", *_of(node.relation), node.newname)
    elif kind == "OBJECT_SCHEMA":
        yield ("rename-schema",)


SIMPLE = {
    "AT_EnableRowSecurity": "policy",
    "AT_DisableTrigAll": "checks-off",
    "AT_SetUnLogged": "rewrite",
    "AT_SetTableSpace": "rewrite",
    "AT_ClusterOn": "unknown",
}
CONSTRAINTS = {
    "CONSTR_UNIQUE": "unique",
    "CONSTR_PRIMARY": "primarykey",
    "CONSTR_CHECK": "check",
    "CONSTR_FOREIGN": "foreignkey",
    "CONSTR_EXCLUSION": "exclude",
}


def _command(  # noqa: C901 - a case each
    command: Any, of: tuple[Any, ...]
) -> Iterator[tuple[Any, ...]]:
    kind, name = command.subtype.name, command.name
    definition: Any = command.def_
    match kind:
        case "AT_AddColumn":
            kinds = [each.contype.name for each in definition.constraints or ()]
            nullable = not {"CONSTR_NOTNULL", "CONSTR_PRIMARY"} & set(kinds)
            default, keys = "CONSTR_DEFAULT" in kinds, kinds.count("CONSTR_FOREIGN")
            yield ("add-column", *of, definition.colname, nullable, default, keys)
        case "AT_DropColumn":
            yield ("drop-column", *of, name)
        case "AT_AlterColumnType":
            yield ("alter-column", *of, name, "type")
        case "AT_SetNotNull" | "AT_DropNotNull":
            yield ("alter-column", *of, name, "nullable", kind == "AT_DropNotNull")
        case "AT_ColumnDefault":
            yield ("alter-column", *of, name, "default", definition is not None)
        case "AT_AddConstraint" if not definition.indexname:
            valid = not definition.skip_validation
            yield (CONSTRAINTS[definition.contype.name], *of, definition.conname, valid)
        case "AT_DropConstraint":
            yield ("drop-constraint", *of, name)
        case "AT_ValidateConstraint":
            yield ("validate", *of, name)
        case "AT_AttachPartition" | "AT_DetachPartition":
            what = kind.removeprefix("AT_").removesuffix("Partition").lower()
            yield (what, *of, definition.name.relname, bool(definition.concurrent))
        case _ if kind in SIMPLE:
            simple = SIMPLE[kind]
            yield (simple,) if simple in {"checks-off", "unknown"} else (simple, *of)

"""Revisions at random, for Hypothesis: what people write in `upgrade()`, and what nobody would."""

from typing import Any

from hypothesis import strategies as st

Source = st.SearchStrategy[str]

TABLES = ["users", "posts", "plain", "new", "Ünï cödé", 'a"b', "100%", "a:b", "select"]
COLUMNS = ["id", "name", "email", "age", "status", "x", "Größe", "a`b", "c:d", "50%", "order"]
TYPES = [
    "sa.Integer",
    "sa.Integer()",
    "sa.BigInteger()",
    "sa.SmallInteger()",
    "sa.String(10)",
    "sa.String(300)",
    "sa.String()",
    "sa.String(20, collation='C')",
    "sa.Text()",
    "sa.Unicode(20)",
    "sa.CHAR(3)",
    "sa.Boolean()",
    "sa.Boolean(create_constraint=True, name='ck_bool')",
    "sa.Enum('a', 'b', name='kind')",
    "sa.Enum('a', 'b', 'c', native_enum=False, create_constraint=True, name='ck_kind')",
    "sa.Enum('a', \"it's\", '100%:x')",
    "sa.Numeric(10, 2)",
    "sa.Numeric()",
    "sa.Float()",
    "sa.Double(53)",
    "sa.Date()",
    "sa.DateTime(timezone=True)",
    "sa.Interval()",
    "sa.Time()",
    "sa.JSON()",
    "sa.JSON().with_variant(postgresql.JSONB(), 'postgresql')",
    "sa.LargeBinary(20)",
    "sa.Uuid()",
    "sa.PickleType()",
    "sa.ARRAY(sa.Integer())",
    "sa.types.NullType()",
    "postgresql.JSONB()",
    "postgresql.INET()",
    "postgresql.CIDR()",
    "postgresql.TSVECTOR()",
    "postgresql.ENUM('a', 'b', name='mood', create_type=False)",
    "postgresql.DOMAIN('d', sa.Integer())",
    "postgresql.ARRAY(sa.Text(), dimensions=2)",
    "mysql.TINYINT(1)",
    "mysql.ENUM('a', 'b')",
    "mysql.SET('a', 'b')",
    "mysql.LONGTEXT(collation='utf8mb4_bin')",
    "Money()",
    "Wrapped(20)",
]
DEFAULTS = [
    "''",
    "'x'",
    "'it\\'s :x 100%'",
    "sa.text('0')",
    "sa.text(\"'XXX'\")",
    "sa.text('(uuid())')",
    "sa.text('gen_random_uuid()')",
    "sa.text(\"nextval('s'::regclass)\")",
    "sa.text(\"'a'::character varying(20)\")",
    "sa.func.now()",
    "sa.func.coalesce(1, 2)",
    "sa.true()",
    "sa.false()",
    "sa.null()",
    "sa.literal(5)",
    "sa.literal_column('7')",
    "sa.cast('1', sa.Integer)",
    "sa.FetchedValue()",
    "sa.DefaultClause('5')",
    "sa.DefaultClause(sa.text('now()'))",
    "sa.Computed('1 + 1')",
    "sa.Identity(start=5)",
    "None",
    "False",
]
CONDITIONS = [
    "'age > 0'",
    "''",
    "\"name <> '%s' AND a::int = 1\"",
    "sa.column('age') > 5",
    "sa.text('x IS NOT NULL')",
    "sa.and_(sa.column('a').in_([1, 2]), sa.not_(sa.column('b').is_(None)))",
    "sa.func.length(sa.column('name')) > sa.literal(3)",
]
INDEXED = [
    "'name'",
    "sa.text('lower(name)')",
    "sa.func.lower(sa.column('name'))",
    "sa.desc('age')",
    "sa.column('email')",
    "sa.literal_column('a').desc()",
    "sa.cast(sa.column('a'), sa.Integer)",
]
# What SQL is made of, well or badly.
SQL_WORDS = r"""
ALTER TABLE COLUMN ADD DROP SET NOT NULL DEFAULT TYPE RENAME TO CONSTRAINT UNIQUE PRIMARY KEY
FOREIGN REFERENCES CHECK INDEX ON CREATE CONCURRENTLY IF EXISTS USING VALIDATE MODIFY CHANGE
CONVERT CHARACTER OPTIMIZE REINDEX VACUUM FULL CLUSTER REFRESH MATERIALIZED VIEW ATTACH DETACH
PARTITION OF TRIGGER POLICY MERGE INTO UPDATE DELETE FROM WHERE TRUNCATE INSERT VALUES SELECT
ENUM VALUE SCHEMA users posts name age 'x' "x" `x` [x] $$ ( ) , ; . = :x %s 1 -- /* */ E'\\'
ENABLE DISABLE ALL FORCE LOCK=NONE FOREIGN_KEY_CHECKS 0 PRAGMA foreign_keys off
session_replication_role replica int varchar(20) GENERATED ALWAYS AS STORED IDENTITY
AUTO_INCREMENT CASCADE EXECUTE FUNCTION f() FOR EACH ROW ENGINE INNODB
"""
WORDS = SQL_WORDS.split()


def _call(name: str, *arguments: Source, **options: Source) -> Source:
    """Return calls of a function; of its options any may be there."""

    def written(given: tuple[list[str], dict[str, str]]) -> str:
        first, rest = given
        return f"{name}({', '.join([*first, *(f'{key}={value}' for key, value in rest.items())])})"

    chosen = st.fixed_dictionaries({}, optional=options)
    return st.tuples(st.tuples(*arguments).map(list), chosen).map(written)


def _list(of: Source, most: int = 4) -> Source:
    return st.lists(of, min_size=1, max_size=most).map(lambda each: f"[{', '.join(each)}]")


def _one(words: list[str]) -> Source:
    return st.sampled_from(words)


tables, columns = _one(TABLES).map(repr), _one(COLUMNS).map(repr)
names = _one(["'ix'", "None", "op.f('ck_users_x')", "'a b'", "'" + "n" * 70 + "'"])
types, defaults, schemas = _one(TYPES), _one(DEFAULTS), _one(["None", "'s'", "'a.b'"])
flags = _one(["True", "False", "None"])
new_columns = _call(
    "sa.Column",
    columns,
    types,
    _one(
        [
            "*()",
            "sa.ForeignKey('users.id')",
            "sa.ForeignKey('s.users.id', name='fk', ondelete='CASCADE', deferrable=True)",
            "sa.Identity(always=True)",
            "sa.Computed('1 + 1', persisted=True)",
            "sa.Computed('1', persisted=False)",
            "sa.CheckConstraint('x > 0')",
            "sa.Sequence('s')",
        ]
    ),
    nullable=_one(["True", "False"]),
    server_default=defaults,
    unique=flags,
    index=flags,
    primary_key=_one(["True", "False"]),
    comment=_one(["None", "'it\\'s %s'"]),
    autoincrement=_one(["True", "'auto'", "False"]),
)
altered: dict[str, Source] = {
    "nullable": flags,
    "server_default": defaults,
    "new_column_name": columns,
    "type_": types,
    "existing_type": types,
    "existing_nullable": flags,
    "existing_server_default": defaults,
    "comment": _one(["None", "'c'", "False"]),
    "existing_comment": _one(["None", "'c'"]),
    "autoincrement": flags,
    "postgresql_using": _one(["'x::int'"]),
}
keys: dict[str, Source] = {
    "ondelete": _one(["'CASCADE'", "None"]),
    "deferrable": flags,
    "initially": _one(["'DEFERRED'", "None"]),
    "postgresql_not_valid": flags,
}
indexes: dict[str, Source] = {
    "unique": flags,
    "postgresql_where": _one(["sa.text('a = 1')", "sa.column('a') == 1"]),
    "postgresql_concurrently": flags,
    "postgresql_include": _one(["['a']"]),
    "mysql_length": _one(["5", "{'name': 3}"]),
    "mysql_prefix": _one(["'FULLTEXT'"]),
    "if_not_exists": flags,
}
_of = {"schema": schemas}


def _operations(prefix: str, first: tuple[Source, ...], of: dict[str, Source]) -> list[Source]:
    """Return the operations that `op` has, and `batch_op` without the name of its table."""

    def call(name: str, *arguments: Source, **options: Source) -> Source:
        return _call(f"{prefix}.{name}", *arguments, **options, **of)

    listed = _list(columns)
    return [
        call("add_column", *first, new_columns),
        call("alter_column", *first, columns, **altered),
        call("drop_column", *first, columns),
        call(
            "create_check_constraint", names, *first, _one(CONDITIONS), postgresql_not_valid=flags
        ),
        call("create_unique_constraint", names, *first, listed, deferrable=flags),
        call("create_primary_key", names, *first, listed),
        call("create_index", names, *first, _list(_one(INDEXED)), **indexes),
        _call(f"{prefix}.create_foreign_key", names, *first, tables, listed, listed, **keys),
        call(
            "drop_constraint",
            names,
            *first,
            type_=_one(["'foreignkey'", "'unique'", "'check'", "None"]),
        ),
    ]


plain = [
    *_operations("op", (tables,), _of),
    _call("op.drop_constraint", names, tables, type_=_one(["'primary'"])),
    _call("op.create_table", tables, new_columns, new_columns, **_of),
    _call("op.drop_table", tables, **_of),
    _call("op.rename_table", tables, tables, **_of),
    _call("op.drop_index", names, table_name=tables, postgresql_concurrently=flags, **_of),
    _call("op.create_table_comment", tables, _one(["'c'", "None"]), **_of),
    _call("op.drop_table_comment", tables, **_of),
    _call(
        "op.create_exclude_constraint",
        names,
        tables,
        _one(["('name', '=')", "(sa.text('x'), '&&')"]),
    ),
    _call(
        "op.bulk_insert",
        _one(["sa.table('users', sa.column('name'))"]),
        _one(["[{'name': 'x'}]", "[]"]),
    ),
    _call(
        "backfill",
        tables,
        columns,
        _one(["1", "'x'", "None", "sa.text('a')", "sa.func.now()", "b'x'"]),
    ),
    _call(
        "op.execute",
        _one(
            [
                "sa.table('users').delete()",
                "sa.update(sa.table('users', sa.column('age'))).values(age=None)",
            ]
        ),
    ),
]


def _block(opened: Source, inside: list[Source]) -> Source:
    body = st.lists(st.one_of(inside), min_size=1, max_size=3)
    indented = body.map(lambda lines: "\n".join(f"    {line}" for line in lines))
    return st.tuples(opened, indented).map("\n".join)


garbage = st.lists(_one(WORDS), min_size=1, max_size=14).map(" ".join)
begun = _one(
    [
        "ALTER TABLE users ",
        "ALTER TABLE users ADD ",
        "ALTER TABLE users ALTER COLUMN name ",
        "ALTER TABLE users ADD CONSTRAINT c ",
        "CREATE INDEX ",
        "UPDATE users SET ",
        "SET ",
        "DROP ",
        "",
    ]
)
sql = st.one_of(
    st.tuples(begun, garbage).map("".join),
    st.text(max_size=40),
)
executed = st.one_of(
    sql.map(lambda words: f"op.execute({words!r})"),
    sql.map(lambda words: f"op.execute(sa.text({words!r}))"),
    sql.map(lambda words: f"op.get_bind().exec_driver_sql({words!r})"),
)
batched = _block(
    _call(
        "op.batch_alter_table", tables, recreate=_one(["'auto'", "'always'", "'never'"]), **_of
    ).map(lambda call: f"with {call} as b:"),
    _operations("b", (), {}),
)
statements: Source = st.one_of(
    *plain,
    executed,
    batched,
    _block(st.just("with online():"), [*plain, executed]),
    _block(st.just("with op.get_context().autocommit_block():"), [*plain, executed]),
)
IMPORTS = """
from sqlalchemy.dialects import mysql, postgresql
from schema_guard.operations import backfill, online
class Money(sa.types.UserDefinedType):
    def get_col_spec(self, **_):
        return "MONEY"
class Wrapped(sa.types.TypeDecorator):
    impl, cache_ok = sa.String, True
"""


# What a test draws: the DBMS, and the lines of an `upgrade()`.
REVISIONS: dict[str, st.SearchStrategy[Any]] = {
    "dialect": _one(["postgresql", "mysql", "mariadb", "sqlite"]),
    "lines": st.lists(statements, min_size=1, max_size=3),
}

"""No row's content in the record, the logs or the messages, whatever the error."""

import logging
import traceback
from typing import Any

import pytest
from click import ClickException
from schema_guard.core.errors import cause, shorten, trace
from services import Service

TEXT = 'alice\'s "s3cr3t" Ünïque@example.com'
WORDS = ("s3cr3t", "Ünïque", "alice", "987654")  # parts of what a row holds
NUMBER = 987_654_321_987
SQL_TEXT = TEXT.replace("'", "''")
TABLES = {
    "postgresql": [
        "CREATE TYPE mood AS ENUM ('good', 'bad')",
        """CREATE TABLE people (id INT PRIMARY KEY, email TEXT CONSTRAINT uq_email UNIQUE,
             must INT NOT NULL DEFAULT 1, age INT CONSTRAINT ck_age CHECK (age < 100),
             parent BIGINT CONSTRAINT fk_parent REFERENCES parents (id), short VARCHAR(5),
             small SMALLINT, born DATE, doc JSONB, mood mood, other TEXT,
             CONSTRAINT ex_other EXCLUDE USING hash (other WITH =))""",
        """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN RAISE EXCEPTION 'not %', NEW.email USING ERRCODE = 'P0001'; END $$""",
    ],
    "mysql": [
        """CREATE TABLE people (id INT PRIMARY KEY, email VARCHAR(255) NULL,
             must INT NOT NULL DEFAULT 1, age INT, parent BIGINT, short VARCHAR(5),
             small SMALLINT, born DATE, doc JSON, mood ENUM('good', 'bad'), other TEXT,
             CONSTRAINT uq_email UNIQUE (email), CONSTRAINT ck_age CHECK (age < 100),
             CONSTRAINT fk_parent FOREIGN KEY (parent) REFERENCES parents (id)) ENGINE=InnoDB""",
    ],
    "sqlite": [
        """CREATE TABLE people (id INT PRIMARY KEY, email TEXT CONSTRAINT uq_email UNIQUE,
             must INT NOT NULL DEFAULT 1, age INT CONSTRAINT ck_age CHECK (age < 100),
             parent BIGINT CONSTRAINT fk_parent REFERENCES parents (id), short TEXT
             CONSTRAINT ck_short CHECK (length(short) < 6), small INT, born DATE,
             doc TEXT CONSTRAINT ck_doc CHECK (doc IS NULL OR json_valid(doc)), mood TEXT
             CONSTRAINT ck_mood CHECK (mood IN ('good', 'bad')), other TEXT) STRICT""".replace(
            "BIGINT", "INT"
        ).replace("DATE", "INT"),
    ],
}
TRIGGER = {
    "postgresql": "CREATE TRIGGER t BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION refuse()",
    "mysql": "CREATE TRIGGER t BEFORE UPDATE ON people FOR EACH ROW"
    " SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'alice is s3cr3t'",
    "sqlite": "CREATE TRIGGER t BEFORE UPDATE ON people BEGIN"
    " SELECT RAISE(ABORT, 'alice is s3cr3t'); END",
}
# What is set, and what the message names: on PostgreSQL, on MariaDB, on SQLite.
ROWS: dict[str, tuple[dict[str, Any], tuple[str | None, str | None, str | None]]] = {
    "unique": ({"email": TEXT}, ("uq_email", "uq_email", "people.email")),
    "not null": ({"must": None, "email": "alice"}, ("must", "must", "people.must")),
    "check": ({"age": NUMBER // 10**4, "email": "alice"}, ("ck_age", "ck_age", "ck_age")),
    "foreign key": ({"parent": NUMBER}, ("fk_parent", "fk_parent", None)),
    "too long": ({"short": TEXT}, ("22001", "'short'", "ck_short")),
    "out of range": ({"small": NUMBER}, ("22003", "'small'", None)),
    "not an integer": ({"small": TEXT}, ("invalid", "`small`", "small")),
    "not a date": ({"born": TEXT}, ("invalid", "`born`", "born")),
    "not JSON": ({"doc": TEXT}, ("invalid", "doc", "ck_doc")),
    "no value of the enum": ({"mood": TEXT}, ("22P02", "mood", "ck_mood")),
    "exclusion": ({"other": TEXT}, ("ex_other", None, None)),
}
LATER: dict[str, tuple[dict[str, str], str | dict[str, str]]] = {
    "a trigger": (TRIGGER, "UPDATE people SET id = id + 1"),
    "a conversion": (
        {
            "postgresql": "SELECT 1",
            "mysql": "SELECT 1",
        },
        {
            "postgresql": "ALTER TABLE people ALTER email TYPE INT USING email::int",
            "mysql": "ALTER TABLE people MODIFY email INT",
        },
    ),
    "a cast": (
        {"postgresql": "SELECT 1"},
        {"postgresql": "SELECT CAST(email AS date) FROM people"},
    ),
    "a function": (
        {"mysql": "SELECT 1"},
        {"mysql": "UPDATE people SET born = STR_TO_DATE(email, '%Y')"},
    ),
    "a unique index": (
        {
            "postgresql": "INSERT INTO people (id, short) VALUES (5, 'alice'), (6, 'alice')",
            "mysql": "INSERT INTO people (id, short) VALUES (5, 'alice'), (6, 'alice')",
            "sqlite": "INSERT INTO people (id, short) VALUES (5, 'alice'), (6, 'alice')",
        },
        "CREATE UNIQUE INDEX uq_short ON people (short)",
    ),
    "arithmetic": (
        {"mysql": "SELECT 1"},
        {"mysql": f"UPDATE people SET parent = 9223372036854775807 + {NUMBER} + id"},
    ),
    "at the commit": (
        {
            "postgresql": "ALTER TABLE people DROP CONSTRAINT fk_parent, ADD CONSTRAINT fk_late"
            " FOREIGN KEY (parent) REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED"
        },
        f"INSERT INTO people (id, parent) VALUES (8, {NUMBER})",
    ),
    "quotes that do not match": (
        {"postgresql": "SELECT 1", "mysql": "SELECT 1", "sqlite": "SELECT 1"},
        "INSERT INTO people (email) VALUES ('it's alice, s3cr3t, Ünïque')",
    ),
}
PYTHON = {
    "int": "int(email)",
    "float": "float(email)",
    "a date": "__import__('datetime').date.fromisoformat(email)",
    "a format": "__import__('datetime').datetime.strptime(email, '%Y')",
    "a key": "{}[email]",
    "a decimal": "__import__('decimal').Decimal(email)",
    "JSON": "__import__('json').loads(email)",
    "UUID": "__import__('uuid').UUID(email)",
    "an enum": "__import__('enum').Enum('Mood', 'good bad')(email)",
    "a type of SQLAlchemy": "op.get_bind().scalar(sa.select(sa.literal(email, sa.Enum('a'))))",
    "a parameter": "op.get_bind().execute(sa.text('SELECT :a'), {'a': {email: object()}})",
}


def outputs(service: Service, caplog: pytest.LogCaptureFixture, *flags: str) -> str:
    """Return all that an upgrade that fails says anywhere."""
    caplog.clear()
    caplog.set_level(logging.INFO)
    vars(service.extension).pop("script_directory", None)
    outcome = service.app.test_cli_runner().invoke(args=["db", "upgrade", *flags])
    assert isinstance(outcome.exception, SystemExit), traceback.format_exception(outcome.exception)
    log = service.app.test_cli_runner().invoke(args=["db", "log"]).output
    notes = service.column("SELECT note FROM schema_history WHERE note IS NOT NULL")
    assert notes
    return "\n".join([outcome.output, log, caplog.text, *notes])


def assert_hidden(text: str, what: str) -> None:
    """Check that nothing of a row is in a text."""
    assert not [word for word in WORDS if word in text], f"{what}: {text}"


@pytest.fixture
def people(service: Service) -> Service:
    """Return a service with a row."""
    service.run("CREATE TABLE parents (id BIGINT PRIMARY KEY)")
    for statement in TABLES[service.dialect]:
        service.run(statement)
    service.insert("people", [{"id": 1, "email": TEXT, "other": TEXT}])
    return service


def test_rows_that_are_refused(people: Service, caplog: pytest.LogCaptureFixture) -> None:
    place = ["postgresql", "mysql", "sqlite"].index(people.dialect)
    for number, (what, (given, names)) in enumerate(ROWS.items(), 2):
        name = names[place]
        if what == "exclusion" and name is None:
            continue
        if people.dialect == "sqlite" and what in {"out of range", "foreign key"}:
            continue  # there is no such error, or none within a migration
        row = {"id": number, **given}
        columns = ", ".join(row)
        values = ", ".join(f":{column}" for column in row)
        literal = ", ".join(
            "NULL"
            if v is None
            else "'" + v.replace("'", "''") + "'"
            if isinstance(v, str)
            else str(v)
            for v in row.values()
        )
        insert = f"INSERT INTO people ({columns}) VALUES"
        for code in (
            f"op.get_bind().execute(sa.text({f'{insert} ({values})'!r}), {row!r})",
            f"op.get_bind().exec_driver_sql({f'{insert} ({literal})'!r})",
        ):
            people.write(1, code, "pass")
            for flags in ((), ("--verbose",)):
                said = outputs(people, caplog, *flags)
                # The traceback quotes the revision, which is its author's text.
                said = "\n".join(line for line in said.splitlines() if code[:30] not in line)
                assert_hidden(said, what)
                assert f"INSERT INTO people ({columns})" in said
                if name:
                    assert name in said, (what, said)


def test_what_is_done_to_rows(people: Service, caplog: pytest.LogCaptureFixture) -> None:
    for what, (before, statement) in LATER.items():
        if people.dialect not in before:
            continue
        sql = statement if isinstance(statement, str) else statement[people.dialect]
        people.run(before[people.dialect])
        people.write(1, f"op.get_bind().exec_driver_sql({sql.replace('%', '%%')!r})", "pass")
        assert_hidden(outputs(people, caplog), what)
        if "TRIGGER" in before[people.dialect]:
            people.run("DROP TRIGGER t" + (" ON people" if people.dialect == "postgresql" else ""))


def test_what_python_says(people: Service, caplog: pytest.LogCaptureFixture) -> None:
    for what, code in PYTHON.items():
        body = f"email = op.get_bind().scalar(sa.text('SELECT email FROM people'))\n{code}"
        people.write(1, body, "pass")
        for flags in ((), ("--verbose",)):
            said = outputs(people, caplog, *flags)
            assert_hidden(said, what)
            assert "Error" in said


@pytest.mark.parametrize("dbms", ["postgresql"])
def test_the_author_s_words_stay(people: Service, caplog: pytest.LogCaptureFixture) -> None:
    for code, words in (
        ("raise RuntimeError('no \"admin\" among the roles')", 'no "admin" among the roles'),
        ("{}['phone']", "KeyError: 'phone'"),
        ("op.execute('SELECT phone FROM nowhere')", 'relation "nowhere" does not exist'),
        ("op.execute('ALTER TABLE people ADD phone INTT')", 'type "intt" does not exist'),
        ("op.execute('SELECTT 1')", 'syntax error at or near "SELECTT"'),
    ):
        people.write(1, code, "pass")
        assert words in outputs(people, caplog)


def test_values_are_shown_to_whom_they_may_be(people: Service) -> None:
    people.write(
        1, f"op.execute({f'''INSERT INTO people (id, email) VALUES (9, '{SQL_TEXT}')'''!r})", "pass"
    )
    with pytest.raises(ClickException) as caught:
        people.upgrade()
    assert "INSERT INTO people (id, email) VALUES" in trace(caught.value, values=True)
    assert "s3cr3t" in trace(caught.value, values=True)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE t SET a = 'x', b = N'y''z', c = 5", "UPDATE t SET a = '…', b = '…', c = 5"),
        ("SELECT $$a$$, $q$b$$c$q$", "SELECT '…', '…'"),
        (
            "INSERT INTO t VALUES ('a\\'b', 1234567, -99999999.5)",
            "INSERT INTO t VALUES ('…', …, -…)",
        ),
        (
            'INSERT INTO "my table" ("a-b") VALUES ("x@y")',
            'INSERT INTO "my table" ("a-b") VALUES (\'…\')',
        ),
        ("UPDATE t SET a = 'not closed", "UPDATE t SET a = '…'"),
        ("UPDATE t SET a = 'it's b', c = 'd'", "UPDATE t SET a = '…"),
        ("ALTER TABLE t ADD a TEXT DEFAULT 'x'", "ALTER TABLE t ADD a TEXT DEFAULT 'x'"),
        (
            "process 7 (shop), active for 9 s: UPDATE t SET a = 'x'",
            "process 7 (shop), active for 9 s: UPDATE t SET a = '…'",
        ),
    ],
)
def test_a_statement_is_shown_without_its_values(statement: str, said: str) -> None:
    assert shorten(statement) == said


def test_an_error_that_nobody_knows_is_its_kind() -> None:
    class UnknownError(Exception):
        pass

    class WrappedError(Exception):
        orig, statement = UnknownError("alice"), "SELECT 1"

    assert cause(WrappedError()) == "UnknownError, while the values of the statement were prepared"

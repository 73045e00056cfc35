"""What MariaDB does while others write, and what it copies the table for: lint knows which."""

import pytest
import sqlalchemy as sa
from samples import write_base
from services import NO_WAY_BACK, Service

pytestmark = pytest.mark.parametrize("dbms", ["mariadb"])
PARENT = "CREATE TABLE p (id int PRIMARY KEY)"
TABLE = (
    "CREATE TABLE t (id int PRIMARY KEY, name varchar(50) NOT NULL, age int, status varchar(20),"
    " kind enum('a', 'b'), big text, pid int, KEY ix (status), CONSTRAINT ck CHECK (id > 0),"
    " CONSTRAINT fk FOREIGN KEY (pid) REFERENCES p (id){}) CHARACTER SET utf8mb4"
)
KINDS = {"plain": "", "full-text": ", FULLTEXT KEY ft (big)"}
ACTIONS = [
    "ADD COLUMN x int",
    "ADD COLUMN x int NOT NULL DEFAULT 5",
    "ADD COLUMN x datetime DEFAULT CURRENT_TIMESTAMP",
    "ADD COLUMN x varchar(36) DEFAULT (uuid())",
    "ADD COLUMN x int CHECK (x > 0)",
    "ADD COLUMN x int AS (age + 1) VIRTUAL",
    "ADD COLUMN x int AS (age + 1) STORED",
    "ADD COLUMN x int AFTER id, ADD COLUMN y int FIRST",
    "DROP COLUMN age",
    "MODIFY age int NOT NULL",
    "MODIFY name varchar(50) NULL",
    "MODIFY name varchar(60) NOT NULL",
    "MODIFY name varchar(300) NOT NULL",
    "MODIFY name varchar(20) NOT NULL",
    "MODIFY COLUMN age bigint",
    "MODIFY age int DEFAULT 5",
    "MODIFY kind enum('a', 'b', 'c')",
    "MODIFY kind enum('c', 'a', 'b')",
    "CHANGE age years int",
    "CHANGE COLUMN age years bigint",
    "RENAME COLUMN age TO years",
    "ALTER age SET DEFAULT 5",
    "ADD INDEX ix2 (name)",
    "ADD UNIQUE KEY ix2 (name)",
    "ADD CONSTRAINT uq UNIQUE (name)",
    "ADD FULLTEXT INDEX ft2 (big)",
    "DROP INDEX ix",
    "RENAME INDEX ix TO ix3",
    "DROP PRIMARY KEY",
    "ADD CONSTRAINT ck2 CHECK (age > 0)",
    "DROP CONSTRAINT ck",
    "DROP FOREIGN KEY fk",
    "ADD CONSTRAINT fk2 FOREIGN KEY (age) REFERENCES p (id)",
    "COMMENT = 'x'",
    "CONVERT TO CHARACTER SET latin1",
    "FORCE",
    "ENGINE = InnoDB",
]
# Found for another reason than that it blocks somebody.
OTHERWISE = {
    "drop-column",
    "rename-column",
    "drop-not-null",
    "several-ddl-in-one-mysql-revision",
}


def refused(service: Service, action: str, more: str) -> bool:
    """Return whether the server refuses to do it while others write."""
    with service.engine.begin() as connection:
        for statement in ("DROP TABLE IF EXISTS t, p", PARENT, TABLE.format(more)):
            connection.exec_driver_sql(statement)
        try:
            connection.exec_driver_sql(f"ALTER TABLE t {action}, ALGORITHM=INPLACE, LOCK=NONE")
        except sa.exc.DatabaseError as error:
            (code, _) = error.orig.args if error.orig else (0, "")
            if code not in {1845, 1846}:  # it is not supported so; with the reason
                raise
            return True
    return False


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_server_copies_a_table_for_is_found(service: Service, kind: str) -> None:
    write_base(service)
    more = KINDS[kind]
    columns = (
        "sa.Column('id', sa.Integer), sa.Column('name', sa.String(50), nullable=False),"
        " sa.Column('age', sa.Integer), sa.Column('kind', sa.Enum('a', 'b'))"
    )
    made = f"op.create_table('t', {columns})"
    if more:
        made += "\nop.create_index('ft', 't', ['big'], mysql_prefix='FULLTEXT')"
    service.write(2, made, NO_WAY_BACK)
    found, copied = {}, {}
    for action in ACTIONS:
        service.write(3, f"op.execute({f'ALTER TABLE t {action}'!r})", NO_WAY_BACK)
        judged = service.lint("0003", version="MariaDB 10.11")
        rules = {finding.rule for _, finding in judged.findings} - OTHERWISE
        found[action], copied[action] = bool(rules), refused(service, action, more)
    assert found == copied

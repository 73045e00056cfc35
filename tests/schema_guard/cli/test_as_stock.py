"""What works with Flask-Migrate works with SchemaGuard: ways of programs, folders and branches."""

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from samples import users
from schema_guard.core.errors import GuardError
from schema_guard.readiness import check
from services import NO_WAY_BACK, Service

pytestmark = pytest.mark.parametrize("dbms", ["sqlite"])
TABLE = "op.create_table('{}', sa.Column('id', sa.Integer, primary_key=True))"


def invoke(service: Service, *words: str, status: int = 0, **options: Any) -> str:
    """Run a command of `flask db`; return its output."""
    result = service.app.test_cli_runner().invoke(args=["db", *words], **options)
    assert result.exit_code == status, result.output
    return result.output


def label(path: Path, **values: Any) -> None:
    """Give a revision other values, such as branch_labels."""
    text = path.read_text(encoding="utf-8")
    lines = "\n".join(f"{name} = {value!r}" for name, value in values.items())
    path.write_text(text.replace("\n\ndef upgrade", f"{lines}\n\ndef upgrade", 1), encoding="utf-8")


def begin_anew(path: Path) -> None:
    """Have a revision come after no other one."""
    text = path.read_text(encoding="utf-8")
    after = text.replace("down_revision = '0001'", "down_revision = None")
    path.write_text(after, encoding="utf-8")


def test_what_fails_is_a_system_exit(service: Service) -> None:
    service.write(1, "op.drop_table('nowhere')", "pass")
    for revision in ("head", "nowhere"):
        with pytest.raises(SystemExit) as ended:
            service.upgrade(revision=revision)
        assert isinstance(ended.value, GuardError)
        assert str(ended.value.code) == f"Error: {ended.value.message}"
    code = "from schema_guard import GuardError; raise GuardError('Zoë')"
    program = subprocess.run(
        [sys.executable, "-B", "-c", code],
        env={"PYTHONPATH": str(Path(sys.modules["schema_guard"].__file__ or "").parent.parent)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (program.returncode, program.stderr) == (1, "Error: Zoë\n")


def test_a_folder_with_a_percent_sign(service: Service) -> None:
    folder = service.versions.parent
    moved = folder.with_name("100%(x)s %d%% Zoë")
    folder.rename(moved)
    service.versions = moved / "versions"
    service.extension.migrate.directory = service.extension.directory = str(moved)
    (moved / "alembic.ini").write_text(service.settings, encoding="utf-8")  # with its hooks
    service.models(users())
    assert "class" not in str(service.migrate())
    service.upgrade()
    assert not service.differs()


def test_a_connection_of_the_cookbooks(service: Service) -> None:
    service.write(1, TABLE.format("t"), NO_WAY_BACK)
    with service.app.app_context(), service.engine.connect() as connection:
        config = service.extension.migrate.get_config()
        config.attributes["connection"] = connection
        with connection.begin_nested(), pytest.raises(GuardError, match="is in a savepoint"):
            command.upgrade(config, "head")
        connection.rollback()
        with connection.begin():
            command.upgrade(config, "head")
    assert service.rows("SELECT * FROM t") == []


def test_loggers_of_alembic_ini(service: Service) -> None:
    service.write(1, TABLE.format("t"), NO_WAY_BACK)
    log = service.versions.parent / "log"
    (service.versions.parent / "alembic.ini").write_text(
        "[alembic]\nscript_location = %(here)s\npath_separator = os\n"
        "[loggers]\nkeys = root,alembic\n[handlers]\nkeys = file\n[formatters]\nkeys =\n"
        "[logger_root]\nhandlers =\n"
        "[logger_alembic]\nlevel = INFO\nhandlers = file\nqualname = alembic\n"
        f"[handler_file]\nclass = FileHandler\nargs = ({str(log)!r}, 'a', 'utf-8')\n",
        encoding="utf-8",
    )
    alembic, root = logging.getLogger("alembic"), logging.getLogger()
    before = alembic.handlers[:], alembic.level, root.handlers[:], root.level
    other = logging.getLogger("service")
    try:
        service.upgrade()
        assert not other.disabled
    finally:
        for handler in alembic.handlers:
            handler.close()
        alembic.handlers, level, root.handlers, root_level = before
        alembic.setLevel(level)
        root.setLevel(root_level)
    assert "Running upgrade  -> 0001" in log.read_text(encoding="utf-8")


def test_without_ruff(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    (service.versions.parent / "alembic.ini").write_text(service.settings, encoding="utf-8")
    service.models(users())
    monkeypatch.setitem(sys.modules, "ruff", None)
    said = invoke(service, "revision", "-m", "empty")
    assert "Note: ruff is not installed" in said
    assert len(list(service.versions.glob("*.py"))) == 1
    service.upgrade()
    assert "Note: ruff is not installed" in invoke(service, "migrate", "-m", "users")
    service.upgrade()
    assert not service.differs()


@pytest.mark.parametrize("given", ["option", "group", "variable"])
def test_another_folder(service: Service, given: str, tmp_path: Path) -> None:
    service.write(1, "raise ValueError('this is not the folder')", NO_WAY_BACK)
    folder, other = service.versions.parent, tmp_path / "Zoë's other one"
    folder.rename(other)
    folder.mkdir()
    service.versions = other / "versions"
    service.write(1, TABLE.format("t"), NO_WAY_BACK)
    for asked in (["prepare"], ["lint", "0001"], ["rebase"]):
        before = ["-d", str(other)] if given == "group" else []
        after = ["-d", str(other)] if given == "option" else []
        environ = {"FLASK_DB_DIRECTORY": str(other)} if given == "variable" else {}
        runner = service.app.test_cli_runner()
        words = ["db", *before, *asked, *after]
        result = runner.invoke(args=words, env=environ, auto_envvar_prefix="FLASK")
        expected = "nothing to rebase" if asked == ["rebase"] else ""
        assert result.exit_code == bool(expected), result.output
        assert expected in result.output
    assert service.rows("SELECT * FROM t") == []


def test_messages_name_the_folder_of_the_revisions(service: Service) -> None:
    other = service.versions.with_name("history of Zoë")
    service.versions.rename(other)
    service.versions = other
    ini = service.versions.parent / "alembic.ini"
    text = ini.read_text(encoding="utf-8")
    place = "script_location = %(here)s\nversion_locations = %(here)s/history of Zoë"
    ini.write_text(text.replace("script_location = %(here)s", place), encoding="utf-8")

    path = service.write(1, "pass", NO_WAY_BACK)
    twice = path.with_name("twice.py")
    twice.write_bytes(path.read_bytes())
    assert f"Two files in {other} are revision 0001" in invoke(service, "upgrade", status=1)
    twice.write_text("def upgrade(:\n", encoding="utf-8")
    assert "twice.py, line 1, cannot be read" in invoke(service, "upgrade", status=1)
    twice.unlink()
    service.upgrade()
    path.unlink()
    said = invoke(service, "upgrade", status=1)
    assert f"flask db log 0001 --output {other}/0001.py" in said


def test_a_version_table_of_the_applications(service: Service) -> None:
    service.extension.configure_args["version_table"] = "shop_version"
    service.write(1, TABLE.format("t"), NO_WAY_BACK)
    service.upgrade()
    service.run("INSERT INTO t (id) VALUES (1)")
    assert "revision 0001" in invoke(service, "backup")
    service.write(2, "op.drop_table('t')", NO_WAY_BACK)
    assert "Revision 0002 would drop t" in invoke(service, "upgrade", status=1)
    assert "The database is at 0001" in invoke(service, "upgrade", "nowhere", status=1)


def test_branches_that_are_to_stay(service: Service) -> None:
    label(service.write(1, TABLE.format("users"), NO_WAY_BACK), branch_labels=("shop",))
    other = service.write(2, TABLE.format("posts"), NO_WAY_BACK)
    begin_anew(other)
    label(other, branch_labels=("blog",))
    said = invoke(service, "upgrade", status=1)
    assert "`label@head`" in said
    assert "`flask db upgrade heads`" in said
    assert "There are 2 heads" in invoke(service, "prepare", status=1)

    service.app.config["MIGRATION_TARGET"] = "heads"
    assert "migrated to 0001, 0002" in invoke(service, "prepare")
    assert "at 0001, 0002 already" in invoke(service, "prepare")
    assert is_ready(service) == "0001 (A change), 0002 (A change)"
    invoke(service, "upgrade", "shop@head")
    invoke(service, "upgrade", "heads")


def is_ready(service: Service) -> str:
    """Return at which revisions a service is ready."""
    vars(service.extension).pop("script_directory", None)
    with service.app.app_context(), service.engine.connect() as connection:
        ready = check(connection)
    assert ready.ready
    assert ready.at_head
    return ready.revision


def test_a_branch_that_depends_on_another(service: Service) -> None:
    service.write(1, TABLE.format("users"), NO_WAY_BACK)
    other = service.write(2, TABLE.format("posts"), NO_WAY_BACK)
    begin_anew(other)
    label(other, depends_on=("0001",))
    service.upgrade(revision="heads")
    assert service.column("SELECT version_num FROM alembic_version") == ["0002"]
    assert is_ready(service) == "0002 (A change)"
    assert "at 0002 already" in invoke(service, "prepare")

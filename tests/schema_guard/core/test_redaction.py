"""No password in any output: forms of URLs, commands, failures."""

import ast
import logging
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from schema_guard.core import redaction
from schema_guard.core.redaction import HIDDEN, scrub, shown
from servers import PASSWORD, Server, free_port
from services import PROJECT, Service
from sqlalchemy import URL, create_engine, make_url

SECRET = "sécret/@:%'\"\\ #?&$1 x"
OPTIONS = [
    *("password", "passwd", "PASSWORD", "sslpassword", "ssl_key_password", "password1", "key"),
    *("oauth_client_secret", "options", "init_command", "token", "nobody_knows"),
]


@pytest.fixture(autouse=True)
def _own_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have other tests of the process not lose words that are secrets here, such as "a"."""
    monkeypatch.setattr(redaction, "_secrets", set())


def found(text: str, secret: str) -> list[str]:
    """Return how a secret is written in a text; nothing if it is not there."""
    forms = [secret, quote(secret), quote(secret, safe=""), quote(secret, safe=" +")]
    forms += [quote_plus(secret), repr(secret)[1:-1], repr(secret.encode())[2:-1]]
    forms += [secret.replace("'", "''"), secret.replace("\\", "\\\\")]
    return [form for form in forms if form in text]


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("several", [False, True])
def test_a_secret_is_hidden_wherever_it_is(option: str, *, several: bool) -> None:
    public = {"host": ("a:1", "b:2"), "passfile": "/srv/me/.pgpass", "sslmode": "require"}
    given = ("first", SECRET) if several else SECRET
    url = URL.create(
        *("postgresql+psycopg", "me", SECRET, "db.example.com", 5433, "shop"),
        query={option: given, **public},
    )
    text = shown(url)
    assert not found(text, SECRET)
    assert "first" not in text
    assert make_url(text) == url.set(password=HIDDEN, query={option: HIDDEN, **public})


def test_a_url_without_a_secret_is_shown_as_it_is() -> None:
    for text in (
        "sqlite:////srv/me/a b/shop.db?timeout=3",
        "postgresql://me@%2Fvar%2Frun/shop?service=shop&passfile=x",
        "mysql+pymysql://db:3306/shop?charset=utf8mb4&unix_socket=%2Ftmp%2Fs",
    ):
        assert make_url(shown(make_url(text))) == make_url(text)


def connected(url: URL, **arguments: Any) -> None:
    """Try to connect to what nothing listens at."""
    engine = create_engine(url.set(host="127.0.0.1", port=free_port()), connect_args=arguments)
    with pytest.raises(Exception, match=r"."):
        engine.connect()


@pytest.mark.parametrize("driver", ["postgresql+psycopg", "mysql+pymysql"])
def test_what_a_driver_was_given_is_taken_out_of_texts(driver: str) -> None:
    url = URL.create(driver, "known", "known", "localhost", database="shop")
    connected(url, passwd=b"as-b\xc3\xbdtes", connect_timeout=7, sslpassword="a", prepare="off")
    connected(url.set(password=SECRET, query={"token": ("one-token", "two-token")}))

    for secret in (SECRET, "as-býtes", "one-token", "two-token"):
        for form in found(f"{secret} {quote_plus(secret)} {quote(secret)}", secret):
            assert scrub(f"could not use 'x{form}y'") == f"could not use 'x{HIDDEN}y'"
    # A short one is no part of words, nor is a name that is shown anyway.
    assert scrub("a known table, off for 7 s") == f"{HIDDEN} known table, off for 7 s"


def cases(url: URL) -> Iterator[tuple[str, URL, str]]:
    """Return what is the matter with a URL, the URL, and the secret in it."""
    if url.get_backend_name() == "sqlite":
        file = make_url(f"sqlite:///file:{url.database}?uri=true&key={quote_plus(SECRET)}")
        yield "works", file, SECRET
        yield "no folder", file.set(database=f"{file.database}/none/x"), SECRET
        return
    asked = {"password": PASSWORD}
    yield "works", url, PASSWORD
    yield "works by its option", url.set(password=None, query=asked), PASSWORD
    yield "no such user", url.set(username="nobody", query=asked), PASSWORD
    yield "no such database", url.set(database="none", username="nobody"), PASSWORD
    wrong = url.set(password=SECRET)
    yield "wrong password", wrong, SECRET
    yield "closed port", wrong.set(port=free_port(), query={"password": SECRET}), SECRET
    yield "two passwords", wrong.set(query={"password": ("x", SECRET)}), SECRET
    yield "an option of another driver", wrong.set(query={"pwd": SECRET}), SECRET
    yield "a password of a key", url.set(query={"sslpassword": SECRET}), SECRET
    yield "a wrong value beside it", wrong.set(query={"ssl": "x", "sslmode": "x"}), SECRET


def commands(service: Service, folder: Path) -> list[list[str]]:
    """Return every command of `flask db`, with what it needs."""
    needs = {
        "backup": [str(folder / "backup")],
        "history": ["--indicate-current"],
        "init": ["--directory", str(folder / "new")],
        "merge": ["heads"],
        "migrate": ["-m", "x"],
        "restore": [str(folder / "backup")],
        "stamp": ["head"],
    }
    group: Any = service.app.cli.commands["db"]
    last = {"downgrade", "drop", "restore", "upgrade"}  # what others build on comes before
    names = sorted(set(group.commands) - last) + sorted(last)
    return [*([name, *needs.get(name, [])] for name in names), ["prepare", "--verbose"]]


def run(service: Service, arguments: list[str]) -> str:
    """Run a command as from a shell; return what it prints, with the traceback if it has one."""
    vars(service.extension).pop("script_directory", None)  # a process reads it once
    runner = service.app.test_cli_runner(env={"EDITOR": "true"})
    outcome = runner.invoke(args=["db", *arguments], input="wrong\n")
    error = outcome.exception
    if error is None or isinstance(error, SystemExit):
        return outcome.output
    return outcome.output + "".join(traceback.format_exception(error))


def test_no_command_shows_a_password(
    database: URL,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.INFO)
    for what, url, secret in cases(database):
        folder = tmp_path / what
        folder.mkdir()
        service = Service(folder, url)
        service.write(1, 'op.execute("SELECT 1")', "pass")
        try:
            for arguments in commands(service, folder):
                output = run(service, arguments)
                captured = capfd.readouterr()
                output += captured.out + captured.err + caplog.text
                caplog.clear()
                assert not found(output, secret), (what, arguments)
                # PyMySQL's TypeErrors are errors of the driver in a project: app/engine.py.
                if service.dialect != "mysql" and "--verbose" not in arguments:
                    assert "Traceback" not in output, (what, arguments)
        finally:
            service.engine.dispose()


def test_a_revision_that_quotes_the_url_shows_no_password(
    database: URL, service: Service, server: Server | None
) -> None:
    if server is None:
        return
    url = database.render_as_string(hide_password=False)
    service.write(1, f"raise RuntimeError({f'cannot use {url}, password {PASSWORD!r}'!r})", "pass")
    output = run(service, ["upgrade", "--verbose"])
    assert f"cannot use {shown(database)}, password '{HIDDEN}'" in output
    assert not found(output, PASSWORD)
    (note,) = service.column("SELECT note FROM schema_history")
    assert HIDDEN in note
    assert not found(note, PASSWORD)


def urls_printed(path: Path) -> Iterator[str]:
    """Return where a source makes a text of a URL by other means than `shown`."""
    printing = {"str", "repr", "print", "format", "echo", "debug", "info", "warning", "error"}

    def is_url(node: ast.AST) -> bool:
        name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
        return name == "url" or name.endswith(("_url", "_URI"))

    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        values: list[ast.AST] = []
        if isinstance(node, ast.FormattedValue):
            values = [node.value]
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod | ast.Add):
            right = node.right
            values = [node.left, *(right.elts if isinstance(right, ast.Tuple) else [right])]
        elif isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in {"render_as_string", "__to_string__"}:
                yield f"{path.name}:{node.lineno}"
            values = list(node.args) if name in printing else []
        if any(map(is_url, values)):
            yield f"{path.name}:{getattr(node, 'lineno', 0)}"


def test_there_is_one_way_to_print_a_url() -> None:
    sources = [*PROJECT.rglob("*.py"), PROJECT / "bin" / "setup", *PROJECT.parent.glob("hooks/*")]
    sources = [path for path in sources if "tests" not in path.relative_to(PROJECT.parent).parts]
    assert len(sources) > 50
    found = [place for path in sources for place in urls_printed(path)]
    assert [place.partition(":")[0] for place in found] == ["redaction.py"], found


@pytest.mark.parametrize(
    "code",
    [
        'f"to {url}"',
        'f"{engine.url!r}"',
        '"%s" % (1, self.engine.url)',
        '"x" + url',
        "str(engine.url)",
        'logger.error("%s", url)',
        "click.echo(url)",
        '"{}".format(database_url)',
        "url.render_as_string()",
    ],
)
def test_another_way_would_be_found(code: str, tmp_path: Path) -> None:
    path = tmp_path / "code.py"
    path.write_text(code)
    assert list(urls_printed(path)) == ["code.py:1"]

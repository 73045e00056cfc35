"""What Alembic logs at every command and tells nobody anything; `--verbose` shows it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

NOISE = (
    "Context impl ",
    "Will assume ",  # that DDL is not transactional, which is not so with the guards
    "Detected sequence named ",  # of every SERIAL
)
# Alembic says of the guards' comparison of server defaults that it is somebody's function.
OWN_FUNCTION = "User defined function %s detected server default on column '%s.%s'"
LOGGERS = (
    "alembic.runtime.migration",
    "alembic.ddl.postgresql",
    "alembic.autogenerate.compare.server_defaults",
)

_verbose: ContextVar[bool] = ContextVar("verbose", default=False)


class _Quiet(logging.Filter):
    """Leaves out noise, whatever handler there is."""

    def filter(self, record: logging.LogRecord) -> bool:
        if _verbose.get():
            return True
        if record.msg == OWN_FUNCTION and isinstance(record.args, tuple):
            record.msg = "Detected server default on column '%s.%s'"
            record.args = record.args[1:]
        return not str(record.msg).startswith(NOISE)


_quiet = _Quiet()


def silence() -> None:
    """Leave out noise from now on; once or several times."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_quiet)


@contextmanager
def verbosity(*, verbose: bool) -> Iterator[None]:
    """Have a command say all, or what matters."""
    token = _verbose.set(verbose)
    try:
        yield
    finally:
        _verbose.reset(token)


@contextmanager
def listed_later() -> Iterator[None]:
    """Have autogenerate not log each difference that it finds: the command lists them."""
    logger = logging.getLogger("alembic.autogenerate")
    level = logger.level
    if not _verbose.get():
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)

"""Alembic's configuration of a command, as Flask-Migrate makes it, in any folder.

Flask-Migrate itself hands the folder's name to a ConfigParser, which takes every % for the start of
a name of its own.
"""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flask import g
from flask_migrate import Config


def make_config(directory: str, x_arg: str | Iterable[str] | None, opts: Iterable[str]) -> Config:
    """Return the configuration.

    Args:
        directory: of the migrations.
        x_arg: what `context.get_x_argument()` is to return, beside what the command line has.
        opts: flags of the command that `config.cmd_opts` is to have.
    """
    config: Any = Config(str(Path(directory, "alembic.ini")))
    # Alembic's `%(here)s`.
    config.file_config.defaults()["here"] = _escaped(Path(directory).absolute().as_posix())
    config.set_main_option("script_location", _escaped(directory))
    # It would come to the path again with every command of a process.
    added = config.get_main_option("prepend_sys_path")
    if added and str(Path(added).resolve()) in sys.path:
        config.remove_main_option("prepend_sys_path")
    given = [x_arg] if isinstance(x_arg, str) else list(x_arg or ())
    config.cmd_opts = argparse.Namespace(x=[*g.get("x_arg", ()), *given])
    for name in opts:
        setattr(config.cmd_opts, name, True)
    made: Config = config
    return made


def _escaped(path: str) -> str:
    return path.replace("%", "%%")

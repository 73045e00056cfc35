"""Run commands of a project in processes that have its libraries imported already.

    python command_server.py SOCKET

Most of the time of a short `flask` command goes into the import of Flask and SQLAlchemy. Here
they are imported once. Each connection to the socket is one command: it brings the arguments, the
folder, the environment, and what it reads from and writes to; it is answered with the process's id,
and with how it ended. The project's own modules are imported by each process, as ever.
"""

import gc
import importlib
import json
import os
import select
import socket
import sys
from contextlib import suppress
from pathlib import Path

import flask.cli

REQUEST = 1 << 20
# What every command imports, and drivers, where they are installed.
LIBRARIES = ["dotenv", "flask_migrate.cli", "flask_sqlalchemy", "sqlalchemy.dialects.mysql"]
LIBRARIES += ["sqlalchemy.dialects.sqlite", "psycopg", "pymysql"]


def wait_for_command(listener: socket.socket) -> list[str]:
    """Serve until standard input ends; return, in a process of its own, a command to run."""
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if listener not in ready:
            sys.exit()
        connection, _ = listener.accept()
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if os.fork() == 0:
            listener.close()
            return take(connection)
        connection.close()


def take(connection: socket.socket) -> list[str]:
    """Read a command; return it in the process that runs it, and answer how that ended."""
    data, descriptors, _, _ = socket.recv_fds(connection, REQUEST, 2)
    command = json.loads(data)
    process = os.fork()
    if process:
        connection.sendall(f"{process}\n".encode())
        _, status = os.waitpid(process, 0)
        connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
        os._exit(0)
    connection.close()
    stdin, output = descriptors
    for standard, descriptor in enumerate((stdin, output, output)):
        os.dup2(descriptor, standard)
    os.closerange(3, max(descriptors) + 1)
    os.environ.clear()
    os.environ.update(command["environ"])
    os.chdir(command["cwd"])
    return list(command["words"])


def main() -> None:
    """Serve; what runs a command comes back here, and ends as a process of its own would."""
    for name in LIBRARIES:
        with suppress(ModuleNotFoundError):
            importlib.import_module(name)
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(sys.argv[1])
        listener.listen()
        sys.argv = wait_for_command(listener)
    program = Path(sys.argv[0])
    if program.name == "flask":
        sys.path[0] = str(program.parent)
        flask.cli.main()
    else:
        _, _, code = sys.argv
        sys.argv[:], sys.path[0] = ["-c"], ""
        exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102


if __name__ == "__main__":
    main()

"""Commands of a project, run without starting Python anew; see programs/command_server.py."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

PROGRAM = Path(__file__).with_name("programs") / "command_server.py"
SECONDS = 300
# Beginnings of variables that Python reads when it starts: a command with one has its own start.
READ_AT_START = ("LANG", "LC_", "PYTHON")


class Warm:
    """A process of a project's Python, with the libraries imported; children of it run commands."""

    def __init__(self, python: Path, environ: Mapping[str, str]) -> None:
        """Start it."""
        self.folder = Path(tempfile.mkdtemp(prefix="fmt-"))  # short enough for a socket
        self.address = str(self.folder / "socket")
        self.process = subprocess.Popen(
            [python, PROGRAM, self.address],
            cwd=self.folder,
            env=dict(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )

    def run(
        self, words: Sequence[str], cwd: Path, environ: Mapping[str, str], stdin: str | None
    ) -> tuple[int, str]:
        """Run `flask`, or `python -c`; return its status, and all that it printed."""
        command = {"words": words, "cwd": str(cwd), "environ": dict(environ)}
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as output:
            given.write((stdin or "").encode())
            given.seek(0)
            with self._connect() as connection, connection.makefile() as answers:
                descriptors = [given.fileno(), output.fileno()]
                socket.send_fds(connection, [json.dumps(command).encode()], descriptors)
                process = int(answers.readline())
                try:
                    status = int(answers.readline())
                except TimeoutError:
                    os.kill(process, 9)
                    raise
            output.seek(0)
            return status, output.read().decode()

    def close(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(SECONDS)
        shutil.rmtree(self.folder)

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(SECONDS)
        deadline = time.monotonic() + SECONDS
        while connection.connect_ex(self.address) != 0:
            assert self.process.poll() is None, "it ended"
            assert time.monotonic() < deadline, "it took too long"
            time.sleep(0.01)
        return connection

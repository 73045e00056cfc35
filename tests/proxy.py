"""A proxy between a migration and its server, which cuts their connection at a COMMIT."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

# How PostgreSQL's and MySQL's protocols ask for one.
COMMITS = (b"Q\x00\x00\x00\x0bCOMMIT\x00", b"\x03COMMIT")


@contextmanager
def cutting(port: int, armed: Callable[[], bool], *, after: bool) -> Iterator[int]:
    """Give the port of a proxy.

    Args:
        port: the server's.
        armed: whether the next COMMIT is the one; only the first is cut.
        after: whether the server gets it, and its answer is lost.
    """
    proxy = Proxy(port, armed, after)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=proxy.accept, args=(listener,), daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@dataclass
class Proxy:
    """What `cutting` runs."""

    port: int
    armed: Callable[[], bool]
    after: bool
    used: bool = False

    def accept(self, listener: socket.socket) -> None:
        """Serve whoever connects, until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client: socket.socket) -> None:
        """Forward what a client sends, up to the COMMIT, and the answers to what came before."""
        with client, socket.create_connection(("127.0.0.1", self.port)) as server:
            answers = threading.Thread(target=forward, args=(server, client), daemon=True)
            answers.start()
            with suppress(OSError):
                while data := client.recv(65536):
                    if not self.used and data.endswith(COMMITS) and self.armed():
                        self.used = True
                        client.shutdown(socket.SHUT_RDWR)  # no answer goes through from here
                        if self.after:
                            server.sendall(data)
                        break
                    server.sendall(data)
                server.shutdown(socket.SHUT_WR)
            answers.join()


def forward(server: socket.socket, client: socket.socket) -> None:
    """Forward a server's answers."""
    with suppress(OSError):
        while data := server.recv(65536):
            client.sendall(data)
        client.shutdown(socket.SHUT_RDWR)

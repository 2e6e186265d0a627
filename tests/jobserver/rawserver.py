"""A server that says bytes, not HTTP: what comes is read once and answered as told."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from types import TracebackType

DRIP_S = 0.05


class RawServer:
    """said: what every connection is told at once; then `drip`, byte by byte, for ever.

    asked: what was read of each connection before the answer.
    """

    def __init__(self, said: bytes = b"", drip: bytes = b"") -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._said = said
        self._drip = drip
        self._closing = threading.Event()
        self.asked: list[bytes] = []
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> "RawServer":
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        for client in self._clients():
            threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _clients(self) -> Iterator[socket.socket]:
        with contextlib.suppress(OSError):  # closed
            while True:
                yield self._listener.accept()[0]

    def _answer(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):  # the client may lose patience
            self.asked.append(client.recv(65536))
            client.sendall(self._said)
            while self._drip and not self._closing.wait(DRIP_S):
                client.sendall(self._drip)

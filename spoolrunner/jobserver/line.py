"""The line to a server: connections that end when their time is over, and repeats with patience.

The timeouts of requests begin anew with each byte, so a server that sends its headers letter by
letter would hold us for ever. The leash shuts the sockets down instead, whatever they are doing.
urllib3 is what requests is made of.
"""

import contextlib
import logging
import socket
import threading
from collections.abc import Iterator
from typing import Any, Self

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.response import BaseHTTPResponse
from urllib3.util.retry import Retry

# Of headers it can't read it logs all, and a server could put our token there.
logging.getLogger("urllib3.connection").setLevel(logging.ERROR)

REPEATED = frozenset({429, 500, 502, 503, 504})
PATIENCE_S = 10.0


class Patience(Retry):
    """Waits as long as the server asks; where that is too long, its answer is what we get."""

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        *rest: Any,
        **named: Any,
    ) -> Self:
        asked_s = self.get_retry_after(response) if response is not None else None
        patient = self if (asked_s or 0) <= PATIENCE_S else self.new(total=0)
        return super(Patience, patient).increment(method, url, response, *rest, **named)


def patience(repeats: int) -> Patience:
    """Of GET, after errors and the statuses that say "later"; of any method while connecting."""
    return Patience(
        total=repeats,
        allowed_methods=("GET",),
        status_forcelist=REPEATED,
        backoff_factor=0.5,
        backoff_jitter=0.5,
        raise_on_status=False,
    )


class Leash:
    """Every connection that is opened goes through hold(); within() ends them all in time."""

    def __init__(self) -> None:
        self.over = False
        self._lines: dict[HTTPConnection, socket.socket] = {}

    def hold(self, connection: HTTPConnection, made: socket.socket) -> socket.socket:
        # A second descriptor of the same line: the first changes hands when TLS begins, and is
        # forgotten by the connection when the answer is the last one.
        if old := self._lines.pop(connection, None):
            old.close()
        self._lines[connection] = made.dup()
        if self.over:
            _shut(self._lines[connection])
        return made

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        self.over = False
        timer = threading.Timer(seconds, self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()
            self._forget()

    def close(self) -> None:
        for connection in self._lines:
            connection.close()
        self._forget()

    def _forget(self) -> None:
        """A line is held for as long as its connection is kept for the next exchange."""
        for connection in [each for each in self._lines if each.is_closed]:
            self._lines.pop(connection).close()

    def _cut(self) -> None:
        self.over = True
        for line in list(self._lines.values()):
            _shut(line)


def _shut(line: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it is gone already
        line.shutdown(socket.SHUT_RDWR)


class _Held(HTTPConnection):
    def __init__(self, *arguments: Any, leash: Leash, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._leash = leash

    def _new_conn(self) -> socket.socket:
        return self._leash.hold(self, super()._new_conn())


class _HeldTls(_Held, HTTPSConnection):
    """The same with TLS."""


HELD: dict[Any, type[_Held]] = {HTTPConnection: _Held, HTTPSConnection: _HeldTls}


class LineAdapter(HTTPAdapter):
    """Puts every connection of a session, also one to a proxy, on the leash."""

    def __init__(self, leash: Leash, repeats: int) -> None:
        self._leash = leash
        super().__init__(max_retries=patience(repeats))

    def get_connection_with_tls_context(self, *arguments: Any, **named: Any) -> Any:
        pool = super().get_connection_with_tls_context(*arguments, **named)
        if kind := HELD.get(pool.ConnectionCls):
            pool.ConnectionCls = kind
            pool.conn_kw["leash"] = self._leash
        return pool

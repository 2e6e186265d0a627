"""The line: a listener on loopback that reads calls and sends answers, or sends them badly.

It can be closed and opened again on the same port, as a server that is restarted.
Knows: exchange, faults. What is answered is given to it.
"""

import contextlib
import http.server
import socket
import ssl
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.rig.githost import make_certificates
from tests.rig.jobserver.exchange import Answer, Call, Crash, Refusal, as_page
from tests.rig.jobserver.faults import Fault, Faults

DRIP_S = 1.0
LOOK_UP_S = 0.02


class Listener:
    """calls: every call, as soon as it was read. bugs: tracebacks of what was not meant to be."""

    def __init__(self, answer: Callable[[Call], Answer], faults: Faults, port: int = 0) -> None:
        self.answer = answer
        self.faults = faults
        self.port = port
        self.elsewhere = ""
        self.certificates: Path | None = None
        self.calls: list[Call] = []
        self.bugs: list[str] = []
        self.stalled = threading.Event()
        self.closing = threading.Event()
        self._server: _Server | None = None

    @property
    def base(self) -> str:
        return f"http{'s' if self.certificates else ''}://127.0.0.1:{self.port}"

    def use_tls(self, folder: Path) -> Path:
        """Make a CA and a certificate in folder; the CA's file."""
        make_certificates(folder)
        self.certificates = folder
        return folder / "ca.pem"

    def open(self) -> None:
        self.closing.clear()
        self._server = _Server(self)
        self.port = self._server.server_address[1]
        serve = self._server.serve_forever
        threading.Thread(target=serve, args=(LOOK_UP_S,), daemon=True).start()

    def close(self) -> None:
        """No new connection is taken, and those that are open end. Closing twice does no harm."""
        self.closing.set()
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server.end_connections()
        self._server = None

    def carry_out(self, call: Call) -> Answer:
        try:
            return self.answer(call)
        except Refusal as refusal:
            return refusal.answer
        except Crash:
            return as_page(500)
        except Exception:  # noqa: BLE001  a bug of ours is a 500 too, but it's told
            self.bugs.append(traceback.format_exc())
            return as_page(500)


class _Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128

    def __init__(self, listener: Listener) -> None:
        super().__init__(("127.0.0.1", listener.port), _Handler)
        self.listener = listener
        self._connections: set[socket.socket] = set()
        if listener.certificates:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(
                listener.certificates / "server.pem", listener.certificates / "server.key"
            )
            # The handshake belongs to the thread of the connection, else one bad client stops all.
            self.socket = context.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )

    def process_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        self._connections.discard(request)
        super().shutdown_request(request)

    def end_connections(self) -> None:
        for connection in list(self._connections):
            _end(connection)

    def handle_error(self, request: object, client_address: object) -> None:
        """Broken connections are what this is for; anything else is a bug."""
        if not isinstance(sys.exception(), OSError):
            self.listener.bugs.append(traceback.format_exc())


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are two writes: without this the body waits 40 ms for the head's receipt.
    disable_nagle_algorithm = True
    server: _Server

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Tests read `calls`."""

    def do_GET(self) -> None:
        listener = self.server.listener
        call = self._read()
        listener.calls.append(call)
        fault = listener.faults.draw(call)
        if fault is None:
            self._send(listener.carry_out(call))
            return
        answer = as_page(500) if fault.refuses else listener.carry_out(fault.asks(call))
        self._send_spoiled(fault, fault.spoil(call, answer, listener.elsewhere))

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815  names of http.server

    def _read(self) -> Call:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        host = self.headers.get("Host", f"127.0.0.1:{self.server.listener.port}")
        scheme = self.server.listener.base.partition(":")[0]
        return Call(self.command, f"{scheme}://{host}", self.path, self.headers, body)

    def _send_spoiled(self, fault: Fault, answer: Answer) -> None:
        if fault.how == "hang":
            self.server.listener.stalled.set()
            self.server.listener.closing.wait()
            self._drop()
        elif fault.how == "close":
            self._drop()
        elif fault.how == "cut":
            self._send_head(answer)
            self.wfile.write(answer.body[: len(answer.body) // 2])
            self._drop()
        elif fault.how == "drip":
            self._drip(answer)
        else:
            self._send(answer)

    def _send(self, answer: Answer) -> None:
        self._send_head(answer)
        self.wfile.write(answer.body)

    def _send_head(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _drip(self, answer: Answer) -> None:
        self._send_head(answer)
        for place in range(len(answer.body)):
            if self.server.listener.closing.wait(DRIP_S):
                break
            self.wfile.write(answer.body[place : place + 1])
        self._drop()

    def _drop(self) -> None:
        self.close_connection = True
        _end(self.connection)


def _end(connection: socket.socket) -> None:
    """The plain socket's shutdown: that of TLS would pull the rug from under the reading thread."""
    with contextlib.suppress(OSError):  # the client may have gone first
        socket.socket.shutdown(connection, socket.SHUT_RDWR)

"""A git host on loopback that behaves as GitHub does towards somebody who fetches.

Real `git http-backend` behind TLS; private and unknown repositories answer alike (401 without a
token, 404 with one); a commit can be fetched by its name even when no branch holds it any more.
Faults are put in a queue, and each spoils one request. `Tunnel` is the way to it under the name
github.com, for tests that must use the real address.
"""

import base64
import http.server
import os
import select
import socket
import ssl
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

AUTHOR = "Jane Doe <jane@example.org>"
FILE, PROGRAM, LINK, SUBMODULE = "100644", "100755", "120000", "160000"
Content = Mapping[str, str | bytes | tuple[str, str]]


@dataclass(frozen=True)
class Fault:
    """how: "500" (a status), "301", "reset", "cut" (half of the answer, then gone), "stall" (half
    of the answer, then silence), "hang" (silence). during: a word of the request's body or path,
    such as "ls-refs" or "command=fetch"; "" is the next request whatever it is."""

    how: str
    during: str = ""


class Repository:
    """A bare repository; commits are put straight into it."""

    def __init__(self, folder: Path, *, uploads: bool = True) -> None:
        self.folder = folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        run("init", "--quiet", "--bare", "--initial-branch=main", str(folder))
        if uploads:
            self.git("config", "uploadpack.allowAnySHA1InWant", "true")
            self.git("config", "uploadpack.allowFilter", "true")

    def commit(
        self,
        content: Content,
        *,
        branch: str = "refs/heads/main",
        onto: str | None = "",
    ) -> str:
        """Its sha. content: path -> bytes, or (mode, text). onto: "" the branch's head if there is
        one, None nothing at all (as after a force-push), else a sha."""
        head = self.git("for-each-ref", "--format=%(objectname)", branch)
        parent = head if onto == "" else onto
        lines = [f"commit {branch}\ncommitter {AUTHOR} 1700000000 +0000\ndata 1\nx\n".encode()]
        lines += [f"from {parent}\n".encode()] if parent else []
        lines += [_change(path, what) for path, what in content.items()]
        run("-C", str(self.folder), "fast-import", "--quiet", "--force", given=b"".join(lines))
        return self.git("rev-parse", branch)

    def git(self, *arguments: str, given: bytes = b"") -> str:
        return run("-C", str(self.folder), *arguments, given=given)


def _change(path: str, what: str | bytes | tuple[str, str]) -> bytes:
    mode, text = what if isinstance(what, tuple) else (FILE, what)
    if mode == SUBMODULE:
        return f"M {mode} {text if isinstance(text, str) else ''} {path}\n".encode()
    data = text if isinstance(text, bytes) else text.encode()
    return f"M {mode} inline {path}\ndata {len(data)}\n".encode() + data + b"\n"


def run(*arguments: str, given: bytes = b"") -> str:
    """git with nobody's settings."""
    environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent"}
    done = subprocess.run(
        ("git", *arguments), input=given, env=environment, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


class GitHost:
    """with GitHost(folder) as host: host.create("org/study"); host.domain; host.ca; host.token"""

    def __init__(self, folder: Path, token: str = "ghp_canary5e0f") -> None:
        self.folder = folder
        self.token = token
        self.ca = folder / "ca.pem"
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.fetches: list[str] = []
        self.tokens: list[str] = []
        self.stalled = threading.Event()
        self.closing = threading.Event()
        make_certificates(folder)
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.host = self
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem", folder / "server.key")
        # The handshake belongs to the thread of the connection, else one bad client stops all.
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.port: int = self._server.server_address[1]
        self.domain = f"127.0.0.1:{self.port}"

    def __enter__(self) -> "GitHost":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def create(self, name: str, *, private: bool = False, uploads: bool = True) -> Repository:
        repository = Repository(self.folder / "repos" / f"{name}.git", uploads=uploads)
        if private:
            (repository.folder / "PRIVATE").touch()
        return repository

    def take_fault(self, request: bytes) -> str:
        for fault in self.faults:
            if fault.during.encode() in request:
                self.faults.remove(fault)
                return fault.how
        return ""


class _Server(http.server.ThreadingHTTPServer):
    host: GitHost

    def handle_error(self, request: object, client_address: object) -> None:
        """Broken connections are what this is for."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Tests read `requests`."""

    def do_GET(self) -> None:
        host, body = self.server.host, self._body()
        request = f"{self.command} {self.path} ".encode() + body
        host.requests.append(f"{self.command} {self.path}")
        if b"command=fetch" in body:
            host.fetches.append(self.path)
        host.tokens.append(self._token())
        how = host.take_fault(request)
        if how.isdigit():
            self._refuse(int(how))
        elif how == "hang":
            self._hang()
        elif how == "reset":
            self._drop()
        elif status := self._not_allowed():
            self._refuse(status)
        else:
            self._answer(body, how)

    def do_POST(self) -> None:
        self.do_GET()

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _token(self) -> str:
        scheme, _, value = self.headers.get("Authorization", "").partition(" ")
        return base64.b64decode(value).decode().partition(":")[2] if scheme == "Basic" else value

    def _not_allowed(self) -> int:
        token, repository = self._token(), self._repository()
        if token and token != self.server.host.token:
            return 401
        hidden = not repository.exists() or (repository / "PRIVATE").exists()
        if hidden and not token:
            return 401
        return 0 if repository.exists() else 404

    def _repository(self) -> Path:
        name = "/".join(self.path.partition("?")[0].strip("/").split("/")[:2]).removesuffix(".git")
        return self.server.host.folder / "repos" / f"{name}.git"

    def _refuse(self, status: int) -> None:
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="GitHub"')
        if status in (301, 302):
            self.send_header("Location", f"https://{self.headers['Host']}/org/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _answer(self, body: bytes, how: str) -> None:
        head, _, data = self._backend(body).partition(b"\r\n\r\n")
        self.send_response(200)
        for line in head.decode().split("\r\n"):
            name, _, value = line.partition(": ")
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if how in ("cut", "stall") else data)
        if how == "stall":
            self._hang()
        if how == "cut":
            self._drop()

    def _backend(self, body: bytes) -> bytes:
        host, (path, _, query) = self.server.host, self.path.partition("?")
        rest = "/".join(path.strip("/").split("/")[2:])
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(host.folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_PROJECT_ROOT": str(host.folder / "repos"),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "PATH_INFO": f"/{self._repository().relative_to(host.folder / 'repos')}/{rest}",
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }
        # It ends with an error whenever it tells the client of one; the client is whom we test.
        backend = ("git", "http-backend")
        done = subprocess.run(
            backend, input=body, env=environment, capture_output=True, check=False
        )
        return done.stdout

    def _hang(self) -> None:
        self.server.host.stalled.set()
        self.server.host.closing.wait()
        self._drop()

    def _drop(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


def make_certificates(folder: Path) -> None:
    """A CA of our own and a certificate for loopback and for github.com."""
    folder.mkdir(parents=True, exist_ok=True)
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    names = "subjectAltName=DNS:localhost,DNS:github.com,IP:127.0.0.1"
    _openssl(
        folder, "req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30",
        "-subj", "/CN=a CA for tests",
    )  # fmt: skip
    _openssl(folder, "req", *new_key, "-keyout", "server.key", "-out", "csr", "-subj", "/CN=host")
    (folder / "extensions").write_text(names)
    _openssl(
        folder, "x509", "-req", "-in", "csr", "-CA", "ca.pem", "-CAkey", "ca.key",
        "-CAcreateserial", "-days", "30", "-extfile", "extensions", "-out", "server.pem",
    )  # fmt: skip


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(("openssl", *arguments), cwd=folder, check=True, capture_output=True)


class Tunnel:
    """An https_proxy that leads whatever is asked for to one port, and notes what was asked for."""

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = port
        self.asked: list[str] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> "Tunnel":
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._lead, args=(client,), daemon=True).start()

    def _lead(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._port)) as server:
            self.asked.append(client.recv(4096).split(b" ")[1].decode())
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    if not (data := ready.recv(65536)):
                        return
                    (server if ready is client else client).sendall(data)

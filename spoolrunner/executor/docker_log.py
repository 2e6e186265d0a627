"""What a container said, as the engine sends it: messages to bytes, and a long log cut short.

Source of the format: Docker Engine API, "Attach to a container", section "Stream format".
Knows: files.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from spoolrunner import files

HEADER_BYTES = 8  # which stream, three zeros, the length of the message
LINE_BYTES = 1 << 16  # a longer line is cut anywhere


class DockerLogs:
    """engine: a client for the length of a block. timeout_s: see DockerExecutor."""

    def __init__(self, engine: Callable[[], AbstractContextManager[Any]], timeout_s: float) -> None:
        self._engine = engine
        self._timeout_s = timeout_s
        self._heard: dict[str, tuple[float, int]] = {}

    def said(self, name: str, follow: bool, since_s: float = 0) -> Iterator[bytes]:
        """since_s: only what was said after that time (unix)."""
        with (
            self._engine() as engine,
            engine.get(
                f"{engine.base_url}/v{engine.api_version}/containers/{name}/logs",
                params=dict.fromkeys(("stdout", "stderr", "timestamps"), 1)
                | {"follow": int(follow), "since": f"{since_s:.6f}"},
                stream=True,
                timeout=(self._timeout_s, None if follow else self._timeout_s),
            ) as answer,
        ):
            answer.raise_for_status()
            yield from messages(answer.iter_content(chunk_size=None))

    def said_bytes(self, name: str) -> int:
        """Counted from one asking to the next. At least: the engine keeps only the newest part."""
        since_s, known_bytes = self._heard.get(name, (0, 0))
        now_s = time.time()
        known_bytes += sum(map(len, self.said(name, follow=False, since_s=since_s)))
        self._heard[name] = (now_s, known_bytes)
        return known_bytes

    def forget(self, name: str) -> None:
        self._heard.pop(name, None)


def messages(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The messages (mostly lines) of stdout and stderr, in the order the engine has them.

    The engine cuts lines at 16 KiB and puts a time before each part; times within a line are left
    out again, or they would hide a secret that must be masked.

    Not the SDK's own reader: that one switches the time limit of the socket off, and takes a
    stream that breaks for one that ends, so that half a log would look whole.
    """
    pending = bytearray()
    unfinished: set[int] = set()  # streams in the midst of a line
    for chunk in chunks:
        pending += chunk
        while len(pending) >= HEADER_BYTES:
            end = HEADER_BYTES + int.from_bytes(pending[4:HEADER_BYTES])
            if len(pending) < end:
                break
            stream, message = pending[0], bytes(pending[HEADER_BYTES:end])
            del pending[:end]
            yield message.partition(b" ")[2] if stream in unfinished else message
            (unfinished.discard if message.endswith(b"\n") else unfinished.add)(stream)


def cut(said: Iterable[bytes], total_bytes: int, limit_bytes: int) -> Iterator[bytes]:
    """The head and the tail of a log of total_bytes, and between them a line on what is missing.

    limit_bytes: of all that comes out; too small for the line and a message: only the line.
    """
    half_bytes = (limit_bytes - len(_gap(total_bytes))) // 2
    seen_bytes = cut_bytes = 0
    for message in said:
        left_bytes = total_bytes - seen_bytes
        seen_bytes += len(message)
        if half_bytes < seen_bytes and half_bytes < left_bytes:
            cut_bytes += len(message)
            continue
        if cut_bytes:
            yield _gap(cut_bytes)
            cut_bytes = 0
        yield message
    if cut_bytes:
        yield _gap(cut_bytes)


def lines(said: Iterable[bytes]) -> Iterator[bytes]:
    """Messages joined to whole lines: half a secret at a cut would be no secret that is masked."""
    line = b""
    for message in said:
        line += message
        if line.endswith(b"\n") or len(line) >= LINE_BYTES:
            yield line
            line = b""
    if line:
        yield line


def _gap(cut_bytes: int) -> bytes:
    return f"\n[spoolrunner: {cut_bytes} bytes of this log were cut out here]\n".encode()


def save(path: Path, limit_bytes: int, said: Callable[[], Iterable[bytes]]) -> None:
    """Write the log to path, at most limit_bytes of it. said: asks for it, from its beginning."""
    total_bytes = 0

    def whole() -> Iterator[bytes]:
        nonlocal total_bytes
        for message in said():
            total_bytes += len(message)
            if total_bytes <= limit_bytes:
                yield message

    with files.Changes() as disk:
        disk.write_parts(path, whole())
        if total_bytes > limit_bytes:
            disk.write_parts(path, cut(lines(said()), total_bytes, limit_bytes))

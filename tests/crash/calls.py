"""The calls by which a process changes a disk, seen one by one just before and after they are made.

    calls.watch(folder, around)     from now on around(call, make) is asked to make each of them

A call is named by what it does and to which kind of path, not by a number, because the order of
threads varies: "rename .claims/ID.json -> running/ID.json". Knows nothing of spoolrunner.
"""

import fcntl
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

FICLONE = 0x40049409
ENGINE = "engine"
# In this order. What differs from life to life becomes one word.
KINDS = (
    (r"sr-[0-9a-f]{8}-[a-z2-7]{16}-\d+", "NAME"),
    (r"\.draft-[0-9a-f]{16}", ".draft"),
    (r"\d{8}T\d{6}Z-[a-z2-7]{8}-", "UTC-"),
    (r"[0-9a-f]{40}", "SHA"),
    (r"\b[a-z2-7]{16}\b", "ID"),
    (r"\b\d{16}\b", "SEQ"),
    (r"\d{4}-\d\d-\d\d", "DAY"),
    (r"\b\d{4}-\d\d\b", "MONTH"),
    (r"index/[0-9a-f]{2}\b", "index/HH"),
    (r"\b[0-9a-f]{16}\b", "HASH"),
    (r"tmp[a-z0-9_]{8}", "TMP"),
)


@dataclass(frozen=True)
class Call:
    """name: of the function, or of a program with what it was asked. paths: absolute, what it is
    done to; of a rename both. about: its other arguments."""

    name: str
    paths: tuple[str, ...]
    about: tuple[Any, ...] = field(default=(), compare=False)


Make = Callable[[], Any]
Around = Callable[[Call, Make], Any]
Locate = Callable[[tuple[Any, ...], Mapping[str, Any]], tuple[str, ...]]


def kind(call: Call, folder: str) -> str:
    """The same for calls that do the same in different lives."""
    shown = " -> ".join(path.removeprefix(folder).lstrip("/") or "." for path in call.paths)
    for pattern, word in KINDS:
        shown = re.sub(pattern, word, shown)
    return f"{call.name} {shown}"


def watch(folder: str, around: Around) -> None:
    """All calls of this process that change something below folder, and the programs it starts."""
    for name, locate in LOCATE.items():
        setattr(os, name, _watched(name, getattr(os, name), locate, folder, around))
    real_ioctl = fcntl.ioctl

    def ioctl(descriptor: Any, request: int, *arguments: Any) -> Any:
        def make() -> Any:
            return real_ioctl(descriptor, request, *arguments)

        if request != FICLONE:
            return make()
        return around(Call("ioctl FICLONE", (_of(descriptor),), arguments), make)

    fcntl.ioctl = ioctl  # type: ignore[assignment]
    _watch_programs(around)
    _watch_engine(around)


def _watched(name: str, real: Any, locate: Locate, folder: str, around: Around) -> Any:
    def call(*arguments: Any, **words: Any) -> Any:
        def make() -> Any:
            return real(*arguments, **words)

        paths = locate(arguments, words)
        if not any(path == folder or path.startswith(f"{folder}/") for path in paths):
            return make()
        return around(Call(name, paths, (*arguments, words)), make)

    return call


def _watch_programs(around: Around) -> None:
    """Each program is one call: from its start until it has been waited for."""
    real = subprocess.Popen

    class Popen(real):  # type: ignore[type-arg, valid-type, misc]
        def __init__(self, words: Any, *arguments: Any, **more: Any) -> None:
            self._called = Call(_program(words), (), (self,))

            def begin() -> None:
                super(Popen, self).__init__(words, *arguments, **more)

            around(self._called, begin)

        def wait(self, timeout: float | None = None) -> int:
            was_known = self.returncode is not None
            status = super().wait(timeout)
            if not was_known:
                around(Call(f"{self._called.name} ended", ()), lambda: None)
            return int(status)

    subprocess.Popen = Popen  # type: ignore[misc]


def _watch_engine(around: Around) -> None:
    """What is asked of a docker engine, if the SDK is loaded. Its path is that of the question."""
    if not (sdk := sys.modules.get("docker")):
        return
    real = sdk.APIClient.request

    def request(client: Any, method: str, url: str, **more: Any) -> Any:
        asked = re.sub(r"^/v[\d.]+", "", urlsplit(url).path)
        call = Call(f"{ENGINE} {method.upper()}", (asked,))
        return around(call, lambda: real(client, method, url, **more))

    sdk.APIClient.request = request  # type: ignore[attr-defined]


def _program(words: Any) -> str:
    name = os.path.basename(words[0])
    if name == "git":
        return f"git {next(each for each in GIT_VERBS if each in words)}"
    return "keeper" if any(str(word).endswith("keeper.py") for word in words) else name


GIT_VERBS = (
    *("fetch", "ls-remote", "init", "cat-file", "read-tree", "rev-list", "repack", "ls-tree"),
    *("check-ref-format", "rev-parse", "config", "cat-file"),
)


def _of(descriptor: Any) -> str:
    """Where an open file lies now; "" for what has no name."""
    number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
    path = os.readlink(f"/proc/self/fd/{number}")
    return path.removesuffix(" (deleted)") if path.startswith("/") else ""


def _at(path: Any, folder: int | None) -> str:
    if isinstance(path, int):
        return _of(path)
    name = os.fsdecode(path)
    if name.startswith("/proc/self/fd/"):
        return _of(int(name.rpartition("/")[2]))
    if folder is not None and not os.path.isabs(name):
        return os.path.join(_of(folder), name)
    return os.path.abspath(name)


def _one(arguments: tuple[Any, ...], words: Mapping[str, Any]) -> tuple[str, ...]:
    return (_at(arguments[0], words.get("dir_fd")),)


def _two(arguments: tuple[Any, ...], words: Mapping[str, Any]) -> tuple[str, ...]:
    source, target = arguments[:2]
    return _at(source, words.get("src_dir_fd")), _at(target, words.get("dst_dir_fd"))


def _open(arguments: tuple[Any, ...], words: Mapping[str, Any]) -> tuple[str, ...]:
    """Only where it may make or empty a file."""
    flags = arguments[1] if len(arguments) > 1 else words["flags"]
    return _one(arguments, words) if flags & (os.O_CREAT | os.O_TRUNC) else ()


def _copied(arguments: tuple[Any, ...], words: Mapping[str, Any]) -> tuple[str, ...]:
    return (_of(arguments[1]),)


LOCATE: dict[str, Locate] = {
    **dict.fromkeys(("unlink", "remove", "mkdir", "rmdir", "chmod", "chown", "lchown"), _one),
    **dict.fromkeys(("write", "pwrite", "fsync", "fdatasync", "fchmod", "fchown"), _one),
    **dict.fromkeys(("ftruncate", "truncate", "utime", "setxattr", "symlink", "mknod"), _one),
    **dict.fromkeys(("rename", "replace", "link"), _two),
    "open": _open,
    "copy_file_range": _copied,
}

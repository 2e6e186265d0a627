"""spoolrunner's commands in real processes, under the eyes of `calls`.

    python -m tests.crash.hooked        reads tasks, one line of JSON each

Everything is loaded once; each task is a process forked from here, so a life of many commands costs
no loading. It is told what to do at the calls that change a disk: nothing, write them down, be
killed by a real SIGKILL, or have one of them fail.
"""

import contextlib
import errno
import faulthandler
import importlib
import json
import os
import pkgutil
import select
import signal
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import IO, Any

from tests.crash import calls
from tests.crash.calls import Call, Make
from tests.crash.trace import Tracer

KEEPING = Path(__file__).with_name("keeping.py")
# So that there are jobs that use a database.
COMMANDS = {"python:*": (sys.executable,), "sqlrunner:*": ()}
WITHIN_S = 30.0
MOMENTS = ("before", "after")
# Of a program: killed with us a moment after it began; or it goes on, an orphan.
MOMENTS_OF_A_PROGRAM = ("before", "during", "left")
MOMENTS_OF_AN_ENGINE = ("before", "during", "after")
A_MOMENT_S = 0.004


class Recorder:
    """Every call, in the order in which they were made, into a file."""

    def __init__(self, folder: str, path: str) -> None:
        self._folder = folder
        self._out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._write = os.write

    def around(self, call: Call, make: Make) -> Any:
        is_program = bool(call.about) and not call.paths
        line = json.dumps([calls.kind(call, self._folder), is_program])
        self._write(self._out, line.encode() + b"\n")
        return make()


class Counting(ABC):
    """Does something at the occurrence-th call of a kind; the others are simply made."""

    def __init__(self, folder: str, call: str, occurrence: int) -> None:
        self._folder = folder
        self._kind = call
        self._occurrence = occurrence
        self._lock = threading.Lock()
        self._seen = 0

    def around(self, call: Call, make: Make) -> Any:
        if calls.kind(call, self._folder) != self._kind:
            return make()
        with self._lock:
            self._seen += 1
            number = self._seen
        return self.at(call, make) if self.is_meant(number) else make()

    def is_meant(self, number: int) -> bool:
        return number == self._occurrence

    @abstractmethod
    def at(self, call: Call, make: Make) -> Any:
        """The one that is meant has come."""


class Killer(Counting):
    """moment: before, after; of a program also during, left."""

    def __init__(self, folder: str, call: str, occurrence: int, moment: str) -> None:
        super().__init__(folder, call, occurrence)
        self._moment = moment

    def at(self, call: Call, make: Make) -> Any:
        if call.name.startswith(calls.ENGINE) and self._moment == "during":
            threading.Timer(A_MOMENT_S, os.kill, (os.getpid(), signal.SIGKILL)).start()
            make()
            time.sleep(WITHIN_S)
        if self._moment != "before":
            make()
        if self._moment == "during":
            time.sleep(A_MOMENT_S)
            child: subprocess.Popen[bytes] = call.about[0]
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)


class Failure(Counting):
    """error: the name of an errno, or "short": a write that writes less than it was asked to.

    times: how many of these calls fail in a row."""

    def __init__(self, folder: str, call: str, occurrence: int, error: str, times: int) -> None:
        super().__init__(folder, call, occurrence)
        self._error = error
        self._times = times

    def is_meant(self, number: int) -> bool:
        return self._occurrence <= number < self._occurrence + self._times

    def at(self, call: Call, make: Make) -> Any:
        if self._error != "short":
            number = getattr(errno, self._error)
            raise OSError(number, os.strerror(number), *call.paths[:1])
        descriptor, data, *_ = call.about
        return REAL_WRITE(descriptor, bytes(data)[: len(data) // 2])


class Lasting(Counting):
    """From this call on, all calls with these names fail, for as long as the file `cause` is there.

    Its size tells how many have failed.
    """

    def __init__(
        self, folder: str, call: str, occurrence: int, error: str, names: list[str], cause: str
    ) -> None:
        super().__init__(folder, call, occurrence)
        self._error = error
        self._names = names
        self._cause = cause
        self._open = os.open
        _be_impatient()

    def around(self, call: Call, make: Make) -> Any:
        if call.name in self._names and os.path.exists(self._cause):
            self._fail(call, os.O_APPEND)
        return super().around(call, make)

    def at(self, call: Call, make: Make) -> Any:
        self._fail(call, os.O_CREAT | os.O_APPEND)

    def _fail(self, call: Call, how: int) -> None:
        with contextlib.suppress(FileNotFoundError):  # the cause was removed just now
            counter = self._open(self._cause, os.O_WRONLY | how, 0o600)
            REAL_WRITE(counter, b".")
            os.close(counter)
        number = getattr(errno, self._error)
        raise OSError(number, os.strerror(number), *call.paths[:1])


def _be_impatient() -> None:
    """What waits for a disk for seconds does so for a moment."""
    from spoolrunner.runner import line, mover

    mover.TROUBLE_S = 0.1
    line.RETRY_S = (0.05, 0.1, 0.2, 0.3)


class Traced:
    """strace looks on from now, and may make calls fail; not in the programs that we start.

    said: what it writes. names: of the calls, with commas. inject: as strace has it, or "".
    """

    def __init__(self, folder: str, said: str, names: str, inject: str) -> None:
        deeds = [f"trace={names}", "signal=none", *([f"inject={inject}"] if inject else [])]
        words = [word for deed in deeds for word in ("-e", deed)]
        subprocess.Popen(
            ["strace", "-f", "-b", "execve", "-qq", "-o", said, *words, "-p", str(os.getpid())],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        while "TracerPid:\t0" in Path("/proc/self/status").read_text():
            time.sleep(A_MOMENT_S)

    def around(self, call: Call, make: Make) -> Any:
        return make()


REAL_WRITE = os.write
DEEDS = {
    "record": Recorder,
    "trace": Tracer,
    "kill": Killer,
    "fail": Failure,
    "lasting": Lasting,
    "strace": Traced,
}


class Zygote:
    """The process that everything is forked from. One task at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.hooked"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )

    def start(self, task: dict[str, Any]) -> int:
        """The pid of the process; `wait` has to be called before the next one."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(task).encode() + b"\n")
        self._process.stdin.flush()
        return int(self._read())

    def wait(self) -> int:
        """How it ended: an exit status, or -signal."""
        return os.waitstatus_to_exitcode(int(self._read()))

    def _read(self) -> bytes:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the zygote has ended")
        return line

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def serve(tasks: IO[bytes], answers: IO[bytes]) -> None:
    for line in tasks:
        child = os.fork()
        if child == 0:
            become(json.loads(line))
        answers.write(b"%d\n" % child)
        answers.flush()
        if not ends(child):
            os.kill(child, signal.SIGABRT)  # told from all that we do to it on purpose
        _, status = os.waitpid(child, 0)
        answers.write(b"%d\n" % status)
        answers.flush()


def ends(child: int) -> bool:
    """Within its time. No thread may do this: we fork."""
    descriptor = os.pidfd_open(child)
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    try:
        return bool(poller.poll(WITHIN_S * 1000))
    finally:
        os.close(descriptor)


def become(task: dict[str, Any]) -> None:
    """In the child. folder: the calls below it count. output: where it says what it says."""
    from spoolrunner.cli import main
    from spoolrunner.executor import kept, process
    from spoolrunner.runner import clock

    os.setsid()
    os.environ.clear()
    os.environ.update(task["environment"])
    os.chdir(task["cwd"])
    output = os.open(task["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    kept.KEEPER = KEEPING
    process.ProcessExecutor.__init__.__kwdefaults__["commands"] = COMMANDS
    faulthandler.enable()  # what hangs says where
    if task["boot"]:
        clock.boot_id = lambda: task["boot"]  # type: ignore[assignment]
    if task["deed"]:
        name, *arguments = task["deed"]
        calls.watch(task["folder"], DEEDS[name](task["folder"], *arguments).around)
    try:
        main(task["words"])
    except SystemExit as end:
        sys.stdout.flush()
        os._exit(end.code if isinstance(end.code, int) else 1)
    finally:
        os._exit(70)


def load() -> None:
    import spoolrunner

    names = [each.name for each in pkgutil.walk_packages(spoolrunner.__path__, "spoolrunner.")]
    for name in {*names, "filelock"} - {"spoolrunner.__main__", "spoolrunner.executor.keeper"}:
        importlib.import_module(name)


if __name__ == "__main__":
    load()
    answers = os.fdopen(os.dup(1), "wb")
    serve(sys.stdin.buffer, answers)

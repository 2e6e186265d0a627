"""An engine of our own: a private dockerd with its own data, socket and pid file.

It shares nothing with an engine that may run on the machine, needs no network (so no bridge and
no iptables), and its images are made on the spot (images.py). Runs as root only. For networks there
is one with a namespace of its own, where bridges and iptables are nobody else's (networked).
"""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException

ANSWER_WITHIN_S = 60
LABEL = "spoolrunner"
FOLDERS = "spoolrunner-engine-"


def missing() -> str:
    """Why no engine can be had here, one sentence; "" if one can."""
    if os.geteuid() != 0:
        return "a private docker engine needs root"
    absent = [program for program in ("dockerd", "busybox", "setpriv") if not shutil.which(program)]
    return f"not installed: {', '.join(absent)} (apt-get install docker.io busybox-static)" * bool(
        absent
    )


class Engine:
    """socket: its address, unix:///... options: more options of dockerd, kept over a restart."""

    def __init__(self, folder: Path, *options: str, networked: bool = False) -> None:
        self._folder = folder
        self._options = options
        self._networked = networked
        self._process: subprocess.Popen[bytes] | None = None
        self.socket = f"unix://{folder}/docker.sock"

    def start(self) -> None:
        """Returns when it answers. Told to end (TERM) when this process ends in whatever way."""
        folder = self._folder
        with (folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *self._command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait_until_it_answers()

    def stop(self, *, kill: bool = False) -> None:
        """End it, politely or with SIGKILL; returns when the process is gone."""
        self._signal(signal.SIGKILL if kill else signal.SIGTERM)
        assert self._process is not None
        self._process.wait(ANSWER_WITHIN_S)
        self._process = None
        if kill:
            self._end_containerd()

    def restart(self, *, kill: bool = False) -> None:
        self.stop(kill=kill)
        self.start()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """For the length of the block it is there and does not answer."""
        self._signal(signal.SIGSTOP)
        try:
            self._wait_until_all_threads_stand()
            yield
        finally:
            self._signal(signal.SIGCONT)

    def client(self, timeout_s: float = ANSWER_WITHIN_S) -> docker.DockerClient:
        """The plain SDK, for tests that want the engine's own view."""
        return docker.DockerClient(base_url=self.socket, timeout=timeout_s)

    def load(self, archive: Path) -> None:
        with contextlib.closing(self.client()) as client, archive.open("rb") as data:
            client.images.load(data)

    def containers(self, label: str = LABEL) -> list[dict[str, Any]]:
        """What `docker inspect` says of every container with this label (`key` or `key=value`)."""
        with contextlib.closing(self.client()) as client:
            found = client.containers.list(all=True, filters={"label": label})
            return [container.attrs for container in found]

    def starts(self, label: str = LABEL) -> Counter[str]:
        """How often each container was started, by the engine's own record.

        The record is in memory: the last 256 events of whatever kind, since the engine started.
        """
        with contextlib.closing(self.client()) as client:
            wanted = {"type": "container", "event": "start", "label": label}
            events = client.events(since=1, until=int(time.time()) + 1, filters=wanted, decode=True)
            return Counter(event["Actor"]["Attributes"]["name"] for event in events)

    def clear(self) -> None:
        """Remove every container."""
        with contextlib.closing(self.client()) as client:
            for container in client.containers.list(all=True, sparse=True):
                container.remove(force=True, v=True)

    def close(self) -> None:
        """End it and leave nothing: no process, no mount, no file."""
        if self._process is not None and self._process.poll() is None:
            self.clear()
            self.stop()
        for process in _processes_of(self._folder):  # of an engine that did not come back
            os.kill(process, signal.SIGKILL)
        for mount in reversed(_mounts_below(self._folder)):
            subprocess.run(["umount", "--lazy", mount], check=True)
        shutil.rmtree(self._folder)

    def _wait_until_all_threads_stand(self) -> None:
        """SIGSTOP reaches a thread only when it next comes to run: till then it may answer."""
        assert self._process is not None
        deadline = time.monotonic() + ANSWER_WITHIN_S
        tasks = Path(f"/proc/{self._process.pid}/task")
        while any(") T " not in (one / "stat").read_text() for one in tasks.iterdir()):
            assert time.monotonic() < deadline, "dockerd does not stop"
            time.sleep(0.005)

    def _end_containerd(self) -> None:
        """The kernel ends it with dockerd; a next dockerd that comes before it is gone gives up."""
        record = self._folder / "exec/containerd/containerd.pid"
        containerd = int(record.read_text())
        deadline = time.monotonic() + ANSWER_WITHIN_S
        while containerd in _processes_of(self._folder):
            assert time.monotonic() < deadline, "containerd outlives dockerd"
            time.sleep(0.01)
        record.unlink()  # its number may be kept by a zombie, or be another's by now

    @property
    def pid(self) -> int:
        assert self._process is not None, "the engine is not running"
        return self._process.pid

    def _command(self) -> list[str]:
        own = {"data-root": "data", "exec-root": "exec", "pidfile": "pid"}
        without = () if self._networked else ("--iptables=false", "--ip6tables=false")
        return [
            *(("unshare", "--net") if self._networked else ()),
            *("dockerd", "--bridge=none", *without, *self._options),
            *(f"--{option}={self._folder}/{name}" for option, name in own.items()),
            f"--host={self.socket}",
        ]

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "the engine is not running"
        self._process.send_signal(number)

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + ANSWER_WITHIN_S
        while not self._answers():
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > deadline:
                log = (self._folder / "log").read_text(errors="replace")
                raise AssertionError(f"dockerd does not answer:\n{log[-3000:]}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            with contextlib.closing(self.client()) as client:
                return bool(client.ping())
        except DockerException:
            return False


@contextlib.contextmanager
def engine(*options: str, networked: bool = False) -> Iterator[Engine]:
    """A running engine without images; gone without trace at the end of the block."""
    _clear_away_what_killed_runs_left()
    # A short folder of its own: a unix socket's path holds at most 107 bytes, which pytest's
    # tmp_path can pass.
    folder = Path(tempfile.mkdtemp(prefix=FOLDERS, dir="/tmp"))
    with _held(folder), contextlib.closing(Engine(folder, *options, networked=networked)) as one:
        one.start()
        yield one


def _clear_away_what_killed_runs_left() -> None:
    """Their containers outlive them, and with these a mount for each and the images' files."""
    for log in Path("/tmp").glob(f"{FOLDERS}*/log"):  # who writes a log holds the folder by then
        with contextlib.suppress(BlockingIOError), _held(log.parent):
            Engine(log.parent).close()


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """A lock that dies with its holder. BlockingIOError: somebody is at work here."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _processes_of(folder: Path) -> list[int]:
    """Engine processes that name this folder on their command line (a zombie has none)."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it may end while we look
            if os.fsencode(folder) in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def _mounts_below(folder: Path) -> list[str]:
    """Mount points the engine left (after a SIGKILL), outermost first."""
    points = (line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines())
    return sorted(point for point in points if point.startswith(f"{folder}/"))

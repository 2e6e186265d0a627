"""The keeper: stays with one job from its first process to its last, and writes down how it ended.

    python -I -S keeper.py FOLDER  < the launch, as JSON  > begun | already

A program of its own that outlives the runner, so it imports nothing but the standard library and
starts in a few hundredths of a second. It leaves three things in FOLDER:

    lock      held by the kernel for as long as anything of the job may still run
    started   written before the job begins: from now on this name is never begun again
    status    written when nothing of the job runs any more

It may find `forgotten` there: then the runner gave the name up before it could begin.
A free lock without a status means that the job is lost. SIGTERM asks the job to end, SIGUSR1 kills
it; both are recorded like any other end. The launch holds secrets: it comes through a pipe and is
never written down. Knows nothing of the package, so not `files` either; only `kept` speaks to it.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import select
import signal
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

FORMAT = 1  # of `started` and `status`; kept.py reads them, of a later version too
PR_SET_CHILD_SUBREAPER = 36
FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE = 1, 2
CANNOT_PREPARE = 125  # as docker has it
SANDBOX_FAILED = 1
CHUNK_BYTES = 65536
RETRY_S = 1.0

libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    os.chdir(sys.argv[1])
    os.umask(0o077)
    launch = json.load(sys.stdin)  # half a launch (the runner was killed) ends here, nothing begun
    # An open-file-description lock: unlike flock others can test it without taking it for a
    # moment, which would turn away a keeper that starts just then.
    lock = os.open("lock", os.O_RDWR | os.O_CREAT, 0o600)
    if not take(lock) or not is_ours(lock):
        sys.stdout.write("already")
    elif os.fork() == 0:  # the runner waits for the first process only: there is no zombie to reap
        guard(launch)


def take(lock: int) -> bool:
    whole_file = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    with contextlib.suppress(BlockingIOError):
        return bool(fcntl.fcntl(lock, fcntl.F_OFD_SETLK, whole_file))
    return False


def is_ours(lock: int) -> bool:
    """Nobody has begun this name, or given it up: last of all that unlinks the lock's file."""
    if os.path.exists("started") or os.path.exists("forgotten"):
        return False
    return os.path.exists("lock") and os.path.samestat(os.fstat(lock), os.stat("lock"))


def guard(launch: dict[str, Any]) -> None:
    """Wait for the keeper proper; if somebody kills it, kill what it kept.

    Both hold the lock (a fork shares it), so it is free only when the job is gone too. A death
    signal would reach the job's first process and leave its children behind.
    """
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    keeper = os.fork()
    if keeper == 0:
        keep(launch)
        os._exit(0)
    close_standard()
    os.waitpid(keeper, 0)
    bury(lambda pid, status: None)
    os._exit(0)


def keep(launch: dict[str, Any]) -> None:
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    started_at = now()
    log = Log(launch["log"], launch["log_bytes"])
    about = {"pid": os.getpid(), "log": launch["log"], "image_id": launch["image_id"]}
    record("started", {"format": FORMAT, "started_at": started_at, **about})
    alarm = hear_signals()
    job = Job(launch)
    with contextlib.suppress(BrokenPipeError):  # the runner was killed: the job goes on
        os.write(1, b"begun")
    close_standard()
    job.watch(alarm, log)
    job.end(log)
    reason = unprepared(job.status, launch["sandbox"]) or out_of_memory(launch["oom_events"])
    ended = {"status": job.status, "reason": reason}
    times = {"started_at": started_at, "finished_at": now(), "image_id": launch["image_id"]}
    # a runner of before an upgrade, still alive, does not name the group's peak
    said = {"format": FORMAT, **ended, **times, "used": used(launch.get("memory_peak", ""))}
    insist(lambda: record("status", said))


class Job:
    """The first process of the job, what came of it, and the pipe it talks into."""

    def __init__(self, launch: dict[str, Any]) -> None:
        self.status: int | None = None
        self._launch = launch
        self._voice, mouth = os.pipe()
        if launch["owner"]:
            os.fchown(mouth, *launch["owner"])  # else the job can't open its own /dev/stderr
        self._pid = os.fork()
        if self._pid == 0:
            become(launch, mouth)
        os.close(mouth)

    def watch(self, alarm: int, log: "Log") -> None:
        """Copy what it says and pass on orders until its first process has ended."""
        poller = select.poll()
        poller.register(alarm, select.POLLIN)
        poller.register(self._voice, select.POLLIN)
        while self.status is None:
            ready = [descriptor for descriptor, _ in poller.poll()]
            if self._voice in ready and not log.copy(self._voice):
                poller.unregister(self._voice)  # it closed its output and goes on in silence
            if alarm in ready:
                self._obey(os.read(alarm, 64))

    def _obey(self, numbers: bytes) -> None:
        if signal.SIGTERM in numbers:
            self._ask()
        if signal.SIGUSR1 in numbers:
            self._kill()
        while (ended := reap(os.WNOHANG)) and ended[0]:
            self._note(*ended)

    def _ask(self) -> None:
        """SIGTERM to the job's processes, not to the layers of the sandbox around them."""
        parents = parents_by_pid()
        family = {os.getpid()}
        for _ in range(self._launch["layers"]):
            family = {pid for pid, parent in parents.items() if parent in family}
        for pid in descendants(family, parents):
            send(pid, signal.SIGTERM)

    def _note(self, pid: int, status: int) -> None:
        if pid == self._pid:
            code = os.waitstatus_to_exitcode(status)
            self.status = code if code >= 0 else 128 - code

    def end(self, log: "Log") -> None:
        """Kill the daemons it left behind and take down the last words of all."""
        self._kill()
        while log.copy(self._voice):
            pass

    def _kill(self) -> None:
        if self.status is None:
            send(self._pid, signal.SIGKILL)  # first: a shell that can't fork ends by itself, with 2
        if self._launch["pids_max"]:
            with contextlib.suppress(OSError), open(self._launch["pids_max"], "w") as limit:
                limit.write("0")  # nothing can fork away from the kill any more
        bury(self._note)


def become(launch: dict[str, Any], mouth: int) -> None:
    """In the forked child: turn into the job. Never returns, whatever happens."""
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(mouth, 1)
        os.dup2(mouth, 2)
        confine(launch)
        os.chdir(launch["cwd"])  # before the user changes, who may not pass the folders above
        os.umask(0o022)
        os.execve(launch["argv"][0], launch["argv"], launch["environment"])  # noqa: S606
    except OSError as error:
        os.write(2, f"spoolrunner: the job could not be prepared: {error}\n".encode())
    finally:
        os._exit(CANNOT_PREPARE)


def confine(launch: dict[str, Any]) -> None:
    for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored_by_python, signal.SIG_DFL)
    for members in launch["join"]:
        with open(members, "w") as group:
            group.write("0")
    for name, most in launch["rlimits"].items():
        resource.setrlimit(getattr(resource, name), (most, most))
    if launch["cpus"]:
        os.sched_setaffinity(0, launch["cpus"])


class Log:
    """What the job said: its beginning and its end, with a hole in between when it says too much.

    One file that only grows; the middle is given back to the filesystem, so that readers can
    follow it by offset and tell from the hole how much was cut.
    """

    def __init__(self, path: str, limit: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        self._file = os.open(path, flags, 0o600)
        self._block = os.fstat(self._file).st_blksize  # what a hole is made of
        self._limit = limit and max(limit, 4 * self._block)
        self._head = self._tail = self._limit // 2 // self._block * self._block
        self._size, self._full = 0, False

    def copy(self, voice: int) -> bool:
        """Take down the next piece. False at the end. A full disk must not end the job."""
        data = os.read(voice, CHUNK_BYTES)
        if data and not self._full:
            with contextlib.suppress(OSError):
                self._size += os.write(self._file, data)
            self._cut()
        return bool(data)

    def _cut(self) -> None:
        kept = self._head + self._size - self._tail
        if not self._limit or kept <= self._limit:
            return
        tail = (self._size - self._limit // 4) // self._block * self._block
        mode = FALLOC_KEEP_SIZE | FALLOC_PUNCH_HOLE
        start, length = ctypes.c_long(self._tail), ctypes.c_long(tail - self._tail)
        self._full = libc.fallocate(self._file, mode, start, length) != 0
        self._tail = tail


def bury(note: Callable[[int, int], None]) -> None:
    """Kill our children until the kernel says there are none.

    We are the subreaper: children of the killed become ours, so each round meets the next
    generation, and daemons are met too.
    """
    while True:
        for pid, parent in parents_by_pid().items():
            if parent == os.getpid():
                send(pid, signal.SIGKILL)
        ended = reap(0)
        if ended is None:
            return
        note(*ended)


def reap(options: int) -> tuple[int, int] | None:
    try:
        return os.waitpid(-1, options)
    except ChildProcessError:
        return None


def send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def parents_by_pid() -> dict[int, int]:
    """From /proc/*/stat, because not every kernel has /proc/PID/task/TID/children."""
    parents = {}
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as stat:
            parents[int(name)] = int(stat.read().rpartition(b")")[2].split()[1])
    return parents


def descendants(family: set[int], parents: dict[int, int]) -> set[int]:
    found: set[int] = set()
    while family := {pid for pid, parent in parents.items() if parent in family} - found:
        found |= family
    return found


def hear_signals() -> int:
    """A pipe that yields the number of each signal, so that one poll waits for everything."""
    alarm, bell = os.pipe()
    os.set_blocking(bell, False)
    signal.set_wakeup_fd(bell)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, lambda *_: None)
    return alarm


def close_standard() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)


def unprepared(status: int | None, sandbox: list[int]) -> str:
    """The sandbox failed, so there was no job. (Of a killed one it does not tell either.)"""
    told = all(b"exit-code" in os.pread(descriptor, CHUNK_BYTES, 0) for descriptor in sandbox)
    return "unprepared" if status in (SANDBOX_FAILED, CANNOT_PREPARE) and not told else ""


def out_of_memory(events: str) -> str:
    """Both versions of control groups count the killed in a line `oom_kill N`."""
    with contextlib.suppress(OSError), open(events) as lines:
        counts = dict(line.split() for line in lines)
        return "out_of_memory" if int(counts.get("oom_kill", 0)) else ""
    return ""


def used(memory_peak: str) -> dict[str, Any]:
    """Of all that ended below us. memory_peak: the group's file; without one the kernel knows only
    the largest process. Blocks have 512 bytes and KB 1,024, whatever the disk: getrusage(2)."""
    counted = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = counted.ru_maxrss * 1024
    with contextlib.suppress(OSError, ValueError), open(memory_peak) as file:
        peak = int(file.read())
    return {
        "cpu_s": round(counted.ru_utime + counted.ru_stime, 6),
        "memory_peak_bytes": peak,
        "read_bytes": counted.ru_inblock * 512,
        "written_bytes": counted.ru_oublock * 512,
    }


def record(name: str, content: dict[str, Any]) -> None:
    """Beside, flushed, renamed, and the folder flushed: reference/spool.md 2.1."""
    draft = f".{name}"
    with open(draft, "w") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    os.rename(draft, name)
    folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(folder)
    os.close(folder)


def insist(action: Callable[[], None]) -> None:
    """A full disk is no reason to lose how a job of many hours ended; meanwhile it is `running`.

    But where our folder itself was removed there is nobody left to tell.
    """
    while os.path.exists("started"):
        try:
            action()
        except OSError:
            time.sleep(RETRY_S)
        else:
            return


def now() -> str:
    seconds, fraction = divmod(time.time_ns(), 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{fraction // 1000:06d}Z"


if __name__ == "__main__":
    main()

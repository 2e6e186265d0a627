"""One life of requests, in steps: each step is a command in a process of its own.

submit, claim, accept, plan, run, collect, publish, report, finish, cancel, kill, retry and sync are
all in it. What lies on the disk (and in job-server's memory) before each step is kept, so that a
step can be lived again and again without those before it.
"""

import contextlib
import copy
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spoolrunner.cli import VERBS
from tests.crash.hooked import Zygote
from tests.crash.invariants import Scene, violations
from tests.rig.jobserver import JobServer
from tests.site import Site, commit, head

PROJECT = """\
version: "4.0"
actions:
  make:
    run: python:v2 sh -c "echo n > a.csv; date +%s%N >> a.csv"
    outputs:
      highly_sensitive: {a: a.csv}
  show:
    run: python:v2 sh -c "cp a.csv b.csv"
    needs: [make]
    outputs:
      moderately_sensitive: {b: b.csv}
  bad:
    run: python:v2 sh -c "echo x > c.csv; exit 3"
    outputs:
      moderately_sensitive: {c: c.csv}
  slow:
    run: python:v2 sh -c "exec sleep 1000"
    outputs:
      moderately_sensitive: {d: d.csv}
"""
WELL = {"make": {"succeeded"}, "show": {"succeeded"}}
BAD = {"bad": {"nonzero_exit"}}
KILLED = {"slow": {"killed_by_admin"}}
STOPPED = {
    "make": {"cancelled_by_user", "killed_by_admin"},
    "show": {"killed_by_admin", "dependency_failed"},
    "slow": {"killed_by_admin"},
}
TOOK_NOTHING = (0, 3)  # what is asked for again after a kill may have been done already
LOOK_S = 0.005

Deed = tuple[Any, ...] | None


class Place(Site):
    """A site whose commands are forked, whose job-server lives in this process and which can be
    put back to an earlier moment. Kept in memory where that can be: here only processes die."""

    def __init__(self, folder: Path, server: JobServer) -> None:
        self.base = folder
        self.server = server
        self.scene = Scene(folder / "site", server)
        self.known: dict[str, str] = {}
        self.is_server_up = True
        self.boot = ""  # the id of another boot, if it is not this one
        self._kept: dict[str, Any] = {}
        self.zygote, self.beside = Zygote(), Zygote()
        for name in ("site", "site/witness", "temp", "kept"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        super().__init__(
            folder / "site",
            BACKEND="test",
            USING_DUMMY_DATA_BACKEND="true",
            JOB_SERVER_ENDPOINT=server.endpoint,
            JOB_SERVER_TOKEN=server.token("test"),
            MAX_WORKERS="2",
            STOP_GRACE="1s",
            MIN_FREE_DISK="1M",
            DEBUG_LOG_FILE=str(folder / "temp" / "log"),
            TMPDIR=str(folder / "temp"),
        )
        self.repo = self.study({"project.yaml": PROJECT})

    def do(self, *words: str) -> str:
        """The first, `init`, is one of the life's own steps."""
        return "" if words == ("init",) else self.command(*words)

    # --- commands

    def command(self, *words: str, allowed: tuple[int, ...] = (0,)) -> str:
        """What it said."""
        status, said = self._run(self.beside, words, None)
        if status not in allowed:
            raise AssertionError(f"{words} ended with {status}: {said}")
        return said

    def hooked(self, words: tuple[str, ...], deed: Deed = None) -> tuple[int, str]:
        """How it ended, and what it said."""
        return self._run(self.zygote, words, deed)

    def _run(self, zygote: Zygote, words: tuple[str, ...], deed: Deed) -> tuple[int, str]:
        output = self.base / "temp" / f"said-{words[0]}"
        output.unlink(missing_ok=True)
        pid = zygote.start(self.task(words, deed, output))
        if zygote is self.zygote and words[0] == "run":
            self._help(pid)
        status = zygote.wait()
        return status, output.read_text().strip() if output.exists() else ""

    def task(self, words: tuple[str, ...], deed: Deed, output: Path) -> dict[str, Any]:
        return {
            "words": words,
            "environment": self.environment(),
            "cwd": str(self.folder),
            "folder": str(self.folder),
            "output": str(output),
            "deed": deed,
            "boot": self.boot,
        }

    def _help(self, pid: int) -> None:
        """The operator kills the job that never ends, once it runs."""
        told: set[str] = set()
        while is_alive(pid):
            for identifier in {*self.endless()} - told:
                told.add(identifier)
                self.command("kill", identifier, allowed=TOOK_NOTHING)
            time.sleep(LOOK_S)

    def endless(self) -> Iterator[str]:
        """Requests of which the job that never ends runs."""
        for path in (self.spool / "running").glob("[!.]*.json"):
            with contextlib.suppress(FileNotFoundError):
                request = json.loads(path.read_bytes())
                slow = [job for job in request["jobs"] if job["action"] == "slow"]
                if any(job["phase"] == "started" for job in slow):
                    yield str(request["identifier"])

    # --- going back

    def keep(self, name: str) -> None:
        copy_tree(self.folder, self.base / "kept" / name)
        site = self.server.site
        memory = (site.requests, site.jobs, site.histories, replace(self.scene, server=None))
        self._kept[name] = copy.deepcopy((memory, self.is_server_up))

    def back_to(self, name: str) -> None:
        for path in (self.folder, self.base / "temp"):
            shutil.rmtree(path)
        (self.base / "temp").mkdir()
        copy_tree(self.base / "kept" / name, self.folder)
        memory, is_up = copy.deepcopy(self._kept[name])
        site = self.server.site
        with site.lock:
            site.requests, site.jobs, site.histories, scene = memory
        self.scene = replace(scene, server=self.server)
        self.turn_server(is_up)

    def turn_server(self, up: bool) -> None:
        if up and not self.is_server_up:
            self.server.start()
        elif self.is_server_up and not up:
            self.server.stop()
        self.is_server_up = up

    def close(self) -> None:
        self.zygote.close()
        self.beside.close()


def copy_tree(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", source, target], check=True)


def is_alive(pid: int) -> bool:
    """A process that has ended and not been waited for is a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


# --- the steps


@dataclass(frozen=True)
class Step:
    """prepare: what has to be so before. words: the command that is stopped."""

    name: str
    prepare: Callable[[Place], None]
    words: Callable[[Place], tuple[str, ...]]

    @property
    def verb(self) -> str:
        return self.name.partition(":")[0]


def _nothing(place: Place) -> None:
    pass


def _dropped(place: Place) -> None:
    """By job-server, by hand without an identifier, and what can't be understood."""
    place.known["server"] = identifier = place.server.create_request(
        ["make"], backend="test", repo=str(place.repo), sha=head(place.repo), workspace="two"
    )
    expect(place, identifier, WELL)
    asked = place.request(
        place.repo, "unheard", created_by="nameless-1", workspace={"name": "three", "db": "full"}
    )
    place.drop(asked, "nameless.json")
    place.scene.promised.add("nameless-1")
    place.scene.by_hand["bad.json"] = b'{"what": "is this"}'
    place.drop(place.scene.by_hand["bad.json"], "bad.json")


def _submitted(place: Place) -> None:
    said = place.command("submit", str(place.repo), "slow", "--workspace", "four", "--db", "full")
    expect(place, said, KILLED)


def _pending(place: Place) -> None:
    """A request of job-server's whose jobs are planned and wait, because all is paused."""
    (place.spool / "control" / "paused").touch()
    place.known["waiting"] = identifier = place.server.create_request(
        ["show", "slow"],
        backend="test",
        repo=str(place.repo),
        sha=head(place.repo),
        workspace="five",
    )
    place.scene.outcomes[identifier] = STOPPED
    place.command("run", "--drain")


def _unpaused_and_alone(place: Place) -> None:
    (place.spool / "control" / "paused").unlink()
    place.turn_server(False)


def _server_is_back(place: Place) -> None:
    place.turn_server(True)
    identifier = place.server.create_request(
        ["make"], backend="test", repo=str(place.repo), sha=head(place.repo), workspace="two"
    )
    expect(place, identifier, WELL)


def _resumed(place: Place) -> None:
    place.command("resume")


def _newer_commit(place: Place) -> None:
    place.known["study"] = head(commit(place.repo))


def expect(place: Place, identifier: str, outcome: dict[str, set[str]]) -> None:
    place.scene.outcomes[identifier] = outcome


def _submit(place: Place) -> tuple[str, ...]:
    return ("submit", str(place.repo), "show", "bad", "--workspace", "one", "--db", "full")


def _drain(place: Place) -> tuple[str, ...]:
    return ("run", "--drain")


LIFE = (
    Step("init", _nothing, lambda place: ("init", "--volatile")),
    Step("workspace", _nothing, lambda place: ("workspace", "add", "w", str(place.repo))),
    Step("submit", _nothing, _submit),
    Step("run", _dropped, _drain),
    Step("retry", _nothing, lambda place: ("retry", place.known["submit"])),
    Step("run:endless", _submitted, _drain),
    Step("cancel", _pending, lambda place: ("cancel", place.known["waiting"], "make")),
    Step("kill", _nothing, lambda place: ("kill", place.known["waiting"])),
    Step("run:orders", _unpaused_and_alone, _drain),
    Step("sync", _server_is_back, lambda place: ("sync", "--once")),
    Step("plan", _newer_commit, lambda place: ("plan", str(place.repo), "show")),
    Step("pause", _nothing, lambda place: ("pause",)),
    Step("resume", _nothing, lambda place: ("resume",)),
    Step("maintenance", _nothing, lambda place: ("maintenance", "on")),
    Step("maintenance:off", _nothing, lambda place: ("maintenance", "off")),
    Step("prepare-for-reboot", _nothing, lambda place: ("prepare-for-reboot", "--yes")),
    Step("backup", _nothing, lambda place: ("backup", str(place.base / "temp" / "backup.tar.gz"))),
    Step("archive", _resumed, lambda place: ("archive", "one", "--yes")),
    Step("unarchive", _nothing, lambda place: ("unarchive", "one")),
    Step("gc", _nothing, lambda place: ("gc", "--yes")),
    Step("check", _nothing, lambda place: ("check", "--repair")),
)
# These only look; a test watches that they change nothing in the spool.
LOOKERS = ("status", "show", "logs", "validate", "graph", "images", "service", "audit")
# Killed at every call in tests of their own: one is never near a spool (tests/localrun), the other
# comes before all that is lived here (tests/jobrunner).
ELSEWHERE = ("local-run", "import-jobrunner")


def unknown_verbs() -> set[str]:
    """Verbs of which nobody said what they do to the disk: each needs a Step, or only looks."""
    return set(VERBS) - {step.verb for step in LIFE} - set(LOOKERS) - set(ELSEWHERE)


class Life:
    """Lives it once, writing down every call; then any step of it as often as one likes."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.calls: dict[str, list[tuple[str, bool]]] = {}

    def record(self, steps: tuple[Step, ...] = LIFE) -> None:
        for step in steps:
            step.prepare(self.place)
            self.place.keep(step.name)
            record = self.place.base / "temp" / "calls"
            record.unlink(missing_ok=True)
            status, said = self.place.hooked(step.words(self.place), ("record", str(record)))
            assert status == 0, f"{step.name} ended with {status}: {said}"
            self.promised(step, said)
            lines = record.read_text().splitlines() if record.exists() else []
            self.calls[step.name] = [tuple(json.loads(line)) for line in lines]
            found = violations(self.place.scene)
            assert not found, (step.name, found)
        self.to_the_end()
        assert not (found := violations(self.place.scene, at_rest=True)), found

    def promised(self, step: Step, said: str) -> None:
        """Somebody was told that it is accepted."""
        if step.name in ("submit", "retry"):
            self.place.scene.promised.add(said)
            self.place.known.setdefault(step.name, said)
            outcome = BAD if step.name == "retry" else WELL | BAD
            self.place.scene.outcomes[said] = outcome

    def again(self, step: Step, deed: Deed) -> tuple[int, list[str]]:
        """Live a step once more with this deed in it, then let a fresh runner go on to the end.

        Returns how the step's process ended, and every violation."""
        self.place.back_to(step.name)
        if deed and deed[0] == "kill" and deed[1:2] == ("keeper ",):
            self.place.scene.most_attempts = 2  # the job dies with its keeper
        status, said = self.place.hooked(step.words(self.place), deed)
        if status == 0:
            self.promised(step, said)
        found = violations(self.place.scene)
        if step.verb != "run" and status != 0:  # whoever asked asks again
            self.promised(step, self.place.command(*step.words(self.place), allowed=TOOK_NOTHING))
        self.to_the_end()
        return status, found + violations(self.place.scene, at_rest=True)

    def to_the_end(self) -> None:
        _resumed(self.place)
        self.place.turn_server(True)
        status, said = self.place.hooked(("run", "--drain"))
        log = self.place.base / "temp" / "log"
        at = said.find("Current thread")  # of faulthandler's story: where it hung or crashed
        said = f"{log.read_text()[-2000:]} {said[max(at, 0) :][:3000]}"
        assert status == 0, f"a fresh runner ended with {status}: {said}"


@contextlib.contextmanager
def living() -> Iterator[Life]:
    """A life that was recorded, in memory where there is such a place."""
    shm = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="crash-", dir=shm if os.access(shm, os.W_OK) else None))
    folder.chmod(0o755)
    try:
        with JobServer() as server:
            place = Place(folder, server)
            try:
                yield Life(place)
            finally:
                place.close()
    finally:
        shutil.rmtree(folder)

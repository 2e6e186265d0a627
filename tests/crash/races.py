"""Many at once on one spool, killed at random: no job twice, none lost, no limit passed.

usage: python -m tests.crash.races [--minutes 10] [--seed N] [--requests-per-s 2]

Two services and cron's drains contend for the spool; people submit, drop, cancel and kill; an
uploader carries; job-server is slow and fails; a person moves files about with mv. Every process of
spoolrunner may get SIGKILL at any moment. Then one runner is left alone until all is done, and
everything that always holds is checked (invariants.py). Two witnesses that know nothing of each
other watch the jobs: a record of every start, and a kernel lock held for as long as one runs.

exit status: 0 nothing was violated; 1 something was
"""

import argparse
import contextlib
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.crash.hooked import Zygote
from tests.crash.invariants import violations
from tests.crash.life import TOOK_NOTHING, Place, living
from tests.rig.jobserver import NotStarted
from tests.site import head

PROJECT = """\
version: "4.0"
actions:
  make:
    run: sqlrunner:v1 sh -c "true database; echo n > a.csv; date +%s%N >> a.csv; sleep 0.1"
    outputs:
      highly_sensitive: {a: a.csv}
  show:
    run: python:v2 sh -c "cp a.csv b.csv; sleep 0.1"
    needs: [make]
    outputs:
      moderately_sensitive: {b: b.csv}
"""
ENDS = {"succeeded", "cancelled_by_user", "killed_by_admin", "dependency_failed"}
ANY_END = {"make": ENDS, "show": ENDS, "__error__": ENDS}
WORKSPACES = 4
SETTLED_WITHIN_S = 300.0
SLOW_S = 0.7


class Crowd:
    """Everybody at once, until `until_s`. seen: how often each did what."""

    def __init__(self, place: Place, for_s: float, seed: int, per_s: float) -> None:
        self.place = place
        self.study = place.study({"project.yaml": PROJECT}, "crowded")
        self.sha = head(self.study)
        self.until_s = time.monotonic() + for_s
        self.seed = seed
        self.pause_s = 1 / per_s
        self.seen: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._names = 0

    def run(self) -> None:
        everybody: list[Callable[[random.Random, Zygote], None]] = [
            *(self._service, self._service, self._cron, self._uploader),
            *(self._submitter, self._dropper, self._canceller, self._person, self._site),
        ]
        with ThreadPoolExecutor(len(everybody)) as pool:
            acts = [pool.submit(self._act, *each) for each in enumerate(everybody)]
        for act in acts:
            act.result()

    def _act(self, number: int, who: Callable[[random.Random, Zygote], None]) -> None:
        chance, zygote = random.Random(self.seed * 100 + number), Zygote()
        try:
            while time.monotonic() < self.until_s:
                who(chance, zygote)
        finally:
            zygote.close()

    # --- processes of spoolrunner

    def _process(self, zygote: Zygote, words: tuple[str, ...], alive_s: float) -> tuple[int, str]:
        """Killed after so long, if it has not ended by itself."""
        with self._lock:
            self._names += 1
            output = self.place.base / "temp" / f"crowd-{self._names}"
        pid = zygote.start(self.place.task(words, None, output))
        alarm = threading.Timer(alive_s, kill, (pid,))
        alarm.start()
        status = zygote.wait()
        alarm.cancel()
        said = output.read_text().strip() if output.exists() else ""
        self._saw(f"{words[0]} {'killed' if status == -signal.SIGKILL else 'ended'}")
        if status not in (*TOOK_NOTHING, 5, -signal.SIGKILL):
            raise AssertionError(f"{words} ended with {status}: {said}")
        return status, said

    def _service(self, chance: random.Random, zygote: Zygote) -> None:
        self._process(zygote, ("run",), chance.uniform(0.3, 4))

    def _cron(self, chance: random.Random, zygote: Zygote) -> None:
        self._process(zygote, ("run", "--drain"), chance.uniform(0.3, 4))
        time.sleep(chance.uniform(0, 1))

    def _uploader(self, chance: random.Random, zygote: Zygote) -> None:
        self._process(zygote, ("sync",), chance.uniform(0.2, 2))

    def _submitter(self, chance: random.Random, zygote: Zygote) -> None:
        words = ("submit", str(self.study), "show", *self._somewhere(chance))
        status, said = self._process(zygote, words, chance.choice((0.05, 0.2, 5)))
        if status == 0:
            self._promise(said)
        time.sleep(self.pause_s)

    def _somewhere(self, chance: random.Random) -> tuple[str, ...]:
        return ("-f", "--db", "full", "--workspace", f"w{chance.randrange(WORKSPACES)}")

    def _canceller(self, chance: random.Random, zygote: Zygote) -> None:
        time.sleep(chance.uniform(0.1, 1))
        if active := self._names_in("running", chance):
            verb = chance.choice(("cancel", "kill"))
            self._process(zygote, (verb, active[0].stem), chance.choice((0.1, 5)))

    # --- people and the world

    def _dropper(self, chance: random.Random, zygote: Zygote) -> None:
        with self._lock:
            self._names += 1
            identifier = f"nameless-{self._names}"
        workspace = {"name": f"w{chance.randrange(WORKSPACES)}", "db": "full"}
        asked = self.place.request(
            self.study,
            "make",
            created_by=identifier,
            workspace=workspace,
            force_run_dependencies=chance.random() < 0.5,
        )
        # Again and again under one name: what is taken must be what was looked at.
        name = "drop.json" if chance.random() < 0.5 else f"{identifier}.json"
        if not (self.place.spool / "inbox" / name).exists():
            self.place.drop(asked, name)
            self.place.scene.promised.add(identifier)
            self._saw("dropped")
        time.sleep(self.pause_s)

    def _person(self, chance: random.Random, zygote: Zygote) -> None:
        """mv: out of the inbox and of running/, and back; and what has ended into the inbox."""
        time.sleep(chance.uniform(0.1, 1))
        room = chance.choice(("inbox", "done", "running"))
        for path in self._names_in(room, chance)[:1]:
            away = self.place.folder / "witness" / "away" / f"{self.seen['moved']}-{path.name}"
            away.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                if room == "running":
                    self.place.scene.withdrawn.add(path.stem)
                path.rename(away)
                time.sleep(chance.uniform(0, 0.3))
                away.rename(self.place.spool / "inbox" / away.name)
                self._saw("moved")
                self._saw(f"moved from {room}/")

    def _site(self, chance: random.Random, zygote: Zygote) -> None:
        """Requests of job-server, its cancel button, and how it fails."""
        server = self.place.server
        identifier = server.create_request(
            ["show"],
            backend="test",
            repo=str(self.study),
            sha=self.sha,
            db="full",
            workspace=f"w{chance.randrange(WORKSPACES)}",
        )
        self.place.scene.outcomes[identifier] = ANY_END
        self._saw("asked by job-server")
        time.sleep(self.pause_s)
        if chance.random() < 0.3:
            with contextlib.suppress(NotStarted, LookupError):
                server.cancel(identifier)

    def _names_in(self, room: str, chance: random.Random) -> list[Path]:
        pattern = "*/[!.]*.json" if room == "done" else "[!.]*.json"
        found = sorted((self.place.spool / room).glob(pattern))
        chance.shuffle(found)
        return found

    def _promise(self, identifier: str) -> None:
        self.place.scene.promised.add(identifier)
        self.place.scene.outcomes[identifier] = ANY_END

    def _saw(self, what: str) -> None:
        with self._lock:
            self.seen[what] += 1


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def race(place: Place, for_s: float, seed: int, per_s: float) -> tuple[Counter[str], list[str]]:
    """What everybody did, and what did not hold."""
    place.command("init", "--volatile")
    place.settings |= {"POLL_INTERVAL": "1", "MAX_ATTEMPTS": "20", "MAX_DB_WORKERS": "1"}
    place.scene.most_attempts = 20
    place.server.misbehave("500", "POST", times=None, chance=0.05)
    place.server.misbehave("close", "POST", times=None, chance=0.05, taken=True)
    place.server.misbehave(slowly, "POST", times=None, chance=0.2)
    crowd = Crowd(place, for_s, seed, per_s)
    crowd.run()
    place.server.behave()
    found = violations(place.scene)
    settle(place)
    crowd.seen["jobs started"] = sum(one["what"] == "start" for one in place.scene.witnessed())
    return crowd.seen, found + violations(place.scene, at_rest=True)


def slowly(body: bytes) -> bytes:
    """Meanwhile newer reports are written."""
    time.sleep(SLOW_S)
    return body


def settle(place: Place) -> None:
    """One runner, left alone, until nothing is left to do."""
    deadline_s = time.monotonic() + SETTLED_WITHIN_S
    while time.monotonic() < deadline_s:
        status, said = place.hooked(("run", "--drain"))
        assert status in (0, 5), f"a runner left alone ended with {status}: {said}"
        if not list(unsettled(place)):
            return


def unsettled(place: Place) -> Iterator[Any]:
    for room in ("inbox", ".claims", "running", "outbox"):
        yield from (place.spool / room).glob("[!.]*.json")
    for identifier in place.server.site.requests:
        if place.server.request_status(identifier) not in ("failed", "succeeded"):
            yield identifier


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.races", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--requests-per-s", type=float, default=2)
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    with living() as life:
        seen, found = race(life.place, given.minutes * 60, given.seed, given.requests_per_s)
    for what, count in sorted(seen.items()):
        print(f"{count:>8}  {what}")
    print(f"{len(found):>8}  violations", *found, sep="\n          ")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

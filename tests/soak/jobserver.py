"""Many requests, a job-server that lets us down in every way, a runner that is killed: all is told.

usage: python -m tests.soak.jobserver [--era 2022-06|2026] [--requests 1000] [--jobs 5]
                                      [--minutes 5] [--seed 1]

For that long the server refuses at random (500, 429, 400, 403, a closed line, half an answer; also
after it has done what it was asked), hangs, is stopped and started, and the runner gets SIGKILL.
Then both are left alone, and every request must have come to its end there: nothing lost, nothing
told backwards, no end ever taken back, no job first heard of when it had begun or ended. Most
requests are cancelled as they are made, so that their jobs go from pending to failed without a
process each; every twentieth runs its jobs.

exit status: 0 all was told in order; 1 not
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from tests.rig.jobserver import JobServer
from tests.site import Site, head

REAL_EVERY = 20
MADE_WITHIN = 0.6  # of the time; the rest of it finds all of them waiting or ended
ENDS_WITHIN_S = 180.0
RANK = {"pending": 0, "running": 1, "failed": 2, "succeeded": 2}
ACTION = """\
  a{number}:
    run: python:v2 sh -c "echo {number} > a{number}.csv"
    outputs:
      highly_sensitive: {{o: a{number}.csv}}
"""


@dataclass
class Outcome:
    """lost: requests whose end here is not what the server has. backwards: jobs of which it heard
    an older state after a newer one. taken_back: whose end was followed by anything else.
    unannounced: that it first saw running or ended. kills: of the runner."""

    requests: int
    posts: int
    posted_bytes: int
    kills: int
    outages: int
    settled_s: float
    lost: int
    backwards: int
    taken_back: int
    unannounced: int

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.backwards or self.taken_back or self.unannounced)

    def __str__(self) -> str:
        return "\n".join(
            f"{one.name.replace('_', ' '):>14}: {getattr(self, one.name):,}" for one in fields(self)
        )


class Soak:
    """One site, one server, and a seed for everything that goes wrong."""

    def __init__(self, folder: Path, server: JobServer, *, jobs: int, seed: int) -> None:
        self.server = server
        self.chance = random.Random(seed)
        self.actions = [f"a{number}" for number in range(jobs)]
        self.site = Site(
            folder / "site",
            BACKEND="test",
            USING_DUMMY_DATA_BACKEND="true",
            JOB_SERVER_ENDPOINT=server.endpoint,
            JOB_SERVER_TOKEN=server.token("test"),
            POLL_INTERVAL="1",
        )
        text = "".join(ACTION.format(number=number) for number in range(jobs))
        self.study = self.site.study({"project.yaml": f'version: "4.0"\nactions:\n{text}'})
        self.sha = head(self.study)
        self.made: list[str] = []
        self.kills = self.outages = 0

    def run(self, requests: int, for_s: float) -> Outcome:
        runner = self.site.start()
        begun_s = time.monotonic()
        self._misbehave()
        while (gone_s := time.monotonic() - begun_s) < for_s:
            due = requests * min(1.0, gone_s / (for_s * MADE_WITHIN))
            self._make(int(due))
            if self.chance.random() < 0.1:
                self._out(self.chance.uniform(0.1, 2.0))
            if self.chance.random() < 0.05:
                self.server.misbehave("hang")
            if self.chance.random() < 0.05:
                runner.kill()
                runner.wait()
                self.kills += 1
                runner = self.site.start()
            time.sleep(0.25)  # the pace of the trouble, not a wait for anything
        self._make(requests)
        return self._settle()

    def _misbehave(self) -> None:
        for how, on in (("500", ""), ("429", ""), ("403", ""), ("close", ""), ("cut", "")):
            self.server.misbehave(how, on, times=None, chance=0.03)
        for how in ("400", "413"):
            self.server.misbehave(how, "POST", times=None, chance=0.03)
        for how in ("500", "close"):
            self.server.misbehave(how, "POST", times=None, chance=0.02, taken=True)

    def _out(self, for_s: float) -> None:
        self.server.stop()
        time.sleep(for_s)
        self.server.start()
        self.outages += 1

    def _make(self, up_to: int) -> None:
        while len(self.made) < up_to:
            runs = len(self.made) % REAL_EVERY == 0
            identifier = self.server.create_request(
                self.actions,
                repo=str(self.study),
                sha=self.sha,
                workspace=f"ws{len(self.made)}",
                cancelled_actions=[] if runs else list(self.actions),
            )
            self.made.append(identifier)

    def _settle(self) -> Outcome:
        """A server that behaves, a runner that starts once more."""
        self.server.behave()
        self._out(0)  # ends what hangs
        self.site.runners[-1].kill()
        self.site.runners[-1].wait()
        self.site.start()
        begun_s = time.monotonic()
        self.site.until(lambda: not list(self._unsettled()), ENDS_WITHIN_S)
        return self._outcome(time.monotonic() - begun_s)

    def _unsettled(self) -> Iterator[str]:
        """The oldest first: one that is not told yet ends the look early. The server may know of an
        end just before the request lies in done/."""
        for room in ("outbox", "running"):
            yield from (str(path) for path in (self.site.spool / room).glob("[!.]*.json"))
        for identifier in self.made:
            if self.server.request_status(identifier) not in ("failed", "succeeded"):
                yield identifier

    def _outcome(self, settled_s: float) -> Outcome:
        jobs = [job for one in self.made for job in self.server.jobs(one)]
        histories = [self.server.history(job.identifier) for job in jobs]
        posts = self.server.posts
        return Outcome(
            requests=len(self.made),
            posts=len(posts),
            posted_bytes=sum(post.size_bytes for post in posts),
            kills=self.kills,
            outages=self.outages,
            settled_s=round(settled_s, 1),
            lost=sum(not self._is_told(identifier) for identifier in self.made),
            backwards=sum(_ranks(one) != sorted(_ranks(one)) for one in histories),
            taken_back=sum(2 in _ranks(one)[:-1] for one in histories),
            unannounced=sum(one[0] != "pending" for one in histories),
        )

    def _is_told(self, identifier: str) -> bool:
        here = {
            job["identifier"]: (job["status"], job["status_code"])
            for job in self.site.jobs(identifier).values()
        }
        there = {
            job.identifier: (job.status, job.status_code) for job in self.server.jobs(identifier)
        }
        return len(here) == len(self.actions) and here == there


def _ranks(history: list[str]) -> list[int]:
    """A deleted row ranks as something that came after an end."""
    return [RANK.get(status, -1) for status in history]


def soak(folder: Path, *, era: str, requests: int, jobs: int, for_s: float, seed: int) -> Outcome:
    with JobServer(era, seed=seed) as server:
        one = Soak(folder, server, jobs=jobs, seed=seed)
        try:
            return one.run(requests, for_s)
        finally:
            one.site.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.jobserver", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--era", choices=["2022-06", "2026"], default="2022-06")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # jobs run as another user
        outcome = soak(
            folder,
            era=asked.era,
            requests=asked.requests,
            jobs=asked.jobs,
            for_s=asked.minutes * 60,
            seed=asked.seed,
        )
    print(outcome)
    return 0 if outcome.is_good else 1


if __name__ == "__main__":
    sys.exit(main())

"""The sweep: what a killed runner left of jobs that have ended, finished and cleared away.

A request moves to done/ only after its jobs' lines have ended, so all this can find is the last
step of one: a publication whose request tells of it already, a container and a folder not cleared;
and manifests that lag behind their notes.
In a thread, at start. Whether somebody is at a job is asked of the mover, one by one, then.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from spoolrunner import files
from spoolrunner.errors import SpoolrunnerError, TryLater
from spoolrunner.manifest import Journal
from spoolrunner.request import Job, Request
from spoolrunner.runner import orphans
from spoolrunner.runner.book import Stopping
from spoolrunner.runner.house import House
from spoolrunner.runner.results import is_kept
from spoolrunner.spool import drafts
from spoolrunner.workspace import unfinished

log = logging.getLogger(__name__)

SWEPT = ".swept"
RETRY_S = 5.0
TROUBLE = "The server has trouble."


@dataclass(frozen=True)
class Leftover:
    """Of a job. finish: be rid of it. aside: done before, in the mover's thread, at the moment at
    which nobody is at the job."""

    job: str
    what: str
    finish: Callable[[], None]
    aside: Callable[[], None] = lambda: None


class Sweep:
    """busy: not done yet. A drain waits for it: else cron would leave dead jobs' files for ever.
    all_counted: no container is left that no request tells of, nor a folder that another attempt
    would find under its name. Before that nothing is started: a request may have been withdrawn and
    its runner killed, and the limits hold for its jobs too. stuck: why that can't be done now,
    in public words; it is tried again, and a drain does not wait for it."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._ended: Mapping[str, Job] = {}
        self._begun = False
        self._known: set[str] = set()
        self.busy = True
        self.all_counted = False
        self.stuck = ""

    def expect(self, requests: Iterable[Request]) -> None:
        """Active ones, as they are taken up: nobody is at their jobs that have ended, and nobody
        writes yet where only the mover does."""
        with _survived("drafts"):
            drafts.clear(self._house.rooms)
        jobs = {job.identifier: job for one in requests for job in one.jobs}
        self._known |= jobs.keys()
        self._ended = {name: job for name, job in jobs.items() if not job.active}

    def begin(self) -> None:
        """Once, after the inbox was taken: an active request that somebody put there has jobs. What
        is planned later has begun nothing, whatever lies here under its names."""
        if not self._begun:
            self._begun = True
            active = self._house.book.requests.values()
            self._known |= {job.identifier for one in active for job in one.jobs}
            threading.Thread(target=self._run, name="sweep", daemon=True).start()

    def _run(self) -> None:
        """In a thread. What can't be cleared of jobs that have ended is found again at the next
        start."""
        try:
            while why := self._clear_strangers():
                self.stuck, self.busy = why, False
                self._house.wake.set()
                time.sleep(RETRY_S)
            self.all_counted, self.stuck, self.busy = True, "", True
            self._house.wake.set()
            house, ended = self._house, self._ended
            _be_rid(house, "containers", _clear_containers(house), ended)
            _be_rid(house, "publications", _finish_publishing(house), ended)
            _be_rid(house, "folders", _clear_folders(house, ended), ended)
            _fold(house)
        except Stopping:
            return
        finally:
            self.busy = False
            self._house.wake.set()

    def _clear_strangers(self) -> str:
        """Of jobs that no request told of when this runner began. Returns why some may be left, or
        that there are any is not known; "" if there are none."""
        house = self._house
        with _survived("what no request tells of") as survived:
            for one in orphans.containers(house.executor(house.executor_name)):
                if one.job not in self._known and one.clear:
                    one.clear()
                    log.info("swept: container %s", one.name)
            published = {journal.made.job for _, journal in unfinished(house.storage)}
            for one in orphans.folders(house.storage, house.rooms.spool8):
                if one.job not in self._known | published:
                    _put_aside(house, one.name)
        return survived.trouble


def _be_rid(house: House, what: str, found: Iterable[Leftover], ended: Collection[str]) -> None:
    """ended: of active requests, jobs that had ended when we started: nobody is at these."""
    with _survived(what):
        for left in found:
            with _survived(left.what):
                if _is_taken(house, left, ended):
                    left.finish()
                    log.info("swept: %s", left.what)


def _fold(house: House) -> None:
    for notes in sorted(house.storage.high.glob("workspaces/*/metadata/manifest.notes")):
        workspace = notes.parts[-3]
        with _survived(f"manifest of {workspace}"):
            house.workspace(workspace).fold()


def _finish_publishing(house: House) -> Iterator[Leftover]:
    for _, journal in unfinished(house.storage):
        job = journal.made.job
        yield Leftover(job, f"publication of {job}", partial(_finish, house, journal))


def _finish(house: House, journal: Journal) -> None:
    house.workspace(journal.made.workspace).resume(journal)


def _clear_containers(house: House) -> Iterator[Leftover]:
    for one in orphans.containers(house.executor(house.executor_name)):
        if one.clear:
            yield Leftover(one.job, f"container {one.name}", one.clear)


def _clear_folders(house: House, ended: Mapping[str, Job]) -> Iterator[Leftover]:
    """Out of the way before they are removed, which takes a while: a runner that was killed before
    it had saved what it planned leaves folders of jobs that are planned anew, under their names, at
    any moment. (What it left of the others' kind stands in a request file: see Line.)"""
    for one in orphans.folders(house.storage, house.rooms.spool8):
        job = ended.get(one.job)
        if job and one.name.endswith(f"-{job.attempt}") and is_kept(house.config, job):
            keep = partial(house.storage.keep, one.name)
            yield Leftover(one.job, f"folder {one.name}, to be kept", keep)
            continue
        kept = _swept(one.name)
        yield Leftover(
            job=one.job,
            what=f"folder {one.name}",
            finish=partial(house.storage.clear, kept),
            aside=partial(_move, house, one.name, kept),
        )


def _put_aside(house: House, name: str) -> None:
    """Its name is free then; it takes a while to remove it."""
    aside = _swept(name)
    if name != aside:
        house.storage.clear(aside)  # one that was left by the sweep before
        _move(house, name, aside)


def _swept(name: str) -> str:
    return name.removesuffix(SWEPT) + SWEPT


def _move(house: House, name: str, kept: str) -> None:
    jobs = house.storage.jobs
    if name != kept:
        with files.Changes() as disk:
            disk.move(jobs / name, jobs / kept)


def _is_taken(house: House, left: Leftover, ended: Collection[str]) -> bool:
    """Nobody is at it, and nobody will be."""
    answer: list[bool] = []

    def ask() -> None:
        with _survived(left.what):
            if left.job in ended or not house.book.has_job(left.job):
                left.aside()
                answer.append(True)

    house.book.tell(ask)
    return bool(answer)


@dataclass
class _Survival:
    """trouble: in words that may be read outside."""

    trouble: str = ""


@contextlib.contextmanager
def _survived(what: str) -> Iterator[_Survival]:
    """One thing that can't be cleared is no reason to leave the others."""
    survival = _Survival()
    try:
        yield survival
    except Stopping:
        raise
    except (SpoolrunnerError, OSError) as error:
        survival.trouble = error.message if isinstance(error, TryLater) else TROUBLE
        log.warning("not swept: %s: %s", what, error)
    except Exception:
        survival.trouble = TROUBLE
        log.exception("not swept: %s: this is our bug", what)

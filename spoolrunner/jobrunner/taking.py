"""Taking over: all that job-runner left, told first and then done, in steps that may be done again.

    workspaces, one by one, each by the writing of its index
    requests that ended, some hundred at a time
    requests that did not end, into the inbox: the last, so that they find what they need

Nobody else may move the spool's files meanwhile.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain

from spoolrunner.config import Config
from spoolrunner.jobrunner import (
    environment,
    history,
    joblogs,
    manifests,
    requests,
    surveys,
    workspaces,
)
from spoolrunner.jobrunner.database import Old
from spoolrunner.jobrunner.history import Was
from spoolrunner.jobrunner.requests import Sorted
from spoolrunner.jobrunner.surveys import Survey
from spoolrunner.record import Frozen
from spoolrunner.spool.rooms import Rooms
from spoolrunner.workspace import Storage

FLAGS = {
    "paused": "`spoolrunner pause` if that is still wanted",
    "mode": "`spoolrunner maintenance on` if the database is still in maintenance",
    "manual-db-maintenance": "`spoolrunner maintenance on` if that is still wanted",
}
AGAIN = "it runs again when something needs it"
REPLACED = "another run has written its outputs since; job-runner reuses them, and so does this"


class Told(Frozen, frozen=True, kw_only=True):
    """What becomes of one thing. deed: take; here (it is known here already); leave; tell."""

    kind: str
    name: str
    deed: str
    what: str


@dataclass(frozen=True)
class Taking:
    """All that was found. size_bytes: of the outputs that have to be read."""

    config: Config
    storage: Storage
    old: Old
    surveys: list[Survey]
    requests: Sorted

    @property
    def size_bytes(self) -> int:
        return sum(survey.size_bytes for survey in self.surveys)


def survey(old: Old, config: Config, rooms: Rooms | None, storage: Storage) -> Taking:
    """rooms: None before `init`. Raises BadMachine if the spool's own files are torn."""
    old = _with_oldest(old, storage)
    was = [_with_outputs(one, storage) for one in history.workspaces(old)]
    names = Counter(one.name.casefold() for one in was)
    folded = {name for name, number in names.items() if number > 1}
    return Taking(
        config,
        storage,
        old,
        [surveys.survey(one, rooms, storage, folded) for one in was],
        requests.sort(history.requests(old), rooms, config.keep_done_days),
    )


def _with_oldest(old: Old, storage: Storage) -> Old:
    """And jobs of the time before its database."""
    known = {job.identifier for job in old.jobs}
    row = max((job.row for job in old.jobs), default=0)
    older = manifests.jobs(storage.high / "workspaces", known, row)
    return replace(old, jobs=[*old.jobs, *older])


def _with_outputs(was: Was, storage: Storage) -> Was:
    logs = storage.high / "logs"
    newest = {action: joblogs.completed(job, logs) for action, job in was.newest.items()}
    return replace(was, newest=newest)


def take(taking: Taking, rooms: Rooms, read: Callable[[int], None]) -> None:
    """read: told of bytes read. Raises TryLater ("still_written"), OSError."""
    old, config, found = taking.old, taking.config, taking.requests
    numbers = history.sequences(old)
    db = next(iter(config.database_urls), "default")
    for one in taking.surveys:
        if not one.left:
            workspaces.take(one, rooms, taking.storage, numbers, db, read)
    ended = [
        requests.ended(one, old.originals.get(one.identifier, {}), config.backend, numbers)
        for one in found.ended
    ]
    requests.finish(rooms, ended, config.keep_done_days)
    for asked in found.unfinished:
        original = old.originals.get(asked.identifier, {})
        requests.ask_anew(rooms, asked, original, config.backend)


# --- in words


def told(taking: Taking) -> Iterator[Told]:
    yield from chain.from_iterable(_workspace(one) for one in taking.surveys)
    yield from _requests(taking.requests)
    yield from _flags(taking.old)


def _workspace(one: Survey) -> Iterator[Told]:
    was = one.was
    if one.left:
        deed = "here" if one.left == surveys.KNOWN else "leave"
        yield Told(kind="workspace", name=was.name, deed=deed, what=one.left)
        return
    again = one.lacking.keys() | {name for name, job in was.newest.items() if not job.succeeded}
    reused = len(was.newest.keys() - again - {*one.nameless})
    what = f"{reused} of its {len(was.newest)} actions can be reused"
    yield Told(kind="workspace", name=was.name, deed="take", what=what)
    for action, why in _doubts(one):
        yield Told(kind="action", name=f"{was.name} {action}", deed="tell", what=why)
    for action in one.nameless:
        why = "no action may be called so"
        yield Told(kind="action", name=f"{was.name} {action!a}", deed="leave", what=why)


def _doubts(one: Survey) -> Iterator[tuple[str, str]]:
    for action in one.was.newest.keys() - {*one.nameless}:
        if action in one.lacking:
            yield action, f"{one.lacking[action]}; {AGAIN}"
        elif one.was.newest[action].succeeded and one.was.replaced(action):
            yield action, REPLACED


def _requests(found: Sorted) -> Iterator[Told]:
    if found.ended:
        name = f"{len(found.ended):,} that ended"
        yield Told(kind="requests", name=name, deed="take", what="as finished requests")
    if found.here:
        name = f"{found.here:,}"
        yield Told(kind="requests", name=name, deed="here", what="they are known here")
    for one in found.unfinished:
        running = [job.action for job in one.jobs if job.state == "running" and job.counts]
        left = f"; {', '.join(running)} may still run under job-runner" if running else ""
        what = f"asked for anew, from the beginning{left}"
        yield Told(kind="request", name=one.identifier, deed="take", what=what)
    for name in found.nameless:
        what = "no request may be called so"
        yield Told(kind="request", name=ascii(name), deed="leave", what=what)


def _flags(old: Old) -> Iterator[Told]:
    for name, value in old.flags:
        if name in FLAGS and value.lower() != "false":
            yield Told(kind="flag", name=f"{name}={value}", deed="tell", what=FLAGS[name])


def of_settings(fates: Mapping[str, str]) -> Iterator[Told]:
    """fates: name in its .env -> what becomes of it."""
    for name, what in fates.items():
        taken = what == environment.AS_IT_IS or "becomes" in what
        deed = "take" if taken else "tell"
        yield Told(kind="setting", name=name, deed=deed, what=what)

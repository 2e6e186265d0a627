"""Mail: reports that wait to be sent, that were sent last, and that job-server would not take."""

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from spoolrunner import files
from spoolrunner.check.ground import Ground, names, said
from spoolrunner.check.kinds import Finding
from spoolrunner.check.rooms import OURS
from spoolrunner.errors import BadMachine
from spoolrunner.record import NEWER, from_json
from spoolrunner.runner import reporting
from spoolrunner.spool import outbox, requests
from spoolrunner.spool.outbox import Report, Waiting


def mail(ground: Ground) -> Iterator[Finding]:
    for waiting in outbox.waiting(ground.rooms).values():
        for one in waiting:
            ground.count("reports")
            yield from _waiting(ground, one)
    yield from _sent(ground)
    yield from _trouble(ground)
    for request in outbox.refused(ground.rooms):
        what = "See the .error.json there for what job-server answered."
        yield Finding("report_refused", request, what)


def _waiting(ground: Ground, one: Waiting) -> Iterator[Finding]:
    """An end of a request that nobody knows is told too: of one that could not be read."""
    try:
        report = outbox.read(one)
    except BadMachine as error:
        if error.kind == NEWER:
            yield Finding(NEWER, str(one.path), said(one.path, error))
        else:
            mend = partial(_tell_again, ground, one, error.message)
            yield Finding("report_lost", str(one.path), said(one.path, error), mend)
        return
    if report and not report.final and not _is_known(ground, one.request):
        what = f"Nobody knows the request {one.request}."
        mend_ = ground.aside(one.path, "report_lost", what)
        yield Finding("report_lost", str(one.path), what, mend_)


def _is_known(ground: Ground, identifier: str) -> bool:
    if (ground.rooms.running / f"{identifier}.json").exists():
        return True
    with contextlib.suppress(BadMachine):
        return requests.find_done(ground.rooms, identifier) is not None
    return True  # its entry is torn


def _tell_again(ground: Ground, one: Waiting, why: str) -> None:
    """What is active is told anew by the next runner's start; an end would never be."""
    done = requests.read_done(ground.rooms, one.request)
    if done is not None and reporting.is_reported(done):
        with files.Changes() as disk:
            report = reporting.of(done, ground.config.report_outputs, one.sequence + 1)
            outbox.put(ground.rooms, disk, report)
    ground.aside(one.path, "report_lost", why)()


def _sent(ground: Ground) -> Iterator[Finding]:
    """Torn, it would keep all newer reports of its request from being sent."""
    folder = ground.rooms.outbox / outbox.SENT
    for name in names(folder):
        if OURS["outbox/sent"].fullmatch(name):
            yield from _read(ground, folder / name, Report)


def _trouble(ground: Ground) -> Iterator[Finding]:
    for name in (outbox.TROUBLE, outbox.FACT):
        yield from _read(ground, ground.rooms.outbox / name, str)


def _read(ground: Ground, path: Path, kind: type[object]) -> Iterator[Finding]:
    try:
        from_json(path.read_bytes(), kind, str(path))
    except FileNotFoundError:
        return
    except (BadMachine, OSError) as error:
        yield ground.unreadable("torn_file", path, error)

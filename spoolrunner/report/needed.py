"""Needed images: which images the jobs that have not ended run in, and whether they are here."""

from collections.abc import Callable, Iterable, Iterator

from spoolrunner.executor import Image
from spoolrunner.record import Record
from spoolrunner.report.sheet import Block, Cell, Line, Table, ago
from spoolrunner.request import Job


class Needed(Record, kw_only=True):
    """What `images --json` prints. jobs: how many wait for it or run in it. id: "" = not here."""

    image: str
    here: bool
    id: str
    built_at: str
    jobs: int
    since: str


def needed(
    jobs: Iterable[Job], image_of: Callable[[Job], str], find: Callable[[Job], Image | None]
) -> list[Needed]:
    """By name. since: when the first of the jobs was made. find: what a job would run in."""
    by_image: dict[str, list[Job]] = {}
    for job in jobs:
        by_image.setdefault(image_of(job), []).append(job)
    return [_needed(image, users, find(users[0])) for image, users in sorted(by_image.items())]


def _needed(image: str, users: list[Job], found: Image | None) -> Needed:
    return Needed(
        image=image,
        here=found is not None,
        id=found.id if found else "",
        built_at=found.built_at if found else "",
        jobs=len(users),
        since=min(job.created_at for job in users),
    )


def needed_sheet(images: list[Needed]) -> Iterator[Block]:
    if not images:
        yield Line("", Cell("No request waits for an image."))
        return
    yield Table(
        ("here", "built", "jobs", "since", "id", "image"), [_row(image) for image in images]
    )


def _row(one: Needed) -> tuple[Cell, ...]:
    return (
        Cell("yes", "green") if one.here else Cell("no", "red"),
        Cell(f"{ago(one.built_at)} ago" if one.built_at else "-"),
        Cell(str(one.jobs)),
        Cell(f"{ago(one.since)} ago"),
        Cell(one.id.rpartition(":")[2][:12] or "-"),
        Cell(one.image),
    )

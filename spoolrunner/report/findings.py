"""Findings, as people and programs read them: what was found, mended, and looked at."""

from collections.abc import Iterator, Sequence

from spoolrunner.check import Finding, Grade
from spoolrunner.record import Record
from spoolrunner.report.sheet import Block, Cell, Line, Table

COLOURS = {Grade.UNFIT: "red", Grade.WRONG: "red", Grade.NOTE: "yellow"}


class Told(Record, kw_only=True):
    """One finding. repair: what --repair does about it, "" if nothing."""

    kind: str
    grade: str
    where: str
    what: str
    who: str
    repair: str


class Checked(Record, kw_only=True):
    """What `check --json` prints. looked: what was looked at -> how many."""

    spool: str
    findings: list[Told]
    repaired: list[Told]
    looked: dict[str, int]


def checked(
    spool: str, found: Sequence[Finding], mended: Sequence[Finding], looked: dict[str, int]
) -> Checked:
    return Checked(
        spool=spool,
        findings=[_told(one) for one in found],
        repaired=[_told(one) for one in mended],
        looked=looked,
    )


def findings_sheet(result: Checked) -> Iterator[Block]:
    yield Line("spool", Cell(result.spool))
    counted = ", ".join(f"{what}: {number}" for what, number in result.looked.items())
    yield Line("looked at", Cell(counted))
    for one in result.repaired:
        yield Line("repaired", Cell(f"{one.kind}  {one.where}  {one.what}", "green"))
    if not result.findings:
        yield Line("found", Cell("nothing", "green"))
        return
    columns = ("grade", "kind", "where", "whose turn", "what, and what --repair does")
    yield Table(columns, [_row(one) for one in result.findings])


def _row(one: Told) -> tuple[Cell, ...]:
    what = f"{one.what} --repair {one.repair}." if one.repair else one.what
    colour = COLOURS[Grade(one.grade)]
    return (Cell(one.grade, colour), Cell(one.kind), Cell(one.where), Cell(one.who), Cell(what))


def _told(one: Finding) -> Told:
    about = one.about
    return Told(
        kind=one.kind,
        grade=about.grade,
        where=one.where,
        what=one.what,
        who=about.who,
        repair=one.repair,
    )

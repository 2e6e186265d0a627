"""What `plan` shows: what would run, what is reused, what waits for what, and why."""

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator

from spoolrunner.plan import Existing, Why
from spoolrunner.record import Record
from spoolrunner.report.sheet import Block, Cell, Line, Table
from spoolrunner.request import Need, WorkspaceRef
from spoolrunner.runner.preview import Preview

REASONS = {
    Why.ASKED_FOR: "asked for by name",
    Why.NEVER_RAN: "has never run here",
    Why.FAILED_BEFORE: "its last run failed",
    Why.OUTPUTS_GONE: "its outputs are gone",
    Why.OUTPUTS_CHANGED: "its outputs were changed",
    Why.FORCED: "forced to run again",
}
COUNTED = {"run": "to run", "wait": "scheduled by other requests", "reuse": "reused"}
COLOURS = {"run": "cyan", "wait": "yellow", "reuse": "green"}


class Source(Record, kw_only=True):
    """Whose outputs an action reads. verdict: of that action, as in Verdict. request, job: of the
    run there is, or None if it is to be made."""

    action: str
    verdict: str
    request: str | None
    job: str | None


class Verdict(Record, kw_only=True):
    """verdict: "run", "wait" (another request has it scheduled) or "reuse". why: a word for
    machines. request, job, commit: of the run there is. command, needs: of what would run."""

    action: str
    verdict: str
    why: str
    reason: str
    request: str | None = None
    job: str | None = None
    commit: str | None = None
    command: str | None = None
    database: bool = False
    needs: list[Source] = []


class Planned(Record, kw_only=True):
    """What `plan --json` prints. actions: those that run in their order, then the others.

    before: requests of this workspace that are planned before it, and may change this.
    """

    workspace: WorkspaceRef
    commit: str
    requested_actions: list[str]
    force_run_dependencies: bool
    actions: list[Verdict]
    notes: list[str]
    before: list[str]


def planned(seen: Preview) -> Planned:
    made, request = seen.plan, seen.request
    waited = {one.action: "wait" for one in made.awaited}
    verdicts = waited | {one.action: "reuse" for one in made.reused}
    running = [
        Verdict(
            action=one.action,
            verdict="run",
            why=one.why,
            reason=REASONS[one.why],
            command=shlex.join(seen.reading.commands[one.action].argv),
            database=seen.reading.commands[one.action].requires_db,
            needs=[_source(need, verdicts.get(need.action, "run")) for need in one.needs],
        )
        for one in made.jobs
    ]
    there = [_existing(one, verdicts[one.action]) for one in (*made.awaited, *made.reused)]
    return Planned(
        workspace=request.workspace,
        commit=seen.reading.sha,
        requested_actions=request.requested_actions,
        force_run_dependencies=request.force_run_dependencies,
        actions=running + there,
        notes=[note for note in (made.nothing_to_do, *made.notes) if note],
        before=list(seen.before),
    )


def planned_sheet(now: Planned) -> Iterator[Block]:
    workspace = now.workspace
    yield _line("study", f"{workspace.repo}  {workspace.branch}")
    yield _line("commit", now.commit)
    yield _line("workspace", f"{workspace.name}  (db {workspace.db})")
    yield _line("asked for", ", ".join(now.requested_actions))
    yield _line("plan", _counts(now))
    for note in now.notes:
        yield _line("note", note)
    if now.before:
        yield _line("note", f"Planned before this, and may change it: {', '.join(now.before)}.")
    yield Table(("", "action", "why", "when"), [_row(one) for one in now.actions])


def _source(need: Need, verdict: str) -> Source:
    there = verdict != "run"
    return Source(
        action=need.action,
        verdict=verdict,
        request=need.request if there else None,
        job=need.job if there else None,
    )


def _existing(one: Existing, verdict: str) -> Verdict:
    if verdict == "reuse":
        why = Why.REUSED
        reason = f"commit {one.sha[:7]}, job {one.job}"
    else:
        why = Why.AWAITED
        reason = f"request {one.request} has it scheduled"
    return Verdict(
        action=one.action,
        verdict=verdict,
        why=why,
        reason=reason,
        request=one.request,
        job=one.job,
        commit=one.sha or None,
    )


def _row(one: Verdict) -> tuple[Cell, ...]:
    when = ""
    if one.verdict == "run":
        after = ", ".join(_waited_for(one.needs))
        when = f"after {after}" if after else "at once"
    verdict = Cell(one.verdict, COLOURS[one.verdict])
    return verdict, Cell(one.action), Cell(one.reason), Cell(when)


def _waited_for(needs: Iterable[Source]) -> Iterator[str]:
    for need in needs:
        if need.verdict == "run":
            yield need.action
        elif need.verdict == "wait":
            yield f"{need.action} of request {need.request}"


def _counts(now: Planned) -> str:
    verdicts = Counter(one.verdict for one in now.actions)
    told = [f"{verdicts[one]} {words}" for one, words in COUNTED.items() if verdicts[one]]
    return ", ".join(told)


def _line(name: str, text: str) -> Line:
    return Line(name, Cell(text))

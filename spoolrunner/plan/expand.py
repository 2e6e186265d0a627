"""Job expansion: which actions become jobs, in which order, and whose outputs each will read.

A job waits only for jobs of its own request, along the project's needs, and for jobs of requests
accepted earlier. That order has no cycle, whatever commits the requests are of.
Pure. Knows: verdict, notes, request, errors.
"""

import difflib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from spoolrunner.errors import CannotExpand
from spoolrunner.plan.notes import MOST_NAMES, listed, notes, nothing_to_do
from spoolrunner.plan.verdict import NEVER, Known, State, Why, decide
from spoolrunner.request import RUN_ALL, Need, job_identifier

Needs = Mapping[str, Sequence[str]]  # every action of the project, in file order -> what it needs


@dataclass(frozen=True)
class Planned:
    """An action that becomes a job of this request, and the very jobs whose outputs it reads."""

    action: str
    needs: tuple[Need, ...]
    why: Why


@dataclass(frozen=True)
class Existing:
    """A run that this request does not start: succeeded (reused), or still to come (awaited)."""

    action: str
    request: str
    job: str
    sha: str


@dataclass(frozen=True)
class Plan:
    """jobs: needs before dependants, at most one for each action.
    cancelled: actions among jobs that were cancelled before they were planned; the caller ends
        them as cancelled, and what needs them fails, as if the cancel had come a moment later.
    notes: sentences for the person. nothing_to_do: "" or, if there are no jobs, the sentence.
    """

    jobs: tuple[Planned, ...]
    reused: tuple[Existing, ...]
    awaited: tuple[Existing, ...]
    cancelled: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    nothing_to_do: str = ""


@dataclass(frozen=True)
class Replanned:
    """plan: the new jobs. needs: action of a waiting job -> all its needs, where they changed."""

    plan: Plan
    needs: Mapping[str, tuple[Need, ...]]


def make(
    needs: Needs,
    requested: Sequence[str],
    *,
    force: bool,
    cancelled: Collection[str],
    known: Mapping[str, Known],
    request: str,
    sha: str,
) -> Plan:
    """The plan of a new request.

    needs: acyclic, every name in it a key. requested: names, `run_all` among them stands for every
    action. known: by action; what is missing never ran, what is no longer in the project is not
    looked at. request: the identifier of this one. sha: its commit.
    Raises CannotExpand: kind "unknown_action" (at most MOST_NAMES named), "no_actions".
    """
    targets = _targets(needs, requested)
    named = frozenset(requested)
    verdicts = _walk(
        targets,
        needs,
        lambda action: decide(known.get(action, NEVER), named=action in named, force=force),
    )
    return _Expansion(verdicts, known, request).plan(
        needs, cancelled, sha, nothing_to_do({verdicts[action] for action in targets})
    )


def replan(
    needs: Needs,
    waiting: Mapping[str, Sequence[Need]],
    lost: Collection[str],
    *,
    ours: Collection[str],
    force: bool,
    cancelled: Collection[str],
    known: Mapping[str, Known],
    request: str,
    sha: str,
) -> Replanned:
    """Make a request independent of other requests' jobs that will never give their outputs.

    waiting: its jobs that have not begun, by action, with their needs. lost: identifiers of the
    jobs of others that were cancelled, or whose outputs were replaced before they could be read.
    ours: every action that has a job of this request, ended ones too: none gets a second one.
    known: as for `make`, but without what requests accepted later have scheduled: to wait for those
    could make a cycle. Replan requests in order of acceptance, and before any new one is planned.
    An earlier success of the lost action counts again, as if the cancelled run had never been.
    Safe to repeat: with the new jobs and needs taken over, nothing is left to change.
    """
    known = {**known, **{action: _own(request, action) for action in ours}}
    targets = _distinct(
        need.action
        for awaited in waiting.values()
        for need in awaited
        if need.job in lost and need.request != request
    )
    verdicts = _walk(
        targets,
        needs,
        lambda action: decide(known.get(action, NEVER), named=False, force=force),
    )
    expansion = _Expansion(verdicts, known, request)
    changed = expansion.repoint(waiting, moved={*targets, *expansion.running})
    return Replanned(expansion.plan(needs, cancelled, sha), changed)


class _Expansion:
    """The verdicts of one request, and where the outputs of each action come from."""

    def __init__(
        self, verdicts: Mapping[str, Why], known: Mapping[str, Known], request: str
    ) -> None:
        self._verdicts = verdicts
        self._known = known
        self._request = request
        self.running = [action for action, why in verdicts.items() if why.runs]
        self._sources = {action: self._source(action) for action in verdicts}

    def _source(self, action: str) -> Need:
        if self._verdicts[action].runs:
            job = job_identifier(self._request, action)
            return Need(action=action, request=self._request, job=job)
        known = self._known[action]
        return Need(action=action, request=known.request, job=known.job)

    def plan(self, needs: Needs, cancelled: Collection[str], sha: str, told: str = "") -> Plan:
        return Plan(
            jobs=tuple(self._planned(action, needs[action]) for action in self.running),
            reused=tuple(self._existing(Why.REUSED)),
            awaited=tuple(self._existing(Why.AWAITED)),
            cancelled=tuple(action for action in self.running if action in cancelled),
            notes=notes(self._verdicts, self._known, needs, request=self._request, sha=sha),
            nothing_to_do=told,
        )

    def repoint(
        self, waiting: Mapping[str, Sequence[Need]], moved: Collection[str]
    ) -> dict[str, tuple[Need, ...]]:
        """The needs of waiting jobs that change if those on moved actions are looked up again."""
        changed = {}
        for action, old in waiting.items():
            new = tuple(self._sources[one.action] if one.action in moved else one for one in old)
            if new != tuple(old):
                changed[action] = new
        return changed

    def _planned(self, action: str, needed: Sequence[str]) -> Planned:
        needs = tuple(self._sources[name] for name in _distinct(needed))
        return Planned(action, needs, self._verdicts[action])

    def _existing(self, why: Why) -> Iterator[Existing]:
        """Runs of others: what this request itself has under way is not news."""
        for action, verdict in self._verdicts.items():
            known = self._known.get(action, NEVER)
            if verdict is why and known.request != self._request:
                yield Existing(action, known.request, known.job, known.sha)


def _targets(needs: Needs, requested: Sequence[str]) -> tuple[str, ...]:
    """What was asked for, `run_all` spelt out. A name beside run_all still counts as asked for.

    A user's own action called run_all is never meant (reference 2.6).
    """
    if not requested:
        raise CannotExpand("The request names no action.", kind="no_actions")
    unknown = [name for name in _distinct(requested) if name not in needs and name != RUN_ALL]
    if unknown:
        raise _unknown_actions(unknown, [name for name in needs if name != RUN_ALL])
    if RUN_ALL in requested:
        return tuple(name for name in needs if name != RUN_ALL)
    return _distinct(requested)


def _unknown_actions(unknown: Sequence[str], known: Sequence[str]) -> CannotExpand:
    """Guesses are made only for those that are named: a comparison with 2,500 names is slow."""
    guesses = [
        f"Did you mean {close!r} instead of {name!r}?"
        for name in unknown[:MOST_NAMES]
        for close in difflib.get_close_matches(name, known, n=1)
    ]
    return CannotExpand(
        f"The project has no such action: {listed(unknown)}.",
        kind="unknown_action",
        hint=" ".join([*guesses, f"Its actions are: {listed(known)}."]),
    )


def _walk(targets: Iterable[str], needs: Needs, decide: Callable[[str], Why]) -> dict[str, Why]:
    """Verdicts on the targets and on what those that run need, needs first.

    Depth first in the order of the file, which is the order the originals make their jobs in. Not
    recursive: a chain of 2,500 actions is allowed, and deeper than Python's stack.
    """
    verdicts: dict[str, Why] = {}
    opened: dict[str, Why] = {}
    stack = [*reversed(_distinct(targets))]
    while stack:
        action = stack[-1]
        if action in opened:
            verdicts.setdefault(action, opened[action])
            stack.pop()
            continue
        opened[action] = why = decide(action)
        if why.runs:
            stack.extend(name for name in reversed(needs[action]) if name not in opened)
    return verdicts


def _own(request: str, action: str) -> Known:
    """This request's own job, whatever became of it: the action is never planned a second time."""
    return Known(State.PENDING, request, job_identifier(request, action))


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))

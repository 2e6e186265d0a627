"""Intake: what was dropped becomes requests, workspaces and cancellations, or is put aside.

For each file: looked at, claimed by one rename, read again, checked, and **rewritten** as a file of
ours in running/; only then is the claim unlinked. Everything of one round shares its flushes.
Order and reasons: design, "Taking a request".
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from spoolrunner import audit, drop
from spoolrunner.audit import Event
from spoolrunner.errors import BadRequest, CannotExpand, SpoolrunnerError
from spoolrunner.request import Request, Status, WorkspaceRef
from spoolrunner.runner import authority, clock, jobs, rejecting
from spoolrunner.runner.book import Book
from spoolrunner.spool import claims, registry
from spoolrunner.spool.claims import Claim
from spoolrunner.spool.inbox import NOT_REGULAR, Found, Inbox, Why
from spoolrunner.spool.rooms import Rooms

log = logging.getLogger(__name__)

AGAIN_S = 1.0
DUPLICATE = BadRequest(
    "It is a request file of spoolrunner's own, and that request is known.", kind="duplicate"
)


@dataclass
class Taken:
    """new: accepted, or put back by hand. grown: known requests with new cancellations.

    left: what still lies in the inbox, or is claimed but still being written, and why.
    """

    new: list[Request] = field(default_factory=list)
    grown: list[Request] = field(default_factory=list)
    left: list[Found] = field(default_factory=list)


class Intake:
    """One round of `take` deals with all that is in the inbox now. running: the requests of which
    a job runs; one that was withdrawn is among them until its jobs have stopped."""

    def __init__(
        self,
        rooms: Rooms,
        book: Book,
        backend: str,
        inbox: Inbox,
        running: Callable[[], Sequence[Request]] = lambda: (),
    ) -> None:
        self._rooms = rooms
        self._book = book
        self._backend = backend
        self._inbox = inbox
        self._running = running
        self._open: list[Claim] | None = None
        self._taken = Taken()
        self._fresh: dict[str, Request] = {}
        self._events: dict[str, Event] = {}  # by id: a claim may be read again

    def take(self) -> Taken:
        found = self._inbox.look()
        stuck = rejecting.from_inbox(self._rooms, self._book, found)
        earlier = claims.left_over(self._rooms) if self._open is None else self._open
        self._open = None  # until all are dealt with: a full disk may stop us half-way
        claimed, unmoved = claims.take(self._rooms, [one for one in found if one.take])
        left = self._deal([*earlier, *claimed])
        left += [one for one in found if one.wait is not None]
        left += [self._inbox.stuck(one) for one in (*stuck, *unmoved)]
        taken, self._taken = self._taken, Taken()
        return replace(taken, left=left)

    def _deal(self, claimed: list[Claim]) -> list[Found]:
        """Those that are still being written. What is taken is kept, should the disk fail then, for
        the next round: its claims may be gone by that time."""
        left, still_open, dealt = [], [], []
        self._fresh = {}
        for claim in claimed:
            content = self._content(claim)
            if isinstance(content, Found) and content.wait:
                still_open.append(claim)
                left.append(content)
            elif self._has_read(claim, content):
                dealt.append(claim)
        self._save(list(self._fresh.values()))
        claims.drop_all(dealt)
        self._open = still_open
        return left

    def _save(self, new: list[Request]) -> None:
        self._book.audit(list(self._events.values()))
        self._events.clear()
        grown = self._taken.grown  # of an earlier round, too, in which the disk failed
        grown[:] = [one for one in grown if self._book.find(one.identifier) is one]
        self._book.store.save([*new, *grown])
        for request in new:
            self._book.add(request)
            log.info("request=%s accepted workspace=%s", request.identifier, request.workspace.name)
        self._taken.new += new

    def _tell(self, event: Event) -> None:
        self._events[event.id] = event

    def _content(self, claim: Claim) -> dict[str, Any] | Found:
        """What it says; or why it is read later: it was opened again between our look and our
        rename and its writer goes on in the claim, or its jobs would share names with others."""
        content = self._inbox.content(claim.path, quiet_s=0)
        if isinstance(content, Found):
            return content
        if self._is_leaving(str(content.get("identifier", ""))):
            return Found(claim.path, wait=Why.LEAVING, again_s=AGAIN_S)
        return content

    def _is_leaving(self, identifier: str) -> bool:
        now = self._book.find(identifier)
        others = (one for one in self._running() if one is not now)
        return any(one.identifier.lower() == identifier.lower() for one in others)

    def _has_read(self, claim: Claim, content: dict[str, Any] | Found) -> bool:
        """Do what a claim says. False: it was put aside."""
        try:
            if isinstance(content, Found):
                raise content.refuse or NOT_REGULAR
            self._read(claim, content)
        except SpoolrunnerError as error:
            rejecting.of_claim(self._rooms, self._book, claim, error)
            return False
        return True

    def _read(self, claim: Claim, content: dict[str, Any]) -> None:
        """Raises BadRequest; BadMachine for a torn file of ours that it has to do with."""
        dropped = drop.read(content)
        if isinstance(dropped, drop.Registration):
            self._register(claim, dropped)
        elif isinstance(dropped, drop.Ours):
            self._ours(claim, dropped.request)
        else:
            asked = replace(
                dropped,
                identifier=dropped.identifier or claim.token,
                source=authority.source(claim, dropped.source),
            )
            self._check_backend(asked.backend)
            known = self._known(asked)
            if known is None:
                request = self._new_or_failed(claim, asked, content)
                self._tell(audit.accept(request, claim.token))
                self._fresh[request.identifier.lower()] = request
            else:
                self._again(claim, asked, known)

    def _check_backend(self, backend: str) -> None:
        if backend != self._backend:
            raise BadRequest(f"It is for the backend {backend!r}.", kind="other_backend")

    def _register(self, claim: Claim, dropped: drop.Registration) -> None:
        if dropped.force:
            authority.check_is_operators(claim, "Only the runner's user may redefine a workspace.")
        about = dropped.workspace
        event = audit.register(about, claim.token, claim.uid, force=dropped.force)
        self._book.audit([event])
        number = registry.add(self._rooms, about, numbered=True, force=dropped.force)
        log.info("workspace=%r registered number=%d", about.name, number)

    def _ours(self, claim: Claim, request: Request) -> None:
        """A request file of ours that lay in the inbox: back to the room its status names.

        It says what runs and what has run, so only the operator's hand is believed.
        """
        authority.check_is_operators(claim, "Only the operator may put a request file back.")
        self._check_backend(request.backend)
        store = self._book.store
        request = store.returned(request, claim.path)
        active = self._book.find(request.identifier) or self._fresh.get(request.identifier.lower())
        if active is not None and not store.is_gone(active):
            raise DUPLICATE
        if active is not None:
            # Moved here while it runs: what we know is newer, and is written again.
            store.forget(active)
            self._taken.grown.append(active)
        elif store.read_done(request.identifier) is not None:
            raise DUPLICATE
        elif request.status.final:
            self._book.audit([audit.put_back(request, claim.token, claim.uid)])
            store.readopt(request)
        else:
            jobs.take_turns_back(request)
            registry.add(self._rooms, request.workspace, numbered=False)
            self._tell(audit.put_back(request, claim.token, claim.uid))
            self._fresh[request.identifier.lower()] = request

    def _known(self, asked: drop.Asked) -> Request | None:
        """The request of that identifier, active or finished. Raises BadRequest if it differs.

        A file without one has its claim's token: after a crash that request may be known.
        """
        known = self._fresh.get(asked.identifier.lower()) or self._book.find(asked.identifier)
        if known is None:
            where = self._book.store.find_done(asked.identifier)
            known = self._book.store.read_done(asked.identifier)
            if where is not None and known is None:
                raise BadRequest(
                    "A request of that identifier ended here long ago.", kind="identifier_taken"
                )
        if known is not None:
            drop.check_same(asked, known, self._named(asked.workspace))
        return known

    def _new_or_failed(
        self, claim: Claim, asked: drop.Asked, original: dict[str, object]
    ) -> Request:
        """What job-server asks and is refused ends as failed: in rejected/ nobody would be told,
        and the server would list it for ever."""
        try:
            workspace = self._named(asked.workspace)
            registry.add(self._rooms, workspace, numbered=False)
            return self._request(claim, asked, workspace, original)
        except BadRequest as error:
            if asked.source != authority.JOB_SERVER or isinstance(asked.workspace, int):
                raise
            request = self._request(claim, asked, asked.workspace, original)
            sequence = self._book.store.next_sequence()
            cause = CannotExpand(error.message, kind=error.kind, hint=error.hint)
            self._tell(audit.refuse(request, error.kind))
            request.jobs = [jobs.refused(request, sequence, cause)]
            request.expanded, request.status = True, Status.FAILED
            request.completed_at = clock.now()
            return request

    def _request(
        self,
        claim: Claim,
        asked: drop.Asked,
        workspace: WorkspaceRef,
        original: dict[str, object],
    ) -> Request:
        return Request(
            identifier=asked.identifier,
            sequence=self._book.store.next_sequence(),
            backend=asked.backend,
            workspace=workspace,
            sha=asked.sha,
            requested_actions=asked.requested_actions,
            cancelled_actions=asked.cancelled_actions,
            force_run_dependencies=asked.force_run_dependencies,
            codelists_ok=asked.codelists_ok,
            created_at=clock.now(),
            source=asked.source,
            uid=claim.uid,
            retry_of=asked.retry_of,
            original=original,
        )

    def _named(self, given: WorkspaceRef | int) -> WorkspaceRef:
        return registry.numbered(self._rooms, given) if isinstance(given, int) else given

    def _again(self, claim: Claim, asked: drop.Asked, known: Request) -> None:
        """A known request dropped again: only new cancellations count."""
        new = [name for name in asked.cancelled_actions if name not in known.cancelled_actions]
        if not new or known.status.final:
            log.info("request=%s dropped again: known", known.identifier)
            return
        if claim.uid != known.uid:
            authority.check_is_operators(
                claim, "Only who made a request, or the operator, may cancel it."
            )
        self._tell(audit.cancel(known, claim.token, claim.uid, asked.source, new))
        known.cancelled_actions.extend(new)
        if known.identifier.lower() not in self._fresh and known not in self._taken.grown:
            self._taken.grown.append(known)

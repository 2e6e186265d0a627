"""Intake: what was dropped becomes requests, workspaces and cancellations, or is put aside.

For each file: looked at, claimed by one rename, read again, checked, and **rewritten** as a file of
ours in running/; only then is the claim unlinked. Everything of one round shares its flushes.
Order and reasons: design, "Taking a request".
"""

import logging
import os
from dataclasses import replace

from spoolrunner import drop
from spoolrunner.errors import BadRequest
from spoolrunner.record import parse_foreign
from spoolrunner.request import ERROR_ACTION, Request, WorkspaceRef
from spoolrunner.runner import clock
from spoolrunner.runner.book import Book
from spoolrunner.spool import claims, registry
from spoolrunner.spool.claims import Claim
from spoolrunner.spool.inbox import Found, Inbox
from spoolrunner.spool.rooms import Rooms

log = logging.getLogger(__name__)


class Intake:
    """One round of `take` deals with all that is in the inbox now."""

    def __init__(self, rooms: Rooms, book: Book, backend: str, inbox: Inbox) -> None:
        self._rooms = rooms
        self._book = book
        self._backend = backend
        self._inbox = inbox
        self._left_over = True
        self._fresh: dict[str, Request] = {}

    def take(self) -> tuple[list[Request], list[Found]]:
        """The requests that were accepted or whose cancellations grew, and what is left lying."""
        found = self._inbox.look()
        for one in found:
            if one.refuse is not None:
                self._refuse(one, one.refuse)
        taken = claims.take(self._rooms, [one.path for one in found if one.take])
        if self._left_over:
            # Those just taken are among them; a claim is read once, whoever made it.
            taken = claims.left_over(self._rooms)
        self._left_over = True  # until these are dealt with: a full disk may stop us half-way
        touched = self._deal(taken)
        self._left_over = False
        return touched, [one for one in found if one.wait is not None]

    def _refuse(self, found: Found, error: BadRequest) -> None:
        try:
            kept = claims.reject(self._rooms, found.path, found.path.name, error, clock.now())
        except FileNotFoundError:
            return  # whoever dropped it took it away again
        log.warning("rejected=%s error=%s %s", kept, error.kind, error.message)

    def _deal(self, taken: list[Claim]) -> list[Request]:
        touched, dealt = [], []
        self._fresh = {}
        for claim in taken:
            try:
                request, new = self._read(claim)
            except BadRequest as error:
                kept = claims.reject(self._rooms, claim.path, claim.name, error, clock.now())
                log.warning("rejected=%s error=%s %s", kept, error.kind, error.message)
                continue
            if request is not None and new:
                self._fresh[request.identifier.lower()] = request
            elif request is not None:
                touched.append(request)
            dealt.append(claim)
        accepted = list(self._fresh.values())
        self._book.store.save([*accepted, *touched])
        claims.drop_all(dealt)
        for request in accepted:
            self._book.add(request)
            log.info("request=%s accepted workspace=%s", request.identifier, request.workspace.name)
        return [*accepted, *touched]

    def _read(self, claim: Claim) -> tuple[Request | None, bool]:
        """The request to write, if any, and whether it is a new one. Raises BadRequest."""
        dropped = drop.read(parse_foreign(data := claims.read(claim)))
        if isinstance(dropped, drop.Registration):
            self._register(claim, dropped, forced=b'"force"' in data)
            return None, False
        if isinstance(dropped, drop.Ours):
            return self._ours(claim, dropped.request), True
        asked = replace(dropped, identifier=dropped.identifier or claim.token)
        if asked.backend != self._backend:
            raise BadRequest(f"It is for the backend {asked.backend!r}.", kind="other_backend")
        known = self._known(asked)
        if known is None:
            return self._new(claim, asked, parse_foreign(data)), True
        return self._again(claim, asked, known), False

    def _register(self, claim: Claim, dropped: drop.Registration, *, forced: bool) -> None:
        if forced and claim.uid not in (0, os.geteuid()):
            raise BadRequest("Only the runner's user may redefine a workspace.", kind="not_allowed")
        number = registry.add(self._rooms, dropped.workspace, numbered=True, force=forced)
        log.info("workspace=%r registered number=%d", dropped.workspace.name, number)

    def _ours(self, claim: Claim, request: Request) -> Request | None:
        if self._book.find(request.identifier) or self._book.store.find_done(request.identifier):
            raise BadRequest(
                "It is a request file of spoolrunner's own, and that request is known.",
                kind="duplicate",
            )
        if request.status.final:
            self._book.store.readopt(claim.path, request)
            return None
        return request

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
            _check_same(asked, known)
        return known

    def _new(self, claim: Claim, asked: drop.Asked, original: dict[str, object]) -> Request:
        workspace = self._workspace(asked.workspace)
        registry.add(self._rooms, workspace, numbered=False)
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

    def _workspace(self, given: WorkspaceRef | int) -> WorkspaceRef:
        if isinstance(given, int):
            return registry.numbered(self._rooms, given)
        registry.check(self._rooms, given)
        return given

    def _again(self, claim: Claim, asked: drop.Asked, known: Request) -> Request | None:
        """A known request dropped again: only new cancellations count."""
        new = [name for name in asked.cancelled_actions if name not in known.cancelled_actions]
        if not new or known.status.final:
            log.info("request=%s dropped again: known", known.identifier)
            return None
        if claim.uid not in (0, os.geteuid(), known.uid):
            raise BadRequest(
                "Only who made a request, or the operator, may cancel it.", kind="not_allowed"
            )
        known.cancelled_actions.extend(new)
        return None if known in self._fresh.values() else known


def _check_same(asked: drop.Asked, known: Request) -> None:
    if asked.identifier != known.identifier:
        raise BadRequest(
            f"The identifier differs only in case from {known.identifier}.", kind="identifier_taken"
        )
    same = (
        asked.backend == known.backend
        and asked.sha in (None, known.sha, known.original.get("sha"))
        and _same_actions(asked, known)
        and asked.force_run_dependencies == known.force_run_dependencies
        and _same_workspace(asked.workspace, known.workspace)
    )
    if not same:
        raise BadRequest(
            f"The identifier {known.identifier} belongs to another request.",
            kind="identifier_taken",
            hint="Give it one of its own, or leave it out.",
        )


def _same_actions(asked: drop.Asked, known: Request) -> bool:
    """A drop that only cancels need not repeat the actions."""
    only_cancels = not asked.requested_actions and bool(asked.cancelled_actions)
    return only_cancels or asked.requested_actions == known.requested_actions


def _same_workspace(asked: WorkspaceRef | int, known: WorkspaceRef) -> bool:
    return isinstance(asked, int) or asked == known


def cancels(request: Request, action: str) -> bool:
    """Has the person cancelled this action of the request, or all of it?"""
    return bool(request.cancel) or (action in request.cancelled_actions and action != ERROR_ACTION)

"""The audit: who asked for what, what ran, what was released, and what operators did, as events.

Each event is one line of JSON. It is written before what it tells of takes effect, so that a crash
leaves no deed without its event; the same event may then be written again, with the same id, and
counts once. Each line holds the hash of the one before it, so that one which was changed or taken
out is missed.

It is private: it names outputs of every level. No secret is ever given to it. Pure.
Knows: record, request.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from spoolrunner.record import Frozen, changed
from spoolrunner.request import Code, Job, Level, Outcome, Request, Status, WorkspaceRef

COMMAND = "command"  # the source of what an operator did by a command
LONGEST_NAME = 200
_USER_OF_AN_ADDRESS = re.compile(r"(?<=://)[^/@]*@")


class Event(Frozen, frozen=True, kw_only=True):
    """at: when it was written, ISO 8601 UTC with Z. event: what is done, in one word. id: the same
    for the same event, if it is written again.

    uid: who asked for it, -1 if nobody knows. source: by which way: that of the request, or
    "command". details: what else there is to tell of such an event. before: sha256 in hex of the
    line before this one, "" for the first of all.
    """

    format: int = 1
    at: str = ""
    event: str
    id: str
    uid: int
    source: str
    request: str = ""
    workspace: str = ""
    action: str = ""
    job: str = ""
    details: dict[str, Any] = {}
    before: str = ""


def identity(*parts: object) -> str:
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:16]


def link(line: bytes) -> str:
    """What the next line says of this one. line: without its newline."""
    return hashlib.sha256(line).hexdigest()


def once(events: Iterable[Event]) -> Iterator[Event]:
    """Each event, however often it was written."""
    seen: set[str] = set()
    for one in events:
        if one.id not in seen:
            seen.add(one.id)
            yield one


# --- of a request. token: of the claim under which its file was taken from the inbox


def accept(request: Request, token: str) -> Event:
    details = {
        "repo": _without_user(request.workspace.repo),
        "branch": request.workspace.branch,
        "db": request.workspace.db,
        "commit": request.sha,
        "actions": request.requested_actions,
        "force_run_dependencies": request.force_run_dependencies,
        "created_by": str(request.original.get("created_by") or "")[:LONGEST_NAME],
        "retry_of": request.retry_of,
    }
    return _of_request(request, "accept", identity("accept", token), details)


def put_back(request: Request, token: str, uid: int) -> Event:
    """A request file of ours that somebody laid into the inbox."""
    return Event(
        event="put-back",
        id=identity("put-back", token),
        uid=uid,
        source="inbox",
        request=request.identifier,
        workspace=request.workspace.name,
    )


def cancel(request: Request, token: str, uid: int, source: str, actions: list[str]) -> Event:
    """By a drop. An operator's is a command."""
    return Event(
        event="cancel",
        id=identity("cancel", token),
        uid=uid,
        source=source,
        request=request.identifier,
        workspace=request.workspace.name,
        details={"actions": actions},
    )


def register(workspace: WorkspaceRef, token: str, uid: int, *, force: bool) -> Event:
    """Force: a known one gets another repository or database."""
    return Event(
        event="register",
        id=identity("register", token),
        uid=uid,
        source="inbox",
        workspace=workspace.name,
        details={"repo": _without_user(workspace.repo), "db": workspace.db, "force": force},
    )


def reject(name: str, key: object, uid: int, error: str) -> Event:
    """Of a file that can't become a request. name: printable. key: what tells it from others."""
    return Event(
        event="reject",
        id=identity("reject", key),
        uid=uid,
        source="inbox",
        details={"name": name, "error": error},
    )


def refuse(request: Request, error: str) -> Event:
    """It was accepted, but may not or can't become jobs."""
    key = identity("refuse", request.identifier, request.sequence, error)
    return _of_request(request, "refuse", key, {"error": error})


def withdraw(request: Request) -> Event:
    """Somebody took its file away or changed it, by hand."""
    key = identity("withdraw", request.identifier, request.sequence)
    return Event(
        event="withdraw",
        id=key,
        uid=-1,
        source="hand",
        request=request.identifier,
        workspace=request.workspace.name,
    )


# --- of the runner itself


def expire(paths: list[str]) -> Event:
    """What is kept only so many days is about to be removed."""
    return _of_runner("expire", identity("expire", *paths), {"removes": paths})


def reload(settings: list[str], key: str) -> Event:
    """Settings are about to be others: their names. key: what tells it from another time."""
    return _of_runner("reload", identity("reload", key), {"settings": settings})


def _of_runner(event: str, key: str, details: dict[str, Any]) -> Event:
    return Event(event=event, id=key, uid=-1, source="runner", details=details)


# --- of a job


@dataclass(frozen=True)
class Start:
    """An attempt whose container is about to be started. image: its name.

    database: which it may use, or "". inputs: path -> sha256 of the outputs it was given.
    """

    attempt: int
    executor: str
    image: str
    image_id: str
    database: str
    inputs: Mapping[str, str]


def start(request: Request, job: Job, about: Start) -> Event:
    study = {
        "repo": _without_user(job.action_repo or request.workspace.repo),
        "commit": job.action_commit or request.sha,
    }
    key = identity("start", *_key(request, job), about.attempt)
    return _of_job(request, job, "start", key, study | asdict(about))


def end(request: Request, job: Job, outcome: Outcome) -> Event:
    """A job has ended, and what it made is about to be published.

    private, released: path -> sha256 of what lies at high privacy alone, and of what goes to medium
    privacy as well; withheld: path -> why it does not, with its hash. log: is its log released, of
    which tables of patients are cut out? where: below the workspace.
    """
    succeeded = outcome.status is Status.SUCCEEDED
    details = {
        "attempt": outcome.attempt,
        "status": outcome.status,
        "status_code": outcome.status_code,
        "exit_code": outcome.exit_code,
        "image_id": outcome.image_id,
        "where": "" if succeeded else f"metadata/{job.action}.failed",
        "log": outcome.status_code is not Code.CANCELLED_BY_USER,
        **_outputs(outcome),
    }
    key = identity("end", *_key(request, job), outcome.attempt, outcome.status_code)
    return _of_job(request, job, "end", key, details)


def _outputs(outcome: Outcome) -> dict[str, dict[str, object]]:
    sorted_: dict[str, dict[str, object]] = {"private": {}, "released": {}, "withheld": {}}
    for path, output in outcome.outputs.items():
        if output.level is not Level.MODERATE:
            sorted_["private"][path] = output.sha256
        elif output.excluded:
            sorted_["withheld"][path] = {"sha256": output.sha256, "why": output.excluded}
        else:
            sorted_["released"][path] = output.sha256
    return sorted_


def _key(request: Request, job: Job) -> tuple[object, ...]:
    """An identifier may come again when its request was withdrawn; its sequence number never."""
    return request.identifier, request.sequence, job.identifier


def _of_request(request: Request, event: str, key: str, details: Mapping[str, object]) -> Event:
    return Event(
        event=event,
        id=key,
        uid=request.uid,
        source=request.source,
        request=request.identifier,
        workspace=request.workspace.name,
        details=_told(details),
    )


def _of_job(
    request: Request, job: Job, event: str, key: str, details: Mapping[str, object]
) -> Event:
    of_request = _of_request(request, event, key, details)
    return changed(of_request, action=job.action, job=job.identifier)


def _told(details: Mapping[str, object]) -> dict[str, object]:
    """Nothing is said of what is not there."""
    return {name: value for name, value in details.items() if value not in (None, "", {}, [])}


def _without_user(address: str) -> str:
    """A person may have put a password there."""
    return _USER_OF_AN_ADDRESS.sub("", address)

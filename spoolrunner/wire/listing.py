"""A listing: what job-server has for us, page by page, each item checked on its own.

One bad item must not hold up the others, and is not trusted more than a file in the inbox: it goes
through the same door, so the same reader (drop) has to understand it.
"""

import json
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeGuard

from spoolrunner import drop
from spoolrunner.errors import BadRequest
from spoolrunner.record import parse_foreign
from spoolrunner.request import ERROR_ACTION, IDENTIFIER, Code, Status, job_identifier
from spoolrunner.wire.answers import ENDPOINT_HINT, NotNow

MAX_ITEM_BYTES = 1 << 20  # as much as the inbox takes
MAX_NEXT = 2_000


@dataclass(frozen=True)
class Unusable:
    """An item that can't become a job request. message: public. identifier, backend: "" if even
    these can't be read; with an identifier the server can be told (error_jobs)."""

    identifier: str
    backend: str
    message: str
    kind: str


class Page(NamedTuple):
    """next: the address of the next page as the server has it, or None if this was the last."""

    items: list[dict[str, Any]]
    unusable: list[Unusable]
    next: str | None


def items(page: object) -> Page:
    """A parsed page of GET job-requests/. Raises NotNow if it is no such page at all."""
    results = page.get("results") if isinstance(page, dict) else None
    following = page.get("next") if isinstance(page, dict) else None
    if not isinstance(results, list) or not (following is None or _is_address(following)):
        raise NotNow(
            "What job-server answered is not a page of job requests.",
            kind="not_job_server",
            hint=ENDPOINT_HINT,
        )
    read = [_read(item) for item in results]
    good = [item for item in read if not isinstance(item, Unusable)]
    return Page(good, [item for item in read if isinstance(item, Unusable)], following)


def drop_of(item: dict[str, Any]) -> dict[str, Any]:
    """The file to drop in the inbox: all the server said, and that it was the server."""
    return {**item, "source": "job-server"}


def error_jobs(unusable: Unusable, now: str) -> list[dict[str, Any]]:
    """The report on an item that has an identifier and never got a request file: it failed.

    Without it the server lists the item again for ever. now: ISO 8601 UTC with Z.
    """
    job = {
        "identifier": job_identifier(unusable.identifier, ERROR_ACTION),
        "job_request_id": unusable.identifier,
        "action": ERROR_ACTION,
        "run_command": "",
        "status": Status.FAILED.value,
        "status_code": Code.JOB_ERROR.value,
        "status_message": unusable.message,
    }
    return [job | dict.fromkeys(("created_at", "updated_at", "started_at", "completed_at"), now)]


def _is_address(following: object) -> bool:
    return isinstance(following, str) and len(following) <= MAX_NEXT


def _read(item: object) -> dict[str, Any] | Unusable:
    try:
        return _checked(item)
    except BadRequest as error:
        named = item if isinstance(item, dict) else {}
        identifier = named.get("identifier")
        return Unusable(
            identifier=identifier if _is_identifier(identifier) else "",
            backend=drop.backend_of(named) or "",
            message=error.public,
            kind=error.kind,
        )


def _is_identifier(given: object) -> TypeGuard[str]:
    return isinstance(given, str) and IDENTIFIER.fullmatch(given) is not None


def _checked(item: object) -> dict[str, Any]:
    raw = parse_foreign(_as_in_the_inbox(item))
    asked = drop.read(raw)
    if not isinstance(asked, drop.Asked):
        raise BadRequest("It asks for no actions.", kind="not_a_request")
    if not asked.identifier:
        raise BadRequest("It has no identifier.", kind="bad_identifier")
    return raw


def _as_in_the_inbox(item: object) -> bytes:
    """What the inbox would read; ASCII, so that half characters get to its reader as well."""
    try:
        data = json.dumps(item).encode()
    except RecursionError as error:
        raise BadRequest("The JSON is nested too deeply.", kind="too_deep") from error
    if len(data) > MAX_ITEM_BYTES:
        raise BadRequest("The request is larger than 1 MiB.", kind="too_big")
    return data

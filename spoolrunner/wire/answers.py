"""What job-server's answers mean: it has it, it refuses it, or nobody knows yet.

Only the server's own word that it has a report makes it so: a login page with status 200 does not.
Which jobs a refusal is about is found by position or by id, and only among what was posted: nothing
the server says gets into a public message.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from spoolrunner.errors import BadMachine, TryLater

Jobs = Sequence[Mapping[str, Any]]
MAX_DETAIL = 2_000
ENDPOINT_HINT = "Is JOB_SERVER_ENDPOINT the address of its API, such as https://HOST/api/v2/?"
_UNKNOWN_IDS = re.compile(r"Unknown JobRequest IDs:(.*)", re.DOTALL)


class NotNow(TryLater):
    """The server does not answer, or not as job-server does. retry_after_s: as it asked, or None.

    kind: unreachable, too_slow, tls_refused, redirected, rate_limited, server_error,
    not_job_server, no_listing, answer_too_big, endless_listing.
    """

    kind = "unreachable"

    def __init__(
        self,
        message: str,
        *,
        kind: str = "",
        hint: str = "",
        detail: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, kind=kind, hint=hint, detail=detail)
        self.retry_after_s = retry_after_s


class ReportRefused(BadMachine):
    """The server will not take this report, however often it is sent. detail: its answer.

    kind: report_refused, or unknown_ids (these requests are not the server's, perhaps not yet).
    requests: the job requests it is about, all that were posted if the server names none.
    fields: job identifier -> the fields it does not like, where it says so.
    """

    kind = "report_refused"

    def __init__(
        self,
        message: str,
        *,
        kind: str = "",
        detail: str = "",
        requests: Sequence[str] = (),
        fields: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        super().__init__(message, kind=kind, detail=detail)
        self.requests = tuple(requests)
        self.fields = dict(fields or {})


def parse(data: bytes) -> object:
    """The JSON of an answer. Raises NotNow if it is none: torn, HTML, too deep, NaN."""
    try:
        return json.loads(data, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise NotNow(
            "What job-server answered is not JSON.",
            kind="not_job_server",
            hint="Is there a proxy or a login page in between?",
            detail=_shown(data),
        ) from None


def check_posted(data: bytes) -> None:
    """Raises NotNow unless the body of a 200 is job-server's word that it has the report."""
    answer = parse(data)
    if not isinstance(answer, dict) or answer.get("status") != "success":
        raise NotNow(
            "job-server did not say that it has the report.",
            kind="not_job_server",
            detail=_shown(data),
        )


def no_listing(status: int) -> NotNow:
    """The error for a server that has no listing of job requests: one of 2020, which speaks v1."""
    return NotNow(
        f"job-server lists no job requests (HTTP {status}): only those with a `url` are answered.",
        kind="no_listing",
        hint=f"If it should list some: {ENDPOINT_HINT[0].lower()}{ENDPOINT_HINT[1:]}",
    )


def not_now(status: int, data: bytes, retry_after_s: float | None) -> NotNow:
    """The error for an answer that says nothing of what was asked."""
    kind, message = _why(status)
    return NotNow(
        f"{message} (HTTP {status}).",
        kind=kind,
        hint="" if status >= 429 else ENDPOINT_HINT,
        detail=_shown(data),
        retry_after_s=retry_after_s,
    )


def refusal(status: int, data: bytes, jobs: Jobs) -> ReportRefused:
    """The error for an answer that will be the same however often these jobs are posted."""
    detail = _shown(data)
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        answer = None
    posted = dict.fromkeys(str(job["job_request_id"]) for job in jobs)
    if unknown := [name for name in _unknown_ids(answer) if name in posted]:
        return ReportRefused(
            f"job-server does not know of job request {_some(unknown)}.",
            kind="unknown_ids",
            detail=detail,
            requests=unknown,
        )
    fields = {str(jobs[place]["identifier"]): names for place, names in _faults(answer, jobs)}
    faulty = [job for job in jobs if job["identifier"] in fields]
    named = dict.fromkeys(str(job["job_request_id"]) for job in faulty)
    return ReportRefused(
        f"job-server refused a report (HTTP {status}){_about(list(named or posted), fields)}.",
        detail=detail,
        requests=list(named or posted),
        fields=fields,
    )


def _shown(data: bytes) -> str:
    return data[:MAX_DETAIL].decode(errors="replace")


def _why(status: int) -> tuple[str, str]:
    if status == 429:
        return "rate_limited", "job-server asks us to wait"
    if status >= 500:
        return "server_error", "job-server has a problem of its own"
    if 300 <= status < 400:
        return "redirected", "job-server sends us elsewhere, where the token must not go"
    return "not_job_server", "This is not what job-server answers"


def _no_constant(word: str) -> object:
    raise ValueError


def _unknown_ids(answer: object) -> list[str]:
    """It says so in a list of one sentence, with the ids separated by commas."""
    sentences = answer if isinstance(answer, list) else []
    found = [_UNKNOWN_IDS.search(each) for each in sentences if isinstance(each, str)]
    return [name.strip() for match in found if match for name in match[1].split(",")]


def _faults(answer: object, jobs: Jobs) -> list[tuple[int, list[str]]]:
    """By position: servers to 2022 answer a list with {} for good jobs, later ones {"3": {...}}."""
    if isinstance(answer, list):
        places = dict(enumerate(answer))
    elif isinstance(answer, dict):
        places = {int(key): value for key, value in answer.items() if _is_place(key)}
    else:
        return []
    return [
        (place, sorted(jobs[place].keys() & fault.keys()))
        for place, fault in places.items()
        if place < len(jobs) and isinstance(fault, dict) and fault
    ]


def _is_place(key: str) -> bool:
    return key.isascii() and key.isdigit() and len(key) < 10


def _about(requests: Sequence[str], fields: Mapping[str, Sequence[str]]) -> str:
    of = f" of job request {_some(requests)}" if requests else ""
    return of + (f": {_in_words(fields)}" if fields else "")


def _in_words(fields: Mapping[str, Sequence[str]]) -> str:
    named = {job: f" ({', '.join(names)})" if names else "" for job, names in fields.items()}
    return _some([f"job {job}{names}" for job, names in named.items()])


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")

"""job-server: the client that reads its requests and sends it reports, over HTTP.

Nothing here believes the server. The token goes to the endpoint's own address and nowhere else: no
redirect is followed, of a page's `next` only the query is taken, of a v1 `url` only the path. Every
exchange has an end in seconds and in bytes, and every failure is NotNow (nobody knows; the same may
work later), ReportRefused (it never will) or BadMachine (the token). What the words mean: wire.
Proxies and a CA bundle come from the environment, as requests does it.
Import it only where an endpoint is set. Knows: wire, record, errors. Only it knows requests.
"""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from requests import PreparedRequest, Response, Session, Timeout
from requests.auth import AuthBase, HTTPBasicAuth
from requests.exceptions import SSLError
from urllib3.exceptions import InvalidHeader, ReadTimeoutError

from spoolrunner import __version__, wire
from spoolrunner.errors import BadMachine
from spoolrunner.jobserver.line import Leash, LineAdapter, patience
from spoolrunner.record import to_line
from spoolrunner.wire import NotNow, ReportRefused

__all__ = ["JobServer", "Limits"]

READ_BYTES = 1 << 16
MAX_DETAIL = 2_000
PORTS = {"http": 80, "https": 443}
REFUSALS = frozenset({400, 413, 422})
GONE = frozenset({404, 410})
V1_JOB = re.compile(r"(/[A-Za-z0-9_-]+)*/jobs/[A-Za-z0-9_-]+/?", re.ASCII)
_USER_OF_AN_ADDRESS = re.compile(r"//[^/@\s]*@")


@dataclass(frozen=True)
class Limits:
    """exchange_s: a question with its whole answer, repeats too. listing_s, pages: all pages.

    answer_bytes: JSON may become twenty times as large in memory; a real page has about 100 kB.
    repeats: of a GET, and of connecting.
    """

    connect_s: float = 10
    read_s: float = 60
    exchange_s: float = 120
    listing_s: float = 900
    answer_bytes: int = 10_000_000
    pages: int = 2_000
    repeats: int = 2


class Answer(NamedTuple):
    status: int
    body: bytes
    retry_after_s: float | None


class JobServer:
    """One job-server, as one backend sees it. For one thread at a time.

    The caller compares each item's backend with `backend`: the server ignores our query, and lists
    what the token says (reference/jobserver.md 2).
    """

    def __init__(
        self, endpoint: str, token: str, backend: str, *, limits: Limits | None = None
    ) -> None:
        """endpoint: https://HOST/api/v2/, with or without its last slash.

        Raises BadMachine (bad_token) if the token is empty or can't stand in a header.
        """
        self.endpoint = endpoint.rstrip("/") + "/"
        self.backend = backend
        self._limits = limits or Limits()
        self._token = _checked(token)
        self._leash = Leash()
        self._session = _session(LineAdapter(self._leash, self._limits.repeats), self._token)

    def close(self) -> None:
        self._session.close()
        self._leash.close()

    def requests(self) -> Iterator[dict[str, Any] | wire.Unusable]:
        """What the server lists, newest first within a page; one page in memory at a time.

        Raises NotNow (no_listing: there is none here), BadMachine (token_refused); what was given
        before that stands.
        """
        query, seen = urlencode({"backend": self.backend}), set[str]()
        end = time.monotonic() + self._limits.listing_s
        while len(seen) < self._limits.pages and time.monotonic() < end:
            page = self._page(query, is_first=not seen)
            seen.add(query)
            yield from page.items
            yield from page.unusable
            if page.next is None:
                return
            # Only the query: so nothing it says can lead the token elsewhere, and a server behind a
            # proxy that takes itself for http:// is followed as well.
            query = page.next.partition("?")[2].partition("#")[0]
            if query in seen:
                raise NotNow("job-server lists its requests in a circle.", kind="endless_listing")
        raise NotNow("job-server lists requests without end.", kind="endless_listing")

    def post(self, jobs: Sequence[dict[str, Any]]) -> None:
        """Tell the server of these jobs: all jobs of each request they belong to.

        When it returns, the server has said that it has them. No jobs: nothing is sent, servers of
        2022 die of []. Raises NotNow, ReportRefused, BadMachine (token_refused).
        """
        # Side by side: servers to 2025 delete rows where the jobs of two requests are mixed.
        ordered = sorted(jobs, key=lambda job: str(job["job_request_id"]))
        if ordered:
            answer = self._ask("POST", f"{self.endpoint}jobs/", to_line(ordered))
            self._check(answer, ordered)
            wire.check_posted(answer.body)

    def patch(self, url: str, result: dict[str, Any]) -> None:
        """Tell a server of 2020 what a v1 request came to (wire.v1_answer).

        url: as the request gives it. Raises as post does; ReportRefused (foreign_url) if it is no
        job on the endpoint's server.
        """
        answer = self._ask("PATCH", self._own(url), to_line(result))
        if answer.status in GONE:
            raise ReportRefused("job-server does not know of this job.", kind="unknown_ids")
        self._check(answer, [])
        wire.parse(answer.body)

    def _page(self, query: str, *, is_first: bool) -> wire.Page:
        answer = self._ask("GET", f"{self.endpoint}job-requests/?{query}")
        if is_first and answer.status in GONE:
            raise wire.no_listing(answer.status)
        self._check(answer, None)
        return wire.items(wire.parse(answer.body))

    def _own(self, url: str) -> str:
        """A v1 job's address with our own server in front: whoever wrote the request chose it."""
        origin, path = _split(url)
        if origin != _split(self.endpoint)[0] or not V1_JOB.fullmatch(path):
            raise ReportRefused(
                "The request's `url` is not a job on the server of JOB_SERVER_ENDPOINT.",
                kind="foreign_url",
                detail=self._redacted(url),
            )
        return "{0.scheme}://{0.netloc}{1}".format(urlsplit(self.endpoint), path)

    def _ask(self, method: str, url: str, body: bytes | None = None) -> Answer:
        try:
            with self._leash.within(self._limits.exchange_s):
                answer = self._exchange(method, url, body)
        # Every error of requests is an OSError, as is a CA bundle that is not there.
        except (OSError, ValueError) as error:
            # None: the cause may quote the password of a proxy.
            raise self._no_answer(error) from None
        if self._leash.over:  # what has no length ends without an error when it is cut off
            raise self._no_answer(TimeoutError())
        return answer

    def _exchange(self, method: str, url: str, body: bytes | None) -> Answer:
        response = self._session.request(
            method,
            url,
            data=body,
            headers={"Content-Type": "application/json"} if body else None,
            timeout=(self._limits.connect_s, self._limits.read_s),
            allow_redirects=False,
            stream=True,
        )
        with response:
            return Answer(response.status_code, self._read(response), _retry_after_s(response))

    def _read(self, response: Response) -> bytes:
        """The body, without our token should it be in there: it may end in a log or the inbox."""
        parts, size = [], 0
        for part in response.iter_content(READ_BYTES):
            parts.append(part)
            size += len(part)
            if size > self._limits.answer_bytes:
                raise NotNow(
                    f"job-server's answer has more than {self._limits.answer_bytes} bytes.",
                    kind="answer_too_big",
                )
        return b"".join(parts).replace(self._token.encode(), b"[token]")

    def _check(self, answer: Answer, posted: Sequence[dict[str, Any]] | None) -> None:
        """posted: the jobs of a report; None for a question, which can't be refused for good."""
        status, body, retry_after_s = answer
        if 200 <= status < 300:
            return
        if status in (401, 403):
            raise BadMachine(
                f"job-server refuses our token (HTTP {status}).",
                kind="token_refused",
                hint="Give JOB_SERVER_TOKEN as job-server has it for this backend.",
                detail=body[:MAX_DETAIL].decode(errors="replace"),
            )
        if status in REFUSALS and posted is not None:
            raise wire.refusal(status, body, posted)
        raise wire.not_now(status, body, retry_after_s)

    def _no_answer(self, error: Exception) -> NotNow:
        detail = self._redacted(f"{type(error).__name__}: {error}")
        if self._leash.over or _timed_out(error):
            return NotNow("job-server takes too long to answer.", kind="too_slow", detail=detail)
        if isinstance(error, SSLError):
            return NotNow(
                "The TLS certificate of job-server can't be verified.",
                kind="tls_refused",
                hint="If a CA of your own signed it, name its file in REQUESTS_CA_BUNDLE.",
                detail=detail,
            )
        return NotNow("job-server can't be reached.", kind="unreachable", detail=detail)

    def _redacted(self, text: str) -> str:
        text = text.replace(self._token, "[token]")
        return _USER_OF_AN_ADDRESS.sub("//[user]@", text)[:MAX_DETAIL]


class _Token(AuthBase):
    """The bare token (with "Token" or "Bearer" before it the real server answers 403), or, for a
    server of 2020, the user and password that JOB_SERVER_TOKEN then holds as USER:PASSWORD.

    An auth object, because requests lets a netrc entry for the host replace a mere header.
    """

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        user, colon, password = self._token.partition(":")
        if colon and request.method == "PATCH":
            return HTTPBasicAuth(user, password)(request)
        request.headers["Authorization"] = self._token
        return request


def _session(adapter: LineAdapter, token: str) -> Session:
    session = Session()
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.auth = _Token(token)
    session.headers["User-Agent"] = f"spoolrunner/{__version__}"
    session.headers["Accept"] = "application/json"
    session.headers["Accept-Encoding"] = "identity"  # an answer has one size
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return session


def _checked(token: str) -> str:
    token = token.strip()
    if not (token.isascii() and token.isprintable() and token) or " " in token:
        raise BadMachine(
            "JOB_SERVER_TOKEN is empty or holds what no token does.",
            kind="bad_token",
            # without a token the real server lists the requests of every backend
            hint="Give it as job-server has it for this backend.",
        )
    return token


def _split(url: str) -> tuple[tuple[str, str, int] | None, str]:
    """(scheme, host, port) and path; None for what is no plain address of the web."""
    with suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme in PORTS and parts.hostname and parts.username is None:
            port = parts.port or PORTS[parts.scheme]
            return (parts.scheme, parts.hostname, port), parts.path
    return None, ""


def _timed_out(error: Exception) -> bool:
    """requests has a Timeout only for the first try and the head of an answer; later ones are in
    the error of urllib3 that it wraps."""
    wrapped = error.args[0] if error.args else None
    reason = getattr(wrapped, "reason", wrapped)
    return isinstance(error, Timeout) or isinstance(reason, ReadTimeoutError)


def _retry_after_s(response: Response) -> float | None:
    """Seconds or a date, as a number of seconds from now, at most 6 hours."""
    given = response.headers.get("Retry-After")
    try:
        return patience(0).parse_retry_after(given) if given else None
    except InvalidHeader:
        return None

"""JobServer: a job-server for tests and demonstrations, over real HTTP on loopback.

with JobServer(era="2022-06") as server:
    identifier = server.create_request(["analyse"], backend="test")
    ...  # a runner, given server.endpoint and server.token("test")
    assert server.request_status(identifier) == "succeeded"
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.rig.jobserver import v1, v2
from tests.rig.jobserver.exchange import Answer, Call, as_json, as_page, as_redirect
from tests.rig.jobserver.faults import Fault, Faults, Garble
from tests.rig.jobserver.line import Listener
from tests.rig.jobserver.overview import as_overview
from tests.rig.jobserver.site import UNSEEN_AFTER, Era, Job, Mail, Request, Site, now
from tests.rig.jobserver.v1 import V1, Queue
from tests.rig.jobserver.v2 import V2

NOTHING: dict[str, Any] = {
    "count": 0,
    "next": None,
    "previous": None,
    "results": [],
    "status": "success",
}


def _answer_elsewhere(call: Call) -> Answer:
    """Whoever was led here is told what they want to hear."""
    return as_json(NOTHING)


class JobServer:
    """site: all it knows. queue: what the first API serves. elsewhere: another server, to which
    redirects lead; its `calls` tell who followed and what they brought. tls: a folder for a CA and
    a certificate, and with it https. seed: of misbehaviour by chance."""

    def __init__(
        self,
        era: str = Era.OLD,
        *,
        port: int = 0,
        tls: Path | None = None,
        seed: int = 0,
    ) -> None:
        self.site = Site(Era(era))
        self.queue = Queue()
        self._v1, self._v2 = V1(self.queue), V2(self.site)
        self._faults = Faults(seed)
        self._listener = Listener(self._answer, self._faults, port)
        self.elsewhere = Listener(_answer_elsewhere, Faults(seed))
        self.ca = self._listener.use_tls(tls) if tls else None
        self.elsewhere.certificates = tls

    def __enter__(self) -> "JobServer":
        self.elsewhere.open()
        self._listener.elsewhere = self.elsewhere.base
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self.elsewhere.close()
        bugs = self._listener.bugs + self.elsewhere.bugs
        assert not bugs, "\n".join(bugs)

    def start(self) -> None:
        """After stop(): on the same port, with all it knew."""
        self._listener.open()

    def stop(self) -> None:
        """Connections that are open end, new ones are refused."""
        self._listener.close()

    def _answer(self, call: Call) -> Answer:
        if call.path.startswith("/api/") and not call.path.endswith("/"):
            path, mark, query = call.target.partition("?")
            return as_redirect(f"{path}/{mark}{query}")
        if call.path.startswith(v2.BASE) and self.site.era is not Era.FIRST:
            return self._v2.answer(call)
        if call.path.startswith(v1.BASE):
            return self._v1.answer(call)
        with self.site.lock:
            return as_overview(self.site) if call.path == "/" else as_page(404)

    # where it is

    @property
    def endpoint(self) -> str:
        """As JOB_SERVER_ENDPOINT has it."""
        return self._listener.base + v2.BASE

    @property
    def v1_endpoint(self) -> str:
        return self._listener.base + v1.BASE

    @property
    def page(self) -> str:
        """For people with a browser."""
        return f"{self._listener.base}/"

    def token(self, backend: str = "test") -> str:
        """A backend comes into being when its token is first asked for."""
        with self.site.lock:
            return self.site.token(backend)

    # what its users do

    def create_request(self, actions: Sequence[str] = ("run_all",), **fields: Any) -> str:
        """Its identifier. fields: those of Request."""
        request = Request(list(actions), **fields)
        with self.site.lock:
            self.site.token(request.backend)
            self.site.requests[request.identifier] = request
        return request.identifier

    def cancel(self, identifier: str, action: str | None = None) -> None:
        """The button of the request; with an action, the one of its job.

        Raises NotStarted, LookupError: see Site.cancel.
        """
        with self.site.lock:
            self.site.cancel(self.request(identifier), action)

    # what they see

    def request(self, identifier: str) -> Request:
        """Raises LookupError if there is none."""
        if identifier not in self.site.requests:
            raise LookupError(f"there is no request {identifier}")
        return self.site.requests[identifier]

    def request_status(self, identifier: str) -> str:
        with self.site.lock:
            return self.site.status(self.request(identifier))

    def jobs(self, identifier: str) -> list[Job]:
        """Oldest row first."""
        with self.site.lock:
            return sorted(self.request(identifier).jobs.values(), key=attrgetter("pk"))

    def history(self, job_id: str) -> list[str]:
        """Every status it had, once for each change; "deleted" when its row went."""
        with self.site.lock:
            return list(self.site.histories.get(job_id, []))

    def stale_jobs(self, later: timedelta = timedelta()) -> list[str]:
        """Jobs whose page warns, if it were that much later than now."""
        at = now() + later
        with self.site.lock:
            return [each.identifier for each in self.site.jobs.values() if each.is_stale(at)]

    def seen_at(self, backend: str) -> datetime | None:
        with self.site.lock:
            return self.site.seen_at(backend)

    def is_seen(self, backend: str, later: timedelta = timedelta()) -> bool:
        """Whether the site does not yet say "backend not seen", that much later than now."""
        at = self.seen_at(backend)
        return at is not None and now() + later - at < UNSEEN_AFTER

    @property
    def mails(self) -> list[Mail]:
        return self.site.mails

    @property
    def alerts(self) -> list[Job]:
        """Jobs whose message went to the developers."""
        return self.site.alerts

    # what came over the line

    @property
    def calls(self) -> list[Call]:
        return self._listener.calls

    @property
    def posts(self) -> list[Call]:
        """The POSTs to jobs/, refused ones too: at_s, size_bytes, body, json()."""
        return [call for call in self.calls if (call.method, call.path) == POST_JOBS]

    # how it fails

    def misbehave(
        self,
        how: str | Garble,
        on: str = "",
        *,
        times: int | None = 1,
        chance: float = 1.0,
        taken: bool = False,
        retry_after: str = "1",
    ) -> None:
        """See Fault."""
        self._faults.add(Fault(how, on, times, chance, taken, retry_after))

    def behave(self) -> None:
        """Forget all misbehaviour that is still to come."""
        self._faults.clear()

    @property
    def stalled(self) -> bool:
        """Whether a call hangs, or hung."""
        return self._listener.stalled.is_set()


POST_JOBS = ("POST", f"{v2.BASE}jobs/")

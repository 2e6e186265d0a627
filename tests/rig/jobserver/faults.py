"""Misbehaviour: how the server, the proxies before it and the line between can let a runner down.

A fault either refuses (a status, silence), or spoils a true answer, or sends it badly. What is
refused has not been done, unless `taken`; what was answered with 200 and JSON has been done.
"""

import json
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tests.rig.jobserver.exchange import Answer, Call, as_json, as_listing, as_page, as_redirect

CROWD = 100_000
BIG_BYTES = 10_000_000
SILENT = ("hang", "close")
BADLY_SENT = ("cut", "drip")
Garble = Callable[[bytes], bytes]


@dataclass
class Fault:
    """how, each said once here:

    "500" ... any status: 4xx with JSON, 5xx with an HTML page, 3xx to the other server;
    429 and 503 say Retry-After
    "html"          200 and an HTML page, as a proxy's log-in page
    "hang"          silence until the server is closed
    "close"         the connection is closed without an answer
    "cut"           half of the answer, then closed
    "drip"          one byte a second
    "half"          half of the JSON, as if it were whole
    "types"         JSON whose every value has a wrong type
    "big"           the answer grown to 10 MB by a field nobody knows
    "crowd"         the first request listed (make one), 100,000 times under new identifiers, paged
    "next-away"     `next` leads to the other server
    "next-loop"     `next` leads to the same page
    a function      makes another body of the true one

    on: a part of "POST /api/v2/jobs/", such as "POST" or "/jobs/"; "" is every call. times: None is
    for ever. chance: of each call that fits. taken: see above.
    """

    how: str | Garble
    on: str = ""
    times: int | None = 1
    chance: float = 1.0
    taken: bool = False
    retry_after: str = "1"

    def fits(self, call: Call) -> bool:
        return self.on in f"{call.method} {call.target}"

    @property
    def refuses(self) -> bool:
        """Whether the call is not to be carried out."""
        how = self.how
        refusing = isinstance(how, str) and (how.isdigit() or how in (*SILENT, "html"))
        return refusing and not self.taken

    def asks(self, call: Call) -> Call:
        """What is carried out for this call: a crowd needs the first request, whatever the page."""
        return replace(call, target=call.path) if self.how == "crowd" else call

    def spoil(self, call: Call, answer: Answer, elsewhere: str) -> Answer:
        """What is sent instead. elsewhere: the base of the other server."""
        if not isinstance(self.how, str):
            return replace(answer, body=self.how(answer.body))
        if self.how.isdigit():
            return self._refusal(int(self.how), elsewhere + call.target)
        if self.how in (*SILENT, *BADLY_SENT):
            return answer
        return SPOILS[self.how](call, answer, elsewhere)

    def _refusal(self, status: int, elsewhere: str) -> Answer:
        if 300 <= status < 400:
            return as_redirect(elsewhere, status)
        answer = as_page(status) if status >= 500 else as_json({"detail": "Refused."}, status)
        if status in (429, 503):
            answer = replace(answer, headers={"Retry-After": self.retry_after})
        return answer


def _half(call: Call, answer: Answer, elsewhere: str) -> Answer:
    return replace(answer, body=answer.body[: len(answer.body) // 2])


def _types(call: Call, answer: Answer, elsewhere: str) -> Answer:
    return as_json(_mistyped(json.loads(answer.body)))


def _mistyped(value: Any) -> Any:
    """Of the same shape as far as lists and the names in objects go."""
    if isinstance(value, dict):
        return {name: _mistyped(inner) for name, inner in value.items()}
    if isinstance(value, list) and value:
        return [_mistyped(inner) for inner in value]
    return [7] if isinstance(value, str) else {"not": "this"}


def _big(call: Call, answer: Answer, elsewhere: str) -> Answer:
    return as_json(json.loads(answer.body) | {"padding": "x" * BIG_BYTES})


def _crowd(call: Call, answer: Answer, elsewhere: str) -> Answer:
    first = json.loads(answer.body)["results"][0]
    return as_listing(
        call, range(CROWD), lambda number: first | {"identifier": f"crowd{number:011}"}
    )


def _next_away(call: Call, answer: Answer, elsewhere: str) -> Answer:
    return as_json(json.loads(answer.body) | {"next": elsewhere + call.target})


def _next_loop(call: Call, answer: Answer, elsewhere: str) -> Answer:
    return as_json(json.loads(answer.body) | {"next": call.base + call.target})


def _html(call: Call, answer: Answer, elsewhere: str) -> Answer:
    return as_page(200, "Please log in")


SPOILS: dict[str, Callable[[Call, Answer, str], Answer]] = {
    "half": _half,
    "types": _types,
    "big": _big,
    "crowd": _crowd,
    "next-away": _next_away,
    "next-loop": _next_loop,
    "html": _html,
}


class Faults:
    """Those still to come. The same seed and calls give the same misbehaviour."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._waiting: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Raises ValueError for a fault nobody knows."""
        how = fault.how
        known = (*SPOILS, *SILENT, *BADLY_SENT)
        if isinstance(how, str) and not how.isdigit() and how not in known:
            raise ValueError(f"{how} is none of {', '.join(known)} and no status")
        with self._lock:
            self._waiting.append(fault)

    def clear(self) -> None:
        with self._lock:
            self._waiting.clear()

    def draw(self, call: Call) -> Fault | None:
        with self._lock:
            for fault in self._waiting:
                if fault.fits(call) and self._chance.random() < fault.chance:
                    self._use(fault)
                    return fault
        return None

    def _use(self, fault: Fault) -> None:
        if fault.times is not None:
            fault.times -= 1
            if fault.times == 0:
                self._waiting.remove(fault)

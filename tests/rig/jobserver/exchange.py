"""An exchange: one call that came in over HTTP and the answer that goes back, as Django shapes it.

Knows no rules of the site; what follows from them is in v2 and v1.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import Message
from functools import cached_property
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode

Row = TypeVar("Row")
PAGE_SIZE = 100


@dataclass(frozen=True)
class Call:
    """at_s: time.monotonic() when its last byte was here. base: "http://127.0.0.1:8000".
    target: path and query as sent. headers: whatever the case of their names."""

    method: str
    base: str
    target: str
    headers: Message
    body: bytes
    at_s: float = field(default_factory=time.monotonic)

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @cached_property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    @property
    def authorization(self) -> str | None:
        return self.headers.get("Authorization")

    @property
    def size_bytes(self) -> int:
        return len(self.body)

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """Carries the answer that ends a call early."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class Crash(Exception):
    """What the real server dies of here; the client gets the 500 page."""


def as_json(value: object, status: int = 200, **headers: str) -> Answer:
    body = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    return Answer(status, body, headers=headers)


def refuse(status: int, value: object) -> Refusal:
    return Refusal(as_json(value, status))


def as_page(status: int, words: str = "") -> Answer:
    """An HTML page, as Django and the proxies before it answer in their own distress."""
    words = words or HTTPStatus(status).phrase
    body = f"<!doctype html>\n<title>{words}</title>\n<h1>{words}</h1>\n".encode()
    return Answer(status, body, "text/html; charset=utf-8")


def as_redirect(url: str, status: int = 301) -> Answer:
    return Answer(status, b"", "text/html; charset=utf-8", {"Location": url})


def as_listing(
    call: Call, rows: Sequence[Row], show: Callable[[Row], object], size: int = PAGE_SIZE
) -> Answer:
    """A limit/offset page of rows, of that size unless a limit is asked for; no other is shown."""
    limit = as_number(call.query.get("limit")) or size
    offset = as_number(call.query.get("offset"))
    before, after = offset - limit, offset + limit
    return as_json(
        {
            "count": len(rows),
            "next": _link(call, limit, after) if after < len(rows) else None,
            "previous": _link(call, limit, before) if offset > 0 else None,
            "results": [show(row) for row in rows[offset:after]],
        }
    )


def as_number(text: str | None) -> int:
    """What is no number, or below nothing, counts as not given."""
    return int(text) if text is not None and text.isascii() and text.isdigit() else 0


def _link(call: Call, limit: int, offset: int) -> str:
    query = {name: text for name, text in call.query.items() if name != "offset"}
    query["limit"] = str(limit)
    if offset > 0:
        query["offset"] = str(offset)
    return f"{call.base}{call.path}?{urlencode(sorted(query.items()))}"

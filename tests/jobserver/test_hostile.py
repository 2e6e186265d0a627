"""Servers, proxies and lines that are broken or mean: they cost a bounded time and nothing else."""

import gzip
import itertools
import os
import random
import time
import traceback
import tracemalloc
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from spoolrunner.jobserver import JobServer, Limits
from spoolrunner.wire import NotNow
from tests.jobserver.rawserver import RawServer
from tests.jobserver.reports import report
from tests.rig import jobserver as rig
from tests.rig.githost import Tunnel

SLOW = Limits(connect_s=1, read_s=1, exchange_s=1, repeats=0)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
EMPTY = b'{"count": 0, "next": null, "previous": null, "results": []}'
Ask = Callable[[JobServer], object]
MAX_ASKED_BYTES = 40_000_000


def read(client: JobServer) -> object:
    return list(client.requests())


def tell(client: JobServer) -> object:
    client.post(report("x", "a"))
    return None


both_ways = pytest.mark.parametrize("ask", [read, tell])


def kind_of(client: JobServer, ask: Ask = read) -> str:
    with pytest.raises(NotNow) as raised:
        ask(client)
    return raised.value.kind


@both_ways
@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ("500", "server_error"),
        ("503", "server_error"),
        ("429", "rate_limited"),
        ("html", "not_job_server"),
        ("half", "not_job_server"),
        ("types", "not_job_server"),
        ("close", "unreachable"),
        ("cut", "unreachable"),
        ("hang", "too_slow"),
        ("drip", "too_slow"),
        ("big", "answer_too_big"),
    ],
)
def test_a_bad_answer_is_no_answer(old_server, connect, ask, how, kind):
    old_server.create_request(["a"], identifier="x")
    old_server.misbehave(how, times=None)
    client = connect(old_server, Limits(connect_s=2, read_s=1, exchange_s=3, repeats=0))
    started = time.monotonic()
    assert kind_of(client, ask) == kind
    assert time.monotonic() - started < 30
    old_server.behave()
    ask(client)


def test_where_nothing_is_listed_is_told_apart_from_a_list_that_breaks_off(old_server, connect):
    """A server of 2020 has no list; one that loses a page of it has a problem."""
    for _ in range(101):
        old_server.create_request(["a"], backend="test")
    client = connect(old_server)
    old_server.misbehave("404", on="offset=100")
    assert kind_of(client) == "not_job_server"
    old_server.misbehave("404")
    assert kind_of(client) == "no_listing"
    old_server.misbehave("404", on="POST")
    assert kind_of(client, tell) == "not_job_server"


@pytest.mark.attack("job-server redirects elsewhere ({status})")
@both_ways
@pytest.mark.parametrize("status", ["301", "302", "303", "307", "308"])
def test_a_redirect_is_not_followed(server, connect, ask, status):
    server.misbehave(status, times=None)
    assert kind_of(connect(server), ask) == "redirected"
    assert server.elsewhere.calls == []


@pytest.mark.attack("job-server pages on: {how}")
@pytest.mark.parametrize("how", ["next-away", "next-loop"])
def test_a_next_page_elsewhere_or_in_a_circle_is_not_followed(server, connect, how):
    server.create_request(["a"], backend="test")
    server.misbehave(how, times=None)
    client = connect(server)
    assert kind_of(client) == "endless_listing"
    assert server.elsewhere.calls == []
    assert len(server.calls) < 3


@pytest.mark.attack("job-server lists without end")
def test_a_listing_without_end_ends(old_server, connect):
    old_server.create_request(["a"], backend="test")
    pages = itertools.count()

    def another(body: bytes) -> bytes:
        return body.replace(b'"next":null', f'"next":"http://x/?page={next(pages)}"'.encode())

    old_server.misbehave(another, times=None)
    assert kind_of(connect(old_server, Limits(pages=7))) == "endless_listing"
    assert len(old_server.calls) == 7
    assert kind_of(connect(old_server, Limits(listing_s=0.2))) == "endless_listing"


def test_a_hundred_thousand_requests_are_read_to_the_end(old_server, connect):
    old_server.create_request(["a"], backend="test")
    old_server.misbehave("crowd", times=None)
    assert sum(1 for _ in connect(old_server, Limits()).requests()) == 100_000


def test_of_many_pages_few_are_in_memory(old_server, connect):
    old_server.create_request(["a"], backend="test")
    old_server.misbehave("crowd", times=None)
    items = connect(old_server).requests()
    tracemalloc.start()
    assert sum(1 for _ in itertools.islice(items, 10_000)) == 10_000
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 10_000_000


@pytest.mark.parametrize(
    "said",
    [
        HEAD,  # and no end of the headers
        HEAD + b"X-Slow: ",
        HEAD + b"\r\n[",  # no length: it ends when the line does
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n[\r\n",
        HEAD + b"Content-Length: 100000\r\n\r\n[",
        b"",
    ],
)
def test_a_server_that_sends_byte_by_byte_is_left_in_time(at, said):
    with RawServer(said, drip=b"1") as slow:
        client = at(f"http://{slow.address}/api/v2", SLOW)
        started = time.monotonic()
        assert kind_of(client) == "too_slow"
        assert time.monotonic() - started < 20


def test_a_slow_handshake_is_left_in_time(at):
    with RawServer(b"\x16\x03\x03\x10\x00", drip=b"\x00") as slow:
        client = at(f"https://{slow.address}/api/v2", SLOW)
        assert kind_of(client) == "too_slow"


def garbage() -> list[bytes]:
    chance = random.Random(3)
    pieces = [
        *(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 ", b"200", b"\r\n\r\n", b"\r\n", b"\0", b"\xff\xfe"),
        *(b"Content-Length: -1", b"Content-Length: 9,8", b"Transfer-Encoding: chunked", b"{}"),
        *(b"Content-Encoding: gzip\r\n", b"zz\r\n", b'{"results": [', b"Retry-After: \xe9\r\n"),
        *(b"HTTP/1.1 503 x\r\n", b"HTTP/1.1 302 \r\nLocation: \xff\r\n", b"[" * 9_999, b": :\r\n"),
        *(b"Set-Cookie: a\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"x" * 70_000, b"a: b\r\n" * 200),
    ]
    return [b"".join(chance.choices(pieces, k=chance.randint(1, 7))) for _ in range(300)]


@pytest.mark.parametrize("how", ["drip", "hang"])
@pytest.mark.parametrize("through_proxy", [False, True])
def test_the_time_is_bounded_through_tls_and_proxy_too(
    tmp_path, connect, monkeypatch, how, through_proxy
):
    limits = Limits(connect_s=1, read_s=60, exchange_s=1, repeats=0)
    with rig.JobServer(tls=tmp_path) as server, Tunnel(port_of(server)) as proxy:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(server.ca))
        if through_proxy:
            monkeypatch.setenv("https_proxy", proxy.url)
        client = connect(server, limits)
        read(client)  # so that it is a connection kept from before that is cut
        server.misbehave(how)
        started = time.monotonic()
        assert kind_of(client) == "too_slow"
        assert time.monotonic() - started < 20
        assert read(client) == []
        assert len(proxy.asked) == (2 if through_proxy else 0)


def port_of(server: rig.JobServer) -> int:
    return urlsplit(server.endpoint).port or 0


def test_no_garbage_of_bytes_gets_past_the_errors_we_know(at):
    for said in garbage():
        with RawServer(said) as server:
            client = at(f"http://{server.address}/")
            for ask in (read, tell):
                assert kind_of(client, ask), said


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"results": ' + b"[" * 100_000,
        b'{"results": [NaN], "next": null}',
        b'{"results": [], "next": ' + b"9" * 5_000 + b"}",
        b'{"results": [], "next": 7}',
        b'\xff\xfe{"results": []}',
        b"",
    ],
)
def test_json_made_to_hurt_is_no_answer(old_server, connect, body):
    old_server.misbehave(lambda _: body)
    assert kind_of(connect(old_server)) == "not_job_server"


@pytest.mark.attack("job-server sends a compressed bomb")
def test_a_compressed_bomb_is_measured_as_it_unfolds(at):
    bomb = gzip.compress(b" " * 300_000_000, compresslevel=9)
    said = HEAD + f"Content-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode() + bomb
    with RawServer(said) as server:
        client = at(f"http://{server.address}/", Limits(repeats=0))
        tracemalloc.start()
        assert kind_of(client) == "answer_too_big"
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak_bytes < MAX_ASKED_BYTES


def test_a_closed_port_is_unreachable(old_server, connect):
    client = connect(old_server)
    old_server.stop()
    assert kind_of(client) == "unreachable"
    assert kind_of(client, tell) == "unreachable"


def test_a_server_that_was_restarted_is_found_again(old_server, connect):
    client = connect(old_server)
    assert read(client) == []
    old_server.stop()
    old_server.start()
    assert read(client) == []


def test_a_name_nobody_knows_is_unreachable(at):
    client = at("http://jobs.invalid/api/v2/")
    assert kind_of(client) == "unreachable"


@pytest.mark.attack("job-server has a certificate nobody knows")
def test_a_certificate_of_a_ca_nobody_knows_is_not_trusted(tmp_path, connect, monkeypatch):
    with rig.JobServer(tls=tmp_path) as server:
        assert kind_of(connect(server)) == "tls_refused"
        assert server.calls == []
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(server.ca))
        assert read(connect(server)) == []
        assert server.calls[0].authorization == server.token("test")


def test_a_ca_bundle_that_is_not_there_stops_us(tmp_path, connect, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "nothing.pem"))
    with rig.JobServer(tls=tmp_path) as server:
        assert kind_of(connect(server)) == "unreachable"
        assert server.calls == []


def test_a_proxy_of_the_environment_is_used(tmp_path, connect, monkeypatch):
    with rig.JobServer(tls=tmp_path) as server, Tunnel(port_of(server)) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(server.ca))
        assert read(connect(server)) == []
        assert proxy.asked == [server.endpoint.split("/")[2]]
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert read(connect(server)) == []
        assert len(proxy.asked) == 1


@pytest.mark.attack("a proxy's password shows in an error")
def test_a_plain_proxy_is_used_and_its_password_is_in_no_error(at, monkeypatch):
    page = b"Content-Length: %d\r\n\r\n%s" % (len(EMPTY), EMPTY)
    with RawServer(HEAD + page) as proxy:
        monkeypatch.setenv("http_proxy", f"http://user:pass-canary@{proxy.address}")
        client = at("http://jobs.invalid/api/v2/")
        assert read(client) == []
        assert proxy.asked[0].startswith(b"GET http://jobs.invalid/api/v2/job-requests/")
    with pytest.raises(NotNow) as raised:
        read(client)
    assert raised.value.kind == "unreachable"
    assert "pass-canary" not in shown(raised.value)
    assert raised.value.__suppress_context__  # libraries' words stay out of tracebacks in the log


@pytest.mark.parametrize("proxy", ["http://user:pass-canary@[", "nonsense://user:pass-canary@x:0"])
def test_a_proxy_that_is_no_address_keeps_its_password_to_itself(at, monkeypatch, proxy):
    monkeypatch.setenv("http_proxy", proxy)
    client = at("http://jobs.invalid/api/v2/")
    with pytest.raises(NotNow) as raised:
        read(client)
    assert "pass-canary" not in shown(raised.value)


def test_nothing_is_kept_of_what_a_server_sets(at, old_server, connect):
    cookie = b"Set-Cookie: a=b; Path=/\r\n"
    page = b"Content-Length: %d\r\n\r\n%s" % (len(EMPTY), EMPTY)
    with RawServer(HEAD + cookie + page) as server:
        # repeats: the server may close a connection just as it is used again
        client = at(f"http://{server.address}/", Limits())
        read(client)
        read(client)
        assert not [asked for asked in server.asked if b"Cookie" in asked]


def test_no_line_is_left_open(at, old_server, connect):
    page = b"Content-Length: %d\r\n\r\n%s" % (len(EMPTY), EMPTY)
    with RawServer(HEAD + page) as server:
        # repeats: the server may close a connection just as it is used again
        client = at(f"http://{server.address}/", Limits())
        read(client)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            read(client)
        assert len(server.asked) == 21
        assert len(os.listdir("/proc/self/fd")) <= before + 2  # the server's own may still close


def shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + str(vars(error))

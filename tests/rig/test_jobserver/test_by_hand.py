"""The server by hand: orders go in, settings and statuses come out."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests

from tests.rig.test_jobserver.client import TIMEOUT_S

ByHand = subprocess.Popen[str]


@pytest.fixture
def by_hand() -> Iterator[ByHand]:
    command = [sys.executable, "-m", "tests.rig.jobserver", "--era", "2026", "--backend", "tpp"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1) as process:
        yield process
        process.kill()


def settings(process: ByHand) -> dict[str, str]:
    """What it prints before the line on its page."""
    assert process.stdout
    lines = iter(process.stdout.readline, "")
    found = []
    for line in lines:
        if line.startswith("#"):
            break
        found.append(line.strip())
    return dict(line.split("=", 1) for line in found)


def order(process: ByHand, words: str) -> str:
    """Its first line of answer."""
    assert process.stdin
    assert process.stdout
    process.stdin.write(f"{words}\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def test_what_is_ordered_is_served_with_the_settings_it_prints(by_hand: ByHand) -> None:
    found = settings(by_hand)
    assert order(by_hand, "").startswith("Orders:")
    identifier = order(by_hand, "request https://github.com/opensafely/study abc generate")
    url = f"{found['JOB_SERVER_ENDPOINT']}job-requests/"
    head = {"Authorization": found["JOB_SERVER_TOKEN"]}
    (served,) = requests.get(url, headers=head, timeout=TIMEOUT_S).json()["results"]
    assert served["identifier"] == identifier
    assert (served["backend"], served["sha"]) == (found["BACKEND"], "abc")
    assert order(by_hand, "status").startswith(identifier)


def test_a_wrong_order_is_answered_and_the_server_goes_on(by_hand: ByHand) -> None:
    settings(by_hand)
    order(by_hand, "")
    for wrong in ("cancel nosuchrequest", "request", "misbehave explode", 'request "'):
        assert order(by_hand, wrong).startswith("That cannot be done: ")
    assert order(by_hand, "status") == ""


def test_it_serves_on_when_the_orders_end_and_goes_when_told(by_hand: ByHand) -> None:
    found = settings(by_hand)
    assert by_hand.stdin
    by_hand.stdin.close()
    url = f"{found['JOB_SERVER_ENDPOINT']}job-requests/"
    assert requests.get(url, timeout=TIMEOUT_S).json()["count"] == 0
    by_hand.send_signal(signal.SIGTERM)
    assert by_hand.wait(TIMEOUT_S) == 0

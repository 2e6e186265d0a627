"""Values of secrets are written over, wherever and in whatever usual form they are shown."""

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spoolrunner.masks import MASK, Masks

PASSWORD = "pa ss/w%+örd"
URL = f"mssql://user:{quote(PASSWORD, safe='')}@db.example/records"


def masked(masks: Masks, *pieces: bytes) -> bytes:
    return b"".join(masks.over(pieces))


@pytest.mark.parametrize(
    "shown",
    [
        URL,
        PASSWORD,
        quote(PASSWORD, safe=""),
        quote_plus(PASSWORD),
        json.dumps({"password": PASSWORD}),
        base64.b64encode(URL.encode()).decode(),
        base64.urlsafe_b64encode(b"x" + URL.encode()).decode(),
        base64.b64encode(f"user:{PASSWORD}".encode()).decode(),
        base64.b64encode(f"{{'password': '{PASSWORD}'}}".encode()).decode(),
    ],
)
def test_a_password_is_masked_in_every_usual_form(shown):
    found = masked(Masks([URL]), f"before {shown} after".encode())
    assert MASK in found
    assert found.startswith(b"before ")
    assert found.endswith(b" after")
    for form in (PASSWORD, quote(PASSWORD, safe=""), quote_plus(PASSWORD)):
        assert form.encode() not in found
    left = b"".join(found.split()).replace(MASK, b"")
    assert len(left) < len(b"beforeafter") + 40  # of base64, what was not the password's
    assert base64.b64encode(PASSWORD.encode())[2:-4] not in found


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    secrets=st.lists(st.text("abcde", min_size=4, max_size=12), min_size=1, max_size=3),
    words=st.lists(st.text("abcde ", max_size=12), max_size=8),
    size=st.integers(1, 9),
)
def test_no_end_of_a_piece_hides_a_secret(secrets, words, size):
    text = " ".join(
        word for pair in zip(words, secrets * 8, strict=False) for word in pair
    ).encode()
    masks = Masks(secrets)
    found = masked(masks, *(text[n : n + size] for n in range(0, len(text), size)))
    assert found == masked(masks, text)
    assert not any(secret.encode() in found for secret in secrets)
    assert masks.are_in([text]) is (found != text)
    assert masks.are_in(text[n : n + size] for n in range(0, len(text), size)) is (found != text)


def test_each_line_of_a_key_or_licence_is_masked_by_itself():
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nshort\n-----END-----\n"
    said = "\n".join(f"2026-11-22T17:30:46Z {line}" for line in key.splitlines()).encode()
    found = masked(Masks([key]), said)
    assert b"MIIEvQ" not in found
    assert b"PRIVATE KEY" in found


def test_a_log_can_be_followed_word_by_word():
    said = iter(Masks([URL]).over([b"first ", b"second mssql", b" third"]))
    assert next(said) == b"first "
    assert next(said) == b"second "


def test_short_and_empty_values_do_not_black_out_a_log():
    assert masked(Masks(["", "a", "sa"]), b"a sad saga") == b"a sad saga"
    assert Masks([]).text("a \udcff") == "a \udcff"


def test_masking_again_changes_nothing():
    for value in ("secret", "secr", "[secret]", "canary"):
        once = masked(Masks([value]), f"{value} [secret]".encode())
        assert masked(Masks([value]), once) == once

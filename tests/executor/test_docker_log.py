"""The engine's stream of messages, and how a long log is cut."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from spoolrunner.executor import docker_log

SAID = st.lists(st.binary(max_size=40), max_size=20)


def stream_of(*messages: tuple[int, bytes]) -> bytes:
    return b"".join(struct.pack(">BxxxI", one, len(message)) + message for one, message in messages)


def test_the_time_that_the_engine_puts_into_a_long_line_is_left_out() -> None:
    parts = [(1, b"T1 long li"), (2, b"T2 other\n"), (1, b"T3 ne of wo"), (1, b"T4 rds\n")]
    more = [(1, b"T5 next\n")]
    said = b"".join(docker_log.messages([stream_of(*parts, *more)]))
    assert said == b"T1 long liT2 other\nne of words\nT5 next\n"


@given(SAID.map(lambda said: [message + b"\n" for message in said]), st.integers(1, 30))
def test_messages_are_found_however_the_stream_comes_in_pieces(
    said: list[bytes], piece_bytes: int
) -> None:
    stream = stream_of(*((1, message) for message in said))
    pieces = [stream[at : at + piece_bytes] for at in range(0, len(stream), piece_bytes)]
    assert list(docker_log.messages(pieces)) == said


@given(SAID, st.integers(80, 400))
def test_a_cut_log_is_its_head_and_its_tail_and_never_too_long(
    said: list[bytes], limit_bytes: int
) -> None:
    total_bytes = sum(map(len, said))
    kept = list(docker_log.cut(said, total_bytes, limit_bytes))
    gaps = [index for index, message in enumerate(kept) if b"cut out here" in message]
    if total_bytes > limit_bytes:
        [gap] = gaps
        head, tail = kept[:gap], kept[gap + 1 :]
        assert len(b"".join(kept)) <= limit_bytes
        assert said[: len(head)] == head
        assert said[len(said) - len(tail) :] == tail
        missing_bytes = total_bytes - len(b"".join(head + tail))
        assert f" {missing_bytes} bytes".encode() in kept[gap]


def test_a_limit_too_small_for_anything_leaves_only_the_word_that_it_was_cut() -> None:
    assert list(docker_log.cut([b"abc\n"] * 10, 40, 1)) == [
        b"\n[spoolrunner: 40 bytes of this log were cut out here]\n"
    ]

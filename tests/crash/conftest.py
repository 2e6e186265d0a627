"""One life, recorded once for all tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.crash.life import Life, living


@pytest.fixture(scope="session")
def life() -> Iterator[Life]:
    with living() as one:
        one.record()
        one.place.keep("the end")
        yield one

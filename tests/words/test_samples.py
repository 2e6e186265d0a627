"""Every file that any version of ours wrote can be read, and nothing in it is dropped."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from spoolrunner.record import Frozen, Record, from_json, to_json
from tests import samples
from tests.samples.kinds import KINDS, folder

KEPT = sorted(Path(samples.__file__).parent.glob("format-*/*.json"))


@pytest.mark.parametrize("path", KEPT, ids=[f"{one.parent.name}-{one.stem}" for one in KEPT])
def test_a_kept_sample_is_read_whole(path: Path) -> None:
    found = from_json(path.read_bytes(), KINDS[path.stem].type, path.name)
    written = json.loads(to_json(found))
    assert is_within(json.loads(path.read_bytes()), written)


def is_within(old: Any, new: Any) -> bool:
    """All that the old one says stands in the new one too, which may say more."""
    if isinstance(old, dict):
        return all(key in new and is_within(value, new[key]) for key, value in old.items())
    if isinstance(old, list):
        return len(old) == len(new) and all(map(is_within, old, new))
    return bool(old == new)


@pytest.mark.parametrize("name", KINDS)
def test_there_is_a_sample_of_what_is_written_now(name: str) -> None:
    assert (folder(KINDS[name]) / f"{name}.json").exists(), "run `python -m tests.samples`"


def test_every_record_that_has_a_format_has_samples() -> None:
    versioned = {
        kind
        for kind in (*subclasses(Record), *subclasses(Frozen))
        if kind.__module__.startswith("spoolrunner.") and "format" in kind.__struct_fields__
    }
    assert versioned <= {kind.type for kind in KINDS.values()}


def subclasses(kind: type[msgspec.Struct]) -> set[type[msgspec.Struct]]:
    below = set(kind.__subclasses__())
    return below.union(*(subclasses(each) for each in below))

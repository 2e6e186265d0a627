"""What always holds can be seen not to hold: a spool is spoilt in one way, and that is reported."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.crash.invariants import AT_REST, Scene, violations
from tests.crash.life import Life


def first(scene: Scene, pattern: str) -> Path:
    return min(scene.folder.glob(pattern))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def lose_a_request(scene: Scene) -> None:
    promised = min(scene.promised - {"nameless-1"})
    first(scene, f"spool/done/*/{promised}.json").unlink()


def double_a_request(scene: Scene) -> None:
    shutil.copy(first(scene, "spool/done/*/*.json"), scene.spool / "running")


def leave_a_claim(scene: Scene) -> None:
    shutil.copy(first(scene, "spool/done/*/*.json"), scene.spool / ".claims")


def witness(scene: Scene, **change: object) -> None:
    path = scene.folder / "witness" / "starts"
    line = json.loads(path.read_text().splitlines()[0])
    with path.open("a") as record:
        record.write(json.dumps(line | change) + "\n")


def start_twice(scene: Scene) -> None:
    witness(scene)


def start_before_it_is_told(scene: Scene) -> None:
    witness(scene, name="another", untold=["nothing"])


def start_beside_another_attempt(scene: Scene) -> None:
    witness(scene, name="another", alone=False)


def start_too_many(scene: Scene) -> None:
    for number in range(3):
        witness(scene, name=f"another-{number}")


def never_start(scene: Scene) -> None:
    (scene.folder / "witness" / "starts").write_text("")


def change_an_end(scene: Scene) -> None:
    edit(first(scene, "spool/done/*/*.json"), '"source"', '"source" ')


def take_an_end_back(scene: Scene) -> None:
    assert scene.server
    job = next(iter(scene.server.site.jobs.values()))
    scene.server.site.histories[job.identifier].append("running")


def change_an_output(scene: Scene) -> None:
    first(scene, "spool/storage/high_privacy/workspaces/*/a.csv").write_text("x")


def change_a_released_output(scene: Scene) -> None:
    first(scene, "spool/storage/medium_privacy/workspaces/*/b.csv").write_text("x")


def publish_without_a_name(scene: Scene) -> None:
    shutil.copy(__file__, first(scene, "spool/storage/high_privacy/workspaces/*/a.csv").parent)


def forget_in_the_index(scene: Scene) -> None:
    path = scene.spool / "workspaces" / "one.json"
    index = json.loads(path.read_bytes())
    index["actions"]["make"]["outputs"] = {}
    path.write_text(json.dumps(index))


def keep_a_report(scene: Scene) -> None:
    (scene.spool / "outbox" / "x.1.json").write_text("{}")


def tell_less(scene: Scene) -> None:
    assert scene.server
    next(one for one in scene.server.site.requests.values() if one.jobs).jobs.popitem()


def lose_what_was_refused(scene: Scene) -> None:
    first(scene, "spool/rejected/*bad.json").unlink()


def lose_a_reason(scene: Scene) -> None:
    first(scene, "spool/rejected/*bad.json.error.json").unlink()


def leave_a_folder(scene: Scene) -> None:
    (scene.high / "volumes" / "sr-x").mkdir()


def audit_lines(scene: Scene) -> list[dict[str, Any]]:
    (path,) = scene.spool.glob("audit/*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_audit(scene: Scene, lines: list[dict[str, Any]], after: bytes = b"") -> None:
    """With all hashes right: as if there had never been others."""
    (path,) = scene.spool.glob("audit/*.jsonl")
    before, written = hashlib.sha256(after).hexdigest() if after else "", []
    for line in lines:
        written.append(json.dumps(line | {"before": before}))
        before = hashlib.sha256(written[-1].encode()).hexdigest()
    path.write_text("".join(f"{line}\n" for line in written))


def take_a_line_out(scene: Scene) -> None:
    (path,) = scene.spool.glob("audit/*.jsonl")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:3] + lines[4:]))


def run_two_lines_together(scene: Scene) -> None:
    write_audit(scene, audit_lines(scene), after=b"{torn")
    (scene.spool / "audit/2000-01.jsonl").write_bytes(b"{torn")


def forget(scene: Scene, event: str) -> None:
    write_audit(scene, [line for line in audit_lines(scene) if line["event"] != event])


def forget_who_asked(scene: Scene) -> None:
    forget(scene, "accept")


def forget_a_start(scene: Scene) -> None:
    forget(scene, "start")


def forget_a_release(scene: Scene) -> None:
    forget(scene, "end")


SPOILT: dict[Callable[[Scene], None], str] = {
    lose_a_request: "I1",
    double_a_request: "I1",
    leave_a_claim: "I1",
    start_twice: "I2",
    start_before_it_is_told: "I2",
    start_beside_another_attempt: "I2",
    never_start: "I2",
    change_an_end: "I3",
    take_an_end_back: "I3",
    change_an_output: "I4",
    change_a_released_output: "I4",
    publish_without_a_name: "I4",
    forget_in_the_index: "I4",
    leave_a_folder: "I5",
    keep_a_report: "I6",
    tell_less: "I6",
    start_too_many: "I7",
    lose_what_was_refused: "I8",
    lose_a_reason: "I8",
    take_a_line_out: "I9",
    run_two_lines_together: "I9",
    forget_who_asked: "I9",
    forget_a_start: "I9",
    forget_a_release: "I9",
}


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil.__name__)
def test_each_way_to_spoil_a_spool_is_seen(life: Life, spoil: Callable[[Scene], None]) -> None:
    life.place.back_to("the end")
    scene = life.place.scene
    assert violations(scene, at_rest=True) == []
    spoil(scene)
    assert SPOILT[spoil] in {text[:2] for text in violations(scene, at_rest=True)}


def test_all_invariants_but_those_of_a_moment_are_spoilt_above() -> None:
    assert {name[:2] for name in AT_REST} <= set(SPOILT.values())


def test_a_spool_that_cannot_be_read_is_no_good_spool(life: Life) -> None:
    life.place.back_to("the end")
    os.truncate(first(life.place.scene, "spool/done/*/*.json"), 10)
    assert violations(life.place.scene, at_rest=True)

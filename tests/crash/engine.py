"""Killed before, during and after each question to a docker engine; a fresh runner goes on.

usage: python -m tests.crash.engine [--every K --offset R]

An engine of our own (tests/rig), in which every action of a request is a real container. Its own
record of events is the witness: who was started, how often, and when it died. Nothing of ours may
be left in it at the end.

exit status: 0 nothing was violated; 1 something was
"""

import contextlib
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tests.crash.calls import ENGINE
from tests.crash.hooked import MOMENTS_OF_AN_ENGINE
from tests.crash.life import BAD, WELL, Life, Place, expect, living
from tests.crash.points import STEPS, Point, choose, options, rotating, table
from tests.crash.points import try_one as kill
from tests.rig import images
from tests.rig.engine import Engine
from tests.rig.engine import engine as private_engine

STEP = STEPS["run"]
WORDS = {"start": "start", "die": "end"}  # the engine's -> the witness's


class DockerLife(Life):
    """One step: a runner that runs a request of three actions in containers."""

    def __init__(self, place: Place, engine: Engine) -> None:
        super().__init__(place)
        self._engine = engine
        place.settings |= {"EXECUTOR": "docker", "DOCKER_HOST": engine.socket}
        place.command("init", "--volatile")
        submit = ("submit", str(place.repo), "show", "bad", "--workspace", "one", "--db", "full")
        identifier = place.command(*submit)
        place.scene.promised.add(identifier)
        expect(place, identifier, WELL | BAD)
        place.keep(STEP.name)
        marker = json.loads((place.spool / "SPOOL.json").read_bytes())
        self._label = f"spoolrunner={marker['id'][:8]}"

    def again(self, step: Any, deed: Any) -> tuple[int, list[str]]:
        self._clear()
        self._begun_s = time.time()
        status, found = super().again(step, deed)
        left = [one["Name"] for one in self._engine.containers(self._label)]
        return status, found + [f"the container {name} is left" for name in left]

    def _clear(self) -> None:
        """The engine may be others' too."""
        with contextlib.closing(self._engine.client()) as client:
            for one in client.containers.list(all=True, filters={"label": self._label}):
                one.remove(force=True)

    def to_the_end(self) -> None:
        super().to_the_end()
        self._witness()

    def _witness(self) -> None:
        folder = self.place.folder / "witness"
        folder.mkdir(exist_ok=True)
        lines = [json.dumps(one) for one in self._events()]
        (folder / "starts").write_text("\n".join(lines))

    def _events(self) -> Iterator[dict[str, Any]]:
        with contextlib.closing(self._engine.client()) as client:
            wanted = {"type": "container", "label": self._label, "event": list(WORDS)}
            until_s = int(time.time()) + 1
            for event in client.events(
                since=int(self._begun_s), until=until_s, filters=wanted, decode=True
            ):
                name = event["Actor"]["Attributes"]["name"]
                at_s = event["timeNano"] / 1e9
                if at_s >= self._begun_s:
                    what = WORDS[event["Action"]]
                    yield {"what": what, "name": name, "at_s": at_s, "untold": [], "alone": True}

    def points(self) -> list[Point]:
        record = self.place.base / "calls"
        status, found = self.again(STEP, ("record", str(record)))
        assert (status, found) == (0, []), found
        seen: Counter[str] = Counter()
        points = []
        for line in record.read_text().splitlines():
            call = json.loads(line)[0]
            if call.startswith(ENGINE):
                seen[call] += 1
                points += [Point(STEP.name, call, seen[call], one) for one in MOMENTS_OF_AN_ENGINE]
        return points


@contextlib.contextmanager
def living_in(engine: Engine) -> Iterator[DockerLife]:
    with living() as life:
        yield DockerLife(life.place, engine)


def main() -> int:
    parser = options("engine", __doc__, [STEP.name])
    given = parser.parse_args()
    offset = rotating(given.every) if given.offset is None else given.offset
    begun_s = time.monotonic()
    with private_engine() as engine:
        engine.load(images.archive())
        with living_in(engine) as life:
            found = life.points()
            print(f"{len(found)} points; every {given.every}. from {offset}.", flush=True)
            results = (kill(life, one) for one in choose(found, given.every, offset))
            text, is_well = table(results, begun_s)
    print(text)
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())

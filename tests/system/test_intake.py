"""Files come into the inbox as people and tools bring them; each is taken once, none is lost."""

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.site import GATE, WITHIN_S, Site
from tests.system.conftest import NewSite

DROPPERS = 5
EACH = 60
PROJECT = """\
version: "4.0"
actions:
  make:
    run: python:v2 sh -c "echo x > a.csv"
    outputs:
      highly_sensitive: {a: a.csv}
"""


@pytest.fixture
def running(site: Site) -> Site:
    """A site whose runner is alive, and a study."""
    site.study({"project.yaml": PROJECT})
    site.start()
    return site


def cheap(site: Site, identifier: str, **fields: Any) -> str:
    """A request that ends at once, because it asks for an action that the study does not have."""
    asked = site.request(site.folder / "study", "nothing", identifier=identifier, **fields)
    return json.dumps(asked, indent=1)


def sh(script: str, *words: object) -> None:
    """Run a script as a person types it; the words are its $1, $2."""
    command = ["sh", "-eu", "-c", script, "sh", *map(str, words)]
    subprocess.run(command, check=True, timeout=WITHIN_S, capture_output=True)


HALF = 'head -c 100 "$1" > "$2"; sleep 0.3; tail -c +101 "$1" >> "$2"'
WAYS = {
    "cp": 'cp "$1" "$2"',
    "cp -p of an old file": 'touch -d 2001-01-01 "$1"; cp -p "$1" "$2"',
    "mv on one disk": 'mv "$1" "$2"',
    "install": 'install -m 600 "$1" "$2"',
    "cat": 'cat "$1" > "$2"',
    "a byte order mark": 'printf "\\357\\273\\277" > "$2"; cat "$1" >> "$2"',
    "carriage returns": 'sed "s/$/\\r/" "$1" > "$2"',
    "a hidden draft": 'cp "$1" "$(dirname "$2")/.r1.json.Xy12Zq"; cd "$(dirname "$2")";'
    ' mv .r1.json.Xy12Zq "$(basename "$2")"',
    "a writer that holds it open": '{ head -c 100 "$1"; sleep 0.3; tail -c +101 "$1"; } > "$2"',
    "half of it, and the rest later": HALF,
    "an empty file first": ': > "$2"; sleep 0.3; cat "$1" > "$2"',
    "sed -i of what was not whole": 'sed "s/}$/@/" "$1" > "$2"; sed -i "s/@/}/" "$2"',
    "a swap file and a rewrite": 'd=$(dirname "$2"); : > "$d/.r1.json.swp"; head -c 9 "$1" > "$2";'
    ' cp "$1" "$d/4913"; mv "$d/4913" "$2"; rm "$d/.r1.json.swp"',
    "a link": 'ln "$1" "$2"; sleep 0.3; rm "$1"',
    "dd in small blocks": 'dd if="$1" of="$2" bs=16 status=none',
    "a FAT stick": '{ printf "\\357\\273\\277"; sed "s/$/\\r/" "$1"; } > "$1.x";'
    ' touch -d 1980-01-01 "$1.x"; cp -p "$1.x" "${2%.json}.JSON"',
}


@pytest.mark.parametrize("way", WAYS)
def test_it_is_taken_once_however_it_comes(running: Site, way: str) -> None:
    written = running.folder / "written.json"
    written.write_text(cheap(running, "r1"))
    sh(WAYS[way], written, running.spool / "inbox" / "r1.json")
    assert running.finished("r1")["original"] == json.loads(cheap(running, "r1"))
    assert running.rejected() == {}
    assert os.listdir(running.spool / ".claims") == []


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder on another filesystem than the spool's."""
    folder = Path("/dev/shm") / f"spoolrunner-test-{os.getpid()}"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


def test_it_is_moved_in_from_another_filesystem(running: Site, memory: Path) -> None:
    assert memory.stat().st_dev != running.spool.stat().st_dev
    (memory / "r1.json").write_text(cheap(running, "r1"))
    sh('touch -d 2001-01-01 "$1"; mv "$1" "$2"', memory / "r1.json", running.spool / "inbox")
    assert running.finished("r1")["identifier"] == "r1"
    assert running.rejected() == {}


DROPPER = """
n=0
while [ $n -lt $3 ]; do
    from="$1/$4-$n.json" to="$2/$4-$n.json"
    if [ $((n % 2)) = 0 ]; then cp "$from" "$to"
    else { head -c 60 "$from"; sleep 0.05; tail -c +61 "$from"; } > "$to"; fi
    n=$((n + 1))
done
"""


def test_three_hundred_files_from_five_processes_are_each_taken_once(running: Site) -> None:
    prepared = running.folder / "prepared"
    prepared.mkdir()
    wanted = [f"{dropper}-{number}" for dropper in range(DROPPERS) for number in range(EACH)]
    for name in wanted:
        # half of them without an identifier, so that nothing but the intake could tell a double
        named = cheap(running, f"id-{name}", created_by=name)
        nameless = cheap(running, "", created_by=name)
        (prepared / f"{name}.json").write_text(named if name[-1] in "01234" else nameless)
    droppers = [
        subprocess.Popen(
            ["sh", "-eu", "-c", DROPPER, "sh", prepared, running.spool / "inbox", str(EACH), str(n)]
        )
        for n in range(DROPPERS)
    ]
    for dropper in droppers:
        assert dropper.wait(WITHIN_S) == 0

    def ended() -> list[Path]:
        return list((running.spool / "done").glob("*/*.json"))

    running.until(lambda: len(ended()) >= len(wanted))
    taken = [json.loads(path.read_bytes())["original"]["created_by"] for path in ended()]
    assert Counter(taken) == Counter(wanted)
    assert running.rejected() == {}
    for room in ("inbox", ".claims", "running"):
        assert os.listdir(running.spool / room) == []


def test_of_two_runners_one_takes_and_the_other_takes_over(running: Site) -> None:
    second = running.start()
    running.drop(cheap(running, "r1"), "r1.json")
    running.finished("r1")
    running.runners[0].kill()
    running.runners[0].wait()
    running.drop(cheap(running, "r2"), "r2.json")
    running.finished("r2")
    assert second.poll() is None


def test_a_drop_wakes_the_runner_at_once_and_not_by_its_timer(new_site: NewSite) -> None:
    site = new_site()
    site.study({"project.yaml": PROJECT})
    site.start(program="tests.system.unhurried")
    site.drop(cheap(site, "warm"), "warm.json")
    site.finished("warm")
    site.drop(cheap(site, "r1"), "r1.json")
    site.finished("r1")


def test_a_runner_that_drains_takes_what_lies_there_in_the_order_of_names(site: Site) -> None:
    site.study({"project.yaml": PROJECT})
    for name in ("b", "c", "a"):
        site.drop(cheap(site, name), f"{name}.json")
    site.drain()
    sequences = {name: site.done(name)["sequence"] for name in "abc"}
    assert sorted(sequences, key=lambda name: sequences[name]) == ["a", "b", "c"]


def test_a_finished_file_put_back_by_hand_goes_to_done_again(site: Site) -> None:
    site.study({"project.yaml": PROJECT})
    site.drop(cheap(site, "r1"), "r1.json")
    site.drain()
    before = site.done("r1")
    (path,) = (site.spool / "done").glob("*/r1.json")
    path.rename(site.spool / "inbox" / "r1.json")
    site.drain()
    assert site.done("r1") == before
    assert site.rejected() == {}


def test_a_running_file_moved_to_the_inbox_goes_on_and_its_job_runs_once(site: Site) -> None:
    study = site.study({"project.yaml": PROJECT.replace("echo x", f"{GATE}; echo x")})
    site.drop(site.request(study, "make", identifier="r1"))
    site.start()
    active = site.spool / "running" / "r1.json"

    def has_started() -> bool:
        return active.exists() and [job["phase"] for job in site.active("r1")["jobs"]] == [
            "started"
        ]

    site.until(has_started)
    active.rename(site.spool / "inbox" / "r1.json")
    site.let_go()
    assert site.finished("r1")["status"] == "succeeded"
    assert site.jobs("r1")["make"]["attempt"] == 1
    assert site.rejected() == {}

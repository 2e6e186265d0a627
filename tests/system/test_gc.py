"""What has expired goes by itself; what belongs to nobody is listed, and goes when one says so."""

import json
import os
import time

from tests.rig.engine import Engine
from tests.site import Site
from tests.system.test_crash_points import ENDLESS, FAILING, QUICK, has_started

LONG_AGO_S = time.time() - 500 * 86400


def gc(site: Site, *words: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(site.do("gc", "--json", *words))
    return found


def test_what_has_expired_goes_once_a_day_and_the_identifier_stays_taken(site: Site) -> None:
    site.drop(site.request(site.study({"project.yaml": QUICK}), "first", identifier="r1"))
    site.drain()
    site.drop(site.request(site.study({"project.yaml": FAILING}), "first", identifier="r2"))
    site.drain()
    day = next((site.spool / "done").iterdir())
    day.rename(day.with_name("2024-01-01"))
    for where in (site.spool / "index").glob("*/r?"):
        where.write_text(where.read_text().replace(day.name, "2024-01-01"))
    failed = site.high / "workspaces/ws/metadata/first.failed"
    failed.mkdir(exist_ok=True)
    for path in (failed, failed.with_suffix(".log")):
        os.utime(path, (LONG_AGO_S, LONG_AGO_S))
    found = gc(site)
    assert [one["kind"] for one in found] == ["expired", "expired"]
    assert not any(one["removed"] for one in found)
    site.drain()  # within a day of the last time
    assert failed.exists()
    os.utime(site.spool / ".locks/retention", (LONG_AGO_S, LONG_AGO_S))
    site.start()
    site.until(lambda: log(site).count("removed what=") == 2)
    assert not failed.exists()
    assert "2 folders, kept for as long as was set" in site.do("audit")
    assert (site.high / "workspaces/ws/a.csv").exists()
    assert list((site.spool / "done").iterdir()) == []
    assert site.try_to("show", "r1").returncode == 3
    site.drop(site.request(site.folder / "study", "first", identifier="r1"), "again.json")
    site.until(lambda: "error=identifier_taken" in log(site))


def test_what_a_job_left_that_fails_again_and_again_is_as_old_as_its_last_failure(
    site: Site,
) -> None:
    """Only a file below the folder is replaced then, so the folder itself keeps its time."""
    failing = FAILING.replace("a.csv", "out/a.csv")
    site.drop(site.request(site.study({"project.yaml": failing}), "first", identifier="r1"))
    site.drain()
    failed = site.high / "workspaces/ws/metadata/first.failed"
    failed.mkdir(exist_ok=True)
    os.utime(failed, (LONG_AGO_S, LONG_AGO_S))
    assert gc(site) == []


def log(site: Site) -> str:
    return (site.folder / "runner.log").read_text()


def test_containers_and_folders_without_a_job_go_when_one_says_so(
    docker_site: Site, engine: Engine
) -> None:
    site = docker_site
    site.settings["STOP_GRACE"] = "0s"
    spool8 = json.loads((site.spool / "SPOOL.json").read_bytes())["id"][:8]
    label = f"spoolrunner={spool8}"
    site.drop(site.request(site.study({"project.yaml": ENDLESS}), "first", identifier="r1"))
    runner = site.start()
    site.until(lambda: has_started(site, "r1"))
    assert gc(site, "--yes") == []
    runner.kill()
    runner.wait()
    mine = site.spool / "running/r1.json"
    aside = mine.rename(site.folder / "r1.json")
    assert [one["kind"] for one in gc(site)] == ["container", "folder"]
    assert len(engine.containers(label)) == 1
    assert "--yes" in site.do("gc")
    assert all(one["removed"] for one in gc(site, "--yes"))
    assert engine.containers(label) == []
    aside.rename(mine)
    (lost,) = gc(site, "--yes")
    assert (lost["kind"], lost["removed"]) == ("job", False)
    site.do("kill", "r1")
    site.drain()
    assert site.do("gc") == "There is nothing to remove.\n"

"""How far a job has got with large files is told to the operator, and to nobody outside."""

import re

from spoolrunner.lock import Lock
from spoolrunner.spool import board
from spoolrunner.spool import rooms as spool_rooms
from tests.site import Site

LARGE = """
version: '4.0'
actions:
  large: {run: "python:v2 python3 -c 'open(\\"large.bin\\", \\"wb\\").truncate(40_000_000)'",
          outputs: {highly_sensitive: {x: large.bin}}}
  next: {run: "python:v2 python3 -c 'open(\\"o.csv\\", \\"w\\")'", needs: [large],
         outputs: {highly_sensitive: {x: o.csv}}}
"""
FAR = r"request=r1 job=\w+ workspace=ws action=%s %s: [\d.]+ MB of 40.0 MB, \d+ s left"


def test_what_lasts_of_a_job_is_in_the_runners_log_and_in_no_report(site: Site) -> None:
    site.settings["REPORTS"] = "export"
    site.drop(site.request(site.study({"project.yaml": LARGE}), "next", identifier="r1"))
    site.start(program="tests.system.talkative")
    site.finished("r1")
    log = (site.folder / "runner.log").read_text()
    assert re.search(FAR % ("large", "looking through its outputs"), log)
    assert "action=next copying what it needs: 40.0 MB" in log
    reports = [path.read_text() for path in (site.spool / "outbox").glob("r1.*.json")]
    assert reports
    assert not any("MB" in report for report in reports)
    assert "MB of" not in str(site.done("r1"))


def test_the_board_tells_it_and_only_while_its_runner_lives(site: Site) -> None:
    site.do("pause")
    site.drop(site.request(site.study({"project.yaml": LARGE}), "large", identifier="r1"))
    site.drain()
    place = spool_rooms.open_spool(site.spool)
    shown = board.read(place)
    assert shown is not None
    shown.jobs[0].progress = "looking through its outputs: 1.0 GB of 50.0 GB, 49 s left"
    board.write(place, shown)
    lock = Lock(place.locks / "mover")
    assert lock.take()
    assert "1.0 GB of 50.0 GB, 49 s left" in site.do("status")
    lock.release()
    assert "50.0 GB" not in site.do("status")

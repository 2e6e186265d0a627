"""Commands say plainly what they can't do, and their exit status tells whose turn it is."""

import os
import subprocess
import sys

import pytest

from tests.site import WITHIN_S, Site
from tests.system.test_crash_points import QUICK


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("status", "--json"),
        ("show", "r1"),
        ("logs", "r1"),
        ("cancel", "r1"),
        ("workspace", "list"),
        ("run", "--drain"),
    ],
    ids=" ".join,
)
def test_a_user_who_may_not_look_is_told_so_and_never_shown_an_empty_spool(
    site: Site, words: tuple[str, ...]
) -> None:
    if os.geteuid():
        pytest.skip("only root can become another user")
    site.drop(site.request(site.study({"project.yaml": QUICK}), "first", identifier="r1"))
    done = subprocess.run(
        [sys.executable, "-m", "tests.system.nobody", *words],
        env=site.environment(),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (4, ""), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("identifier", ["../x", "", "x" * 300, "a/b"])
def test_what_is_no_identifier_is_nobody_s(site: Site, identifier: str) -> None:
    assert site.try_to("show", identifier).returncode == 3


def test_a_whole_identifier_is_never_ambiguous(site: Site) -> None:
    study = site.study({"project.yaml": QUICK})
    (site.spool / "control" / "paused").touch()
    for name in ("r1", "r10"):
        asked = site.request(study, "first", identifier=name, workspace={"name": name})
        site.drop(asked, f"{name}.json")
    site.drain()
    assert "r10" not in site.do("show", "r1")
    site.do("cancel", "r1")
    site.drain()
    assert site.statuses("r1") == {"first": "cancelled_by_user"}
    assert (site.spool / "running/r10.json").exists()


def test_a_torn_request_file_does_not_hide_the_others(site: Site) -> None:
    study = site.study({"project.yaml": QUICK})
    (site.spool / "control" / "paused").touch()
    site.drop(site.request(study, "first", identifier="r1"))
    site.drain()
    (site.spool / "running/torn.json").write_text("{")
    assert "r1" in site.do("status")
    site.drain()
    assert site.rejected()["torn.json"]["error"] == "unreadable_record"

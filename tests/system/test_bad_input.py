"""Bad input: each file ends where the contract says, and the runner goes on."""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.site import Site
from tests.system.conftest import NewSite

PROJECT = """\
version: "4.0"
actions:
  make:
    run: python:v2 sh -c "echo x > a.csv"
    outputs:
      highly_sensitive: {a: a.csv}
"""


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(path))


def sparse(path: Path) -> None:
    with path.open("wb") as huge:
        huge.truncate(1 << 40)


def hard_link(path: Path) -> None:
    other = path.parent.parent.parent / "outside.json"
    other.write_text("{}")
    os.link(other, path)


# name -> (what puts it into the inbox, the kind in its .error.json)
REJECTED: dict[str, tuple[Callable[[Path], object], str]] = {
    "array.json": (lambda path: path.write_text("[1, 2]"), "not_an_object"),
    "number.json": (lambda path: path.write_text("12"), "not_an_object"),
    "link.json": (lambda path: path.symlink_to("/etc/passwd"), "not_regular"),
    "dangling.json": (lambda path: path.symlink_to("nowhere"), "not_regular"),
    "loop.json": (lambda path: path.symlink_to(path.name), "not_regular"),
    "fifo.json": (os.mkfifo, "not_regular"),
    "socket.json": (listening, "not_regular"),
    "folder.json": (Path.mkdir, "not_regular"),
    "ten-mebibytes.json": (lambda path: path.write_bytes(b" " * (10 << 20)), "too_big"),
    "sparse.json": (sparse, "too_big"),
    "hard-link.json": (hard_link, "hard_link"),
    "doubled.json": (lambda path: path.write_text('{"a": 1, "a": 2}'), "doubled_key"),
    "deep.json": (lambda path: path.write_text('{"a":' * 90_000), "too_deep"),
    "surrogate.json": (lambda path: path.write_text('{"a": "\\ud800"}'), "bad_text"),
    "nothing-asked.json": (lambda path: path.write_text("{}"), "not_a_request"),
    "UPPER.JSON": (lambda path: path.write_text("{}"), "not_a_request"),
}

# name -> (fields of a request, the kind)
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "identifier.json": ({"identifier": "../.."}, "bad_identifier"),
    "workspace.json": ({"workspace": {"name": "../.."}}, "bad_workspace_name"),
    "types.json": ({"requested_actions": "make"}, "wrong_type"),
    "flag.json": ({"force_run_dependencies": 1}, "wrong_type"),
    "backend.json": ({"backend": 7}, "wrong_type"),
    "sha.json": ({"sha": "HEAD"}, "bad_sha"),
    "db.json": ({"workspace": {"db": "nhs"}}, "unknown_database"),
    "number.json": ({"workspace_id": True}, "wrong_type"),
}

# name -> fields of a request that is accepted, and finished as failed
FAILED: dict[str, dict[str, Any]] = {
    "unknown-action": {"requested_actions": ["no_such_action"]},
    "action-that-climbs": {"requested_actions": ["../.."]},
    "action-with-a-newline": {"requested_actions": ["make\n\x1b[31m"]},
    "no-such-commit": {"sha": "0" * 40},
    "no-such-branch": {"workspace": {"name": "b1", "branch": "nowhere"}},
    "branch-that-is-an-option": {"workspace": {"name": "b2", "branch": "--upload-pack=x"}},
    "no-such-repository": {"workspace": {"name": "b3", "repo": "/no/such/repository"}},
    "repository-that-is-an-option": {"workspace": {"name": "b4", "repo": "--upload-pack=x"}},
    "repository-of-another-scheme": {"workspace": {"name": "b5", "repo": "ext::sh -c true"}},
}


def test_everything_bad_at_once_and_then_a_good_one(site: Site) -> None:
    study = site.study({"project.yaml": PROJECT})
    inbox = site.spool / "inbox"
    refused = {f"field-{name}": about for name, about in REFUSED.items()}
    runner = site.start()
    for name, (make, _) in REJECTED.items():
        make(inbox / name)
    for name, (fields, _) in refused.items():
        given = site.request(study, **{"requested_actions": ["make"], **fields})
        if "workspace_id" in fields:
            del given["workspace"]
        site.drop(given, name)
    for identifier, fields in FAILED.items():
        given = site.request(
            study, identifier=identifier, **{"requested_actions": ["make"], **fields}
        )
        site.drop(given, f"{identifier}.json")
    site.drop(site.request(study, "make", identifier="good"), "z-good.json")
    assert site.finished("good")["status"] == "succeeded"

    expected = {name: kind for name, (_, kind) in (REJECTED | refused).items()}
    site.until(lambda: len(site.rejected()) == len(expected))
    assert {name: reason["error"] for name, reason in site.rejected().items()} == expected
    for reason in site.rejected().values():
        assert set(reason) == {"error", "message", "name", "rejected_at"}
        assert reason["message"].isprintable()
        assert "root:" not in reason["message"]
    for identifier in FAILED:
        (job,) = site.finished(identifier)["jobs"]
        assert (job["action"], job["status"], job["status_code"]) == (
            "__error__",
            "failed",
            "job_error",
        )
        assert job["status_message"].isprintable()
    assert os.listdir(inbox) == []
    assert os.listdir(site.spool / ".claims") == []
    assert runner.poll() is None
    assert "Traceback" not in (site.folder / "runner.log").read_text()


def test_what_was_rejected_lies_there_untouched(site: Site) -> None:
    site.drop(b'[1,\r\n "\xc3\xa4"]', "array.json")
    (site.spool / "inbox" / "link.json").symlink_to("/etc/passwd")
    site.drain()
    kept = {path.name[26:]: path for path in (site.spool / "rejected").iterdir()}
    assert kept["array.json"].read_bytes() == b'[1,\r\n "\xc3\xa4"]'
    assert os.readlink(kept["link.json"]) == "/etc/passwd"


@pytest.mark.parametrize("name", [b"\xff\xfe.json", b"two\nlines.json", b"x" * 250 + b".json"])
def test_odd_names_are_taken_and_refused_like_others(site: Site, name: bytes) -> None:
    study = site.study({"project.yaml": PROJECT})
    path = site.spool / "inbox" / os.fsdecode(name)
    path.write_text(json.dumps(site.request(study, "nothing", identifier="r1")))
    site.drain()
    assert site.statuses("r1") == {"__error__": "job_error"}
    path.write_text("[]")
    site.drain()
    (reason,) = site.rejected().values()
    assert reason["name"].isprintable()
    status = json.loads(site.do("status", "--json"))
    assert status["counts"]["rejected"] == 1


def test_what_is_not_taken_is_told_by_status_with_its_reason(site: Site) -> None:
    study = site.study({"project.yaml": PROJECT})
    site.drop(site.request(study, "make", backend="emis"), "theirs.json")
    site.drop('{"backend": ', "half.json")
    site.drop("", "empty.json")
    site.drop("{}", "draft.json.part")
    site.drain()
    status = json.loads(site.do("status", "--json"))
    assert status["counts"]["inbox"] == 4
    reasons = {left["name"]: left["reason"] for left in status["left_in_inbox"]}
    assert "backend" in reasons["theirs.json"]
    assert "complete" in reasons["half.json"]
    assert "empty" in reasons["empty.json"]
    assert "name" in reasons["draft.json.part"]
    assert site.rejected() == {}


def test_identifiers_that_differ_only_in_case_are_never_two_requests(site: Site) -> None:
    study = site.study({"project.yaml": PROJECT})
    site.drop(site.request(study, "nothing", identifier="Abc"), "1.json")
    site.drain()
    site.drop(site.request(study, "nothing", identifier="aBC"), "2.json")
    site.drain()
    assert site.rejected()["2.json"]["error"] == "identifier_taken"
    assert "Abc" in site.rejected()["2.json"]["message"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_private_file_of_another_user_is_taken_by_a_runner_that_is_root(
    new_site: NewSite,
) -> None:
    site = new_site()
    study = site.study({"project.yaml": PROJECT})
    draft = site.folder / "draft.json"
    draft.write_text(json.dumps(site.request(study, "nothing", identifier="r1")))
    draft.chmod(0)
    os.chown(draft, 4321, 4321)
    draft.rename(site.spool / "inbox" / "r1.json")
    site.drain()
    assert site.done("r1")["uid"] == 4321

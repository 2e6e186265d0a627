"""The audit as people read it: one line for each event, however wide the terminal is."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from spoolrunner import audit
from spoolrunner.audit import COMMAND, Event, Start
from spoolrunner.cli import group
from spoolrunner.record import changed
from spoolrunner.report import screen
from spoolrunner.report.audited import audited_sheet
from spoolrunner.request import Code, Job, Level, Outcome, Output, Request, Status, WorkspaceRef
from spoolrunner.spool import rooms as spool_rooms
from spoolrunner.spool.audit import Trail
from tests.readme_blocks import shown

JANE = 4001
REPO = "https://jane:secret@github.com/opensafely/asthma"
STUDY = WorkspaceRef(name="asthma", repo=REPO, branch="main", db="full")
SHA = "b529897b4214184d992bd91e0da8289f0953501d"
REQUEST = Request(
    identifier="k3j2h4g5f6d7s8a9",
    sequence=1,
    backend="tpp",
    workspace=STUDY,
    sha=SHA,
    requested_actions=["run_all"],
    created_at="",
    uid=JANE,
    source="submit",
)
COHORT = Job(identifier="lpnn6ciqpsipry7f", sequence=2, action="generate_cohort")
CLEAN = Job(identifier="3ofhaeyzpgaq4cax", sequence=3, action="clean")


def starts(job: Job, *inputs: str, attempt: int = 1, database: str = "") -> Event:
    about = Start(
        attempt=attempt,
        executor="docker",
        image="ghcr.io/opensafely-core/python:v2",
        image_id="sha256:5f3c",
        database=database,
        inputs=dict.fromkeys(inputs, "0" * 64),
    )
    return audit.start(REQUEST, job, about)


def ends(job: Job, code: Code, **outputs: str) -> Event:
    """outputs: name -> "private", "released", or why it was withheld."""
    made = {
        name: Output(
            level=Level.HIGH if word == "private" else Level.MODERATE,
            size=1,
            sha256="0" * 64,
            excluded="" if word in ("private", "released") else word,
        )
        for name, word in outputs.items()
    }
    status = Status.SUCCEEDED if code is Code.SUCCEEDED else Status.FAILED
    outcome = Outcome(
        attempt=1, status=status, status_code=code, status_message="", exit_code=0, outputs=made
    )
    return audit.end(REQUEST, job, outcome)


def command(*words: str) -> Event:
    details = {"words": list(words)}
    return Event(event=words[0], id=words[0], uid=0, source=COMMAND, details=details)


EVENTS = {
    "09:30:00": audit.accept(REQUEST, "token"),
    "09:30:02": starts(COHORT, database="full"),
    "09:41:17": ends(COHORT, Code.SUCCEEDED, cohort="private"),
    "09:41:18": starts(CLEAN, "output/cohort.csv"),
    "09:41:25": ends(CLEAN, Code.SUCCEEDED, a="private", b="released", c="Too many rows."),
    "10:02:11": command("maintenance", "on", "--drain"),
    "10:05:40": audit.reject("request%20(1).json", "key", JANE, "not_json"),
    "11:30:09": command("kill", "p7q6m5n4k3j2h4g5"),
}


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    place = spool_rooms.create(tmp_path / "spool", "", group=None, volatile=True)
    for time, event in EVENTS.items():
        Trail(place).append([event], f"2026-11-26T{time}.000Z")
    return place.folder


def said(spool: Path, *words: str) -> str:
    done = CliRunner().invoke(
        group, ["audit", *words], env={"SPOOL_DIR": str(spool)}, catch_exceptions=False
    )
    return done.output


def test_the_readme_shows_what_is_printed(spool: Path) -> None:
    words, expected = shown("audit")
    assert said(spool, *words[1:]) == expected


def dated() -> Iterator[Event]:
    for time, event in EVENTS.items():
        yield changed(event, at=f"2026-11-26T{time}.000Z")


@pytest.mark.parametrize("width", [200, 100])
def test_an_event_is_one_line_of_a_terminal(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    screen.show(audited_sheet(dated()))
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(EVENTS)


@pytest.mark.parametrize("width", [70, 50])
def test_a_narrow_terminal_shows_all_of_it(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    screen.show(audited_sheet(dated()))
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= width
    for word in ("generate_cohort", "uid 4001", "maintenance", "not_json", "withheld"):
        assert word in out


def test_a_password_in_an_address_is_not_written(spool: Path) -> None:
    (path,) = (spool / "audit").iterdir()
    assert "github.com/opensafely/asthma" in path.read_text()
    assert not re.search("jane|secret", path.read_text())


def test_no_word_of_an_event_plays_with_the_terminal(spool: Path) -> None:
    place = spool_rooms.open_spool(spool)
    Trail(place).append([command("backup", "/tmp/\x1b[2Jx\n")], "2026-11-26T12:00:00.000Z")
    last = said(spool).splitlines()[-1]
    assert last.endswith("backup /tmp/\\x1b[2Jx\\n")


def test_what_is_asked_for_is_what_is_shown(spool: Path) -> None:
    assert len(said(spool, "--since", "2026-11-26T09:41").splitlines()) == 1 + 6
    assert len(said(spool, "--workspace", "asthma").splitlines()) == 1 + 5
    assert said(spool, "--since", "1h") == "There is nothing of that in the audit.\n"
    assert "2026-11-26" in said(spool, "--since", "99999d")


def test_verify_tells_the_last_hash_or_what_is_wrong(spool: Path) -> None:
    (path,) = (spool / "audit").iterdir()
    lines = path.read_bytes().splitlines(keepends=True)
    last = hashlib.sha256(lines[-1].rstrip()).hexdigest()
    assert said(spool, "--verify").splitlines() == [
        "8 lines, and each holds the hash of the one before it.",
        f"The last one's is {last}",
    ]
    path.write_bytes(b"".join(lines[1:]))
    assert "lies elsewhere" in said(spool, "--verify")
    path.write_bytes(b"".join([lines[0], *lines[2:-1], lines[-1][:9]]))
    done = CliRunner().invoke(
        group, ["audit", "--verify"], env={"SPOOL_DIR": str(spool)}, standalone_mode=False
    )
    assert done.return_value == 1
    assert [line.split(": ")[0] for line in done.stderr.splitlines()] == [f"{path}:2", f"{path}:7"]

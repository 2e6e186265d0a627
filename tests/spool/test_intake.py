"""What was dropped becomes a request, a workspace or a cancellation, exactly once; or is put aside.

Whole rounds of the real intake on a real spool, without the threads that would run the jobs.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spoolrunner.record import builtins, to_json
from spoolrunner.request import Job, Phase, Request, Status, job_identifier
from spoolrunner.runner.intake import Intake, Taken
from spoolrunner.spool import claims, registry
from spoolrunner.spool.inbox import Why
from spoolrunner.spool.requests import Requests
from spoolrunner.spool.rooms import Rooms
from tests.spool.conftest import asked

NewIntake = Callable[..., Intake]
WORKSPACE = {"name": "my workspace", "repo": "r", "branch": "master", "db": "full"}


def put(rooms: Rooms, content: dict[str, Any] | bytes, name: str = "a.json") -> Path:
    path = rooms.inbox / name
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def identifiers(taken: Taken) -> list[str]:
    return [request.identifier for request in taken.new]


def rejected(rooms: Rooms) -> dict[str, str]:
    """Name it was dropped under -> kind of error. Each has its file beside its reason."""
    reasons = {}
    for path in rooms.rejected.glob("*.error.json"):
        reason = json.loads(path.read_bytes())
        assert set(reason) == {"error", "message", "name", "rejected_at"}
        assert os.path.lexists(path.with_name(path.name.removesuffix(".error.json")))
        reasons[reason["name"]] = reason["error"]
    return reasons


def is_empty(folder: Path) -> bool:
    return not os.listdir(folder)


def finished(rooms: Rooms, intake: Intake, request: Request) -> Path:
    """As the mover leaves a request that has ended."""
    job = Job(identifier=job_identifier(request.identifier, "a"), sequence=1, action="a")
    job.status, job.phase = Status.SUCCEEDED, Phase.ENDED
    request.status, request.jobs, request.expanded = Status.SUCCEEDED, [job], True
    request.completed_at = "2026-11-22T11:00:00Z"
    intake._book.store.save([request])
    intake._book.store.finish([request])
    intake._book.drop(request)
    return rooms.done / "2026-11-22" / f"{request.identifier}.json"


def test_a_request_is_rewritten_into_running_and_the_claim_is_gone(
    rooms: Rooms, intake: Intake
) -> None:
    given = asked(created_by="jane", analysis_scope={"x": ["y"]}, tomorrow=[1])
    put(rooms, given)
    (request,) = intake.take().new
    assert json.loads((rooms.running / "r1.json").read_bytes())["original"] == given
    assert (request.identifier, request.source, request.uid) == ("r1", "inbox", os.geteuid())
    assert is_empty(rooms.inbox)
    assert is_empty(rooms.claims)


def test_one_without_an_identifier_gets_one(rooms: Rooms, intake: Intake) -> None:
    given = asked()
    del given["identifier"]
    put(rooms, given, "a.json")
    put(rooms, given, "b.json")
    first, second = identifiers(intake.take())
    assert first != second


def test_both_blocks_of_the_readme(rooms: Rooms, intake: Intake) -> None:
    put(rooms, {"workspace": WORKSPACE}, "workspace.json")
    assert identifiers(intake.take()) == []
    put(rooms, {"backend": "tpp", "action_id": "do_thing", "workspace_id": 1})
    (request,) = intake.take().new
    assert builtins(request.workspace) == WORKSPACE
    put(rooms, {"backend": "tpp", "action_id": "do_thing", "workspace": WORKSPACE})
    assert len(intake.take().new) == 1
    assert rejected(rooms) == {}


def test_workspaces_are_numbered_and_never_redefined(rooms: Rooms, intake: Intake) -> None:
    put(rooms, {"workspace": WORKSPACE}, "1.json")
    put(rooms, {"workspace": {**WORKSPACE, "name": "other"}}, "2.json")
    put(rooms, {"workspace": WORKSPACE}, "3-again.json")
    put(rooms, {"workspace": {**WORKSPACE, "repo": "r2"}}, "4-repo.json")
    put(rooms, {"workspace": {**WORKSPACE, "branch": "dev"}}, "5-branch.json")
    put(rooms, {"workspace": {**WORKSPACE, "name": "my-workspace"}}, "6-folds.json")
    put(rooms, {"workspace": {**WORKSPACE, "name": "My Workspace"}}, "7-folds.json")
    intake.take()
    assert {index.name: index.number for index in registry.every(rooms)} == {
        "my workspace": 1,
        "other": 2,
    }
    assert rejected(rooms) == {
        "4-repo.json": "workspace_mismatch",
        "5-branch.json": "workspace_mismatch",
        "6-folds.json": "workspace_name_taken",
        "7-folds.json": "workspace_name_taken",
    }


def test_the_operator_may_force_a_workspace_onto_another_repository(
    rooms: Rooms, intake: Intake
) -> None:
    put(rooms, {"workspace": WORKSPACE}, "1.json")
    put(rooms, {"workspace": {**WORKSPACE, "repo": "r2"}, "force": True}, "2.json")
    put(rooms, {"workspace": {**WORKSPACE, "repo": "r3"}, "force": False}, "3.json")
    theirs = put(rooms, {"workspace": {**WORKSPACE, "repo": "r4"}, "force": True}, "4.json")
    own(theirs, 4321)
    intake.take()
    (index,) = registry.every(rooms)
    assert (index.repo, index.number) == ("r2", 1)
    assert rejected(rooms) == {"3.json": "workspace_mismatch", "4.json": "not_allowed"}


def own(path: Path, uid: int) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to another user")
    os.chown(path, uid, uid)


@pytest.mark.parametrize("number", [1, -1, 0])
def test_a_number_that_no_workspace_has_is_refused(
    rooms: Rooms, intake: Intake, number: int
) -> None:
    put(rooms, {"backend": "tpp", "action_id": "a", "workspace_id": number})
    intake.take()
    assert rejected(rooms) == {"a.json": "unknown_workspace"}


def test_a_request_is_taken_whoever_dropped_it_and_whatever_their_umask(
    rooms: Rooms, intake: Intake
) -> None:
    path = put(rooms, asked())
    path.chmod(0o600)
    own(path, 4321)
    (request,) = intake.take().new
    assert request.uid == 4321
    assert (rooms.running / "r1.json").stat().st_uid == os.geteuid()


# --- known identifiers


def test_the_same_request_again_changes_nothing(rooms: Rooms, intake: Intake) -> None:
    put(rooms, asked())
    intake.take()
    before = (rooms.running / "r1.json").read_bytes()
    put(rooms, asked(created_by="somebody else"), "again.json")
    taken = intake.take()
    assert (taken.new, taken.grown) == ([], [])
    assert (rooms.running / "r1.json").read_bytes() == before
    assert rejected(rooms) == {}


@pytest.mark.attack("another request comes under a known identifier")
@pytest.mark.parametrize(
    ("other", "kind"),
    [
        ({"identifier": "R1"}, "identifier_taken"),
        ({"sha": "b" * 40}, "identifier_taken"),
        ({"requested_actions": ["other"]}, "identifier_taken"),
        ({"force_run_dependencies": True}, "identifier_taken"),
        ({"workspace": {"name": "other"}}, "identifier_taken"),
        ({"workspace": {"branch": "other"}}, "identifier_taken"),
        ({"workspace": {"repo": "other"}}, "identifier_taken"),
    ],
    ids=str,
)
@pytest.mark.parametrize("known", ["in the same round", "active", "finished"])
def test_another_request_under_a_known_identifier_is_refused(
    rooms: Rooms, intake: Intake, other: dict[str, Any], kind: str, known: str
) -> None:
    put(rooms, asked(), "a.json")
    if known != "in the same round":
        (request,) = intake.take().new
        if known == "finished":
            finished(rooms, intake, request)
    put(rooms, asked(**other), "b.json")
    intake.take()
    assert rejected(rooms) == {"b.json": kind}


def test_a_known_identifier_for_the_workspace_of_another_number_is_refused(
    rooms: Rooms, intake: Intake
) -> None:
    put(rooms, {"workspace": WORKSPACE}, "1.json")
    put(rooms, {"workspace": {**WORKSPACE, "name": "other"}}, "2.json")
    given = {"identifier": "r1", "backend": "tpp", "action_id": "a"}
    put(rooms, {**given, "workspace_id": 1}, "3.json")
    put(rooms, {**given, "workspace_id": 1}, "4-same.json")
    put(rooms, {**given, "workspace_id": 2}, "5-other.json")
    assert identifiers(intake.take()) == ["r1"]
    assert rejected(rooms) == {"5-other.json": "identifier_taken"}


@pytest.mark.attack("a request takes over another repository's workspace")
def test_a_request_for_a_known_workspace_of_another_repository_is_refused(
    rooms: Rooms, intake: Intake
) -> None:
    put(rooms, asked(), "a.json")
    put(rooms, asked(identifier="r2", workspace={"repo": "other"}), "b.json")
    put(rooms, asked(identifier="r3", workspace={"db": "slice"}), "c.json")
    assert identifiers(intake.take()) == ["r1"]
    assert rejected(rooms) == {"b.json": "workspace_mismatch", "c.json": "workspace_mismatch"}


@pytest.mark.attack("a request's workspace differs from a known one only in case or by a space")
def test_workspaces_that_would_be_one_folder_are_never_mixed(rooms: Rooms, intake: Intake) -> None:
    put(rooms, asked(workspace={"name": "My work"}), "a.json")
    for number, name in enumerate(("my work", "My-work", "MY WORK")):
        put(rooms, asked(identifier=f"r{number + 2}", workspace={"name": name}), f"b{number}.json")
    assert identifiers(intake.take()) == ["r1"]
    assert set(rejected(rooms).values()) == {"workspace_name_taken"}
    assert len(rejected(rooms)) == 3


def test_new_cancellations_of_a_known_request_are_taken(rooms: Rooms, intake: Intake) -> None:
    put(rooms, asked())
    (request,) = intake.take().new
    put(rooms, asked(cancelled_actions=["x"]), "whole.json")
    put(rooms, asked(requested_actions=[], cancelled_actions=["y"]), "only.json")
    assert intake.take().grown == [request]
    kept = json.loads((rooms.running / "r1.json").read_bytes())
    assert sorted(kept["cancelled_actions"]) == ["x", "y"]


def test_a_cancellation_that_comes_with_its_request_counts(rooms: Rooms, intake: Intake) -> None:
    put(rooms, asked(), "a.json")
    put(rooms, asked(cancelled_actions=["x"]), "b.json")
    (request,) = intake.take().new
    assert request.cancelled_actions == ["x"]


@pytest.mark.attack("a user cancels another user's request through the inbox")
def test_nobody_cancels_what_another_user_asked_for(rooms: Rooms, intake: Intake) -> None:
    own(put(rooms, asked()), 4321)
    intake.take()
    own(put(rooms, asked(cancelled_actions=["x"]), "b.json"), 4322)
    assert intake.take().grown == []
    assert rejected(rooms) == {"b.json": "not_allowed"}
    own(put(rooms, asked(cancelled_actions=["x"]), "c.json"), 4321)
    assert len(intake.take().grown) == 1


@pytest.mark.attack("a finished request is dropped again")
def test_a_finished_request_is_never_run_again(rooms: Rooms, intake: Intake) -> None:
    put(rooms, asked())
    finished(rooms, intake, intake.take().new[0])
    put(rooms, asked(), "again.json")
    put(rooms, asked(cancelled_actions=["a"]), "cancelled.json")
    taken = intake.take()
    assert (taken.new, taken.grown, rejected(rooms)) == ([], [], {})
    assert is_empty(rooms.running)


def test_the_identifier_of_one_whose_file_is_gone_by_retention_stays_taken(
    rooms: Rooms, intake: Intake
) -> None:
    put(rooms, asked())
    finished(rooms, intake, intake.take().new[0]).unlink()
    put(rooms, asked(), "again.json")
    assert intake.take().new == []
    assert rejected(rooms) == {"again.json": "identifier_taken"}


# --- files of our own format


def test_a_finished_file_goes_back_to_done(rooms: Rooms, intake: Intake) -> None:
    put(rooms, asked())
    path = finished(rooms, intake, intake.take().new[0])
    before = path.read_bytes()
    path.rename(rooms.inbox / "r1.json")
    assert intake.take().new == []
    assert path.read_bytes() == before
    assert rejected(rooms) == {}


def test_a_copy_of_a_finished_file_is_a_duplicate(rooms: Rooms, intake: Intake) -> None:
    put(rooms, asked())
    shutil.copy(finished(rooms, intake, intake.take().new[0]), rooms.inbox)
    assert intake.take().new == []
    assert rejected(rooms) == {"r1.json": "duplicate"}


def test_a_copy_of_an_active_file_is_a_duplicate(rooms: Rooms, intake: Intake) -> None:
    put(rooms, asked())
    intake.take()
    shutil.copy(rooms.running / "r1.json", rooms.inbox)
    assert intake.take().new == []
    assert rejected(rooms) == {"r1.json": "duplicate"}


def test_an_active_file_that_was_moved_to_the_inbox_is_active_again(
    rooms: Rooms, intake: Intake
) -> None:
    put(rooms, asked())
    (request,) = intake.take().new
    before = (rooms.running / "r1.json").read_bytes()
    (rooms.running / "r1.json").rename(rooms.inbox / "r1.json")
    assert intake.take().grown == [request]
    assert (rooms.running / "r1.json").read_bytes() == before
    assert rejected(rooms) == {}
    assert intake._book.store.save([request]) == []  # and it does not count as withdrawn


def test_an_active_file_is_taken_up_by_a_runner_that_does_not_know_it(
    rooms: Rooms, intake: Intake, new_intake: NewIntake
) -> None:
    put(rooms, asked())
    (request,) = intake.take().new
    (rooms.running / "r1.json").rename(rooms.inbox / "r1.json")
    taken = new_intake().take()
    assert taken.new == [request]
    assert (rooms.running / "r1.json").exists()


@pytest.mark.attack("a forged request file of our own is dropped")
def test_only_the_operators_hand_puts_our_own_files_back(rooms: Rooms, intake: Intake) -> None:
    """It says what has run, and with which command: anybody could forge it."""
    put(rooms, asked())
    path = finished(rooms, intake, intake.take().new[0])
    own(path.rename(rooms.inbox / "r1.json"), 4321)
    intake.take()
    assert rejected(rooms) == {"r1.json": "not_allowed"}


# --- claims


def test_a_claim_that_a_crash_left_is_taken_once(rooms: Rooms, new_intake: NewIntake) -> None:
    given = asked()
    del given["identifier"]
    (rooms.claims / "token.json").write_text(json.dumps(given))
    assert identifiers(new_intake().take()) == ["token"]
    (rooms.claims / "token.json").write_text(json.dumps(given))  # killed before it was unlinked
    taken = new_intake().take()
    assert (taken.new, taken.grown, rejected(rooms)) == ([], [], {})
    assert is_empty(rooms.claims)


def test_a_claim_that_stands_in_the_inbox_too_is_taken_once(
    rooms: Rooms, new_intake: NewIntake
) -> None:
    """As a power cut leaves it on btrfs."""
    given = asked()
    del given["identifier"]
    path = put(rooms, given)
    os.link(path, rooms.claims / "token.json")
    intake = new_intake()
    assert len(intake.take().new) == 1
    assert intake.take().new == []
    assert is_empty(rooms.inbox)
    assert is_empty(rooms.claims)


def test_a_claim_that_is_opened_again_is_waited_for(rooms: Rooms, new_intake: NewIntake) -> None:
    """Between our look and our rename: its writer goes on in the file that we have moved."""
    intake, path = new_intake(), rooms.claims / "token.json"
    path.write_bytes(b"{")
    taken = intake.take()
    assert [one.wait for one in taken.left] == [Why.INCOMPLETE]
    with path.open("r+") as written:
        json.dump(asked(), written)
        written.flush()
        assert [one.wait for one in intake.take().left] == [Why.WRITTEN]
        assert is_empty(rooms.running)
    assert identifiers(intake.take()) == ["r1"]
    assert is_empty(rooms.claims)


@pytest.mark.attack("a claimed file turns out to be hostile")
def test_a_claim_that_is_hostile_is_put_aside(rooms: Rooms, new_intake: NewIntake) -> None:
    (rooms.claims / "a.json").symlink_to("/etc/passwd")
    os.mkfifo(rooms.claims / "b.json")
    new_intake().take()
    assert rejected(rooms) == {"a.json": "not_regular", "b.json": "not_regular"}


# --- the machine


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file immutable")
@pytest.mark.parametrize("content", [asked(), b"[]"], ids=["good", "bad"])
def test_a_file_that_cannot_be_moved_is_left_and_shown_and_the_others_are_taken(
    rooms: Rooms, intake: Intake, content: dict[str, Any] | bytes
) -> None:
    path = put(rooms, content, "a-stuck.json")
    put(rooms, asked(identifier="r2"), "b.json")
    subprocess.run(["chattr", "+i", str(path)], check=True, timeout=10)
    try:
        taken = intake.take()
        assert identifiers(taken) == ["r2"]
        assert [one.wait for one in taken.left] == [Why.STUCK]
        assert [one.wait for one in intake.take().left] == [Why.STUCK]
    finally:
        subprocess.run(["chattr", "-i", str(path)], check=True, timeout=10)
    assert is_empty(rooms.rejected)
    intake.take()
    assert is_empty(rooms.inbox)


def test_a_torn_file_of_ours_fails_one_request_and_not_the_runner(
    rooms: Rooms, intake: Intake
) -> None:
    registry.path_of(rooms, "torn").write_bytes(b"")
    put(rooms, asked(workspace={"name": "torn"}), "a.json")
    put(rooms, asked(identifier="r2"), "b.json")
    assert identifiers(intake.take()) == ["r2"]
    assert rejected(rooms) == {"a.json": "unreadable_record"}


# --- what people do in running/


def test_a_file_that_was_touched_but_not_changed_is_not_withdrawn(
    rooms: Rooms, intake: Intake, tmp_path: Path
) -> None:
    put(rooms, asked())
    (request,) = intake.take().new
    path = rooms.running / "r1.json"
    path.chmod(0o640)
    os.link(path, tmp_path / "backup")
    assert intake._book.store.save([request]) == []
    path.write_bytes(to_json(request).replace(b"tpp", b"xyz"))
    assert intake._book.store.save([request]) == [request]


@pytest.mark.parametrize(
    "put_there",
    [
        lambda rooms, path: path.rename(rooms.running / "other.json"),
        lambda rooms, path: shutil.copy(path, rooms.running / "other.json"),
        lambda rooms, path: (rooms.running / "other.json").mkdir(),
        lambda rooms, path: (rooms.running / "other.json").symlink_to("r1.json"),
        lambda rooms, path: (rooms.running / "other.json").symlink_to("nowhere"),
        lambda rooms, path: os.mkfifo(rooms.running / "other.json"),
        lambda rooms, path: (rooms.running / "other.json").write_bytes(b"{"),
    ],
    ids=["renamed", "copied", "folder", "link", "dangling", "fifo", "torn"],
)
def test_what_does_not_belong_in_running_is_named_at_the_start_and_does_not_stop_it(
    rooms: Rooms, intake: Intake, put_there: Callable[[Rooms, Path], object]
) -> None:
    put(rooms, asked())
    intake.take()
    put_there(rooms, rooms.running / "r1.json")
    requests, unreadable = Requests(rooms).load()
    assert [path.name for path, _ in unreadable] == ["other.json"]
    assert len(requests) == ((rooms.running / "r1.json").exists())


def test_a_finished_file_that_was_copied_back_to_running_is_a_duplicate(
    rooms: Rooms, intake: Intake
) -> None:
    put(rooms, asked())
    path = finished(rooms, intake, intake.take().new[0])
    shutil.copy(path, rooms.running)
    requests, unreadable = Requests(rooms).load()
    assert requests == []
    assert "done" in unreadable[0][1]


def test_one_file_in_running_and_done_is_mended(rooms: Rooms, intake: Intake) -> None:
    """As a power cut leaves it on btrfs (reference/spool.md 2.1, row c1)."""
    put(rooms, asked())
    path = finished(rooms, intake, intake.take().new[0])
    os.link(path, rooms.running / "r1.json")
    assert Requests(rooms).load() == ([], [])
    assert is_empty(rooms.running)
    assert path.exists()


def test_a_reason_is_never_left_without_its_file(rooms: Rooms, intake: Intake) -> None:
    from spoolrunner.errors import BadRequest

    with pytest.raises(FileNotFoundError):
        claims.reject(rooms, rooms.inbox / "gone", "gone", BadRequest("x"), "2026-11-22T10:00:00Z")
    assert is_empty(rooms.rejected)

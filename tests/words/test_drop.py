"""Every form of file that may be dropped, and each field that may be wrong in it."""

from typing import Any

import pytest

from spoolrunner import drop
from spoolrunner.errors import BadRequest
from spoolrunner.record import builtins
from spoolrunner.request import Job, Request, WorkspaceRef, job_identifier
from tests.spool.conftest import asked

REPO = "https://github.com/opensafely/job-integration-tests"
THEIRS = WorkspaceRef(name="my workspace", repo=REPO, branch="master", db="full")
WORKSPACE = {"name": "my workspace", "repo": REPO, "branch": "master", "db": "full"}


def read_request(**fields: Any) -> drop.Asked:
    read = drop.read(asked(**fields))
    assert isinstance(read, drop.Asked)
    return read


def ours(**fields: Any) -> dict[str, Any]:
    """A finished request as it lies in done/."""
    job = Job(identifier=job_identifier("r1", "make"), sequence=2, action="make")
    request = Request(
        identifier="r1",
        sequence=1,
        backend="tpp",
        workspace=WorkspaceRef(name="ws", repo=REPO, branch="main"),
        requested_actions=["make"],
        created_at="2026-11-22T10:00:00Z",
        completed_at="2026-11-23T10:00:00Z",
        jobs=[job],
    )
    return {**builtins(request), **fields}


def test_a_request_as_job_server_serves_it() -> None:
    read = read_request(created_by="jane", cancelled_actions=["x", "x"])
    assert (read.identifier, read.backend, read.sha) == ("r1", "tpp", "a" * 40)
    assert (read.requested_actions, read.cancelled_actions) == (["run_all"], ["x"])
    assert read.codelists_ok
    assert not read.force_run_dependencies
    assert isinstance(read.workspace, WorkspaceRef)
    assert read.workspace.db == "full"


def test_the_first_block_of_the_readme_registers_a_workspace() -> None:
    assert drop.read({"workspace": WORKSPACE}) == drop.Registration(THEIRS, force=False)


def test_the_second_block_of_the_readme_names_it_by_its_number() -> None:
    read = drop.read({"backend": "tpp", "action_id": "do_thing", "workspace_id": 1})
    assert isinstance(read, drop.Asked)
    assert (read.workspace, read.requested_actions, read.identifier) == (1, ["do_thing"], "")


def test_the_third_block_of_the_readme_carries_it() -> None:
    read = drop.read({"backend": "tpp", "action_id": "do_thing", "workspace": WORKSPACE})
    assert isinstance(read, drop.Asked)
    assert read.workspace == THEIRS


def test_database_name_may_stand_for_the_workspaces_db() -> None:
    given = asked(database_name="slice")
    del given["workspace"]["db"]
    read = drop.read(given)
    assert isinstance(read, drop.Asked)
    assert isinstance(read.workspace, WorkspaceRef)
    assert read.workspace.db == "slice"


@pytest.mark.parametrize("nothing", ["", None])
def test_without_identifier_and_sha_the_runner_chooses(nothing: str | None) -> None:
    read = read_request(identifier=nothing, sha=nothing)
    assert (read.identifier, read.sha) == ("", None)


def test_a_drop_may_only_cancel() -> None:
    read = read_request(requested_actions=[], cancelled_actions=["x"])
    assert (read.requested_actions, read.cancelled_actions) == ([], ["x"])


def test_a_source_that_nobody_knows_is_the_inbox() -> None:
    assert read_request(source="submit").source == "submit"
    assert read_request(source="job-server").source == "job-server"
    assert read_request(source="the moon").source == "inbox"


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ({"identifier": "../../etc"}, "bad_identifier"),
        ({"identifier": "a" * 65}, "bad_identifier"),
        ({"identifier": "-a"}, "bad_identifier"),
        ({"identifier": "a\n"}, "bad_identifier"),
        ({"identifier": 7}, "wrong_type"),
        ({"backend": None}, "wrong_type"),
        ({"sha": "main"}, "bad_sha"),
        ({"sha": "A" * 40}, "bad_sha"),
        ({"sha": 1}, "wrong_type"),
        ({"requested_actions": []}, "no_actions"),
        ({"requested_actions": "run_all"}, "wrong_type"),
        ({"requested_actions": [1]}, "wrong_type"),
        ({"requested_actions": [""]}, "wrong_type"),
        ({"requested_actions": ["a"] * 10_001}, "wrong_type"),
        ({"cancelled_actions": {}}, "wrong_type"),
        ({"force_run_dependencies": "yes"}, "wrong_type"),
        ({"codelists_ok": 1}, "wrong_type"),
        ({"workspace": {"name": "../.."}}, "bad_workspace_name"),
        ({"workspace": {"name": " a"}}, "bad_workspace_name"),
        ({"workspace": {"name": "a\n"}}, "bad_workspace_name"),
        ({"workspace": {"name": "a" * 101}}, "bad_workspace_name"),
        ({"workspace": {"name": 1}}, "wrong_type"),
        ({"workspace": {"repo": ""}}, "wrong_type"),
        ({"workspace": {"branch": "a\0b"}}, "wrong_type"),
        ({"workspace": {"db": "everything"}}, "unknown_database"),
        ({"workspace": {"db": ["full"]}}, "unknown_database"),
    ],
    ids=str,
)
def test_a_wrong_field_is_refused_by_its_kind(wrong: dict[str, Any], kind: str) -> None:
    with pytest.raises(BadRequest) as caught:
        drop.read(asked(**wrong))
    assert caught.value.kind == kind
    assert caught.value.public.isprintable()


@pytest.mark.attack("a request is for a workspace named {name}")
@pytest.mark.parametrize(
    "name",
    [
        *("../", "..", ".", ".git", "a/b", "a\\b", "/etc", "~", "-rf", "a/", "a" * 101),
        *(
            "a\n",
            "a\0",
            "a\u202eb",
            "a\u200bb",
            "w\u043erkspace",
            "\uff57s",
            "ws\u0301",
            "µ",
            "metadata/x",
        ),
    ],
)
def test_a_workspace_has_a_plain_name(name: str) -> None:
    with pytest.raises(BadRequest) as caught:
        drop.read(asked(workspace={"name": name}))
    assert caught.value.kind in ("bad_workspace_name", "wrong_type")
    assert caught.value.public.isprintable()


@pytest.mark.parametrize(
    "given",
    [
        {"backend": "tpp", "action_id": "a", "workspace_id": True},
        {"backend": "tpp", "action_id": "a", "workspace_id": "1"},
        {"backend": "tpp", "action_id": "a"},
        {"backend": "tpp", "action_id": "a", "workspace": "ws"},
        {"workspace": WORKSPACE, "force": "yes"},
    ],
)
def test_a_workspace_has_to_be_one(given: dict[str, Any]) -> None:
    with pytest.raises(BadRequest) as caught:
        drop.read(given)
    assert caught.value.kind == "wrong_type"


@pytest.mark.parametrize("given", [{}, {"backend": "tpp"}, {"workspace_id": 1}])
def test_what_asks_for_nothing_is_not_a_request(given: dict[str, Any]) -> None:
    with pytest.raises(BadRequest) as caught:
        drop.read(given)
    assert caught.value.kind == "not_a_request"


def test_a_file_of_our_own_format_is_recognised() -> None:
    read = drop.read(ours())
    assert isinstance(read, drop.Ours)
    assert read.request.jobs[0].action == "make"


@pytest.mark.parametrize(
    "forged",
    [
        {"identifier": "../../x"},
        {"workspace": {"name": "../..", "repo": REPO, "branch": "main"}},
        {"completed_at": "../../../../etc"},
        {"format": 99},
        {"jobs": [{"identifier": job_identifier("r1", "../x"), "sequence": 1, "action": "../x"}]},
        {"jobs": [{"identifier": "../x", "sequence": 1, "action": "make"}]},
        {"jobs": "none"},
        {"tomorrow": 1},
    ],
    ids=str,
)
def test_a_forged_file_of_our_own_format_is_refused(forged: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        drop.read(ours(**forged))


def test_a_workspaces_folder_has_no_spaces() -> None:
    assert drop.folder_name("my workspace") == "my-workspace"

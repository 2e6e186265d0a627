"""The first API: a queue that is claimed by PATCH, with a password."""

import json

import requests

from tests.rig.jobserver import JobServer
from tests.rig.test_jobserver.client import TIMEOUT_S

REPO = "https://github.com/opensafely/study"


def ask(server: JobServer, url: str, method: str = "GET", **fields: object) -> requests.Response:
    password = (server.queue.user, server.queue.password)
    data = json.dumps(fields) if fields else None
    return requests.request(method, url, auth=password, data=data, timeout=TIMEOUT_S)


def test_a_job_is_claimed_and_finished_by_patch(old: JobServer) -> None:
    workspace = old.queue.add_workspace("mine", REPO)
    pk = old.queue.add_job("do_thing", workspace, "tpp")
    (job,) = ask(old, f"{old.v1_endpoint}jobs/?started=False&backend=tpp").json()["results"]
    assert job["workspace"]["repo"] == REPO
    assert job["url"] == f"{old.v1_endpoint}jobs/{pk}/"
    claimed = ask(old, job["url"], "PATCH", started=True).json()
    assert (claimed["started"], claimed["completed_at"]) == (True, None)
    assert claimed["started_at"]
    made = [{"location": "output/x.csv"}]
    ask(old, job["url"], "PATCH", status_code=0, status_message="fine", outputs=made)
    row = old.queue.jobs[pk]
    assert (row["status_code"], row["status_message"], row["outputs"]) == (0, "fine", made)
    assert row["completed_at"]


def test_jobs_are_filtered_and_paged(old: JobServer) -> None:
    first, second = (old.queue.add_workspace(name, REPO) for name in ("one", "two"))
    old.queue.add_job("a", first, "tpp")
    needed = old.queue.add_job("b", second, "emis", started=True)
    old.queue.add_job("c", second, "tpp", needed_by_id=needed)
    expected = {
        "backend=tpp": ["a", "c"],
        "started=True": ["b"],
        f"workspace={second}": ["b", "c"],
        "action_id=c": ["c"],
        f"needed_by_id={needed}": ["c"],
        "page_size=2": ["a", "b"],
    }
    for query, actions in expected.items():
        found = ask(old, f"{old.v1_endpoint}jobs/?{query}").json()["results"]
        assert [job["action_id"] for job in found] == actions, query


def test_the_next_page_leads_to_the_rest(old: JobServer) -> None:
    workspace = old.queue.add_workspace("one", REPO)
    for action in "abc":
        old.queue.add_job(action, workspace, "tpp")
    page = ask(old, f"{old.v1_endpoint}jobs/?page_size=2").json()
    rest = ask(old, page["next"]).json()
    assert [job["action_id"] for job in rest["results"]] == ["c"]


def test_a_job_it_needs_is_added_by_post(old: JobServer) -> None:
    workspace = old.queue.add_workspace("one", REPO)
    fields = {"action_id": "a", "workspace_id": workspace, "backend": "tpp", "needed_by_id": 1}
    made = ask(old, f"{old.v1_endpoint}jobs/", "POST", **fields)
    assert made.status_code == 201
    assert old.queue.jobs[made.json()["pk"]]["needed_by_id"] == 1


def test_without_the_password_nothing_is_told(old: JobServer) -> None:
    for kind in ("jobs", "workspaces"):
        answer = requests.get(f"{old.v1_endpoint}{kind}/", timeout=TIMEOUT_S)
        assert answer.status_code == 401


def test_a_workspace_is_read_and_never_patched(old: JobServer) -> None:
    pk = old.queue.add_workspace("one", REPO, db="slice")
    url = f"{old.v1_endpoint}workspaces/{pk}/"
    assert ask(old, url).json()["db"] == "slice"
    assert ask(old, url, "PATCH", db="full").status_code == 405
    assert ask(old, f"{old.v1_endpoint}workspaces/99/").status_code == 404

"""What a report tells: locations as REPORT_OUTPUTS says, nothing that a job wrote, v1 and v2."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.rig.jobserver import JobServer
from tests.site import Site, head
from tests.system.conftest import NewSite

PROJECT = """\
version: "4.0"
actions:
  make:
    run: python:v2 sh make.sh
    outputs:
      highly_sensitive: {cohort: "out/cohort*.csv"}
      moderately_sensitive: {table: out/table.csv}
  bad:
    run: python:v2 sh -c "echo canary; echo canary >&2; exit 7"
    outputs:
      moderately_sensitive: {never: out/never.csv}
"""
ONE = "mkdir -p out; echo id > out/cohort1.csv; echo a > out/table.csv; echo canary"
OTHER = (
    "mkdir -p out; for i in 1 2 3; do echo $i > out/cohort$i.csv; done; echo 12345 > out/table.csv"
)
TIMES = re.compile(rb'"(created_at|updated_at|started_at|completed_at)":"[^"]*"')


@pytest.fixture
def server() -> Iterator[JobServer]:
    with JobServer() as one:
        yield one


def joined(new_site: NewSite, server: JobServer, name: str = "site", **settings: str) -> Site:
    given = {
        "BACKEND": "test",
        "USING_DUMMY_DATA_BACKEND": "true",
        "JOB_SERVER_ENDPOINT": server.endpoint,
        "JOB_SERVER_TOKEN": server.token("test"),
        "POLL_INTERVAL": "1",
    }
    return new_site(name, **given | settings)


def run(site: Site, server: JobServer, script: str, **fields: Any) -> str:
    study = site.study({"project.yaml": PROJECT, "make.sh": script})
    identifier = server.create_request(["make"], repo=str(study), sha=head(study), **fields)
    site.drain()
    assert server.request_status(identifier) == "succeeded"
    return identifier


@pytest.mark.parametrize(
    ("outputs", "told"),
    [
        ("none", []),
        (
            "declared",
            [
                "- out/table.csv (moderately_sensitive)",
                "- out/cohort*.csv (highly_sensitive)",
            ],
        ),
        (
            "all",
            [
                "- out/cohort1.csv (highly_sensitive)",
                "- out/cohort2.csv (highly_sensitive)",
                "- out/cohort3.csv (highly_sensitive)",
                "- out/table.csv (moderately_sensitive)",
            ],
        ),
    ],
)
def test_on_success_the_locations_of_outputs_are_told_as_far_as_the_setting_says(
    new_site: NewSite, server: JobServer, outputs: str, told: list[str]
) -> None:
    site = joined(new_site, server, REPORT_OUTPUTS=outputs)
    [job] = server.jobs(run(site, server, OTHER))
    assert job.status_message.split("\n")[2:] == told
    assert "Completed successfully" in job.status_message


def test_what_a_job_wrote_changes_no_byte_of_a_report_but_the_times(
    new_site: NewSite, server: JobServer
) -> None:
    """The same request of two commits that differ in the script alone, on two servers' spools."""
    said = []
    for name, script in (("first", ONE), ("second", OTHER)):
        before = len(server.posts)
        identifier = run(joined(new_site, server, name), server, script, workspace=name)
        [job] = server.jobs(identifier)
        bodies = [TIMES.sub(b"", post.body) for post in server.posts[before:]]
        end = bodies[-1].replace(identifier.encode(), b"R").replace(job.identifier.encode(), b"J")
        said.append(end)
    assert said[0] == said[1]
    assert b"succeeded" in said[0]


@pytest.mark.parametrize("era", ["2020", "2022-06"])
def test_a_v1_request_is_answered_at_its_address(new_site: NewSite, era: str) -> None:
    with JobServer(era) as server:
        check_v1_answers(new_site, server)


def check_v1_answers(new_site: NewSite, server: JobServer) -> None:
    queue = server.queue
    site = joined(new_site, server, JOB_SERVER_TOKEN=f"{queue.user}:{queue.password}")
    study = site.study({"project.yaml": PROJECT, "make.sh": ONE})
    number = queue.add_workspace("ws", str(study))
    rows = {action: queue.add_job(action, number, "test") for action in ("make", "bad")}
    for action, pk in rows.items():
        asked = {
            "url": f"{server.v1_endpoint}jobs/{pk}/",
            "backend": "test",
            "action_id": action,
            "workspace": {"name": "ws", "repo": str(study), "branch": "main", "db": "full"},
        }
        site.drop(asked, f"{action}.json")
    site.drain()
    made, bad = (queue.jobs[rows[action]] for action in ("make", "bad"))
    assert made["status_code"] == 0
    assert made["outputs"] == [{"location": "out/table.csv"}, {"location": "out/cohort*.csv"}]
    assert (bad["status_code"], bad["outputs"]) == (2, [])
    assert "canary" not in bad["status_message"]
    assert "canary" in site.do("logs", bad["status_message"].split()[-1].rstrip(").,"))
    assert list((site.spool / "outbox").glob("[!.]*.json")) == []
    lists_none = server.site.era == "2020"
    now = json.loads(site.do("status", "--json"))
    assert ("lists no job requests" in now["reports_fact"]) == lists_none
    assert ("lists no job requests" in site.do("status")) == lists_none
    # With USER:PASSWORD for a token, the listing of a later server is refused: somebody must act.
    assert ("token" in now["reports_trouble"]) == (not lists_none)

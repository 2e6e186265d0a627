"""A page of requests: each item on its own, none believed."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoolrunner import drop
from spoolrunner.request import job_identifier
from spoolrunner.wire import NotNow, Unusable, drop_of, error_jobs, items
from tests.jobserver.reports import NOW

ITEM: dict[str, Any] = {
    "identifier": "2p3adcpgmah3m2dw",
    "backend": "test",
    "sha": "4d5807d71cd6d8e1adda33998a568a4567127176",
    "requested_actions": ["analyse"],
    "cancelled_actions": [],
    "force_run_dependencies": False,
    "created_by": "researcher",
    "workspace": {"name": "ca", "repo": "https://github.com/o/s", "branch": "main", "db": "full"},
}


def page(*results: object, following: object = None) -> dict[str, object]:
    return {"count": len(results), "next": following, "previous": None, "results": list(results)}


def test_a_page_gives_its_items_and_the_next_address():
    read = items(page(ITEM, following="http://x/api/v2/job-requests/?offset=100"))
    assert read == ([ITEM], [], "http://x/api/v2/job-requests/?offset=100")


def test_the_drop_keeps_all_the_server_said_and_says_it_was_the_server():
    item = ITEM | {"codelists_ok": True, "orgs": ["o"], "of_next_year": {"a": [1]}}
    dropped = drop_of(items(page(item)).items[0])
    assert dropped == item | {"source": "job-server"}
    assert isinstance(drop.read(dropped), drop.Asked)


def test_todays_server_names_the_database_elsewhere():
    item = copy.deepcopy(ITEM) | {"database_name": "default"}
    del item["workspace"]["db"]
    assert items(page(item)).unusable == []


@pytest.mark.parametrize(
    ("item", "identifier"),
    [
        ("text", ""),
        (None, ""),
        ([], ""),
        ({}, ""),
        (ITEM | {"identifier": ""}, ""),
        (ITEM | {"identifier": 7}, ""),
        (ITEM | {"identifier": "../../etc"}, ""),
        (ITEM | {"identifier": "x" * 65}, ""),
        (ITEM | {"backend": None}, ITEM["identifier"]),
        (ITEM | {"requested_actions": "analyse"}, ITEM["identifier"]),
        (ITEM | {"requested_actions": [7]}, ITEM["identifier"]),
        (ITEM | {"workspace": 12}, ITEM["identifier"]),
        (ITEM | {"workspace": ITEM["workspace"] | {"name": "../x"}}, ITEM["identifier"]),
        (ITEM | {"sha": "HEAD"}, ITEM["identifier"]),
        (ITEM | {"created_by": "half a \ud800"}, ITEM["identifier"]),
        (ITEM | {"created_by": "x" * (1 << 20)}, ITEM["identifier"]),
        (ITEM | {"format": 1, "jobs": [], "sequence": 1}, ITEM["identifier"]),
        ({key: ITEM[key] for key in ("identifier", "workspace")}, ITEM["identifier"]),
    ],
)
def test_a_bad_item_is_told_of_and_holds_up_no_other(item, identifier):
    read = items(page(ITEM, item, ITEM))
    assert read.items == [ITEM, ITEM]
    assert [bad.identifier for bad in read.unusable] == [identifier]
    assert read.unusable[0].message


def test_an_item_nested_without_end_is_refused_and_not_followed():
    deep: list[object] = []
    for _ in range(5_000):
        deep = [deep]
    read = items(page(ITEM | {"of_next_year": deep}, ITEM))
    assert (len(read.items), [bad.kind for bad in read.unusable]) == (1, ["too_deep"])


@pytest.mark.parametrize(
    "answer",
    [None, [], "x", {}, {"results": {}}, page(following=7), page(following="x" * 9_999)],
)
def test_what_is_no_page_is_no_answer(answer):
    with pytest.raises(NotNow) as raised:
        items(answer)
    assert raised.value.kind == "not_job_server"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(ITEM)), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*ITEM, "format", "jobs", "sequence"]), anything))
def test_whatever_an_item_is_it_is_used_or_told_of(fields):
    read = items(page(ITEM | fields))
    assert len(read.items) + len(read.unusable) == 1
    assert all(isinstance(drop.read(drop_of(item)), drop.Asked) for item in read.items)


def test_the_server_is_told_of_an_item_that_could_not_be_taken():
    bad = Unusable("2p3adcpgmah3m2dw", "test", "workspace must be an object.", "wrong_type")
    (job,) = error_jobs(bad, NOW)
    assert job["identifier"] == job_identifier("2p3adcpgmah3m2dw", "__error__")
    assert (job["status"], job["completed_at"], job["run_command"]) == ("failed", NOW, "")
    assert job["status_message"] == "workspace must be an object."

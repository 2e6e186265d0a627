"""Public words: no report holds a byte that a job wrote, named, or made somebody else say."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spoolrunner import wire
from spoolrunner.errors import BadInput, CannotExpand, Refused, SpoolrunnerError, TryLater
from spoolrunner.outputs import Pattern, claim
from spoolrunner.request import Job, Level, Output, Request, Status, WorkspaceRef, reference_of
from spoolrunner.runner import jobs
from spoolrunner.verdict import Cause, Ending, verdict

# Letters that stand nowhere in our words, a request or a project.yaml.
PRIVATE = "ЖЩЮЪ"
private = st.text(PRIVATE + "/. \n", min_size=1, max_size=30).map(lambda text: f"Ж{text}")
levels = st.sampled_from(list(Level))
PATTERNS = [Pattern(Level.HIGH, "out/*.csv"), Pattern(Level.MODERATE, "out/*/t.csv")]


def a_request(*jobs: Job) -> Request:
    """In any way a job-server or a person asks for it."""
    return Request(
        identifier="r1",
        sequence=1,
        backend="test",
        workspace=WorkspaceRef(name="ws", repo="https://github.com/o/r", branch="main"),
        sha="c" * 40,
        requested_actions=["make"],
        created_at="2026-01-01T00:00:00Z",
        completed_at="2026-01-01T00:00:00Z",
        status=Status.FAILED,
        original={"url": "https://example.org/jobs/1/", "identifier": "r1"},
        jobs=list(jobs),
    )


def public(request: Request) -> str:
    """All that anybody outside is told of it."""
    declared = {"make": [(each.text, each.level) for each in PATTERNS]}
    told = [
        [
            wire.jobs_of(request, outputs=outputs, declared=declared)
            for outputs in ("none", "declared")
        ],
        [wire.v1_answer(request, outputs=each, declared=declared) for each in ("none", "declared")],
    ]
    return json.dumps(told, ensure_ascii=False)


@pytest.mark.attack("what a job wrote changes a byte of its report")
@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    names=st.lists(private, max_size=6),
    extra=st.lists(private, max_size=3),
    exit_code=st.integers(0, 255) | st.none(),
    cause=st.sampled_from(Cause),
    uses_db=st.booleans(),
    level=levels,
)
def test_whatever_a_job_leaves_nothing_of_it_is_in_its_report(
    names, extra, exit_code, cause, uses_db, level
):
    paths = [f"out/{name.replace('/', '')}.csv" for name in names]
    claims = claim(paths, PATTERNS)
    end = verdict(Ending(exit_code, cause, "", uses_db), claims.unmatched, len(paths), len(extra))
    job = Job(
        identifier="j1",
        sequence=1,
        action="make",
        run_command="python:v2 make.py",
        attempt=1,
        status=end.status,
        status_code=end.code,
        status_message=end.message,
        exit_code=exit_code,
        image_id="".join(extra),
        outputs={path: Output(level=level, size=1, sha256="".join(names)) for path in paths},
        unmatched_patterns=claims.unmatched,
        reference=reference_of("r1", "make", 1),
    )
    assert not set(public(a_request(job))) & set(PRIVATE)


@pytest.mark.attack("an exception is quoted in a report")
@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    detail=private,
    kind=st.sampled_from([BadInput, CannotExpand, Refused, TryLater, OSError, ValueError]),
)
def test_what_an_exception_says_is_in_no_report(detail, kind):
    """Of ours the message is public; what programs and the system said is its detail."""
    ours = issubclass(kind, SpoolrunnerError)
    error = jobs.bug(kind("In our words.", detail=detail) if ours else kind(detail))
    request = a_request()
    request.jobs = [jobs.refused(request, 1, error)]
    assert not set(public(request)) & set(PRIVATE)


@pytest.mark.attack("the number of files kept back shows in a report")
@given(kept_back=st.integers(0, 99), refused=st.integers(0, 99))
def test_how_many_files_were_kept_back_changes_no_byte_of_a_report(kept_back, refused):
    said = []
    for numbers in ((kept_back, refused), (0, 0)):
        end = verdict(Ending(0), [], *numbers)
        job = Job(
            identifier="j1",
            sequence=1,
            action="make",
            attempt=1,
            status=end.status,
            status_code=end.code,
            status_message=end.message,
        )
        said.append(public(a_request(job)))
    assert said[0] == said[1]

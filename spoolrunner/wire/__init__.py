"""What goes over the wire between us and job-server, in words: no HTTP, no clock, no disk.

    listing   a page of job requests -> what to drop in the inbox, and what can't be
    reports   a request file -> the jobs as the server wants to see them
    answers   what the server said to a report -> done, or whose turn it is

The server's ways, captured from the real one: reference/jobserver.md.
Knows: request, drop, outputs, verdict, record, errors.
"""

from spoolrunner.wire.answers import (
    NotNow,
    ReportRefused,
    check_posted,
    no_listing,
    not_now,
    parse,
    refusal,
)
from spoolrunner.wire.listing import Page, Unusable, drop_of, error_jobs, items
from spoolrunner.wire.reports import introduction, jobs_of, refreshed, v1_answer

__all__ = [
    "NotNow",
    "Page",
    "ReportRefused",
    "Unusable",
    "check_posted",
    "drop_of",
    "error_jobs",
    "introduction",
    "items",
    "jobs_of",
    "no_listing",
    "not_now",
    "parse",
    "refreshed",
    "refusal",
    "v1_answer",
]

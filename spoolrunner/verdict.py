"""Verdict: what a job came to, from how it ended and from what it left.

How it ended and which outputs were found are kept apart: HEAD lost "ran out of memory" whenever an
output was missing, which is when it matters (reference/opensafely.md 4.6). Messages are public.
Knows: request.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from spoolrunner.request import Code, Status

KILLED = 137


class Cause(StrEnum):
    """Who ended it. OWN: it ended by itself, or something we don't know ended it."""

    OWN = ""
    MEMORY = "out_of_memory"
    TIME = "timed_out"
    DISK = "disk_limit"
    PIDS = "pids_limit"
    LOG = "log_limit"
    USER = "user"
    ADMIN = "admin"


@dataclass(frozen=True)
class Ending:
    """How an attempt ended. limit: the limit that ended it, in words for people ("4.00GB", "12h").

    exit_code: None if it has none. uses_db: it was allowed to reach a database, which gives some
    exit codes a meaning.
    """

    exit_code: int | None
    cause: Cause = Cause.OWN
    limit: str = ""
    uses_db: bool = False


@dataclass(frozen=True)
class Verdict:
    status: Status
    code: Code
    message: str


def verdict(ending: Ending, unmatched: Sequence[str], kept_back: int, refused: int) -> Verdict:
    """unmatched: patterns without a file. kept_back, refused: numbers of outputs that were kept
    from medium privacy, and of files that patterns claimed but that could not be taken over."""
    if ending.cause is not Cause.OWN:
        code, message = _CAUSES[ending.cause]
        return Verdict(Status.FAILED, code, message.format(limit=_limit(ending.limit)))
    if ending.exit_code != 0:
        return Verdict(Status.FAILED, Code.NONZERO_EXIT, _exit_message(ending))
    if unmatched:
        return Verdict(Status.FAILED, Code.UNMATCHED_PATTERNS, _unmatched_message(unmatched))
    return Verdict(Status.SUCCEEDED, Code.SUCCEEDED, _success_message(kept_back, refused))


_CAUSES = {
    Cause.MEMORY: (Code.OUT_OF_MEMORY, "Job ran out of memory{limit}."),
    Cause.TIME: (Code.TIMED_OUT, "Job was stopped because it took too long{limit}."),
    Cause.DISK: (Code.DISK_LIMIT, "Job was stopped because it wrote too much to disk{limit}."),
    Cause.PIDS: (
        Code.PIDS_LIMIT,
        "Job was stopped because it ran too many processes and threads{limit}.",
    ),
    Cause.LOG: (Code.LOG_LIMIT, "Job was stopped because it said too much in its log{limit}."),
    Cause.USER: (Code.CANCELLED_BY_USER, "Cancelled by user."),
    Cause.ADMIN: (Code.KILLED_BY_ADMIN, "Killed by an administrator of this server."),
}

_DB_EXITS = {
    2: "The database job was given arguments it does not know.",
    3: "A temporary database error: run it again, and ask for support if it goes on.",
    4: "New data is being imported into the database: run it again in a few hours.",
    5: "Something went wrong with the database: ask for support.",  # job-server looks for this
    6: "The query is too complex for the database: simplify it.",
    10: "There is an error in the ehrQL definition: see the job's log.",
    11: "A data file given to the query is wrong: see the job's log.",
    12: "The project lacks a permission that the query needs.",
    13: "The assurance tests of the definition failed: see the job's log.",
    14: "The query was too slow and was stopped by the database.",
}


def _exit_message(ending: Ending) -> str:
    if ending.exit_code is None:
        return "Job ended without an exit code."
    said = f"Job exited with an error (exit code {ending.exit_code})."
    if ending.uses_db and ending.exit_code in _DB_EXITS:
        return f"{said} {_DB_EXITS[ending.exit_code]}"
    if ending.exit_code == KILLED:
        return f"{said} It was killed by something outside of spoolrunner or hit a memory limit."
    return said


def _limit(limit: str) -> str:
    return f" (limit was {limit})" if limit else ""


def _unmatched_message(unmatched: Sequence[str]) -> str:
    shown = ", ".join(unmatched[:10]) + (", ..." if len(unmatched) > 10 else "")
    return f"No outputs found matching: {shown}. The job's log names the files it made."


def neutral(verdict_code: Code, message: str) -> str:
    """The message for medium privacy, where patterns of more private outputs are not named."""
    if verdict_code is Code.UNMATCHED_PATTERNS:
        return "Some of its outputs were not found."
    return message


def _success_message(kept_back: int, refused: int) -> str:
    parts = ["Completed successfully."]
    if kept_back:
        parts.append(
            f"{_files(kept_back)} kept back from medium privacy; a note beside each says why."
        )
    if refused:
        parts.append(f"{_files(refused)} not taken over; the job's log says why.")
    return " ".join(parts)


def _files(number: int) -> str:
    return "1 output was" if number == 1 else f"{number} outputs were"

"""What git's complaints mean, and what we say about them in public.

Its exit status is 128 for a mistyped branch and for a cable pulled out alike, so its words are
sorted into reasons. What they say is for the private log only. Knows: errors.
"""

import re
from dataclasses import asdict, dataclass
from enum import Enum

from spoolrunner.errors import CannotExpand, SpoolrunnerError, TryLater


class Reason(Enum):
    """What git's complaint means. UNKNOWN: none of these, so perhaps what lies on our disk."""

    NO_REPOSITORY = "no repository"
    MOVED = "the repository has another address"
    LOGIN = "the server wants a name and a password"
    NO_BRANCH = "no branch"
    NO_COMMIT = "no commit"
    NO_FILE = "no file"
    UNSAFE = "git won't keep or lay out such a commit"
    DISK = "could not write"
    SIZE = "longer than allowed"
    LINE = "network, server or time limit"
    UNKNOWN = "unknown"


# The first that matches counts. The words are git's own (LC_ALL=C), seen with 2.39; if another
# version uses others, a definite answer becomes "try later", never the other way round.
WORDS = {
    Reason.DISK: "No space left|Disk quota|Read-only file"
    "|[Uu]nable to (write|create (?!.*File exists))",
    Reason.NO_COMMIT: "upload-pack: not our ref",
    Reason.NO_BRANCH: "couldn't find remote ref",
    Reason.NO_REPOSITORY: "^fatal: repository '.*' not found|not appear to be a git repository",
    Reason.MOVED: "returned error: 30[18]",
    Reason.LOGIN: "could not read (Username|Password)|Authentication failed|returned error: 401",
    Reason.UNSAFE: "fsck error|invalid path '|[Oo]ut of memory|malloc failed",
    Reason.LINE: "returned error: |RPC failed|unable to access|Could not resolve|timed out"
    "|early EOF|unexpected disconnect|hung up|expected flush|recv error|Connection",
}


class Failed(Exception):
    """git could not do it. said: for the private log only. reason: given, or by what it said."""

    def __init__(self, said: str, reason: Reason | None = None) -> None:
        super().__init__(said)
        self.said = said
        self.reason = reason or _reason(said)


def _reason(said: str) -> Reason:
    # What the far side says in its own words ("remote: ...") decides nothing.
    lines = [line for line in said.splitlines() if not line.startswith("remote: ")]
    for reason, words in WORDS.items():
        if any(re.search(words, line) for line in lines):
            return reason
    return Reason.UNKNOWN


@dataclass(frozen=True)
class Wanted:
    """What was asked for, as messages name it."""

    repo: str
    kind: str = "branch"
    ref: str = ""
    sha: str = ""
    path: str = ""


AGAIN = "It will be tried again."

# reason: kind, sentence, hint. Filled with the names that came with the request.
REFUSALS = {
    Reason.NO_REPOSITORY: (
        "no_such_repo",
        "The repository {repo} does not exist, or spoolrunner may not read it.",
        "Check its name; a private one needs PRIVATE_REPO_ACCESS_TOKEN.",
    ),
    Reason.MOVED: (
        "no_such_repo",
        "The repository {repo} has been renamed or moved.",
        "Use its present address.",
    ),
    Reason.NO_BRANCH: (
        "no_such_{kind}",
        "The repository {repo} has no {kind} {ref}.",
        "Has it been pushed?",
    ),
    Reason.NO_COMMIT: (
        "no_such_commit",
        "The repository {repo} has no commit {sha}.",
        "Has it been pushed?",
    ),
    Reason.NO_FILE: (
        "no_such_file",
        "The repository {repo} has no file {path} at commit {sha}.",
        "Has it been added to git, and committed?",
    ),
    Reason.SIZE: (
        "file_too_big",
        "The file {path} of {repo} is too large at commit {sha}.",
        "It may have 4 MiB.",
    ),
    Reason.UNSAFE: (
        "unsafe_commit",
        "The commit {sha} of {repo} can't be laid out: a path such as .git, or far too much.",
        "`git fsck --strict` in a clone of it may tell which.",
    ),
}


def explained(failure: Failed, wanted: Wanted, *, with_token: bool) -> SpoolrunnerError:
    reason, said = failure.reason, failure.said
    if reason is Reason.LOGIN and with_token:
        return TryLater(
            f"The token for {wanted.repo} was not accepted.",
            kind="token_refused",
            hint="The operator must renew PRIVATE_REPO_ACCESS_TOKEN.",
            detail=said,
        )
    if reason is Reason.DISK:
        return TryLater(
            f"The files of {wanted.repo} could not be written.",
            kind="cannot_write",
            hint="Is a disk full, or a folder not ours?",
            detail=said,
        )
    refused = Reason.NO_REPOSITORY if reason is Reason.LOGIN else reason
    if refused in REFUSALS:
        return refusal(refused, wanted, said)
    return TryLater(
        f"The repository {wanted.repo} can't be reached at the moment.",
        kind="git_unreachable",
        hint=AGAIN,
        detail=said,
    )


def refusal(reason: Reason, wanted: Wanted, said: str = "") -> CannotExpand:
    names = {name: printable(text) for name, text in asdict(wanted).items()}
    kind, message, hint = (text.format(**names) for text in REFUSALS[reason])
    return CannotExpand(message, kind=kind, hint=hint, detail=said)


def not_on_branch(wanted: Wanted) -> CannotExpand:
    return CannotExpand(
        f"The commit {wanted.sha} is not on branch {wanted.ref} of {wanted.repo}.",
        kind="commit_not_on_branch",
        hint="Push it to that branch, or ask for a commit that is on it.",
    )


def printable(text: str) -> str:
    """Of a name that somebody else chose, on one line."""
    return text[:200] if text.isprintable() else ascii(text[:200])

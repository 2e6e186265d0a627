"""The kinds of findings: what each one is, whose turn it is, and what --repair does about it.

The README's table is made from this one. A name here never changes its meaning: operators' scripts
look for it. Pure.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from spoolrunner.errors import Who


class Grade(StrEnum):
    """UNFIT: no runner could work. WRONG: somebody should act. NOTE: good to know, no more."""

    UNFIT = "unfit"
    WRONG = "wrong"
    NOTE = "note"


class Kind(NamedTuple):
    """what: one sentence. repair: what --repair does, "" if nothing."""

    grade: Grade
    who: Who
    what: str
    repair: str = ""


UNFIT, WRONG, NOTE = Grade.UNFIT, Grade.WRONG, Grade.NOTE
OPERATOR, NOBODY, RESEARCHER = Who.OPERATOR, Who.NOBODY, Who.RESEARCHER

KINDS: dict[str, Kind] = {
    # --- is everything fit to run
    "setting_unused": Kind(NOTE, NOBODY, "a setting of job-runner's that means nothing here"),
    "setting_risky": Kind(NOTE, OPERATOR, "a setting that works, but should be thought about"),
    "missing_room": Kind(UNFIT, OPERATOR, "a folder of the spool is not there", "makes it"),
    "open_room": Kind(
        UNFIT,
        OPERATOR,
        "a folder of the spool or the storage has the wrong mode or owner",
        "sets the mode; the owner is for root to change",
    ),
    "bad_filesystem": Kind(
        UNFIT, OPERATOR, "the spool lies on, or is split by, a filesystem that can't hold it"
    ),
    "bad_storage": Kind(UNFIT, OPERATOR, "a storage is not mounted, not marked, or the other one"),
    "no_executor": Kind(UNFIT, OPERATOR, "nothing is here to run jobs with, or it does not answer"),
    "no_images": Kind(UNFIT, OPERATOR, "none of the images that may be used is here"),
    "image_missing": Kind(
        NOTE, OPERATOR, "some of the images that may be used are not here: jobs would wait"
    ),
    "weak_executor": Kind(
        NOTE, OPERATOR, "what this machine can't enforce; with real data such jobs are refused"
    ),
    "no_git": Kind(UNFIT, OPERATOR, "git is not installed"),
    "open_mirror": Kind(
        WRONG, OPERATOR, "a repository of GIT_MIRROR_DIR can be written by others, or can't be read"
    ),
    "low_disk": Kind(
        UNFIT, OPERATOR, "less than MIN_FREE_DISK is free, or no inodes: nothing new is started"
    ),
    "clock_behind": Kind(WRONG, OPERATOR, "the clock is behind what this spool has seen"),
    "no_events": Kind(
        NOTE, OPERATOR, "the kernel's limit of watches is used up: drops are only seen by the timer"
    ),
    "cannot_start": Kind(UNFIT, OPERATOR, "a runner would refuse to start, for the reason told"),
    # --- does the spool hold together
    "newer_format": Kind(
        UNFIT, OPERATOR, "a file that a later version wrote: go on with that version"
    ),
    "torn_file": Kind(
        WRONG,
        OPERATOR,
        "a file of ours that is torn, or holds what none of ours does",
        "moves it to rejected/ with the reason",
    ),
    "unread_file": Kind(
        WRONG,
        OPERATOR,
        "a file of ours that can't be read: the disk fails, or it is somebody else's",
    ),
    "wrong_name": Kind(
        WRONG,
        OPERATOR,
        "a request file that is not named by its identifier, or lies under another day",
        "moves it to rejected/ with the reason; under another day: moves it there",
    ),
    "two_rooms": Kind(
        WRONG,
        OPERATOR,
        "a request both active and finished",
        "the later room wins: the active file goes to rejected/, or is unlinked if it is "
        "the same file",
    ),
    "stranger": Kind(
        WRONG,
        OPERATOR,
        "something that is none of ours in a room of ours",
        "moves it to rejected/ with the reason",
    ),
    "stray_draft": Kind(
        WRONG,
        NOBODY,
        "a file half written when its writer was killed; the next writer would replace it",
        "removes it; in the inbox: moves it to rejected/",
    ),
    "left_claim": Kind(
        NOTE, NOBODY, "a dropped file that was claimed and not dealt with: the next runner reads it"
    ),
    "torn_recent": Kind(
        WRONG,
        NOBODY,
        "recent.json is torn; `status` shows nothing that ended",
        "makes it again from the newest of done/",
    ),
    "sequence_behind": Kind(
        UNFIT,
        OPERATOR,
        "the sequence number on disk is torn, or was used already",
        "sets it beyond every one that is known",
    ),
    "done_without_index": Kind(
        WRONG,
        OPERATOR,
        "a finished request that index/ does not know, or knows elsewhere: its identifier "
        "could be used again",
        "enters it",
    ),
    "index_without_request": Kind(
        NOTE, NOBODY, "a finished request whose file is gone; its identifier stays taken"
    ),
    "container_without_job": Kind(
        WRONG,
        NOBODY,
        "a container of this spool whose job is not active: the next start clears it",
        "clears it",
    ),
    "job_without_container": Kind(
        NOTE, NOBODY, "a running job whose container is gone: the runner starts it again"
    ),
    "folder_without_job": Kind(
        WRONG, NOBODY, "a job folder whose job is not active: the next start clears it", "clears it"
    ),
    "unfinished_publication": Kind(
        WRONG,
        NOBODY,
        "a publication that was begun and whose job is not active: nobody reads what the "
        "action made until a start finishes it",
        "finishes it",
    ),
    "output_gone": Kind(
        WRONG,
        RESEARCHER,
        "a published output is not there: the next run that needs it makes it again",
    ),
    "output_changed": Kind(
        WRONG, RESEARCHER, "a published output is not what was published: run the action again"
    ),
    "not_released": Kind(
        WRONG,
        OPERATOR,
        "a file at medium privacy that no manifest releases: look whether it may be there",
    ),
    "medium_missing": Kind(
        WRONG,
        OPERATOR,
        "a released output, or the note about one, is not at medium privacy",
        "copies it there again",
    ),
    "medium_differs": Kind(
        WRONG,
        OPERATOR,
        "a file at medium privacy is not what was released",
        "puts the released one in its place",
    ),
    "manifest_disagrees": Kind(
        WRONG,
        OPERATOR,
        "a manifest is torn, or does not tell of what is published",
        "writes it again from the workspace's index; a torn one is kept beside it",
    ),
    "index_disagrees": Kind(
        WRONG,
        OPERATOR,
        "workspaces/NAME.json is torn, or does not tell what done/ does",
        "makes it again from all of done/; a torn one goes to rejected/",
    ),
    "report_lost": Kind(
        WRONG,
        OPERATOR,
        "a report that is torn, or of a request nobody knows",
        "moves it to rejected/ with the reason, and writes the last report of a finished "
        "request anew",
    ),
    "report_refused": Kind(
        WRONG, OPERATOR, "job-server would not take the last report of a request"
    ),
    "audit_torn": Kind(
        NOTE,
        NOBODY,
        "a line of the audit that was never finished; nothing that it tells of was done",
    ),
    "audit_broken": Kind(
        WRONG,
        OPERATOR,
        "a line of the audit that does not follow the one before it: one was changed or taken out",
    ),
}


@dataclass(frozen=True)
class Finding:
    """where: a path or a name. what: this one, in a sentence. mend: the deed, or None."""

    kind: str
    where: str
    what: str
    mend: Callable[[], object] | None = field(default=None, compare=False)

    @property
    def about(self) -> Kind:
        return KINDS[self.kind]

    @property
    def repair(self) -> str:
        return self.about.repair if self.mend else ""


def table_for_readme() -> str:
    """The table as markdown, as it stands in OPERATING.md between its `findings` marks."""
    rows = ["| kind | grade | what | whose turn | `--repair` |", "|---|---|---|---|---|"]
    rows += [
        f"| `{name}` | {kind.grade} | {kind.what} | {kind.who} | {kind.repair or '-'} |"
        for name, kind in KINDS.items()
    ]
    return "\n".join(rows) + "\n"

"""The plan: which actions run, which are reused, whose outputs each reads, and who starts next.

    make     a new request: what of it runs, needs first
    replan   a run of another request that jobs here wait for is cancelled: do without it
    choose   of the jobs that could start now, those that do

Every action meets one verdict, and what it needs is looked at only if it runs. So a reused action
is reused as it is, even where something it was once made from runs again: whoever asks for one
action does not get half the study made anew, but is told (`Plan.notes`).
Pure: no clock, no disk. Knows: request, errors.
"""

from spoolrunner.plan.expand import Existing, Plan, Planned, Replanned, make, replan
from spoolrunner.plan.order import (
    Candidate,
    Choice,
    Load,
    Reader,
    blocked_by_readers,
    choose,
    load_of,
)
from spoolrunner.plan.verdict import Files, Known, State, Why, decide

__all__ = [
    "Candidate",
    "Choice",
    "Existing",
    "Files",
    "Known",
    "Load",
    "Plan",
    "Planned",
    "Reader",
    "Replanned",
    "State",
    "Why",
    "blocked_by_readers",
    "choose",
    "decide",
    "load_of",
    "make",
    "replan",
]

"""Drafts that a killed mover left, in the rooms where no later write takes their names.

Elsewhere the next version of a file is written over its draft: of 93 places to be killed at, three
rooms kept one. In inbox/ a draft is its submitter's, who may only be slow: that one is for
`check --repair`. Knows: files, rooms, outbox.
"""

import os

from spoolrunner import files
from spoolrunner.spool import outbox
from spoolrunner.spool.rooms import Rooms

# Of what others than the mover write there, and write again.
THEIRS = {"outbox": (outbox.TROUBLE, outbox.FACT), "rejected": ()}


def clear(rooms: Rooms) -> None:
    """Remove them. For the mover alone, before it writes anything there."""
    with files.Changes() as disk:
        for room, others in THEIRS.items():
            folder = rooms.folder / room
            alive = {files.draft_of(folder / name).name for name in others}
            for name in os.listdir(folder):
                if name.startswith(files.DRAFT) and name not in alive:
                    disk.remove(folder / name)

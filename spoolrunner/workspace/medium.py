"""Medium privacy put right: what the manifest releases is brought there again.

For `check`; a job's own outputs are brought there by publishing.
"""

import os

from spoolrunner import files, reflink
from spoolrunner.index import Mark
from spoolrunner.workspace import publishing, staging
from spoolrunner.workspace.places import Places
from spoolrunner.workspace.storage import SHARED_FILE


def release(places: Places, path: str, mark: Mark) -> None:
    """Copy a released output again, if what lies at high privacy is still what was published."""
    source = os.open(places.high / path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        if staging.digest(source) != mark.sha256:
            return
        places.storage.share((places.medium / path).parent)
        with files.Changes() as disk:
            reflink.publish_copy(disk, source, places.medium / path, SHARED_FILE)
    finally:
        os.close(source)


def write_note(places: Places, path: str, text: str) -> None:
    with files.Changes() as disk:
        publishing.write_note(disk, places, places.medium / path, text)

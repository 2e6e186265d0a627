"""A real runner that is killed, by a real SIGKILL, at the moment it calls a chosen function.

python -m tests.system.dying MODULE:CLASS.METHOD[#N] run --drain        at its N-th call, else 1
python -m tests.system.dying --noted MODULE:CLASS.METHOD[#N] run ...    no file is small: notes
python -m tests.system.dying --noted never run ...                      nothing dies
"""

import importlib
import os
import signal
import sys
from typing import Any

from spoolrunner import notebook
from spoolrunner.cli import main


def arm(where: str) -> None:
    place, _, times = where.partition("#")
    module, _, path = place.partition(":")
    *owners, name = path.split(".")
    owner: Any = importlib.import_module(module)
    for word in owners:
        owner = getattr(owner, word)
    whole = getattr(owner, name)  # one that is gone must fail the test, not spare the runner
    left = int(times or 1)

    def die(*values: Any, **named: Any) -> Any:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(*values, **named)

    setattr(owner, name, die)


if __name__ == "__main__":
    words = sys.argv[1:]
    if words[0] == "--noted":
        notebook.SMALL_BYTES = 0
        words = words[1:]
    if words[0] != "never":
        arm(words[0])
    main(words[1:])

"""A real runner that is killed, by a real SIGKILL, at the moment it calls a chosen function.

python -m tests.system.dying MODULE:CLASS.METHOD run --drain
"""

import importlib
import os
import signal
import sys
from typing import Any

from spoolrunner.cli import main


def die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(where: str) -> None:
    module, _, path = where.partition(":")
    *owners, name = path.split(".")
    owner: Any = importlib.import_module(module)
    for word in owners:
        owner = getattr(owner, word)
    getattr(owner, name)  # a function that is gone must fail the test, not spare the runner
    setattr(owner, name, die)


if __name__ == "__main__":
    arm(sys.argv[1])
    main(sys.argv[2:])

"""The command line as a user who owns nothing and is in no group.

python -m tests.system.nobody status
python -m tests.system.nobody +GID status       but is in that one group

Everything is loaded before root becomes that user, who may not be able to reach this clone or its
Python (in /root, say).
"""

import importlib
import os
import pkgutil
import sys

import spoolrunner
from spoolrunner.cli import main

NOBODY = 65534

if __name__ == "__main__":
    names = [each.name for each in pkgutil.walk_packages(spoolrunner.__path__, "spoolrunner.")]
    for name in {*names, "filelock"} - {"spoolrunner.__main__"}:  # lock loads it when it is needed
        importlib.import_module(name)
    words = sys.argv[1:]
    groups = [int(words.pop(0))] if words[0].startswith("+") else []
    os.setgroups(groups)
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    main(words)

"""Run by a test as a user who is not root: one job in the sandbox; prints what came of it."""

import json
import os
import sys
from pathlib import Path

from spoolrunner.executor import Exit, Launch
from spoolrunner.executor.process import ProcessExecutor

base = Path(sys.argv[1])
folder = base / "work"
folder.mkdir()
executor = ProcessExecutor("00000000", folder=base / "executor")
script = "id -u > uid; grep : /proc/net/dev | cut -d: -f1 > interfaces; ! touch /x && exit 7"
launch = Launch(
    name="sr-00000000-job-1",
    image="busybox:latest",
    arguments=("sh", "-c", script),
    folder=folder,
    log=base / "log",
    user=(os.geteuid(), os.getegid()),
)
executor.start(launch)
executor.wait(launch.name, 60)
ended = executor.look(launch.name)
status = str(ended.status) if isinstance(ended, Exit) else ""
seen = [(folder / name).read_text().strip() for name in ("uid", "interfaces")]
executor.clear(launch.name)
print(json.dumps([*seen, status]))

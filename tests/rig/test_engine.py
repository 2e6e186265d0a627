"""The engine of our own goes when its tests go, however they go."""

import signal
import subprocess
import sys
from pathlib import Path

from tests.rig import engine, images

KILLED = """
import os, signal, sys
from pathlib import Path
from tests.rig import engine, images
with engine.engine("--live-restore") as one:
    one.load(Path(sys.argv[1]))
    containers = one.client().containers
    containers.run(images.BUSYBOX, ["sleep", "1000"], detach=True, network_mode="none")
    print(one.socket, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_run_leaves_the_next_clears_away(engine_needed: None) -> None:
    command = [sys.executable, "-c", KILLED, images.archive()]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    folder = Path(done.stdout.removeprefix("unix://").strip()).parent
    assert str(folder) in Path("/proc/self/mounts").read_text()
    with engine.engine() as one:
        assert not folder.exists()
        assert str(folder) not in Path("/proc/self/mounts").read_text()
        assert one.containers() == []

"""python -m tests.attacks [pytest's arguments]: see table.py."""

import sys

import pytest

from tests.attacks.table import Recorder, write

recorder = Recorder()
status = pytest.main(["-m", "attack", "-q", *sys.argv[1:]], plugins=[recorder])
write(recorder.ends)
names = {name for name, _ in recorder.ends}
print(f"{len(names)} attacks, {list(recorder.ends.values()).count(False)} got through")
sys.exit(status)

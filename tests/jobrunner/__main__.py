"""Random histories of many installations: `python -m tests.jobrunner [N]`, 20 if nobody says."""

import os
import sys
from pathlib import Path

import pytest

os.environ["INSTALLATIONS"] = sys.argv[1] if sys.argv[1:] else "20"
sys.exit(pytest.main([str(Path(__file__).with_name("test_reuse.py")), "-q", "-x"]))

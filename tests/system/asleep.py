"""A real runner that can sleep under libfaketime 0.9.10, which fails each `clock_nanosleep` to a
point of the monotonic clock (EINVAL), and that is what Python's `time.sleep` calls.

python -m tests.system.asleep run
"""

import select
import sys
import time

from spoolrunner.cli import main

if __name__ == "__main__":
    time.sleep = lambda seconds: select.select([], [], [], seconds) and None
    main(sys.argv[1:])

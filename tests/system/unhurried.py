"""A real runner that looks again at a job's image, or with nothing having happened, in an hour.

python -m tests.system.unhurried run
"""

import sys

from spoolrunner.cli import main
from spoolrunner.runner import line, mover

if __name__ == "__main__":
    mover.LONGEST_WAIT_S = line.HOLD_S = 3600.0
    main(sys.argv[1:])

"""A real runner that tells of all that takes any time.

python -m tests.system.talkative run
"""

import sys

from spoolrunner.cli import main
from spoolrunner.runner import headways, house

if __name__ == "__main__":
    house.HEADWAY_EVERY_S = headways.LOG_EVERY_S = 0.0
    main(sys.argv[1:])

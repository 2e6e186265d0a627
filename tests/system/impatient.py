"""A real runner that leaves an engine after a second, and a git host at the second failure.

python -m tests.system.impatient run
"""

import sys

from spoolrunner.checkout import Studies
from spoolrunner.cli import main
from spoolrunner.executor.docker import DockerExecutor

if __name__ == "__main__":
    DockerExecutor.__init__.__kwdefaults__["timeout_s"] = 1.0
    Studies.__init__.__kwdefaults__["waits_s"] = (0,)
    main(sys.argv[1:])

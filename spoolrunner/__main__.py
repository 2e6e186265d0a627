"""`python -m spoolrunner`: the same as the console script."""

from spoolrunner.cli import main

main()

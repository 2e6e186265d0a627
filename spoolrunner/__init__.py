"""spoolrunner: run OpenSAFELY-style studies on sealed servers, from a queue that is only files.

A job request is one JSON file. The room it lies in is its state. Whoever holds the mover's lock may
move it, and does the next thing the file says is not yet done.
"""

__version__ = "0.1.0"

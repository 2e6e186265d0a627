"""A job's log as the keeper leaves it: one growing file, its middle cut out when it got too long.

The cut is a hole in the file, so it is seen by asking the filesystem where the data is.
Knows: files.
"""

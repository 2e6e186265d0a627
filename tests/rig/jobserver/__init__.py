"""A job-server for tests and demonstrations: it behaves as the real one was seen to, and worse.

What was captured from the real one, of June 2022 and of August 2026 (era="2020" has the first API
alone), is in site (its rules),
serializer (what it takes), v2 and v1 (its answers). faults is how it lets a runner down, line is
the HTTP, server puts it together. `python -m tests.rig.jobserver --help` runs it by hand.
"""

from tests.rig.jobserver.server import JobServer
from tests.rig.jobserver.site import Job, Mail, NotStarted, Request

__all__ = ["Job", "JobServer", "Mail", "NotStarted", "Request"]

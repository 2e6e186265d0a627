"""Crash safety that is proven: stopped at every call, failed at every call, cut off from power.

    python -m tests.crash.points     killed before and after each call that changes a disk
    python -m tests.crash.faults     each such call fails once
    python -m tests.crash.lasting    ... and all after it, until the cause is removed
    python -m tests.crash.injected   the n-th call of a name fails, by strace
    python -m tests.crash.keeper     a job's keeper is killed or fails at each call of its own
    python -m tests.crash.engine     killed at each question to a docker engine
    python -m tests.crash.power      what was not flushed is lost, in every way that was seen
    python -m tests.crash.races      many at once on one spool, killed at random
    python -m tests.crash.plant      bugs planted one at a time: what catches each

calls sees the calls, hooked runs the commands under it, life has them do all that requests go
through, and invariants says what must hold after any of it (spool/README.md, "What always holds").
"""

"""The runner: the mover, which alone changes request files, and the job lines it starts.

The mover's thread does no git, no engine, no HTTP and no copying: one slow repository must not
stop a start, a report or a cancel. What takes time runs in threads, which tell the mover what
became of it. Everything here may be killed at any moment; a restart walks the same lines again.
"""

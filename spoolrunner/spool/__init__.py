"""The spool on disk: its rooms, the inbox, claims, request files and known workspaces.

A request is in exactly one room; the room is its state. `spool/README.md` is the protocol: who may
write where, in what order. Knows: files, and the words. Does not know: git, executors, storage.
"""

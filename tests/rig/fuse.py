"""A real FUSE filesystem: one empty folder, served by a thread straight from /dev/fuse.

The kernel's protocol in its smallest form (linux/fuse.h, version 7.31): the greeting, what the
folder is, and "not here" to all else. Needs root; mounts are gone at the end of the block.
"""

import contextlib
import ctypes
import os
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

INIT, GETATTR = 26, 3
NOT_HERE = -38  # ENOSYS
REQUEST = "<IIQQIIII"  # length, opcode, unique, node, uid, gid, pid, padding
DETACH = 2
FOLDER = struct.pack("<6Q10I", 1, *[0] * 5, *[0] * 3, 0o40755, 2, 0, 0, 0, 4096, 0)
GREETING = struct.pack("<4I2H2I2H7I", 7, 31, *[0] * 4, 4096, 1, 0, 0, *[0] * 7)

libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def mounted(folder: Path) -> Iterator[None]:
    """Raises OSError if this machine does not let us."""
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    if libc.mount(b"probe", os.fsencode(folder), b"fuse.probe", 0, options):
        raise OSError(ctypes.get_errno(), "mount of a FUSE filesystem")
    threading.Thread(target=_serve, args=(device,), daemon=True).start()
    try:
        yield
    finally:
        libc.umount2(os.fsencode(folder), DETACH)


def _serve(device: int) -> None:
    with contextlib.suppress(OSError):  # ENODEV: it was unmounted
        while request := os.read(device, 1 << 20):
            _, opcode, unique, *_ = struct.unpack_from(REQUEST, request)
            os.write(device, _answer(opcode, unique))
    os.close(device)


def _answer(opcode: int, unique: int) -> bytes:
    if opcode == INIT:
        return _packed(unique, GREETING)
    if opcode == GETATTR:
        return _packed(unique, struct.pack("<QII", 1, 0, 0) + FOLDER)
    return _packed(unique, b"", NOT_HERE)


def _packed(unique: int, body: bytes, error: int = 0) -> bytes:
    return struct.pack("<IiQ", 16 + len(body), error, unique) + body

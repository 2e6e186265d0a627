"""Fit: could a runner start here, and would it have what jobs need?

Nothing is asked that costs more than a second or changes anything: job-server is not called, no
image is pulled, no container made.
"""

import os
import shutil
import stat
import time
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path

from spoolrunner import files
from spoolrunner.check.ground import Ground, names
from spoolrunner.check.kinds import Finding, Grade
from spoolrunner.errors import BadMachine, SpoolrunnerError
from spoolrunner.spool import filesystem
from spoolrunner.spool.requests import SEQUENCE
from spoolrunner.spool.rooms import GROUP_MODE, HIDDEN, INBOX_MODE, LOCKS_MODE, MARKER, ROOMS
from spoolrunner.wake import Wake

CLOCK_SLACK_S = 60.0
FEW_INODES = 1000


def fit(ground: Ground) -> Iterator[Finding]:
    found = list(chain.from_iterable(look(ground) for look in LOOKS))
    yield from found
    if all(finding.about.grade is not Grade.UNFIT for finding in found):
        yield from _start(ground)


def _settings(ground: Ground) -> Iterator[Finding]:
    for name in ground.config.ignored:
        yield Finding("setting_unused", name, "It is accepted and not used.")
    for sentence in ground.config.warnings:
        yield Finding("setting_risky", "settings", sentence)


def _rooms(ground: Ground) -> Iterator[Finding]:
    for name in (*ROOMS, *HIDDEN, "inbox"):
        path = ground.rooms.folder / name
        try:
            about = os.lstat(path)
        except FileNotFoundError:
            yield Finding("missing_room", str(path), "It is not there.", ground.mend_rooms)
            continue
        ground.count("rooms")
        right = about.st_mode & 0o777 in (files.PRIVATE_FOLDER, GROUP_MODE, LOCKS_MODE)
        if name == "inbox":
            right = stat.S_IMODE(about.st_mode) == INBOX_MODE
        yield from _open(path, about, right, ground.mend_rooms)


def _open(path: Path, about: os.stat_result, right: bool, mend: object) -> Iterator[Finding]:
    shown = f"Its mode is {stat.S_IMODE(about.st_mode):o}, its owner {about.st_uid}."
    if about.st_uid != os.geteuid():
        yield Finding("open_room", str(path), shown)
    elif not right:
        yield Finding("open_room", str(path), shown, mend if callable(mend) else None)


def _filesystem(ground: Ground) -> Iterator[Finding]:
    folder, marked = ground.rooms.folder, ground.rooms.marker.filesystem
    kind = filesystem.type_of(folder)
    if filesystem.is_refused(kind) or (kind in filesystem.FORGETFUL and kind != marked):
        yield Finding("bad_filesystem", str(folder), f"It lies on {kind} now.")
    try:
        filesystem.check_whole([folder / name for name in (*ROOMS, *HIDDEN, "inbox")])
    except BadMachine as error:
        yield Finding("bad_filesystem", str(folder), error.message)


def _storage(ground: Ground) -> Iterator[Finding]:
    storage = ground.storage
    try:
        storage.check(real_data=not ground.config.dummy_data)
    except BadMachine as error:
        yield Finding("bad_storage", str(storage.high), error.public)
        return
    for path, mode in storage.modes().items():
        try:
            about = path.stat()
        except FileNotFoundError:
            yield Finding("missing_room", str(path), "It is not there.", storage.prepare)
            continue
        mend = partial(files.set_owner, path, mode, None)
        # Tighter than we make it is the operator's business; a bit more is everybody's.
        yield from _open(path, about, stat.S_IMODE(about.st_mode) & ~mode == 0, mend)


def _executor(ground: Ground) -> Iterator[Finding]:
    try:
        executor = ground.executor()
        lacking = executor.shortcomings()
        here = executor.runtimes(ground.config.docker_registry)
    except SpoolrunnerError as error:
        yield Finding("no_executor", "executor", error.public)
        return
    for sentence in lacking:
        yield Finding("weak_executor", executor.name, sentence)
    absent = [name for name in ground.config.allowed_images if name not in here]
    kind = "image_missing" if len(absent) < len(ground.config.allowed_images) else "no_images"
    if absent:
        yield Finding(kind, executor.name, f"Not here: {', '.join(absent)}.")


def _git(ground: Ground) -> Iterator[Finding]:
    if shutil.which("git") is None:
        yield Finding("no_git", "PATH", "There is no program git on the PATH.")
    mirror = ground.config.git_mirror_dir
    for owner in names(mirror) if mirror else ():
        for name in names(mirror / owner) if mirror else ():
            yield from _mirrored(mirror / owner / name) if mirror else ()


def _mirrored(path: Path) -> Iterator[Finding]:
    try:
        about = path.stat()
    except OSError:  # such as a link that leads nowhere
        yield Finding("open_mirror", str(path), "The runner can't read it.")
        return
    if about.st_uid not in (0, os.geteuid()) or about.st_mode & 0o022:
        yield Finding("open_mirror", str(path), "Others than root and the runner can write in it.")
    elif not os.access(path / "objects", os.R_OK | os.X_OK):
        yield Finding("open_mirror", str(path), "The runner can't read it.")


def _disk(ground: Ground) -> Iterator[Finding]:
    least = ground.config.min_free_disk_bytes
    for folder in (ground.rooms.folder, ground.storage.high, ground.storage.medium):
        if not folder.exists():
            continue
        free, about = shutil.disk_usage(folder).free, os.statvfs(folder)
        if free < least:
            what = f"{free / 1e9:.1f} GB are free, MIN_FREE_DISK is {least / 1e9:.1f} GB."
            yield Finding("low_disk", str(folder), what)
        elif about.f_files and about.f_favail < FEW_INODES:
            yield Finding("low_disk", str(folder), f"Room for {about.f_favail} more files.")


def _clock(ground: Ground) -> Iterator[Finding]:
    seen = [ground.rooms.folder / MARKER, ground.rooms.recent, ground.rooms.locks / SEQUENCE]
    newest_s = max(path.stat().st_mtime for path in seen if path.exists())
    if newest_s > time.time() + CLOCK_SLACK_S:
        what = f"A file of the spool was written {newest_s - time.time():.0f} s from now."
        yield Finding("clock_behind", "clock", what)


def _events(ground: Ground) -> Iterator[Finding]:
    wake = Wake()
    try:
        if not wake.watch([ground.rooms.inbox]):
            yield Finding("no_events", "inotify", "The inbox can't be watched.")
    finally:
        wake.close()


def _start(ground: Ground) -> Iterator[Finding]:
    try:
        ground.start()
    except SpoolrunnerError as error:
        yield Finding("cannot_start", "run", error.public)


LOOKS = (_settings, _rooms, _filesystem, _storage, _executor, _git, _disk, _clock, _events)

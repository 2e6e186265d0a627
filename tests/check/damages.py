"""Damages: what a crash, a bad disk or a hand can leave, each done to a spool that a runner filled.

A damage is done with plain file calls, never with our own code. It names the kind that `check` must
tell, and whether --repair mends it alone (a person has to act otherwise).
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.site import Site

Do = Callable[[Site], object]


@dataclass(frozen=True)
class Damage:
    """kind: what check must find. mended: --repair alone puts it right; leaves: what is found then.

    deep: only --all --hash finds it. loses: requests that nobody can read any more; deletes: that
    are not there any more.
    """

    name: str
    kind: str
    do: Do
    mended: bool = True
    leaves: tuple[str, ...] = ()
    deep: bool = False
    loses: tuple[str, ...] = ()
    deletes: tuple[str, ...] = ()


def tear(path: Path) -> None:
    """Cut it in the middle, as a disk that lost a block."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    found = json.loads(path.read_bytes())
    change(found)
    path.write_text(json.dumps(found))


def done(site: Site, identifier: str) -> Path:
    return next((site.spool / "done").glob(f"*/{identifier}.json"))


def audited(site: Site) -> Path:
    return max((site.spool / "audit").iterdir())


def _cut_audit(site: Site) -> None:
    os.truncate(audited(site), audited(site).stat().st_size - 9)


def _line_out(site: Site) -> None:
    lines = audited(site).read_bytes().splitlines(keepends=True)
    audited(site).write_bytes(b"".join([*lines[:1], *lines[2:]]))


def running(site: Site, identifier: str) -> Path:
    return site.spool / "running" / f"{identifier}.json"


def index(site: Site, identifier: str) -> Path:
    return next((site.spool / "index").glob(f"*/{identifier}"))


def _reappear(site: Site) -> None:
    """A backup laid over the spool: a finished request is active again."""
    shutil.copy(done(site, "old1"), running(site, "old1"))


def _link_back(site: Site) -> None:
    """What btrfs leaves of a rename in a power cut: one file, two names."""
    os.link(done(site, "old1"), running(site, "old1"))


def _wrong_day(site: Site) -> None:
    path = done(site, "old1")
    other = site.spool / "done" / "2020-01-01"
    other.mkdir(mode=0o700)
    path.rename(other / path.name)


def _claim(site: Site) -> None:
    asked = site.request(site.folder / "study", "first", identifier="claimed")
    (site.spool / ".claims/abcdefgh23456723.json").write_text(json.dumps(asked))


def _forget_numbers(site: Site) -> None:
    (site.spool / ".locks/sequence").write_text("1\n")


def _other_hash(site: Site) -> None:
    """The index was restored from an older backup."""
    path = site.spool / "workspaces/ws.json"
    edit(path, lambda found: found["actions"]["first"]["outputs"]["a.csv"].update(sha256="0" * 64))


def _stale_manifest(site: Site) -> None:
    path = site.high / "workspaces/ws/metadata/manifest.json"
    edit(path, lambda found: found["outputs"].pop("a.csv"))


def _medium_manifest(site: Site) -> None:
    path = site.medium / "workspaces/ws/metadata/manifest.json"
    edit(path, lambda found: found["outputs"].pop("b.csv"))


def _flip(path: Path) -> None:
    """A bit rots: same size, same times as far as a program may set them."""
    about = path.stat()
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def _report(name: str, text: str) -> Do:
    return lambda site: (site.spool / "outbox" / name).write_text(text)


def _refusal(site: Site) -> None:
    reason = {"message": "It would not.", "answer": "no", "refused_at": "2026-11-22T00:00:00Z"}
    (site.spool / "outbox/refused/old1.error.json").write_text(json.dumps(reason))


def _folder(site: Site) -> None:
    spool8 = json.loads((site.spool / "SPOOL.json").read_bytes())["id"][:8]
    (site.high / "volumes" / f"sr-{spool8}-aaaaaaaaaaaaaaaa-1").mkdir(mode=0o700)


def _container(site: Site) -> None:
    spool8 = json.loads((site.spool / "SPOOL.json").read_bytes())["id"][:8]
    (site.spool / "processes" / f"sr-{spool8}-aaaaaaaaaaaaaaaa-1").mkdir(mode=0o700)


def _journal(site: Site) -> None:
    """The job's publication was taken down to the journal, and done/ told of it already."""
    folder = site.high / "publishing/ws"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "first.json").write_bytes((site.folder / "journal-of-first.json").read_bytes())


DAMAGES = [
    Damage("an active request is torn", "torn_file", lambda s: tear(running(s, "new1")),
           loses=("new1",)),
    Damage("an active request is empty", "torn_file",
           lambda s: running(s, "new1").write_bytes(b""), loses=("new1",)),
    Damage("an active request is a folder", "torn_file",
           lambda s: running(s, "folder").mkdir()),
    Damage("a finished request is torn", "torn_file", lambda s: tear(done(s, "old1")),
           leaves=("index_without_request",), loses=("old1",)),
    Damage("an entry of index/ is torn, the request active", "torn_file",
           lambda s: _torn_entry(s, "new1")),
    Damage("an entry of index/ is torn, the request finished", "done_without_index",
           lambda s: tear(index(s, "old1"))),
    Damage("an active request under another name", "wrong_name",
           lambda s: shutil.copy(running(s, "new1"), running(s, "other"))),
    Damage("a finished request under another name", "wrong_name",
           lambda s: shutil.copy(done(s, "old1"), done(s, "old1").with_name("other.json"))),
    Damage("a finished request under another day", "wrong_name", _wrong_day),
    Damage("a finished request is active again", "two_rooms", _reappear),
    Damage("one file in two rooms", "two_rooms", _link_back),
    Damage("something strange among the active ones", "stranger",
           lambda s: (s.spool / "running/notes.txt").write_text("mine")),
    Damage("an editor's file among the active ones", "stranger",
           lambda s: (s.spool / "running/.new1.json.swp").write_text("mine")),
    Damage("a link among the workspaces", "stranger",
           lambda s: (s.spool / "workspaces/Link").symlink_to("/etc/passwd")),
    Damage("something strange in a day", "stranger",
           lambda s: (done(s, "old1").parent / "a file").write_text("mine")),
    Damage("something that is no day", "stranger",
           lambda s: (s.spool / "done/old stuff").mkdir()),
    Damage("something strange in the outbox", "stranger", _report("report.txt", "mine")),
    Damage("a claim was left", "left_claim", _claim, mended=False),
    Damage("recent.json is torn", "torn_recent", lambda s: tear(s.spool / "recent.json")),
    Damage("the sequence number is torn", "sequence_behind",
           lambda s: (s.spool / ".locks/sequence").write_bytes(b"")),
    Damage("the sequence number is an old one", "sequence_behind", _forget_numbers),
    Damage("index/ does not know a finished request", "done_without_index",
           lambda s: index(s, "old1").unlink()),
    Damage("all of index/ is gone", "done_without_index",
           lambda s: [shutil.rmtree(path) for path in (s.spool / "index").iterdir()]),
    Damage("a finished request is gone", "index_without_request",
           lambda s: done(s, "old1").unlink(), mended=False, deep=True, deletes=("old1",)),
    Damage("a workspace's index is torn", "index_disagrees",
           lambda s: tear(s.spool / "workspaces/ws.json")),
    Damage("a workspace's index is an old one", "index_disagrees", _other_hash),
    Damage("a manifest is torn", "manifest_disagrees",
           lambda s: tear(s.high / "workspaces/ws/metadata/manifest.json")),
    Damage("a manifest is gone", "manifest_disagrees",
           lambda s: (s.high / "workspaces/ws/metadata/manifest.json").unlink()),
    Damage("a manifest is an old one", "manifest_disagrees", _stale_manifest),
    Damage("the manifest at medium privacy is an old one", "manifest_disagrees", _medium_manifest),
    Damage("the manifest at medium privacy is gone", "manifest_disagrees",
           lambda s: (s.medium / "workspaces/ws/metadata/manifest.json").unlink()),
    Damage("an output is gone", "output_gone",
           lambda s: (s.high / "workspaces/ws/a.csv").unlink(), mended=False),
    Damage("an output was overwritten", "output_changed",
           lambda s: (s.high / "workspaces/ws/a.csv").write_text("mine"), mended=False),
    Damage("an output is a link", "output_changed",
           lambda s: _replace_by_link(s.high / "workspaces/ws/a.csv"), mended=False),
    Damage("an output rots", "output_changed",
           lambda s: _flip(s.high / "workspaces/ws/a.csv"), mended=False),
    Damage("a released output is gone", "medium_missing",
           lambda s: (s.medium / "workspaces/ws/b.csv").unlink()),
    Damage("a released output is shorter", "medium_differs",
           lambda s: (s.medium / "workspaces/ws/b.csv").write_bytes(b"")),
    Damage("a released output rots", "medium_differs",
           lambda s: _flip(s.medium / "workspaces/ws/b.csv"), deep=True),
    Damage("something at medium privacy that nobody released", "not_released",
           lambda s: (s.medium / "workspaces/ws/patients.csv").write_text("x"), mended=False),
    Damage("a container without a job", "container_without_job", _container),
    Damage("a job folder without a job", "folder_without_job", _folder),
    Damage("a publication was not finished", "unfinished_publication", _journal),
    Damage("a journal is torn", "torn_file",
           lambda s: (_journal(s), tear(s.high / "publishing/ws/first.json"))),
    Damage("a report is torn", "report_lost", _report("old1.0000000000000007.json", '{"form')),
    Damage("a report of a request that nobody knows", "report_lost",
           _report("nobody.0000000000000007.json",
                   '{"format": 1, "request": "nobody", "sequence": 7}')),
    Damage("what was sent last is torn", "torn_file",
           lambda s: _in_sent(s, '{"form')),
    Damage("the courier's trouble is torn", "torn_file", _report(".trouble.json", '"half')),
    Damage("what is known of job-server is torn", "torn_file", _report(".fact.json", '"half')),
    Damage("a line of the audit is torn", "audit_torn", _cut_audit, mended=False),
    Damage("a line of the audit was taken out", "audit_broken", _line_out, mended=False),
    Damage("something strange beside the audit", "stranger",
           lambda s: (s.spool / "audit/notes.txt").write_text("mine")),
    Damage("a report was refused", "report_refused", _refusal, mended=False),
    Damage("a room is gone", "missing_room",
           lambda s: (s.spool / "control/kill").rmdir()),
    Damage("a room is open", "open_room", lambda s: (s.spool / "running").chmod(0o777)),
    Damage("the inbox is closed", "open_room", lambda s: (s.spool / "inbox").chmod(0o700)),
    Damage("high privacy is open", "open_room", lambda s: (s.high / "workspaces").chmod(0o755)),
    Damage("medium privacy is open", "open_room", lambda s: s.medium.chmod(0o2755)),
]  # fmt: skip


def _torn_entry(site: Site, identifier: str) -> None:
    """Written just before the request was to be moved to done/."""
    folder = site.spool / "index" / hashlib.sha1(identifier.encode()).hexdigest()[:2]
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / identifier).write_text('{"identi')


def _replace_by_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def _in_sent(site: Site, text: str) -> None:
    folder = site.spool / "outbox/sent"
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "new1.json").write_text(text)

"""What always holds (spool/README.md), as code: every violation that a spool shows.

    violations(scene)                 at any moment, also just after a kill
    violations(scene, at_rest=True)   after a runner has drained the spool

Reads the files that the protocol names, the server's own memory and the witness of the executor
(keeping.py); nothing of spoolrunner's, whose opinion is what is being tested.
"""

import contextlib
import hashlib
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.rig.jobserver import JobServer

ROOMS = ("inbox", ".claims", "running", "done", "rejected")
FINAL = ("failed", "succeeded")
RANK = {"pending": 0, "running": 1, "failed": 2, "succeeded": 2}
MOST_WORKERS = 2


@dataclass
class Scene:
    """promised: identifiers of requests that somebody was told are accepted, or dropped whole.

    by_hand: name -> what was dropped that can never be accepted. outcomes: request -> action -> the
    status codes it may end with. done: finished files as they were seen, by path. most_attempts:
    more than one only where a job itself was killed, or the machine. withdrawn: requests that a
    person moved out of running/ (and back): their jobs wait for their turns again.
    """

    folder: Path
    server: JobServer | None = None
    promised: set[str] = field(default_factory=set)
    by_hand: dict[str, bytes] = field(default_factory=dict)
    outcomes: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    done: dict[str, bytes] = field(default_factory=dict)
    most_attempts: int = 1
    withdrawn: set[str] = field(default_factory=set)

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    @property
    def high(self) -> Path:
        return self.spool / "storage" / "high_privacy"

    @property
    def medium(self) -> Path:
        return self.spool / "storage" / "medium_privacy"

    def room(self, name: str) -> list[Path]:
        found = (self.spool / name).glob("*/[!.]*.json" if name == "done" else "[!.]*")
        return [path for path in found if not path.name.endswith(".error.json")]

    def requests(self, room: str) -> list[dict[str, Any]]:
        return [json.loads(path.read_bytes()) for path in self.room(room)]

    def witnessed(self) -> list[dict[str, Any]]:
        """What the executor really did, in order."""
        with contextlib.suppress(FileNotFoundError):
            lines = (self.folder / "witness" / "starts").read_text().splitlines()
            return [json.loads(line) for line in lines]
        return []


def violations(scene: Scene, *, at_rest: bool = False) -> list[str]:
    """Each begins with the name of what does not hold."""
    checks = {**ALWAYS, **(AT_REST if at_rest else {})}
    found = []
    for name, check in checks.items():
        try:
            found += [f"{name.partition(' ')[0]}: {text}" for text in check(scene)]
        except (OSError, ValueError, KeyError) as error:
            found.append(f"{name}: can't be looked at: {error!r}")
    return found


# --- I1: in exactly one room


def _whereabouts(scene: Scene) -> dict[str, Counter[str]]:
    """Identifier -> in how many files of which rooms; one file under two names counts once."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    seen: set[int] = set()
    for room in reversed(ROOMS):
        for path in scene.room(room):
            if room == "rejected" and _why(path) == "duplicate":
                continue  # of a file of ours that somebody put into the inbox again
            inode = os.lstat(path).st_ino
            if inode not in seen:
                seen.add(inode)
                with contextlib.suppress(ValueError):
                    found[_identity(path)][room] += 1
    return found


def _identity(path: Path) -> str:
    """What is dropped without an identifier is known by who made it."""
    content = json.loads(path.read_bytes())
    if not isinstance(content, dict):
        return path.name
    original = content.get("original") or content
    made_by = str(original.get("created_by") or "")
    return made_by if made_by.startswith("nameless") else str(content.get("identifier", path.name))


def _why(refused: Path) -> str:
    return str(json.loads(refused.with_name(f"{refused.name}.error.json").read_bytes())["error"])


def nothing_is_lost(scene: Scene) -> Iterator[str]:
    found = _whereabouts(scene)
    for identifier in sorted(scene.promised - found.keys()):
        yield f"the request {identifier} is in no room"
    for identifier, rooms in found.items():
        ours = {room: count for room, count in rooms.items() if room in ("running", "done")}
        if sum(ours.values()) > 1:
            yield f"the request {identifier} is there more than once: {ours}"


def each_is_in_one_room(scene: Scene) -> Iterator[str]:
    for identifier, rooms in _whereabouts(scene).items():
        if sum(rooms.values()) != 1:
            yield f"the request {identifier} is in {dict(rooms)}"
    for room in ("inbox", ".claims"):
        for path in scene.room(room):
            yield f"{path.name} still lies in {room}"


# --- I2: started once, and only after that was written down


def each_attempt_is_started_once(scene: Scene) -> Iterator[str]:
    starts = [one for one in scene.witnessed() if one["what"] == "start"]
    for name, count in Counter(one["name"] for one in starts).items():
        if count > 1:
            yield f"{name} was started {count} times"
    for one in starts:
        if saw := one["untold"]:
            yield f"{one['name']} was started before that was written down: {saw}"
        if not one["alone"]:
            yield f"{one['name']} was started beside another attempt, or another database job"


def every_job_that_ran_was_started(scene: Scene) -> Iterator[str]:
    started = {one["name"] for one in scene.witnessed() if one["what"] == "start"}
    for request in scene.requests("done"):
        for job in request["jobs"]:
            name = f"-{job['identifier']}-{job['attempt']}"
            if job["exit_code"] is not None and not any(one.endswith(name) for one in started):
                yield f"{job['action']} of {request['identifier']} has an end, but never began"
            if job["attempt"] > scene.most_attempts:
                yield f"{job['action']} of {request['identifier']} took {job['attempt']} attempts"


# --- I3: what was reported stays true


def what_ended_stays_as_it_was(scene: Scene) -> Iterator[str]:
    for path in scene.room("done"):
        content = path.read_bytes()
        if scene.done.setdefault(str(path), content) != content:
            yield f"{path.name} was changed after it had ended"
    for gone in [path for path in scene.done if not os.path.exists(path)]:
        yield f"{gone} is gone"


def the_server_heard_no_end_taken_back(scene: Scene) -> Iterator[str]:
    if scene.server is None:
        return
    for identifier, job in list(scene.server.site.jobs.items()):
        history = scene.server.history(identifier)
        ranks = [RANK.get(status, -1) for status in history]
        went_back = ranks != sorted(ranks) and job.job_request_id not in scene.withdrawn
        if went_back or any(status in FINAL for status in history[:-1]):
            yield f"job-server heard of {job.action}: {history}"


def the_server_knows_what_we_know(scene: Scene) -> Iterator[str]:
    """Only of what has been sent: an end here that it has otherwise was contradicted."""
    if scene.server is None:
        return
    for request in scene.requests("done"):
        for job in request["jobs"]:
            there = scene.server.site.jobs.get(job["identifier"])
            if (
                there
                and there.status in FINAL
                and _end(there) != (job["status"], job["status_code"])
            ):
                yield f"{job['action']} of {request['identifier']} was reported as {_end(there)}"


def _end(job: Any) -> tuple[str, str]:
    return job.status, job.status_code


# --- I4: what is published is what the manifest names


def what_is_published_is_what_is_named(scene: Scene) -> Iterator[str]:
    for root in (scene.high / "workspaces").glob("[!.]*"):
        busy = {path.stem for path in (scene.high / "publishing" / root.name).glob("[!.]*.json")}
        yield from _unlike_their_manifest(scene, root, busy)


def _unlike_their_manifest(scene: Scene, root: Path, busy: set[str]) -> Iterator[str]:
    named = _entries(root)
    medium = scene.medium / "workspaces" / root.name
    for path, entry in named.items():
        if entry["action"] in busy or entry["out_of_date_output"]:
            continue
        is_released = entry["level"] == "moderately_sensitive" and not entry["excluded"]
        for place in (root, medium) if is_released else (root,):
            if _digest(place / path) != entry["content_hash"]:
                yield f"{place / path} is not what its manifest entry names"
    yield from _unlike_their_index(scene, root, named, busy)
    if not busy:
        yield from _unnamed(root, named)
        yield from _unnamed(medium, named)


def _unnamed(place: Path, named: dict[str, Any]) -> Iterator[str]:
    for path in place.rglob("*"):
        relative = str(path.relative_to(place))
        if path.is_file() and not relative.startswith("metadata/") and relative not in named:
            yield f"{path} is published, but no manifest names it"


def _unlike_their_index(
    scene: Scene, root: Path, named: dict[str, Any], busy: set[str]
) -> Iterator[str]:
    index = json.loads((scene.spool / "workspaces" / f"{root.name}.json").read_bytes())
    for action, state in index["actions"].items():
        if action in busy:
            continue
        known = {path: mark["sha256"] for path, mark in state.get("outputs", {}).items()}
        entries = {
            path: entry["content_hash"]
            for path, entry in named.items()
            if entry["action"] == action and not entry["out_of_date_output"]
        }
        if known != entries:
            yield f"index and manifest of {root.name} disagree about {action}"


def _entries(root: Path) -> dict[str, Any]:
    with contextlib.suppress(FileNotFoundError):
        manifest = json.loads((root / "metadata" / "manifest.json").read_bytes())
        return dict(manifest["outputs"])
    return {}


def _digest(path: Path) -> str:
    with contextlib.suppress(OSError):
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return ""


def every_input_was_whole(scene: Scene) -> Iterator[str]:
    """The action `show` of our studies copies what `make` published: it must be that very thing."""
    for root in (scene.high / "workspaces").glob("[!.]*"):
        made, shown = _entries(root).get("a.csv"), _entries(root).get("b.csv")
        content = (root / "a.csv").read_bytes() if made else b""
        if made and not (content.startswith(b"n\n") and content.endswith(b"\n")):
            yield f"in {root.name} a.csv was published torn: {content!r}"
        same_request = made and shown and made["job_request"] == shown["job_request"]
        if made and shown and same_request and made["content_hash"] != shown["content_hash"]:
            yield f"in {root.name} an action read what was not published"


# --- I6: everybody is told, in order, to the end


def all_is_told(scene: Scene) -> Iterator[str]:
    if scene.server is None:
        return
    for path in (scene.spool / "outbox").glob("[!.]*.json"):
        yield f"{path.name} still waits in the outbox"
    for request in scene.requests("done"):
        if request["identifier"] not in scene.server.site.requests:
            continue
        there = {one.identifier: _end(one) for one in scene.server.jobs(request["identifier"])}
        here = {job["identifier"]: (job["status"], job["status_code"]) for job in request["jobs"]}
        if there != here:
            yield f"of {request['identifier']} job-server has {there}, not {here}"


# --- I7: limits hold


def no_limit_is_passed(scene: Scene) -> Iterator[str]:
    alive: set[str] = set()
    at_database: set[str] = set()
    for one in sorted(scene.witnessed(), key=lambda one: one["at_s"]):
        if one["what"] == "cut":  # of the power: nothing runs any more
            alive.clear()
        job = one["name"].rpartition("-")[0]  # an attempt whose keeper was killed has no end
        (alive.add if one["what"] == "start" else alive.discard)(job)
        at_database = (at_database | ({job} if one.get("database") else set())) & alive
        if len(alive) > MOST_WORKERS:
            yield f"{len(alive)} jobs ran at once: {sorted(alive)}"
        if len(at_database) > 1:
            yield f"{len(at_database)} jobs were at the database at once: {sorted(at_database)}"


# --- I8: what a person did by hand is survived, and told


def what_was_dropped_by_hand_is_kept(scene: Scene) -> Iterator[str]:
    everywhere = {
        path.read_bytes()
        for room in ("inbox", ".claims", "rejected")
        for path in (scene.spool / room).glob("*")  # which `init` may not have made yet
        if path.is_file()
    }
    for name, content in scene.by_hand.items():
        if content not in everywhere:
            yield f"{name} is nowhere any more"


def what_was_refused_has_a_reason(scene: Scene) -> Iterator[str]:
    for path in scene.room("rejected"):
        reason = json.loads(path.with_name(f"{path.name}.error.json").read_bytes())
        if not reason["message"]:
            yield f"nobody says why {path.name} was refused"


def all_has_come_to_its_end(scene: Scene) -> Iterator[str]:
    """Every action ended as it should: a crash is nobody's failure."""
    ended = {request["identifier"]: request for request in scene.requests("done")}
    for identifier, actions in scene.outcomes.items():
        if identifier not in ended:
            yield f"the request {identifier} has not ended"
            continue
        for job in ended[identifier]["jobs"]:
            if job["status_message"].startswith("Nothing to do"):
                continue  # of a request that was asked for twice: the other one does it
            if job["status_code"] not in actions.get(job["action"], set()):
                yield f"{job['action']} of {identifier} ended as {job['status_code']}"


def nothing_is_left(scene: Scene) -> Iterator[str]:
    for folder in ("running", "storage/high_privacy/volumes", "processes"):
        for path in (scene.spool / folder).glob("[!.]*"):
            yield f"{path.name} is left in {folder}"
    for path in (scene.high / "publishing").glob("*/[!.]*.json"):
        yield f"the journal {path.name} is left"
    for path in scene.spool.glob("rejected/.draft-*"):
        yield f"{path.name} is left in rejected"
    if len(drafts := list(scene.spool.glob("outbox/.draft-*"))) > 2:  # of what is written again
        yield f"{drafts} are left in outbox"


# --- I9: before it was done, it was written down


@dataclass(frozen=True)
class Audited:
    """A line. event: {} if it is torn. follows: it holds the hash of the line before it."""

    event: dict[str, Any]
    ends: bool
    follows: bool


def audited(scene: Scene) -> list[Audited]:
    found, before = [], ""
    for path in sorted((scene.spool / "audit").glob("[!.]*")):
        for raw in path.read_bytes().splitlines(keepends=True):
            line = raw.removesuffix(b"\n")
            event: dict[str, Any] = {}
            with contextlib.suppress(ValueError):
                event = json.loads(line)
            found.append(Audited(event, line != raw, not event or event["before"] == before))
            before = hashlib.sha256(line).hexdigest()
    return found


def no_line_is_lost(scene: Scene) -> Iterator[str]:
    """A torn one is found and sealed by the next: nothing that was once there is cut off."""
    lines = audited(scene)
    for number, line in enumerate(lines, 1):
        if not line.follows:
            yield f"line {number} of the audit does not follow the one before it"
        if not line.ends and number < len(lines):
            yield f"line {number} of the audit runs into the next"


def _told(scene: Scene, event: str) -> list[dict[str, Any]]:
    return [line.event for line in audited(scene) if line.event.get("event") == event]


def every_request_was_audited(scene: Scene) -> Iterator[str]:
    known = {one["request"] for one in _told(scene, "accept")}
    for room in ("running", "done"):
        for request in scene.requests(room):
            if request["identifier"] not in known:
                yield f"nobody knows from the audit who asked for {request['identifier']}"


def every_start_was_audited(scene: Scene) -> Iterator[str]:
    known = {(one["job"], one["details"]["attempt"]) for one in _told(scene, "start")}
    for one in scene.witnessed():
        if one["what"] == "start":
            _, _, job, attempt = one["name"].split("-")
            if (job, int(attempt)) not in known:
                yield f"{one['name']} was started and is not in the audit"


def every_release_was_audited(scene: Scene) -> Iterator[str]:
    known = {
        (one["workspace"], os.path.join(one["details"].get("where", ""), path), sha256)
        for one in _told(scene, "end")
        for path, sha256 in one["details"].get("released", {}).items()
    }
    for root in (scene.medium / "workspaces").glob("[!.]*"):
        for path in root.rglob("*"):
            name = str(path.relative_to(root))
            ours = name.startswith("metadata/") and ".failed/" not in name
            if not path.is_file() or ours or path.name.startswith(".draft"):
                continue
            if (root.name, name, _digest(path)) not in known:
                yield f"{name} was released in {root.name} and is not in the audit"


ALWAYS = {
    "I1 nothing is lost": nothing_is_lost,
    "I2 each attempt is started once": each_attempt_is_started_once,
    "I3 what ended stays as it was": what_ended_stays_as_it_was,
    "I3 no end is taken back": the_server_heard_no_end_taken_back,
    "I3 the server knows what we know": the_server_knows_what_we_know,
    "I4 what is published is what is named": what_is_published_is_what_is_named,
    "I4 every input was whole": every_input_was_whole,
    "I7 no limit is passed": no_limit_is_passed,
    "I8 what was dropped by hand is kept": what_was_dropped_by_hand_is_kept,
    "I9 no line of the audit is lost": no_line_is_lost,
    "I9 every request was audited": every_request_was_audited,
    "I9 every start was audited": every_start_was_audited,
    "I9 every release was audited": every_release_was_audited,
}
AT_REST = {
    "I1 each is in one room": each_is_in_one_room,
    "I2 every job that ran was started": every_job_that_ran_was_started,
    "I6 all is told": all_is_told,
    "I8 what was refused has a reason": what_was_refused_has_a_reason,
    "I5 all has come to its end": all_has_come_to_its_end,
    "I5 nothing is left": nothing_is_left,
}

"""Modes and owners for real: runners that are root and that are not, and people of every kind.

Only root can be several people, so these are root's tests. Whoever drops has the strictest umask.
"""

import json
import os
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from spoolrunner.errors import BadMachine
from spoolrunner.spool import rooms as spool_rooms
from spoolrunner.workspace.storage import Storage
from tests.site import PROJECT, WITHIN_S, Site
from tests.system.conftest import NewSite

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 and os.environ.get("CI") != "true", reason="only root can be several people"
)

ONE = '{"version": "4.0", "actions": {"one": {"run": "python:v2 python one.py", "outputs": '
ONE += '{"moderately_sensitive": {"o": "one.csv"}}}}}'
FILES = {"project.yaml": ONE, "one.py": 'open("one.csv", "w").write("n\\n1\\n")'}
RUNNER, JANE, JOE = 4300, 4321, 4322
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
SHOWN = {
    "python": sys.base_prefix,
    "packages": sysconfig.get_path("purelib"),
    "project": str(PROJECT),
}
# Drops as people's programs do: beside, then renamed; or copied in place.
DROP = """
import os, sys
os.umask(0o077)
path, how, text = sys.argv[1:]
draft = path + ".tmp" if how == "renamed" else path
with open(draft, "w") as file:
    file.write(text)
if how == "renamed":
    os.rename(draft, path)
"""


def as_user(uid: int, *groups: int) -> tuple[str, ...]:
    own = ",".join(map(str, groups))
    given = (f"--groups={own}",) if groups else ("--clear-groups",)
    return ("setpriv", f"--reuid={uid}", f"--regid={uid}", *given, "--")


def drop(site: Site, uid: int, name: str, asked: object, how: str = "renamed") -> None:
    target = str(site.spool / "inbox" / name)
    words = (sys.executable, "-c", DROP, target, how, json.dumps(asked))
    subprocess.run([*as_user(uid), *words], cwd="/", check=True, timeout=WITHIN_S)


def everything(folder: Path) -> list[tuple[Path, os.stat_result]]:
    return [(path, path.lstat()) for path in (folder, *folder.rglob("*")) if not path.is_symlink()]


class Unprivileged(Site):
    """Its runner, and whoever uses its commands, is a user without any rights.

    This Python and this clone may lie in /root: its processes, and nobody else, see them at
    places that every user can reach.
    """

    def __init__(self, folder: Path) -> None:
        self._shown = folder / "shown"
        for name in SHOWN:
            (self._shown / name).mkdir(parents=True)
        super().__init__(folder, HOME=str(folder))

    def environment(self) -> dict[str, str]:
        path = f"{self._shown}/project:{self._shown}/packages"
        return {**super().environment(), "PYTHONPATH": path}

    def try_to(self, *words: str, inside: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        if words == ("init",):
            os.chown(self.folder, RUNNER, RUNNER)
        mounts = "".join(
            f"mount --bind {source} {self._shown / name}; mount -o remount,bind,ro "
            f"{self._shown / name}; "
            for name, source in SHOWN.items()
        )
        script = f'set -e; {mounts}exec "$@"'
        program = (f"{self._shown}/python/bin/{PYTHON}", "-m", "spoolrunner", *words)
        return subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, "sh", *as_user(RUNNER), *inside, *program],
            env=self.environment(),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )

    def study(self, files: dict[str, str], name: str = "study") -> Path:
        study = super().study(files, name)
        subprocess.run(["chown", "-R", f"{RUNNER}:{RUNNER}", study], check=True)
        return study


@pytest.fixture
def unprivileged() -> Iterator[Unprivileged]:
    """Not below pytest's own folder, which every new session of pytest shuts again."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Unprivileged(Path(name, "unprivileged"))


def test_a_runner_that_is_root_takes_what_anybody_drops_and_knows_who(new_site: NewSite) -> None:
    site = new_site()
    study = site.study(FILES)
    for how, uid in (("renamed", JANE), ("in place", JOE)):
        asked = site.request(study, "one", identifier=f"by-{uid}", workspace={"name": f"w{uid}"})
        drop(site, uid, f"{uid}.json", asked, how)
    site.drain()
    for uid in (JANE, JOE):
        assert (site.done(f"by-{uid}")["status"], site.done(f"by-{uid}")["uid"]) == (
            "succeeded",
            uid,
        )


def test_a_runner_without_rights_takes_what_it_may_read_and_shows_the_rest_once(
    unprivileged: Unprivileged,
) -> None:
    site = unprivileged
    study = site.study(FILES)
    drop(site, JANE, "private.json", site.request(study, "one", identifier="private"))
    open_one = site.spool / "inbox" / "open.json"
    drop(site, JOE, "open.json", site.request(study, "one", identifier="open"))
    open_one.chmod(0o644)
    own = site.request(study, "one", identifier="own", workspace={"name": "own"})
    drop(site, RUNNER, "own.json", own)
    site.drain()
    assert (site.done("open")["uid"], site.done("own")["uid"]) == (JOE, RUNNER)
    assert (site.spool / "inbox" / "private.json").exists()
    told = site.try_to("status").stdout
    assert told.count("private.json") == 1
    assert "chmod a+r" in told


@pytest.mark.attack("people look into the spool and the storage")
def test_nobody_else_may_look_into_what_we_wrote(unprivileged: Unprivileged) -> None:
    """Whatever the runner's umask: here none at all."""
    site = unprivileged
    study = site.study(FILES)
    drop(site, RUNNER, "r1.json", site.request(study, "one", identifier="r1"))
    open_umask = ("sh", "-c", 'umask 0; exec "$@"', "sh")
    assert site.try_to("run", "--drain", inside=open_umask).returncode == 0
    assert site.done("r1")["status"] == "succeeded"
    passable = {site.spool, *(site.spool / name for name in ("SPOOL.json", "inbox", "storage"))}
    for path, about in everything(site.spool):
        shut = any(parent.stat().st_mode & 0o007 == 0 for parent in path.parents)
        if not shut and path not in passable:
            others = stat.S_IMODE(about.st_mode) & 0o007
            assert others in (0, 1), f"{path} {about.st_mode:o}"
        assert about.st_mode & 0o002 == 0 or path == site.spool / "inbox", path
    # and what it says of itself agrees with what another user finds
    for path in (site.spool / "running", site.spool / "done", site.spool / "storage/high_privacy"):
        look = subprocess.run([*as_user(JANE), "ls", path], capture_output=True, check=False)
        assert look.returncode != 0, path


@pytest.mark.attack("people see, take away or overwrite what others dropped")
def test_the_inbox_is_a_letter_box(new_site: NewSite) -> None:
    site = new_site()
    drop(site, JANE, "hers.json", {})
    target = site.spool / "inbox" / "hers.json"
    tries = {
        "list": ["ls", target.parent],
        "read": ["cat", target],
        "remove": ["rm", "-f", target],
        "rename": ["mv", target, f"{target}.gone"],
        "replace": ["sh", "-c", f"echo > {target}"],
        "make a room": ["mkdir", site.spool / "another"],
        "take the room away": ["mv", site.spool / "inbox", site.spool / "outbox-2"],
    }
    came = {
        what: subprocess.run([*as_user(JOE), *words], capture_output=True, check=False).returncode
        for what, words in tries.items()
    }
    assert [what for what, status in came.items() if status == 0] == []
    assert target.read_text() == "{}"


@pytest.mark.attack("somebody opens {name} to others (mode {mode})")
@pytest.mark.parametrize(
    ("name", "mode"),
    [
        *(("spool", "777"), ("spool/inbox", "777"), ("spool/inbox", "1777")),
        *(("spool/running", "755"), ("spool/done", "770"), ("spool/.locks", "777")),
        *(("high/workspaces", "755"), ("high", "777"), ("high/logs", "750"), ("medium", "2755")),
    ],
)
def test_modes_that_are_wrong_are_refused_and_init_mends_them(
    tmp_path: Path, name: str, mode: str
) -> None:
    storage = a_storage(tmp_path)
    for _ in range(2):
        rooms = spool_rooms.create(tmp_path / "spool", "now", group=None, volatile=True)
        storage.prepare()
        spool_rooms.check_modes(rooms)
        storage.check_modes()
        (tmp_path / name).chmod(int(mode, 8))
        check = spool_rooms.check_modes if name.startswith("spool") else Storage.check_modes
        with pytest.raises(BadMachine, match=f"{name} is open") as refused:
            check(rooms if name.startswith("spool") else storage)  # type: ignore[arg-type]
        assert refused.value.kind == "bad_mode"


@pytest.mark.attack("a folder of ours belongs to somebody else")
@pytest.mark.parametrize("name", ["running", "storage/high_privacy/workspaces"])
def test_a_folder_of_somebody_else_stops_the_start(site: Site, name: str) -> None:
    os.chown(site.spool / name, JANE, JANE)
    done = site.try_to("run", "--drain")
    assert (done.returncode, "bad_mode" in done.stderr) == (4, True)
    assert name in done.stderr


def a_storage(folder: Path) -> Storage:
    return Storage(
        high=folder / "high",
        medium=folder / "medium",
        jobs=folder / "high/volumes",
        archives=folder / "high/archives",
        job_user=(os.geteuid(), os.getegid()),
        boot_id="",
    )


def test_only_the_submitter_the_runner_and_root_cancel_through_the_inbox(
    unprivileged: Unprivileged,
) -> None:
    site = unprivileged
    study = site.study({"project.yaml": ONE.replace("python one.py", "sleep 1000")})
    site.do("pause")
    for who in (JANE, RUNNER, 0):
        asked = site.request(study, "one", identifier=f"r{who}", workspace={"name": f"w{who}"})
        drop(site, JANE, f"ask-{who}.json", asked)
        (site.spool / "inbox" / f"ask-{who}.json").chmod(0o644)
    site.drain()
    for who, uid in ((JANE, JOE), (JANE, JANE), (RUNNER, RUNNER), (0, 0)):
        asked = site.request(study, "one", identifier=f"r{who}", workspace={"name": f"w{who}"})
        drop(site, uid, f"cancel-{who}-{uid}.json", {**asked, "cancelled_actions": ["one"]})
        (site.spool / "inbox" / f"cancel-{who}-{uid}.json").chmod(0o644)
        site.drain()
        refused = [one["error"] for one in site.rejected().values()]
        assert refused == ["not_allowed"]
        if uid == JOE:
            assert site.active("r4321")["cancelled_actions"] == []
    site.do("resume")
    site.drain()
    ended = {site.done(f"r{who}")["jobs"][0]["status_code"] for who in (JANE, RUNNER, 0)}
    assert ended == {"cancelled_by_user"}

"""The sandbox: a job sees a root made of a list, its folder as /workspace, and no network.

bubblewrap makes the namespaces. As root it needs no user namespace (in one, a workspace of another
uid can't be written: reference/rig.md 3): it mounts as root and keeps a few capabilities, with
which setpriv becomes the job's user and gives them up. Otherwise all happens in a user namespace
of our own uid.
Knows: images.
"""

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from spoolrunner.errors import TryLater
from spoolrunner.executor.images import PATH

WORKSPACE = "/workspace"
PROBE_TIMEOUT_S = 10
NOBODY = 65534
# bubblewrap stands twice between the keeper and the job: outside, and as pid 1 inside.
LAYERS = 2
ROOT_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
# What programs need of /etc: the linker's, Debian's links, R's settings, time and fonts. No keys.
ETC = ("ld.so.cache", "alternatives", "R", "localtime", "fonts")
# Of a Python only these, because a virtual environment may lie around somebody's whole project.
OF_A_PREFIX = ("bin", "lib", "lib64", "share", "pyvenv.cfg")


class Sandbox:
    """bubblewrap on this machine; see `usable`."""

    def __init__(self, bubblewrap: str, programs: Iterable[str] = ()) -> None:
        """bubblewrap: the program's name, "" = do without.

        programs: absolute paths whose folders jobs must see.
        """
        self._bubblewrap = shutil.which(bubblewrap, path=PATH) if bubblewrap else None
        self._programs = tuple(programs)

    @functools.cached_property
    def usable(self) -> bool:
        """Found out once, by running the interpreter in it as an unprivileged user.

        Raises TryLater if it can't be tried now: that is no answer.
        """
        if not self._bubblewrap:
            return False
        user = (NOBODY, NOBODY) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
        nothing = [sys.executable, "-I", "-S", "-c", ""]
        options = self.options(Path("/usr"), {}, said=1)
        command = [self._bubblewrap, *options, "--", *become(user, nothing)]
        try:
            done = subprocess.run(
                command, capture_output=True, timeout=PROBE_TIMEOUT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise TryLater("The sandbox can't be tried now.", detail=str(error)) from error
        return done.returncode == 0

    def argv(self, options: int, user: tuple[int, int], command: Sequence[str]) -> list[str]:
        """options: the descriptor to read them from. Jobs can see this line: no path is in it."""
        return [str(self._bubblewrap), "--args", str(options), "--", *become(user, command)]

    def options(self, folder: Path, made_up: Mapping[str, int], said: int) -> list[str]:
        """folder: becomes /workspace. made_up: path inside -> descriptor its content is read from.
        said: a descriptor for what bubblewrap tells, at last how the command ended, if there was
        one: where the sandbox could not be made there is none (bwrap(1), --json-status-fd).

        The order counts: what is mounted later lies over what was mounted earlier.
        """
        return [
            *_namespaces(),
            *("--proc", "/proc", "--dev", "/dev"),
            *("--perms", "1777", "--tmpfs", "/dev/shm", "--perms", "1777", "--tmpfs", "/tmp"),
            *_root_links(),
            *(word for path in self._visible() for word in _show(path)),
            *(word for path, source in made_up.items() for word in _make_up(path, source)),
            *("--bind", str(folder), WORKSPACE, "--chdir", WORKSPACE),
            *("--remount-ro", "/", "--die-with-parent", "--new-session"),
            *("--json-status-fd", str(said)),
        ]

    def _visible(self) -> list[Path]:
        etc = [Path("/etc") / name for name in ETC]
        python = [prefix / name for prefix in _python_prefixes() for name in OF_A_PREFIX]
        programs = [hop.parent for program in self._programs for hop in _hops(Path(program))]
        wanted = [path for path in (*etc, *python, *programs) if not path.is_relative_to("/usr")]
        return [Path("/usr"), *(path for path in dict.fromkeys(wanted) if path.exists())]


def _namespaces() -> list[str]:
    if os.geteuid() != 0:
        return ["--unshare-all"]
    # DAC_READ_SEARCH: to enter a workspace that is its user's alone, before becoming that user.
    keep = [f"CAP_{name}" for name in ("SETUID", "SETGID", "SETPCAP", "DAC_READ_SEARCH")]
    capabilities = [word for name in keep for word in ("--cap-add", name)]
    kinds = [f"--unshare-{kind}" for kind in ("ipc", "pid", "net", "uts", "cgroup-try")]
    return [*kinds, "--cap-drop", "ALL", *capabilities]


def become(user: tuple[int, int], command: Sequence[str]) -> list[str]:
    """The command as this user, who can gain nothing by set-uid programs. Ours stays ours."""
    words = ["/usr/bin/setpriv", "--no-new-privs", "--pdeathsig", "KILL"]
    if os.geteuid() == 0:
        words += [f"--reuid={user[0]}", f"--regid={user[1]}", "--clear-groups"]
        words += ["--inh-caps=-all", "--bounding-set=-all"]
    return [*words, "--", *command]


def _root_links() -> list[str]:
    """/bin and its like are links into /usr; where they are still folders, folders are shown."""
    words: list[str] = []
    for path in (Path("/") / name for name in ROOT_LINKS):
        if path.is_symlink():
            words += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            words += ["--ro-bind", str(path), str(path)]
    return words


def _python_prefixes() -> list[Path]:
    """Of the virtual environment, of the Python beneath it, and of each link on the way there."""
    links = [hop.parent.parent for hop in _hops(Path(sys.executable))]
    return list(dict.fromkeys([Path(sys.prefix), Path(sys.base_prefix), *links]))


def _hops(path: Path) -> list[Path]:
    hops = [path]
    while hops[-1].is_symlink() and len(hops) < 40:  # as many as the kernel follows
        hops.append(Path(os.path.normpath(hops[-1].parent / os.readlink(hops[-1]))))
    return hops


def _show(path: Path) -> list[str]:
    return [*_open_way(path), "--ro-bind", str(path), str(path)]


def _make_up(path: str, source: int) -> list[str]:
    return [*_open_way(Path(path)), "--perms", "0444", "--file", str(source), path]


def _open_way(path: Path) -> list[str]:
    """Folders above a mount: bubblewrap would make them 0700 and the job could not pass."""
    above = [str(folder) for folder in reversed(path.parents) if folder != Path("/")]
    return [word for folder in above for word in ("--perms", "0755", "--dir", folder)]

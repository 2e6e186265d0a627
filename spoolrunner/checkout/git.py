"""git, run so that our arguments alone decide what it does.

Nothing of the machine's or the user's settings reaches it, no hook, filter or prompt, no protocol
but the one of the source that was named, and it ends after timeout_s with all its children. What it
complains of is sorted into reasons, because its exit status is 128 for a mistyped branch and for a
cable pulled out alike. Needs git 2.31 (GIT_CONFIG_COUNT).
Knows: files, errors. The only module that starts git.
"""

import base64
import contextlib
import os
import resource
import signal
import subprocess
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from spoolrunner import files
from spoolrunner.checkout.words import Failed, Reason
from spoolrunner.errors import BadMachine

# Of memory: ten nested trees of ten entries are a few bytes to fetch and 10^10 files to list.
MEMORY_BYTES = 1024 * 1024 * 1024
ANSWER_BYTES = 64 * 1024 * 1024
COMPLAINT_BYTES = 8 * 1024
PRIVATE = 0o077  # umask of what we keep
READABLE = 0o022  # umask of what a job is given

# The way out of a site (a proxy, its certificate) is the machine's business; nothing else is.
INHERITED = (
    *("PATH", "TMPDIR", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"),
)

# A file, because for file:// git clears GIT_CONFIG_* and -c before it starts upload-pack, and that
# is who must be told that a repository of another uid may be read.
SETTINGS = """\
# Written by spoolrunner for its own git; it reads no other settings. Changes are overwritten.
[safe]
	directory = *
[core]
	hooksPath = /dev/null
	attributesFile = /dev/null
	fsmonitor = false
	autocrlf = false
	symlinks = true
	protectHFS = true
	protectNTFS = true
	fsync = objects,reference
	# Streamed when larger, to stay below our limit of memory.
	bigFileThreshold = 32m
[pack]
	threads = 2
	windowMemory = 100m
[credential]
	helper =
	interactive = false
[http]
	# GitHub redirects what was renamed or given away: that may be another organisation's by now.
	followRedirects = false
	lowSpeedLimit = 100
	lowSpeedTime = 60
[transfer]
	# Always a pack: one file to flush instead of thousands.
	unpackLimit = 1
[uploadpack]
	allowFilter = true
[submodule]
	recurse = false
[fetch]
	recurseSubmodules = false
[gc]
	auto = 0
[maintenance]
	auto = false
[fetch "fsck"]
	# Oddities of old tools about people and dates; they hurt nobody, and nobody can mend history.
	badDate = ignore
	badDateOverflow = ignore
	badEmail = ignore
	badName = ignore
	badTimezone = ignore
	missingEmail = ignore
	missingNameBeforeEmail = ignore
	missingSpaceBeforeDate = ignore
	missingSpaceBeforeEmail = ignore
	zeroPaddedDate = ignore
	zeroPaddedFilemode = ignore
"""


@dataclass(frozen=True)
class Source:
    """Where a repository is fetched from: an https or file URL; user and token for https."""

    url: str
    user: str = ""
    token: str = field(default="", repr=False)

    def environment(self) -> dict[str, str]:
        """A header in the environment: a command line can be read by everybody on the machine."""
        scheme, _, rest = self.url.partition("://")
        allowed = {"GIT_ALLOW_PROTOCOL": scheme}
        if scheme != "https" or not self.token:
            return allowed
        return allowed | {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"http.https://{rest.partition('/')[0]}/.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Basic {self._credentials}",
        }

    def redact(self, text: str) -> str:
        if not self.token:
            return text
        return text.replace(self._credentials, "[secret]").replace(self.token, "[secret]")

    @property
    def _credentials(self) -> str:
        return base64.b64encode(f"{self.user}:{self.token}".encode()).decode()


NOWHERE = Source("")


class Git:
    """home: a folder of ours, which becomes git's HOME. timeout_s: for each run."""

    def __init__(self, home: Path, timeout_s: float) -> None:
        self._home = home
        self._timeout_s = timeout_s

    def settled(self) -> bool:
        """Are the settings there as they should be?"""
        path = self._home / ".gitconfig"
        return path.exists() and path.read_text() == SETTINGS

    def settle(self) -> None:
        """Write the settings. Hold a lock."""
        files.make_folder(self._home)
        with files.Changes() as disk:
            disk.write(self._home / ".gitconfig", SETTINGS.encode())

    def run(
        self,
        *arguments: str,
        source: Source = NOWHERE,
        index: Path | None = None,
        umask: int = PRIVATE,
        limit_bytes: int = ANSWER_BYTES,
    ) -> bytes:
        """What it prints. source: the only place it may speak to.

        Raises Failed (Reason.SIZE: more than limit_bytes), BadMachine (kind "no_git").
        """
        environment = self._environment() | source.environment()
        if index:
            environment["GIT_INDEX_FILE"] = str(index)
        with tempfile.TemporaryFile() as complaints:
            child = self._start(arguments, environment, umask, complaints)
            _limit_memory(child)
            answer = self._answer(child, limit_bytes)
            if len(answer) > limit_bytes:
                raise Failed(f"longer than {limit_bytes} bytes", Reason.SIZE)
            if child.returncode < 0:
                raise Failed(f"killed by signal {-child.returncode}", Reason.LINE)
            if child.returncode:
                raise Failed(source.redact(_end_of(complaints)))
        return answer

    def _environment(self) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        return inherited | {
            "HOME": str(self._home),  # .gitconfig is ours, and no .netrc is found
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_LITERAL_PATHSPECS": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "LC_ALL": "C",
        }

    def _start(
        self,
        arguments: tuple[str, ...],
        environment: dict[str, str],
        umask: int,
        complaints: IO[bytes],
    ) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                ("git", *arguments),
                cwd=self._home,
                env=environment,
                umask=umask,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=complaints,
                start_new_session=True,  # no terminal to ask on, and one group to kill
            )
        except (FileNotFoundError, PermissionError) as error:
            raise BadMachine(
                "git can't be started.",
                kind="no_git",
                hint="Install git 2.31 or newer.",
                detail=str(error),
            ) from error

    def _answer(self, child: subprocess.Popen[bytes], limit_bytes: int) -> bytes:
        """Read it with an end in time and in size; communicate() would wait for grandchildren."""
        alarm = threading.Timer(self._timeout_s, _kill, [child])
        alarm.daemon = True
        alarm.start()
        try:
            with cast(IO[bytes], child.stdout) as stdout:
                answer = stdout.read(limit_bytes + 1)
            if len(answer) > limit_bytes:
                _kill(child)
            child.wait()
        finally:
            alarm.cancel()
            _kill(child)
        return answer


def _limit_memory(child: subprocess.Popen[bytes]) -> None:
    """Of what it allocates, not of the packs it maps; its children inherit it."""
    _, hard = resource.prlimit(child.pid, resource.RLIMIT_DATA)
    most = MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(hard, MEMORY_BYTES)
    resource.prlimit(child.pid, resource.RLIMIT_DATA, (most, most))


def _kill(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


def _end_of(complaints: IO[bytes]) -> str:
    complaints.seek(max(0, complaints.seek(0, os.SEEK_END) - COMPLAINT_BYTES))
    return complaints.read().decode(errors="replace")

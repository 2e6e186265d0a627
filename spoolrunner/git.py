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
import re
import signal
import subprocess
import tempfile
import threading
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import IO

from spoolrunner import files
from spoolrunner.errors import BadMachine

ANSWER_BYTES = 64 * 1024 * 1024
COMPLAINT_BYTES = 8 * 1024
PRIVATE = 0o077  # umask of what we keep
READABLE = 0o022  # umask of what a job is given

# The way out of a sealed site (a proxy, its certificate) is the machine's business; nothing else is.
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


class Reason(Enum):
    """What git's complaint means. UNKNOWN: none of these, so perhaps what lies on our disk."""

    NO_REPOSITORY = "no repository"
    MOVED = "the repository has another address"
    LOGIN = "the server wants a name and a password"
    NO_BRANCH = "no branch"
    NO_COMMIT = "no commit"
    NO_FILE = "no file"
    UNSAFE = "git won't keep or lay out such a commit"
    DISK = "could not write"
    LINE = "network, server or time limit"
    UNKNOWN = "unknown"


# The first that matches counts. The words are git's own (LC_ALL=C), seen with 2.39; if another
# version uses others, a definite answer becomes "try later", never the other way round.
WORDS = tuple(
    (reason, re.compile(words))
    for reason, words in (
        (Reason.DISK, "No space left|Disk quota|[Uu]nable to create (?!.*File exists)|Read-only file"),
        (Reason.NO_COMMIT, "upload-pack: not our ref"),
        (Reason.NO_BRANCH, "couldn't find remote ref"),
        (Reason.NO_REPOSITORY, "^fatal: repository '.*' not found|not appear to be a git repository"),
        (Reason.MOVED, "returned error: 30[18]"),
        (Reason.LOGIN, "could not read (Username|Password)|Authentication failed|error: 401"),
        (Reason.UNSAFE, "fsck error|invalid path '"),
        (Reason.NO_FILE, "^fatal: path '.*' does not exist in|bad file$"),
        (
            Reason.LINE,
            "returned error: |RPC failed|unable to access|Could not resolve|timed out|early EOF|"
            "unexpected disconnect|hung up|expected flush|recv error|Connection|killed by signal",
        ),
    )
)


class Failed(Exception):
    """git ended with a status other than 0, or was ended. said: for the private log only."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(status)
        self.status = status
        self.said = said if status >= 0 else f"{said}\ngit was killed by signal {-status}"

    @property
    def reason(self) -> Reason:
        # What the far side says in its own words ("remote: ...") decides nothing.
        lines = [line for line in self.said.splitlines() if not line.startswith("remote: ")]
        found = (reason for reason, words in WORDS if any(map(words.search, lines)))
        return next(found, Reason.UNKNOWN)


class TooBig(Exception):
    """The answer is longer than was allowed."""


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

    def settle(self) -> None:
        """Write the settings if they are not there as they should be. Hold a lock."""
        files.make_folder(self._home)
        path = self._home / ".gitconfig"
        if not path.exists() or path.read_text() != SETTINGS:
            with files.Changes() as disk:
                disk.write(path, SETTINGS.encode())

    def run(
        self,
        *arguments: str,
        source: Source = NOWHERE,
        index: Path | None = None,
        umask: int = PRIVATE,
        limit_bytes: int = ANSWER_BYTES,
    ) -> bytes:
        """What it prints. source: the only place it may speak to.

        Raises Failed, TooBig (more than limit_bytes), BadMachine (kind "no_git").
        """
        environment = self._environment() | source.environment()
        if index:
            environment["GIT_INDEX_FILE"] = str(index)
        with tempfile.TemporaryFile() as complaints:
            child = self._start(arguments, environment, umask, complaints)
            answer = self._answer(child, limit_bytes)
            if len(answer) > limit_bytes:
                raise TooBig
            if child.returncode:
                raise Failed(child.returncode, source.redact(_end_of(complaints)))
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
        except OSError as error:
            raise BadMachine(
                "git can't be started.", kind="no_git", hint="Install git 2.31 or newer.", detail=str(error)
            ) from error

    def _answer(self, child: subprocess.Popen[bytes], limit_bytes: int) -> bytes:
        """Read it with an end in time and in size; communicate() would wait for grandchildren."""
        alarm = threading.Timer(self._timeout_s, _kill, [child])
        alarm.daemon = True
        alarm.start()
        try:
            assert child.stdout
            with child.stdout:
                answer = child.stdout.read(limit_bytes + 1)
            if len(answer) > limit_bytes:
                _kill(child)
            child.wait()
        finally:
            alarm.cancel()
            _kill(child)
        return answer


def _kill(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


def _end_of(complaints: IO[bytes]) -> str:
    complaints.seek(max(0, complaints.seek(0, os.SEEK_END) - COMPLAINT_BYTES))
    return complaints.read().decode(errors="replace")

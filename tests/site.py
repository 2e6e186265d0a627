"""A site: one spool with its storage, studies in real repositories, and real runner processes.

Everything is done as people do it: the command line in a process of its own, JSON files put into
the inbox, signals. What came of it is read from the files that the contract names.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

WITHIN_S = 120
STUDIES = Path(__file__).parent / "studies"
GATE = "until test -e go; do sleep 0.1; done"  # in a job's script: it waits there for `let_go`
AUTHOR = ("-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")
PROJECT = Path(__file__).parent.parent


class Site:
    """settings: as an operator would give them; SPOOL_DIR and what is secret is the site's own."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.spool = folder / "spool"
        self.settings = {"SPOOL_DIR": str(self.spool), "EXECUTOR": "process", **settings}
        self.runners: list[subprocess.Popen[str]] = []
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)  # jobs run as another user and have to reach their folders
        self.do("init")

    # --- commands

    def environment(self) -> dict[str, str]:
        own = ("PATH", "HOME", "LANG", "TMPDIR")
        kept = {name: os.environ[name] for name in own if name in os.environ}
        return {**kept, "PYTHONPATH": str(PROJECT), "NO_COLOR": "1", **self.settings}

    def try_to(self, *words: str, inside: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Run a command, however it ends. inside: what to run it in, such as `unshare --net`."""
        return subprocess.run(
            [*inside, sys.executable, "-m", "spoolrunner", *words],
            env=self.environment(),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )

    def do(self, *words: str) -> str:
        """Run a command that must succeed; what it printed."""
        done = self.try_to(*words)
        assert done.returncode == 0, f"{words} ended with {done.returncode}:\n{done.stderr}"
        return done.stdout

    def start(self, *words: str, program: str = "spoolrunner") -> subprocess.Popen[str]:
        """Start the service; it ends with the test. program: another that ends in ours."""
        with (self.folder / "runner.log").open("a") as log:
            runner = subprocess.Popen(
                [sys.executable, "-m", program, "run", *words],
                env=self.environment(),
                cwd=self.folder,
                stdout=log,
                stderr=log,
                text=True,
            )
        self.runners.append(runner)
        return runner

    def drain(self) -> None:
        self.do("run", "--drain")

    def close(self) -> None:
        for runner in self.runners:
            if runner.poll() is None:
                runner.send_signal(signal.SIGTERM)
                runner.wait(WITHIN_S)

    # --- studies

    def study(self, files: dict[str, str], name: str = "study") -> Path:
        """A real repository whose branch main has these files (again: a new commit)."""
        folder = self.folder / name
        if not folder.exists():
            folder.mkdir()
            git(folder, "init", "-q", "-b", "main", ".")
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        return commit(folder)

    def kept_study(self, name: str) -> Path:
        """One of tests/studies, as a repository."""
        folder = self.folder / name
        shutil.copytree(STUDIES / name, folder)
        git(folder, "init", "-q", "-b", "main", ".")
        return commit(folder)

    # --- requests

    def request(self, repo: Path | str, *actions: str, **fields: Any) -> dict[str, Any]:
        """A v2 request as people write it."""
        about = {"name": "ws", "repo": str(repo), "branch": "main", "db": "default"}
        about |= fields.pop("workspace", {})
        backend = self.settings.get("BACKEND", "expectations")
        asked: dict[str, Any] = {"backend": backend, "requested_actions": list(actions)}
        return {**asked, "workspace": about, **fields}

    def drop(self, content: dict[str, Any] | str | bytes, name: str = "request.json") -> Path:
        """Write beside, rename into the inbox."""
        draft = self.folder / f".{name}.draft"
        if isinstance(content, dict):
            content = json.dumps(content)
        draft.write_bytes(content if isinstance(content, bytes) else content.encode())
        return draft.rename(self.spool / "inbox" / name)

    # --- what came of it

    def done(self, identifier: str) -> dict[str, Any]:
        """The finished request file."""
        found = list((self.spool / "done").glob(f"*/{identifier}.json"))
        assert len(found) == 1, f"{identifier} is not in done/ once: {found}"
        finished: dict[str, Any] = json.loads(found[0].read_bytes())
        return finished

    def active(self, identifier: str) -> dict[str, Any]:
        running: dict[str, Any] = json.loads(
            (self.spool / "running" / f"{identifier}.json").read_bytes()
        )
        return running

    def finished(self, identifier: str, within_s: float = WITHIN_S) -> dict[str, Any]:
        """Wait for the end of a request."""
        self.until(lambda: any((self.spool / "done").glob(f"*/{identifier}.json")), within_s)
        return self.done(identifier)

    def until(self, holds: Any, within_s: float = WITHIN_S) -> None:
        """Look again until it holds. A condition, not a sleep: it fails loudly when time is up."""
        deadline = time.monotonic() + within_s
        while not holds():
            if time.monotonic() > deadline:
                log = self.folder / "runner.log"
                raise AssertionError(f"not within {within_s} s:\n{log.read_text()[-4000:]}")
            time.sleep(0.01)

    def let_go(self, high: Path | None = None) -> None:
        """Open the gates of all jobs that are laid out. high: where high privacy lies."""
        for workspace in (high or self.high).glob("volumes/sr-*-[0-9]/workspace"):
            (workspace / "go").touch()

    def jobs(self, identifier: str) -> dict[str, dict[str, Any]]:
        """Action -> its job in the finished request."""
        return {job["action"]: job for job in self.done(identifier)["jobs"]}

    def statuses(self, identifier: str) -> dict[str, str]:
        return {action: job["status_code"] for action, job in self.jobs(identifier).items()}

    def rejected(self) -> dict[str, dict[str, Any]]:
        """Name it was dropped under -> its .error.json."""
        reasons = [
            json.loads(path.read_bytes()) for path in (self.spool / "rejected").glob("*.error.json")
        ]
        return {reason["name"]: reason for reason in reasons}

    @property
    def high(self) -> Path:
        return self.spool / "storage" / "high_privacy"

    @property
    def medium(self) -> Path:
        return self.spool / "storage" / "medium_privacy"

    def published(self, level: Path, workspace: str = "ws") -> set[str]:
        """Paths of the files of a workspace at one level, logs and manifest left out."""
        root = level / "workspaces" / workspace
        files = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
        return {path for path in files if not path.startswith("metadata/")}


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", *AUTHOR, *words], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def commit(folder: Path) -> Path:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", "a commit")
    return folder


def head(folder: Path) -> str:
    return git(folder, "rev-parse", "HEAD")

"""The job-server by hand: orders are typed, or piped in; a page shows what came of them.

    python -m tests.rig.jobserver --era 2026
    (job-server) request https://github.com/opensafely/study <sha> generate analyse

It prints the settings with which a runner finds it, and serves until interrupted or told to quit.
"""

import argparse
import cmd
import contextlib
import shlex
import signal
import sys

from tests.rig.jobserver import JobServer, NotStarted
from tests.rig.jobserver.overview import as_text
from tests.rig.jobserver.site import Era


class Orders(cmd.Cmd):
    intro = "Orders: request, status, cancel, misbehave, behave, quit; help ORDER says more."
    prompt = "(job-server) "

    def __init__(self, server: JobServer, backend: str, workspace: str) -> None:
        super().__init__()
        if not sys.stdin.isatty():
            self.prompt = ""
        self.server = server
        self.backend = backend
        self.workspace = workspace

    def onecmd(self, line: str) -> bool:
        """A wrong order is answered, and the server goes on."""
        try:
            return bool(super().onecmd(line))
        except (LookupError, NotStarted, TypeError, ValueError) as error:
            print(f"That cannot be done: {error}")
            return False

    def emptyline(self) -> bool:
        """An empty line isn't the last order again: pressing return should cancel nothing."""
        return False

    def do_request(self, words: str) -> None:
        """request REPO SHA [ACTION...]      ask for actions of a commit; run_all without any"""
        repo, sha, *actions = shlex.split(words)
        place = {"backend": self.backend, "workspace": self.workspace}
        print(self.server.create_request(actions or ["run_all"], repo=repo, sha=sha, **place))

    def do_status(self, words: str) -> None:
        """status      every request with its jobs, newest first"""
        with self.server.site.lock:
            print(as_text(self.server.site))

    def do_cancel(self, words: str) -> None:
        """cancel REQUEST [ACTION]      press the button of the request, or of one of its jobs"""
        self.server.cancel(*shlex.split(words))

    def do_misbehave(self, words: str) -> None:
        """misbehave HOW [ON]      once: a status such as 500, hang, close, cut, drip, html, ..."""
        self.server.misbehave(*shlex.split(words))

    def do_behave(self, words: str) -> None:
        """behave      forget all misbehaviour still to come"""
        self.server.behave()

    def do_quit(self, words: str) -> bool:
        """quit      end the server"""
        return True

    def do_EOF(self, words: str) -> bool:  # noqa: N802  cmd wants this name
        """The end of what was piped in isn't the end of the server."""
        if not sys.stdin.isatty():
            signal.pause()
        return True


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.rig.jobserver", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--era", choices=[Era.OLD, Era.TODAY], default=Era.OLD, type=Era)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--backend", default="test")
    parser.add_argument("--workspace", default="demo")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with JobServer(options.era, port=options.port) as server:
        print(f"BACKEND={options.backend}")
        print(f"JOB_SERVER_ENDPOINT={server.endpoint}")
        print(f"JOB_SERVER_TOKEN={server.token(options.backend)}")
        print(f"# a page: {server.page}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            Orders(server, options.backend, options.workspace).cmdloop()


if __name__ == "__main__":
    main()

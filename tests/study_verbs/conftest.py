"""Sites as the whole-system tests have them, and the command line in this process."""

from collections.abc import Callable

import pytest

from spoolrunner.cli import main
from tests.system.conftest import folder, new_site, site

__all__ = ["folder", "new_site", "site"]

Ended = tuple[int, str, str]
Do = Callable[..., Ended]


@pytest.fixture
def do(capsys: pytest.CaptureFixture[str]) -> Do:
    """Run a command: exit status, stdout, stderr. capsys is no terminal, as a pipe is none."""

    def run(*words: str) -> Ended:
        with pytest.raises(SystemExit) as ended:
            main(words)
        captured = capsys.readouterr()
        return int(str(ended.value.code)), captured.out, captured.err

    return run

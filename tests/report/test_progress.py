"""What lasts shows how far it is: a bar on a terminal of any width, lines elsewhere."""

import io
import re
from dataclasses import replace

import pytest

from spoolrunner.localrun import ActionRun, State
from spoolrunner.report import progress as shown
from spoolrunner.report import steps
from spoolrunner.report.progress import Progress

STYLE = re.compile(r"\x1b\[[?\d;]*[A-Za-z]")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def halfway(what: str, things: str = "") -> None:
    with Progress(what, things) as progress:
        progress.expect(2_000_000)
        progress.add(500_000)
        progress.add(500_000)


def test_what_is_quick_shows_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    halfway("archiving ws")
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    halfway("archiving ws")
    assert terminal.getvalue() == ""
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("things", "line"),
    [
        ("", "checking: 1.0 MB of 2.0 MB, 0 s left\n"),
        ("files", "checking: 1,000,000 files of 2,000,000 files, 0 s left\n"),
    ],
)
def test_without_a_terminal_there_are_lines_on_stderr(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], things: str, line: str
) -> None:
    monkeypatch.setattr(shown, "EVERY_S", 0.0)
    halfway("checking", things)
    out, err = capsys.readouterr()
    assert (out, err.splitlines(keepends=True)[-1]) == ("", line)


@pytest.mark.parametrize("columns", [40, 60, 80, 120, 200])
def test_a_bar_fits_its_terminal_and_goes_away(
    monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setattr(shown, "AT_ONCE_S", 0.0)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    halfway("archiving covid-vaccine-effectiveness-2026")
    drawn = STYLE.sub("", terminal.getvalue())
    assert "1.0 MB of 2.0 MB" in drawn
    assert ("━" in drawn) == (columns >= 80)
    assert max(len(line) for line in re.split(r"[\r\n]+", drawn)) <= columns
    assert "\x1b[3" not in terminal.getvalue(), "NO_COLOR"


def test_in_a_local_run_what_lasts_is_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = steps.Lines(timestamps=False)
    runs = ActionRun(action="model", state=State.RUNNING)
    lines.changed(runs)
    lines.changed(replace(runs, headway="looking through its outputs: 1.0 GB"))
    monkeypatch.setattr(steps, "EVERY_S", 0.0)
    lines.changed(replace(runs, headway="looking through its outputs: 2.0 GB"))
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["model", "running"],
        ["model", "running", "looking", "through", "its", "outputs:", "2.0", "GB"],
    ]

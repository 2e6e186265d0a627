"""How a local run goes on, for a terminal: what has ended scrolls up, what is to come stands below
with the time it takes, and at the bottom a bar over all."""

import threading
import time
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from spoolrunner.figures import time_words
from spoolrunner.localrun import ActionRun, Planned, State
from spoolrunner.report import steps
from spoolrunner.request import Code

STYLES = {
    State.REUSED: "green dim",
    State.WAITING: "dim",
    State.RUNNING: "cyan",
    State.SUCCEEDED: "green",
    State.FAILED: "bold red",
    State.STOPPED: "yellow",
    State.NOT_RUN: "yellow",
}
SIGNS = {
    State.REUSED: "=",
    State.WAITING: "·",
    State.RUNNING: "▸",
    State.SUCCEEDED: "✓",
    State.FAILED: "✗",
    State.STOPPED: "■",
    State.NOT_RUN: "-",
}
PLAIN = str.maketrans("·▸✓✗■", ".>+x!")
STEPS: dict[Code | None, str] = {Code.PREPARING: "starting", Code.FINALIZING: "publishing"}
EACH_S = 0.125
WIDEST_BAR = 40
NARROWEST, BESIDE = 20, 50  # columns: for names, and for all that stands beside one
BELOW = 4  # lines of the screen that are left: the bar, how many more wait, the prompt


class Screen:
    """A Watcher; shows only while it is entered."""

    def __init__(self, *, timestamps: bool) -> None:
        self._timestamps = timestamps
        self._console = Console(emoji=False, highlight=False)
        self._ascii = not self._console.encoding.startswith("utf")
        self._actions: dict[str, ActionRun] = {}
        self._width = 0
        self._began_s = time.monotonic()
        self._note = ""
        # rich lets its own thread draw between the two halves of a print: seen to tear the screen
        self._drawing = threading.Lock()
        self._over = threading.Event()
        self._live = Live(
            get_renderable=self._picture,
            console=self._console,
            auto_refresh=False,
            transient=True,
            vertical_overflow="crop",
        )

    def __enter__(self) -> "Screen":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        with self._drawing:
            self._live.stop()

    def planned(self, plan: Planned) -> None:
        room = max(NARROWEST, self._console.width - BESIDE)
        self._width = min(room, max(len(one.action) for one in plan.actions))
        for text in steps.heading(plan):
            self._console.print(text, style="bold")
        self._actions = {one.action: one for one in plan.actions if one.state is not State.REUSED}
        for one in plan.actions:
            if one.state is State.REUSED:
                self._show(one)
        self._live.start()
        threading.Thread(target=self._keep_drawing, name="screen", daemon=True).start()

    def changed(self, action: ActionRun) -> None:
        self._actions[action.action] = action
        if action.state.final:
            self._show(action)

    def stopping(self, *, again: bool) -> None:
        self._note = steps.AGAIN if again else steps.STOPPING

    def _keep_drawing(self) -> None:
        while not self._over.wait(EACH_S):
            with self._drawing:
                if not self._over.is_set():
                    self._live.refresh()

    def _picture(self) -> Group:
        open_ones = [one for one in self._actions.values() if not one.state.final]
        open_ones.sort(key=lambda one: one.state is State.WAITING)
        most = max(1, self._console.size.height - BELOW)
        lines = [self._line(one) for one in open_ones[:most]]
        if (hidden := len(open_ones) - most) > 0:
            lines.append(Text(f"  and {hidden} more", style="dim"))
        if self._note:
            lines.append(Text(self._note, style="yellow"))
        return Group(*lines, self._bar())

    def _show(self, action: ActionRun) -> None:
        """For good, above what still changes."""
        with self._drawing:
            self._live.refresh()  # the print draws the newest picture again, below its line
            self._console.print(self._line(action), no_wrap=True, overflow="ellipsis")

    def _line(self, action: ActionRun) -> Text:
        """One line of the screen, cut at its edge rather than wrapped."""
        style = STYLES[action.state]
        sign = SIGNS[action.state].translate(PLAIN) if self._ascii else SIGNS[action.state]
        elapsed = time_words(action.elapsed_s(time.monotonic()))
        state = (
            STEPS.get(action.code, action.state) if action.state is State.RUNNING else action.state
        )
        text = Text(no_wrap=True, overflow="ellipsis")
        if self._timestamps and action.state.final:
            text.append(f"{steps.now()} ", style="dim")
        text.append(f"{sign} ", style=style)
        text.append(f"{_cut(action.action, self._width):<{self._width}}")
        text.append(f"  {state:<10}", style=style)
        text.append(f"  {elapsed:>9}")
        text.append(f"  {steps.said(action)}", style="" if action.state is State.FAILED else "dim")
        return text

    def _bar(self) -> Table:
        done = sum(one.state.final for one in self._actions.values())
        width = min(WIDEST_BAR, max(10, self._console.width - 30))
        failed = any(one.state is State.FAILED for one in self._actions.values())
        bar = ProgressBar(
            total=len(self._actions),
            completed=done,
            width=width,
            complete_style="red" if failed else "green",
            finished_style="red" if failed else "green",
        )
        row = Table.grid(padding=(0, 2))
        elapsed = time_words(time.monotonic() - self._began_s)
        row.add_row(bar, f"{done} of {len(self._actions)}", Text(elapsed, style="dim"))
        return row


def _cut(name: str, width: int) -> str:
    return name if len(name) <= width else f"{name[: width - 3]}..."

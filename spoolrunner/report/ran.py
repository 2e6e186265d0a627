"""What came of a local run: what was made, and of each failure what is needed to mend it."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from spoolrunner.localrun import ActionRun, Missing, Result, State
from spoolrunner.report.sheet import Block, Cell, Line, Table
from spoolrunner.report.steps import duration
from spoolrunner.request import Output

MOST_OUTPUTS = 12
MOST_MADE = 8


def summary(result: Result) -> Iterator[Block]:
    """What succeeded, then what failed; of the others the progress has told all there is."""
    if result.nothing_to_do:
        yield from _nothing(result)
        return
    done = [one for one in result.actions if one.state is State.SUCCEEDED]
    if done:
        yield _line("", "")
        yield Table(
            ("action", "took", "output", "level"), [row for one in done for row in _rows(one)]
        )
    for one in result.actions:
        if one.state is State.FAILED:
            yield from _failure(one, result.folder)
    for one in result.actions:
        if one.folder:
            yield from _kept(one)
    yield _line("", "")
    yield Line("", _verdict(result))


def _nothing(result: Result) -> Iterator[Block]:
    for note in result.notes:
        yield _line("note", note)
    yield _line("", f"{result.nothing_to_do} Name an action, or use -f, to run it again.")


def _rows(one: ActionRun) -> Iterator[tuple[Cell, ...]]:
    first = (Cell(one.action, "green"), Cell(duration(one.elapsed_s(0))))
    shown = sorted(one.outputs.items())[:MOST_OUTPUTS]
    if not shown:
        yield (*first, Cell("(no outputs)"), Cell(""))
    for path, output in shown:
        yield (*first, Cell(path), Cell(_level(output)))
        first = (Cell(""), Cell(""))
    if hidden := len(one.outputs) - len(shown):
        yield (*first, Cell(f"and {hidden} more"), Cell("see metadata/manifest.json"))


def _level(output: Output) -> str:
    level = str(output.level)
    return f"{level}, but not fit for release: {output.excluded}" if output.excluded else level


def _failure(one: ActionRun, folder: Path) -> Iterator[Block]:
    yield _line("", "")
    elapsed = duration(one.elapsed_s(0))
    yield Line("failed", Cell(f"{one.action}{' after ' * bool(elapsed)}{elapsed}", "bold red"))
    yield _line("why", one.message)
    for missing in one.missing:
        yield _line("missing", _hint(missing))
    if any(not missing.like for missing in one.missing):
        yield _line("made", _made(one))
    for path, why in list(one.refused.items())[:MOST_MADE]:
        yield _line("refused", f"{path}: {why}")
    if one.outputs:
        yield _line("outputs", f"what it did make lies in metadata/{one.action}.failed/")
    if one.log:
        yield _line("log", f"{one.log.relative_to(folder)}{'; it ends with' * bool(one.tail)}")
    for text in one.tail:
        yield Line("", Cell(f"  | {text}"))


def _hint(missing: Missing) -> str:
    """What the pattern was, and which file may have been meant."""
    if not missing.like:
        return f"{missing.pattern} (no file has such a name)"
    return f"{missing.pattern}; did it mean {' or '.join(missing.like)}?"


def _made(one: ActionRun) -> str:
    others = [path for path in one.other_files if path not in one.outputs]
    if not others:
        return "no other files"
    more = f" and {len(others) - MOST_MADE} more" if len(others) > MOST_MADE else ""
    return ", ".join(others[:MOST_MADE]) + more


def _kept(one: ActionRun) -> Iterator[Block]:
    yield _line("", "")
    yield _line("kept", f"{one.action}: {one.folder}/workspace, container {one.container}")


def _verdict(result: Result) -> Cell:
    """One sentence over all."""
    counts = Counter(one.state for one in result.actions)
    words = [
        f"{counts[state]} {state}"
        for state in (State.SUCCEEDED, State.FAILED, State.STOPPED, State.NOT_RUN, State.REUSED)
        if counts[state]
    ]
    text = f"{', '.join(words)}, in {duration(result.elapsed_s)}."
    return Cell(text, "bold green" if result.succeeded else "bold red")


def _line(name: str, text: str) -> Line:
    return Line(name, Cell(text))

"""What came of a local run: what was made, and of each failure what is needed to mend it."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from spoolrunner.figures import time_words
from spoolrunner.localrun import ActionRun, Missing, Result, State
from spoolrunner.report.sheet import Block, Cell, Line
from spoolrunner.request import Code

MOST_OUTPUTS = 12
MOST_NAMED = 8


def summary(result: Result) -> Iterator[Block]:
    """What succeeded, then what failed; of the others the progress has told all there is."""
    if result.nothing_to_do:
        yield from _nothing(result)
        return
    done = [one for one in result.actions if one.state is State.SUCCEEDED]
    if done:
        yield _line("", "")
    for one in done:
        yield from _success(one)
    for one in result.actions:
        if one.state is State.FAILED:
            yield _line("", "")
            yield from _failure(one, result.folder)
    if any(one.folder for one in result.actions):
        yield _line("", "")
        yield from _left(result)
    yield _line("", "")
    yield Line("", _verdict(result))


def _nothing(result: Result) -> Iterator[Block]:
    for note in result.notes:
        yield _line("note", note)
    yield _line("", f"{result.nothing_to_do} Name an action, or use -f, to run it again.")


def _success(one: ActionRun) -> Iterator[Block]:
    yield Line("done", Cell(f"{one.action} in {time_words(one.elapsed_s(0))}", "green"))
    shown = sorted(one.outputs.items())[:MOST_OUTPUTS]
    width = max((len(path) for path, _ in shown), default=0)
    for path, output in shown:
        yield _line("output", f"{path:<{width}}  {output.level}")
        if output.excluded:
            yield _line("unfit", f"for release: {output.excluded}")
    if hidden := len(one.outputs) - len(shown):
        yield _line("output", f"and {hidden} more, see metadata/manifest.json")


def _failure(one: ActionRun, folder: Path) -> Iterator[Block]:
    elapsed = time_words(one.elapsed_s(0))
    yield Line("failed", Cell(f"{one.action}{' after ' * bool(elapsed)}{elapsed}", "bold red"))
    if one.code is Code.UNMATCHED_PATTERNS:
        yield from _unmatched(one)
    else:
        yield _line("why", one.message)
    if one.outputs:
        yield _line("outputs", f"what it did make lies in metadata/{one.action}.failed/")
    if one.log:
        yield _line("log", f"{one.log.relative_to(folder)}{', which ends:' * bool(one.tail)}")
    for text in one.tail:
        yield Line("", Cell(f"  | {text}"))


def _unmatched(one: ActionRun) -> Iterator[Block]:
    for path, why in list(one.refused.items())[:MOST_NAMED]:
        yield _line("refused", f"{path}: {why}")
    lost = [missing for missing in one.missing if missing.pattern not in one.refused]
    for missing in lost:
        yield _line("missing", _hint(missing))
    if any(not missing.like for missing in lost):
        yield _line("made", _made(one))


def _hint(missing: Missing) -> str:
    """What the pattern was, and which file may have been meant."""
    if not missing.like:
        return f"{missing.pattern}, which is among its outputs in project.yaml"
    return f"{missing.pattern}; is it {' or '.join(missing.like)}, which it made?"


def _made(one: ActionRun) -> str:
    others = [*one.outputs, *one.other_files]
    if not others:
        return "no file at all"
    more = f" and {len(others) - MOST_NAMED} more" if len(others) > MOST_NAMED else ""
    return ", ".join(others[:MOST_NAMED]) + more


def _left(result: Result) -> Iterator[Block]:
    """By --debug. The next run here clears it away."""
    for one in result.actions:
        if one.folder:
            yield _line("left", f"{one.folder}/workspace")
    if result.executor == "docker":
        names = " ".join(one.container for one in result.actions if one.container)
        yield _line("clean up", f"docker rm {names}")
    yield _line("", "The next local-run here clears away what is left of this one.")


def _verdict(result: Result) -> Cell:
    """One sentence over all."""
    counts = Counter(one.state for one in result.actions)
    words = [
        f"{counts[state]} {state}"
        for state in (State.SUCCEEDED, State.FAILED, State.STOPPED, State.NOT_RUN, State.REUSED)
        if counts[state]
    ]
    text = f"{', '.join(words)}, in {time_words(result.elapsed_s)}."
    return Cell(text, "bold green" if result.succeeded else "bold red")


def _line(name: str, text: str) -> Line:
    return Line(name, Cell(text))

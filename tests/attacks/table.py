"""The table of attacks in SECURITY.md: each test with an `attack` mark, by executor, and its end.

    python -m tests.attacks          run them all and write the table; 1 if one got through

What the mark says may name the test's parameters: "an output is a {kind}".
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "SECURITY.md"
BEGIN, END = "<!-- attacks -->\n", "<!-- /attacks -->\n"
EXECUTORS = ("docker", "process", "process-without-bubblewrap")
BY_EXECUTOR = ("house", "held")  # fixtures that are made once for each executor
HEADER = "| what is tried | docker | process | both |\n|---|---|---|---|\n"


def name_of(item: pytest.Item) -> str | None:
    """What is tried in this test, or None if it is no attack."""
    mark = item.get_closest_marker("attack")
    if mark is None:
        return None
    return str(mark.args[0]).format(**{name: shown(x) for name, x in _parameters(item).items()})


def shown(value: object) -> str:
    """A parameter as it may stand in a row: on one line, not too long."""
    text = value if isinstance(value, str) else ascii(value)
    text = text.encode("unicode_escape").decode() if not text.isprintable() else text
    return (text if len(text) <= 60 else text[:60] + "...").replace("|", "/") or "nowhere"


def executor_of(item: pytest.Item) -> str:
    """Under which executor, or "" if that makes no difference to it."""
    if item.path.name in ("test_docker.py", "test_database_network.py"):
        return "docker"
    given = _parameters(item)
    return next((str(given[name]) for name in BY_EXECUTOR if given.get(name) in EXECUTORS), "")


def _parameters(item: pytest.Item) -> dict[str, object]:
    spec = getattr(item, "callspec", None)
    return dict(spec.params) if spec else {}


@dataclass(eq=False)
class Recorder:
    """A plugin of pytest's that takes down what became of each attack."""

    attacks: dict[str, tuple[str, str]] = field(default_factory=dict)
    ends: dict[tuple[str, str], bool] = field(default_factory=dict)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self.attacks = {item.nodeid: (name_of(item) or "", executor_of(item)) for item in items}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        key = self.attacks[report.nodeid]
        if report.when == "call" or not report.passed:
            self.ends[key] = self.ends.get(key, True) and report.passed


def table(ends: dict[tuple[str, str], bool]) -> str:
    names = dict.fromkeys(name for name, _ in ends)
    return HEADER + "".join(_row(name, ends) for name in names)


def _row(name: str, ends: dict[tuple[str, str], bool]) -> str:
    under = [("docker",), ("process", "process-without-bubblewrap"), ("",)]
    cells = [_cell(ends[name, one] for one in ones if (name, one) in ends) for ones in under]
    return f"| {name} | {' | '.join(cells)} |\n"


def _cell(ends: Iterable[bool]) -> str:
    found = list(ends)
    return ("held" if all(found) else "GOT THROUGH") if found else ""


def rows_of_the_page() -> dict[str, list[str]]:
    """What SECURITY.md says was tried -> how it ended, by executor."""
    text = PAGE.read_text(encoding="utf-8")
    rows = text.partition(BEGIN)[2].partition(END)[0].removeprefix(HEADER).splitlines()
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]
    return {name: ends for name, *ends in cells}


def write(ends: dict[tuple[str, str], bool]) -> None:
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(before + BEGIN + table(ends) + END + rest.partition(END)[2], encoding="utf-8")

"""What README.md shows of commands, so that a test can compare it with what they print.

    <!-- shown: graph -->
    ```
    $ spoolrunner graph
    what it prints
    ```

Whoever shows a text compares it: test_readme.py looks for `shown("NAME")` in the tests.
"""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
_BLOCK = re.compile(
    r"^<!-- shown: ([\w-]+) -->\n```\n\$ spoolrunner ([^\n]*)\n(.*?)```$", re.MULTILINE | re.DOTALL
)
_MARK = re.compile(r"<!-- shown: ([\w-]+) -->")


class Shown(NamedTuple):
    """words: after `spoolrunner`. text: all that is printed, on stdout and then on stderr."""

    words: list[str]
    text: str


def shown(name: str) -> Shown:
    return _blocks()[name]


def tour() -> str:
    """The lines of the five-minute tour."""
    found = re.search(
        r"^## A five-minute tour\n\n```sh\n(.*?)```$", _readme(), re.MULTILINE | re.DOTALL
    )
    assert found
    return found[1]


def names() -> list[str]:
    """Every mark, whether a block follows it or not."""
    return _MARK.findall(_readme())


def used() -> set[str]:
    """The names that tests ask for."""
    tests = "".join(path.read_text() for path in ROOT.glob("tests/**/test_*.py"))
    return set(re.findall(r"\bshown\(\"([\w-]+)\"\)", tests))


def _blocks() -> dict[str, Shown]:
    found = _BLOCK.findall(_readme())
    return {name: Shown(shlex.split(command), text) for name, command, text in found}


def _readme() -> str:
    return (ROOT / "README.md").read_text()

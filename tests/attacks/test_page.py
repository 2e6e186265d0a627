"""SECURITY.md names every attack that is tried, and no other, and none of them got through."""

import re
from pathlib import Path

from tests.attacks.table import rows_of_the_page

TESTS = Path(__file__).parents[1]
MARK = re.compile(r'pytest\.mark\.attack\(\s*(?:"([^"]+)"|\'([^\']+)\')\s*\)')


def patterns() -> list[re.Pattern[str]]:
    """What each mark may look like on the page, its parameters filled in."""
    marks = [
        one or other
        for path in sorted(TESTS.rglob("test_*.py"))
        for one, other in MARK.findall(path.read_text(encoding="utf-8"))
    ]
    parts = [re.split(r"\{\w+\}", mark) for mark in marks]
    return [re.compile(".+".join(map(re.escape, each)), re.DOTALL) for each in parts]


def test_the_page_names_what_is_tried() -> None:
    tried, told = patterns(), rows_of_the_page()
    assert len(told) >= 80
    untold = [each.pattern for each in tried if not any(each.fullmatch(name) for name in told)]
    unknown = [name for name in told if not any(each.fullmatch(name) for each in tried)]
    assert (untold, unknown) == ([], []), "run `python -m tests.attacks`"


def test_none_of_them_got_through() -> None:
    assert {end for ends in rows_of_the_page().values() for end in ends} == {"held", ""}

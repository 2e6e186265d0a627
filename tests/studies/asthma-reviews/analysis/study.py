"""What the scripts share: where files lie, and how counts are made safe to release."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

OUTPUT = Path("output")

Row = Mapping[str, str]


def read(name: str) -> list[dict[str, str]]:
    with (OUTPUT / name).open(newline="") as file:
        return list(csv.DictReader(file))


def write(name: str, rows: Iterable[Mapping[str, object]]) -> None:
    rows = list(rows)
    OUTPUT.mkdir(exist_ok=True)
    with (OUTPUT / name).open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def rounded(count: int) -> int:
    """Midpoint-of-six rounding: 1-6 -> 3, 7-12 -> 9, ... so no small number can be recovered."""
    return 0 if count == 0 else (count - 1) // 6 * 6 + 3

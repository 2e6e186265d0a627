"""A real runner from which a person takes a request away just as its first attempt is noted.

python -m tests.system.withdrawing run --drain        the file goes into the folder ./away
"""

import sys
from pathlib import Path
from typing import Any

from spoolrunner.cli import main
from spoolrunner.runner.diary import Diary


def arm() -> None:
    noted, away = Diary.starting, Path("away")
    away.mkdir()

    def starting(diary: Diary, *values: Any) -> None:
        for path in Path("spool/running").glob("*.json"):
            path.rename(away / path.name)
        noted(diary, *values)

    Diary.starting = starting  # type: ignore[method-assign]


if __name__ == "__main__":
    arm()
    main(sys.argv[1:])

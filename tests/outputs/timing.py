"""What is made to be slow to check, and how long it takes:   python -m tests.outputs.timing

Each unit is repeated until it fills 1, 4 and 16 MiB. Prints processor seconds and the most memory
beyond the file itself; exit status 1 if four times the size takes more than eight times as long.
"""

import io
import itertools
import resource
import subprocess
import sys
import time

from spoolrunner.release import Rules, inside
from spoolrunner.release.logs import without_tables

MEGABYTE = 1024 * 1024
UNITS = {
    "t.csv": ["1,2,3,4\n", "a\n", "x,patient_id y\n", '"', "x patient_id\n", "é,1\n"],
    "t.txt": [
        "patient_id\n",
        "patient_id;a,b|c\td\n",
        "patient_id=x ",
        "The quick, brown fox.\n",
        " ",
    ],
    "t.log": ["2026-01-01 INFO joined 1000 rows on patient_id\n", "-----+----\n", "é p a t i "],
    "t.md": ["<th>\n", "|a|b|\n|-|-|\n", "| patient_id |\n"],
    "t.html": [
        "<",
        "<a ",
        "<!--",
        "&",
        '<a x="',
        "<a x='b' ",
        "<script>",
        "</",
        "<p>a</p>\n",
        "&#1",
    ],
    "t.svg": ['<path d="M 1 2 L 3 4"/>', "<![CDATA[", '<p style="url(url(">'],
    "t.json": ["1,", '{"a":1,"b":"x"},', '"a\\n" ', '"', "[", "a"],
    "t.jpg": ["\xff", "\xff\0"],
    "job.log": ["joined 1000 rows on patient_id\n", "patient_id,a\n", "\xe9\n"],
}
STARTS = {"t.json": "[", "t.svg": "<svg>", "t.jpg": "\xff\xd8\xff\xda\0\2"}
MOST_TIMES = 8
BRIEF_S = 0.05  # below this nothing can be told


def measured(name: str, number: int, size: int) -> tuple[float, int]:
    """In a process of its own, for the memory: processor seconds, KiB."""
    asked = [sys.executable, "-m", __spec__.name, name, str(number), str(size)]
    done = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=600)
    taken_s, memory = done.stdout.split()
    return float(taken_s), int(memory)


def measure(name: str, number: int, size: int) -> None:
    unit = UNITS[name][number]
    data = (STARTS.get(name, "") + unit * (size // len(unit) + 1))[:size].encode("latin-1")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun_s = time.process_time()
    if name == "job.log":
        for _ in without_tables(data[n : n + MEGABYTE] for n in range(0, size, MEGABYTE)):
            pass
    else:
        inside(name, io.BytesIO(data), Rules())
    taken_s = time.process_time() - begun_s
    print(f"{taken_s:.3f}", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


def main() -> int:
    wrong = 0
    print(f"{'file':8}  {'unit':48}  {'1 MiB':>8}  {'4 MiB':>8}  {'16 MiB':>8}  {'memory':>8}")
    for name, units in UNITS.items():
        for number, unit in enumerate(units):
            found = [measured(name, number, size * MEGABYTE) for size in (1, 4, 16)]
            times = [max(taken_s, BRIEF_S) for taken_s, _ in found]
            is_wrong = any(b > MOST_TIMES * a for a, b in itertools.pairwise(times))
            wrong += is_wrong
            shown = "  ".join(f"{taken_s:6.2f} s" for taken_s, _ in found)
            memory = f"{found[-1][1] / 1024:4.0f} MiB"
            mark = "  WRONG" if is_wrong else ""
            print(f"{name:8}  {unit!r:48}  {shown}  {memory}{mark}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
    sys.exit(main())

"""Inputs for the fuzzer: endless, and always the same for the same seed.

bytes    anything, and the pieces YAML is made of in any order
changed  real files with a few changes: cut, doubled, moved, spliced, re-indented, bits flipped
trees    projects whose values are of any kind, anywhere, written as YAML
grown    a few lines, many times: what is slow or large shows here
"""

import random
from collections.abc import Iterator
from pathlib import Path

CORPUS = Path(__file__).parents[3] / "shared/corpus/project_yaml"
STUDIES = Path(__file__).parents[1] / "studies"
MOST_BYTES = 8_000  # of a file that is changed: larger ones are read a hundred times less often
GROWN_BYTES = 200_000

SEED = b"""\
version: '3.0'
expectations: {population_size: 1000}
actions:
  cohort: &c
    run: >
      cohortextractor:v1 generate_cohort
      --study-definition 'a b'
    outputs: {highly_sensitive: {cohort: output/input_*.csv.gz}}
    config: {a: [1, 2.5, null, true, 2020-01-01], b: "it's"}
  model:
    <<: *c
    run: r:latest x.R
    needs: [cohort]
    outputs:
      moderately_sensitive:
        table: output/x.csv
  3: {run: 'ehrql:v1 generate-dataset --output o.arrow', outputs: {highly_sensitive: {d: o.arrow}}}
"""
_WORDS = rb"""
: |- |[|]|{|}|,|&a |*a|*c|<<: *a|<<|!!int |!!binary |!!set |!!omap |!!timestamp |!x |!<tag:x> |#|"
'|\|?|? |%|@|`|null|true|1e999|-0|0o17|0x1f|0b1|1_000|12:30:45|2020-13-45|2020-01-01T00:00:00Z|.nan
.inf|=|~|'\0'|"\ud800"|"\x00"|%YAML 1.1|%TAG ! tag:x|run_all|__error__|../x|a/../b|metadata/x|**
*.csv|python:v2|ehrql:v1  generate-dataset|--output|highly_sensitive|moderately_sensitive|needs
outputs|run|config|version|actions|expectations|dummy_data_file|population_size
"""
PIECES = (
    *_WORDS.replace(b"\n", b"|").strip(b"|").split(b"|"),
    *(b"\t", b"\r", b"\n", b"\r\n", b"\n\n  ", b"---\n", b"...\n", b"|\n", b">-\n", b"\0", b"\xff"),
    *(b"\xc3\xa9", b"\xc2\x85", b"\xe2\x80\xa8", b"\xf0\x9f\x98\x80", b"\xef\xbb\xbf", b"\xff\xfe"),
)
SCALARS = (
    *("1", "-1", "1.5", "1e400", "0x1f", ".nan", "true", "null", "~", "''", "'it''s'", '"\\n"'),
    *("2020-01-01", "[]", "{}", "[a, [b]]", "{a: {b: 1}}", "a b", "a", "b", "c", "!!str 1", "é"),
    *("run_all", "__error__", "python:v2 a", "r:latest b", "'python:v1 \"x'", "../x.csv", "x.csv"),
    *("out/*.csv", "**/x", "'a\\b'", "metadata/x.csv", "x" * 200, "|\n  text", "&x y", "*x", "="),
)
VERSIONS = ("1", "2", "3", "'3.0'", "4", "'5.0'", "5")
RUNS = (
    *("python:v2 python a.py", "r:v1 a.R", "stata-mp:v1 b.do"),
    *("ehrql:v1 generate-measures m.py", "sqlrunner:v1 q.sql"),
)
NAMES = ("a", "b", "c", "d e", "f_1")
# What stands where it should be one of the above, now and then.
ODD_VERSIONS = ("3.5", "0", "nan", ".inf", "1.5", "6", "'x'")
ODD_RUNS = (
    *(
        "python",
        "python:",
        ":v1",
        "x",
        "python:v2",
        "a/b:v1 c",
        "'python:v1 \"x'",
        "python:latest x",
    ),
    "cohortextractor:latest generate_cohort --output-dir out",
    "cohortextractor:v1 generate_dataset",
    "databuilder:v0 generate_dataset --output out/a.csv",
    "ehrql:v1 generate-dataset d.py --output out/a.csv",
    "ehrql:v1 generate-dataset d.py --output out/:csv",
    "'ehrql:v1  generate-dataset d.py'",
)
ODD_NAMES = ("A", "1", "run_all", "__error__", "../a", "é", "null", "x" * 129, "''", "true")
ODD_PATHS = ("out/*.csv", "a", "a.pdf", "../a.csv", "metadata/a.csv", "a.*", "out/a.csv", "")
LEVELS = ("highly_sensitive", "moderately_sensitive", "minimally_sensitive")
ODD_LEVELS = ("highly", "null", "1", "highly_sensitive ")


def paths() -> list[Path]:
    """Our own studies, and real ones where they lie beside us, without the largest."""
    found = (*sorted(STUDIES.glob("*/project.yaml")), *sorted(CORPUS.glob("*.yaml")))
    return [path for path in found if path.stat().st_size <= MOST_BYTES]


def texts() -> list[bytes]:
    """What is changed."""
    return [SEED, *(path.read_bytes() for path in paths())]


def inputs(seed: int) -> Iterator[tuple[str, bytes]]:
    """(kind, bytes), without end."""
    chance, real = random.Random(seed), texts()
    while True:
        yield "bytes", _bytes(chance)
        for _ in range(5):
            yield "changed", _changed(chance, real)
        for _ in range(13):
            yield "trees", _tree(chance)
        if chance.random() < 0.1:
            yield "grown", _grown(chance, real)


def _bytes(chance: random.Random) -> bytes:
    if chance.random() < 0.3:
        return chance.randbytes(chance.randrange(200))
    return b"".join(chance.choices(PIECES, k=chance.randrange(60)))


def _changed(chance: random.Random, real: list[bytes]) -> bytes:
    text = chance.choice(real)
    for _ in range(chance.randrange(1, 6)):
        text = chance.choice(CHANGES)(chance, text, real)
    return text


def _span(chance: random.Random, text: bytes, most: int = 60) -> tuple[int, int]:
    start = chance.randrange(len(text) + 1)
    return start, min(len(text), start + chance.randrange(most))


def _insert(chance: random.Random, text: bytes, real: list[bytes]) -> bytes:
    start, end = _span(chance, text, 12)
    return text[:start] + chance.choice(PIECES) + text[chance.choice((start, end)) :]


def _cut(chance: random.Random, text: bytes, real: list[bytes]) -> bytes:
    start, end = _span(chance, text)
    return text[:start] + text[end:]


def _double(chance: random.Random, text: bytes, real: list[bytes]) -> bytes:
    start, end = _span(chance, text, 400)
    return text[:end] + text[start:end] * chance.randrange(1, 4) + text[end:]


def _splice(chance: random.Random, text: bytes, real: list[bytes]) -> bytes:
    other = chance.choice(real)
    return text[: _span(chance, text)[0]] + other[_span(chance, other)[0] :]


def _flip(chance: random.Random, text: bytes, real: list[bytes]) -> bytes:
    changed = bytearray(text)
    for _ in range(min(len(changed), chance.randrange(1, 4))):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _shift(chance: random.Random, text: bytes, real: list[bytes]) -> bytes:
    """Some lines are indented otherwise, or change places."""
    lines = text.splitlines(keepends=True)
    start = chance.randrange(len(lines) + 1)
    block = lines[start : start + chance.randrange(1, 6)]
    rest = lines[:start] + lines[start + len(block) :]
    if chance.random() < 0.5:
        start = chance.randrange(len(rest) + 1)
    else:
        block = [chance.choice((b" ", b"    ", b"\t", b"- ")) + line for line in block]
    return b"".join(rest[:start] + block + rest[start:])


CHANGES = (_insert, _insert, _cut, _double, _splice, _flip, _shift)


def _tree(chance: random.Random) -> bytes:
    return _Tree(chance, odd=chance.choice((0.005, 0.02, 0.1, 0.4))).text()


class _Tree:
    """One project. odd: how often something is not as it should be."""

    def __init__(self, chance: random.Random, odd: float) -> None:
        self.chance = chance
        self.odd = odd

    def one(self, usual: tuple[str, ...], odd: tuple[str, ...] = ()) -> str:
        if self.chance.random() >= self.odd:
            return self.chance.choice(usual)
        return self.chance.choice(odd if odd and self.chance.random() < 0.7 else SCALARS)

    def is_odd(self) -> bool:
        return self.chance.random() < self.odd

    def text(self) -> bytes:
        version = self.one(VERSIONS, ODD_VERSIONS)
        top = [f"version: {version}"]
        if ("3" in version) != self.is_odd():
            top.append(f"expectations: {self.one(('{population_size: 1000}',), ('{}',))}")
        if self.is_odd():
            top.append(f"{self.one(NAMES, ODD_NAMES)}: {self.one(SCALARS)}")
        names = list(dict.fromkeys(self.one(NAMES, ODD_NAMES) for _ in range(4)))
        entries = "".join(self.entry(name, names[:at], at) for at, name in enumerate(names))
        top.append(f"actions:\n{entries}")
        if self.is_odd():
            self.chance.shuffle(top)
        return "\n".join(top).encode("utf-8", "surrogatepass")

    def entry(self, name: str, before: list[str], number: int) -> str:
        run = self.one(RUNS, ODD_RUNS)
        said = {"run": run if self.is_odd() else f"{run} --number {number}"}
        if before:
            needs = self.chance.choices(before, k=self.chance.randrange(3))
            said["needs"] = f"[{', '.join(map(self.name, needs))}]"
        said["outputs"] = self.outputs(name)
        for key in ("config", "dummy_data_file", "extra"):
            if self.is_odd():
                said[key] = self.one(("{a: 1}", "{b: [x, 'y''z']}", "d.csv"))
        for key in list(said):
            said[key] = self.one((said[key],))
            if self.is_odd() and self.is_odd():
                del said[key]
        return f"  {name}:\n" + "".join(f"    {key}: {value}\n" for key, value in said.items())

    def name(self, name: str) -> str:
        return self.one((name,), ODD_NAMES)

    def outputs(self, name: str) -> str:
        levels = [self.one(LEVELS, ODD_LEVELS) for _ in range(self.chance.choice((1, 1, 2)))]
        files = (f"{level}: {{x: {self.path(name, level)}}}" for level in dict.fromkeys(levels))
        return f"{{{', '.join(files)}}}"

    def path(self, name: str, level: str) -> str:
        return self.one((f"out/{name.replace(' ', '_')}_{level}.csv",), ODD_PATHS)


def _grown(chance: random.Random, real: list[bytes]) -> bytes:
    piece = b"".join(chance.choices(PIECES, k=chance.randrange(1, 4)))
    if chance.random() < 0.5:
        text = chance.choice(real)
        start, end = _span(chance, text, 400)
        piece = text[start:end] + chance.choice((b"", b"\n", piece))
    times = chance.randrange(GROWN_BYTES) // (len(piece) + 1)
    body = b"".join(piece.replace(b"a", b"%d" % n) for n in range(times))
    return chance.choice((b"", b"version: 5\nactions:\n", b"a: &a [x]\n")) + body

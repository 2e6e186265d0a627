"""Fuzzing of project.yaml guided by coverage: `python -m tests.fuzz.guided [libFuzzer's options]`.

Needs `pip install atheris`, which is none of our dependencies. Looks for what `tests.fuzz.project`
looks for, but chooses inputs by the lines they reach. Example: -runs=200000 -max_len=4096
"""

import sys

import atheris

with atheris.instrument_imports(include=["spoolrunner.project"]):
    from tests.fuzz.project import check

from tests.fuzz.inputs import paths


def check_one(data: bytes) -> None:
    check(data)


if __name__ == "__main__":
    atheris.Setup([*sys.argv, f"-seed_inputs={','.join(map(str, paths()))}"], check_one)
    atheris.Fuzz()

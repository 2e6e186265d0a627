"""How long the largest project.yaml takes to read, against ruamel.yaml's fastest loader alone.

usage: python -m tests.bench.project [ROUNDS]

Prints the best of interleaved rounds, in processor time; ends with 1 above 1.2 x (issue 4, point
4). The files are the largest of ../shared/corpus, the largest of it that is valid, and one made up
as large as the largest study there is, which stands for both where no corpus lies beside us.
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import process_time

from ruamel.yaml import YAML

from spoolrunner import project
from spoolrunner.errors import BadProject

MOST = 1.2
CORPUS = Path(__file__).parents[3] / "shared/corpus/project_yaml"
LARGEST_BYTES = 1_300_000  # corpus README: the biggest of 217 current studies
ACTION = """\

  ## One of many, as scripts write them
  model_{n}-cohort_prevax-main-outcome_{n}:
    run: >
      r:v2 analysis/model/cox-ipw.R
      --df_input=model_input-cohort_prevax-main-outcome_{n}.rds
      --ipw=TRUE
      --exposure=exp_date --outcome=out_date_{n}
      --strata=strat_cat_region
      --covariate_sex=cov_cat_sex
      --covariate_age=cov_num_age
      --cox_start=index_date
      --cox_stop=end_date_outcome
      --study_start=2020-01-01
      --study_stop=2021-06-18
      --cut_points=1;28;197
    needs:
    - {need}
    outputs:
      moderately_sensitive:
        model_output: output/model/model_output-cohort_prevax-main-outcome_{n}.csv
      highly_sensitive:
        sampled_data: output/model/ready-cohort_prevax-main-outcome_{n}.csv
"""
FIRST = """\
version: '4.0'
actions:
  cohort:
    run: ehrql:v1 generate-dataset analysis/dataset.py --output output/dataset.csv.gz
    outputs:
      highly_sensitive:
        cohort: output/dataset.csv.gz
"""


def made_up() -> bytes:
    parts = [FIRST]
    size = len(FIRST)
    while size < LARGEST_BYTES:
        parts.append(ACTION.format(n=len(parts), need="cohort"))
        size += len(parts[-1])
    return "".join(parts).encode()


def files() -> dict[str, bytes]:
    """The largest there is, and the largest that is valid (of an invalid one all is told)."""
    real = sorted(CORPUS.glob("*.yaml"), key=lambda path: -path.stat().st_size)
    valid = next((path for path in real if is_valid(path.read_bytes())), None)
    chosen = {*real[:1], valid} - {None}
    return {**{path.stem: path.read_bytes() for path in chosen if path}, "made up": made_up()}


def is_valid(data: bytes) -> bool:
    try:
        project.read(data)
    except BadProject:
        return False
    return True


def read(data: bytes) -> None:
    with suppress(BadProject):
        project.read(data)


def bare(data: bytes) -> None:
    YAML(typ="safe").load(data)


def best_s(what: tuple[Callable[[bytes], None], ...], data: bytes, rounds: int) -> list[float]:
    best = [float("inf")] * len(what)
    for _ in range(rounds):
        for at, one in enumerate(what):
            began_s = process_time()
            one(data)
            best[at] = min(best[at], process_time() - began_s)
    return best


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    worst = 0.0
    for name, data in files().items():
        ours_s, bare_s = best_s((read, bare), data, rounds)
        worst = max(worst, ours_s / bare_s)
        told = f"{ours_s * 1000:4.0f} ms, ruamel.yaml {bare_s * 1000:4.0f} ms"
        print(f"{ours_s / bare_s:.2f} x  {told}  {len(data):9,} bytes  {name}")
    print(f"at most {worst:.2f} x; the goal is {MOST} x")
    return int(worst > MOST)


if __name__ == "__main__":
    sys.exit(main())

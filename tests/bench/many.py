"""run_all of so many no-op actions through the whole runner: does it cost the same for each job?

    python -m tests.bench.many [N ...]     default 250 2500; the last line compares first and last

A real study in git, the process executor, one runner in a process of its own (`run --drain`), four
workers. For each shape and size it prints the wall time, the processor time of the runner itself
(its jobs and keepers left out), the bytes it and what it waited for gave to write(), and those that
went to the disk, all as the kernel counted them. Each job gets a copy of the study, and a study of
more actions has a longer project.yaml: these bytes are told apart and left out of the comparison.
Ends with 1 if anything else grows by more than WORST for each job.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import astuple, dataclass
from pathlib import Path

from tests.site import Site

SIZES = (250, 2500)
LAYERS = 10
NEEDS = 3
WORST = 1.3
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
ACTION = """\
  a{number}:
    run: python:v2 sh -c "echo {number} > a{number}.csv"
    needs: [{needs}]
    outputs:
      moderately_sensitive: {{o: a{number}.csv}}
"""


@dataclass(frozen=True)
class Cost:
    """Of one whole run. study_bytes: copies of the study's files, no part of written_bytes."""

    wall_s: float
    runner_s: float
    written_bytes: int
    disk_bytes: int
    study_bytes: int

    def per_job(self, jobs: int) -> "Cost":
        return Cost(*(value / jobs for value in astuple(self)))


def alone(number: int, jobs: int) -> list[int]:
    return []


def layered(number: int, jobs: int) -> list[int]:
    """Each action needs some of the layer before its own."""
    width = max(1, jobs // LAYERS)
    place = number - number % width
    return sorted({place - width + (number + n) % width for n in range(NEEDS)}) if place else []


SHAPES = {"alone": alone, "layered": layered}


def project(shape: str, jobs: int) -> str:
    needs = ((number, SHAPES[shape](number, jobs)) for number in range(jobs))
    return 'version: "4.0"\nactions:\n' + "".join(
        ACTION.format(number=number, needs=", ".join(f"a{one}" for one in those))
        for number, those in needs
    )


def run(site: Site, study_bytes: int) -> Cost:
    """Drain the spool. The runner is looked at once it has ended and before it is reaped: until
    then the kernel still tells what it has done. study_bytes: of all copies of the study."""
    begun_s = time.monotonic()
    words = [sys.executable, "-m", "spoolrunner", "run", "--drain"]
    runner = subprocess.Popen(words, env=site.environment(), cwd=site.folder)
    os.waitid(os.P_PID, runner.pid, os.WEXITED | os.WNOWAIT)
    wall_s = time.monotonic() - begun_s
    kernel = Path(f"/proc/{runner.pid}")
    counted = dict(line.split(": ") for line in (kernel / "io").read_text().splitlines())
    user, system = (kernel / "stat").read_text().rpartition(")")[2].split()[11:13]
    assert runner.wait() == 0
    runner_s = (int(user) + int(system)) / TICKS_PER_S
    written = (int(counted[name]) - study_bytes for name in ("wchar", "write_bytes"))
    return Cost(wall_s, runner_s, *written, study_bytes)


def measured(folder: Path, shape: str, jobs: int) -> Cost:
    site = Site(folder / f"{shape}-{jobs}", MAX_WORKERS="4")
    study = site.study({"project.yaml": project(shape, jobs)})
    site.drop(site.request(study, "run_all", identifier="r1"))
    cost = run(site, jobs * len(project(shape, jobs)))
    assert list(site.statuses("r1").values()) == ["succeeded"] * jobs
    assert len(site.published(site.medium)) == jobs
    shutil.rmtree(site.folder)
    return cost


def tell(shape: str, jobs: int, cost: Cost) -> None:
    print(
        f"{shape:8} {jobs:5} jobs  {cost.wall_s:6.1f} s  runner {cost.runner_s:6.2f} s"
        f"  written {cost.written_bytes / 1e6:7.1f} MB  to disk {cost.disk_bytes / 1e6:7.1f} MB"
        f"  copies of the study {cost.study_bytes / 1e6:6.1f} MB",
        flush=True,
    )


def grown(shape: str, small: tuple[int, Cost], large: tuple[int, Cost]) -> bool:
    """Print how much dearer a job is in the large run. True if it is more than WORST."""
    before, after = (astuple(cost.per_job(jobs)) for jobs, cost in (small, large))
    ratios = [late / early if early else 1.0 for early, late in zip(before, after, strict=True)]
    wall, runner, written, disk, _ = ratios
    print(
        f"{shape:8} each job, {large[0]} against {small[0]}:  wall x {wall:.2f}"
        f"  runner x {runner:.2f}  written x {written:.2f}  to disk x {disk:.2f}",
        flush=True,
    )
    return max(wall, runner, written) > WORST


def main() -> None:
    sizes = [int(word) for word in sys.argv[1:]] or SIZES
    folder = Path(tempfile.mkdtemp(prefix="many-"))
    folder.chmod(0o755)
    too_much = False
    try:
        for shape in SHAPES:
            costs = []
            for jobs in sizes:
                costs.append((jobs, measured(folder, shape, jobs)))
                tell(shape, *costs[-1])
            too_much |= len(costs) > 1 and grown(shape, costs[0], costs[-1])
    finally:
        shutil.rmtree(folder)
    sys.exit(too_much)


if __name__ == "__main__":
    main()

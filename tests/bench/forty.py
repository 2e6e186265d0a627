"""40 independent no-op actions with 4 workers, against a bare loop with the SDK.

usage: python -m tests.bench.forty [ROUNDS]

Prints both wall times and their ratio (target: at most 1.5), in one run on one engine.
"""

import contextlib
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.rig import images
from tests.rig.engine import Engine, engine
from tests.site import Site

JOBS = 40
WORKERS = 4
ACTION = """\
  a{number}:
    run: busybox:latest sh -c "echo {number} > a{number}.csv"
    outputs:
      highly_sensitive: {{o: a{number}.csv}}
"""


def bare(one: Engine, folder: Path) -> float:
    """Create, start, wait for and remove as many containers with as many threads."""
    client = one.client()

    def run(number: int) -> None:
        container = client.containers.create(
            images.BUSYBOX,
            ["sh", "-c", f"echo {number} > a{number}.csv"],
            network_mode="none",
            working_dir="/workspace",
            volumes={str(folder): {"bind": "/workspace", "mode": "rw"}},
        )
        container.start()
        container.wait()
        container.remove()

    begun = time.monotonic()
    with ThreadPoolExecutor(WORKERS) as threads:
        list(threads.map(run, range(JOBS)))
    return time.monotonic() - begun


def ours(site: Site, number: int) -> float:
    project = 'version: "4.0"\nactions:\n' + "".join(
        ACTION.format(number=one) for one in range(JOBS)
    )
    study = site.study({"project.yaml": project})
    site.drop(site.request(study, *(f"a{one}" for one in range(JOBS)), identifier=f"r{number}"))
    begun = time.monotonic()
    site.drain()
    took_s = time.monotonic() - begun
    assert set(site.statuses(f"r{number}").values()) == {"succeeded"}, site.statuses(f"r{number}")
    return took_s


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    with engine() as one, contextlib.ExitStack() as stack:
        one.load(images.archive())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        settings = {"EXECUTOR": "docker", "DOCKER_HOST": one.socket, "MAX_WORKERS": str(WORKERS)}
        site = Site(folder / "site", ALLOWED_IMAGES="busybox,python", **settings)
        bare(one, folder)
        for number in range(rounds):
            alone_s = bare(one, folder)
            with_us_s = ours(site, number)
            print(f"bare {alone_s:.2f} s  ours {with_us_s:.2f} s  ratio {with_us_s / alone_s:.2f}")


if __name__ == "__main__":
    main()

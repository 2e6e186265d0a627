"""What the docker executor costs above the bare SDK: 40 no-op containers, 4 threads.

    python -m tests.bench.docker_bare        prints seconds for each of three rounds, and the ratio

The bare loop creates, starts, waits for and removes a container; ours starts, looks, waits, looks
again and clears, with all limits set. The rounds take turns, because the machine's load moves.
"""

import contextlib
import functools
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from docker import DockerClient

from spoolrunner.executor import Launch, Limits
from spoolrunner.executor.docker import DockerExecutor
from tests.rig import images
from tests.rig.engine import engine

CONTAINERS, THREADS, ROUNDS = 40, 4, 3
LIMITS = Limits(cpus=1, memory_bytes=256 << 20, pids=100, log_bytes=1 << 20)


def bare(client: DockerClient, _: int) -> None:
    container = client.containers.create(images.BUSYBOX, "true", network_mode="none")
    container.start()
    container.wait()
    container.remove()


def ours(executor: DockerExecutor, folder: Path, number: int) -> None:
    name = f"sr-bench-{number}-1"
    launch = Launch(
        name=name,
        image=images.BUSYBOX,
        arguments=("true",),
        folder=folder,
        log=folder / "log",
        user=(os.getuid(), os.getgid()),
        limits=LIMITS,
    )
    executor.start(launch)
    executor.look(name)
    executor.wait(name, 60)
    executor.look(name)
    executor.clear(name)


def seconds(work: Callable[[int], None]) -> float:
    began = time.monotonic()
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(work, range(CONTAINERS)))
    return time.monotonic() - began


def main() -> None:
    with engine() as one, tempfile.TemporaryDirectory() as folder:
        one.load(images.archive())
        executor = DockerExecutor("bench", url=one.socket)
        with contextlib.closing(one.client()) as client:
            make_bare = functools.partial(bare, client)
            make_ours = functools.partial(ours, executor, Path(folder))
            seconds(make_bare)  # warm up
            rounds = [(seconds(make_bare), seconds(make_ours)) for _ in range(ROUNDS)]
    for bare_s, ours_s in rounds:
        print(f"bare {bare_s:.2f} s   executor {ours_s:.2f} s   ratio {ours_s / bare_s:.2f}")
    print(f"median ratio {statistics.median(ours_s / bare_s for bare_s, ours_s in rounds):.2f}")


if __name__ == "__main__":
    main()

"""An executor: the containers of one docker engine that bear our spool's label.

The engine remembers them, so whoever restarts, spoolrunner or the engine, finds each one again by
its name; a container without our label is never touched. What a job may do is decided when its
container is made: one folder, its own user, no capability, no network unless named, limits. An
engine that does not answer is TryLater, never Absent.
Knows: executor (the contract), errors, files, all docker_*. To be imported only when an engine is
used: the SDK takes 0.15 s to load.
"""

import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docker import APIClient
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.utils import kwargs_from_env

from spoolrunner.errors import BadMachine, Refused, TryLater
from spoolrunner.executor import (
    Absent,
    Launch,
    Limits,
    Look,
    Process,
    Usage,
    docker_log,
    docker_stats,
    docker_words,
    engine_life,
)
from spoolrunner.executor.accounts import Accounts
from spoolrunner.executor.docker_images import DockerImages

LABEL = "spoolrunner"
PAUSE_S = 1.0  # between questions to an engine that is away

# What /info says of the engine -> what we then can do to a job, and the limit that asks for it.
_ABILITIES = (
    ("MemoryLimit", "limit the memory of jobs", "memory_bytes"),
    ("SwapLimit", "keep jobs from swapping beyond their memory limit", ""),
    ("PidsLimit", "limit the number of processes of jobs", "pids"),
    ("CpuCfsQuota", "limit the processor time of jobs", "cpus"),
)


class DockerExecutor:
    """spool8: the first 8 of the spool's id, the value of our label.

    url: of the engine, unix:///... or tcp://...; None: as the SDK's environment says (DOCKER_HOST,
        DOCKER_TLS_VERIFY, DOCKER_CERT_PATH), else /var/run/docker.sock.
    timeout_s: for the engine to answer any call, or to say its next word in a longer answer.
    """

    name = "docker"

    def __init__(self, spool8: str, *, url: str | None = None, timeout_s: float = 60) -> None:
        self._spool8 = spool8
        self._url = url
        self._timeout_s = timeout_s
        self._idle: deque[APIClient] = deque()
        self._engine_info: dict[str, Any] = {}
        self._accounts = Accounts()
        self._logs = docker_log.DockerLogs(self._engine, timeout_s)
        self._turns = [threading.Lock() for _ in range(256)]

    def start(self, launch: Launch) -> None:
        """Also when it was made but not begun (we were killed in between): it is begun then."""
        missing = self._cannot(launch.limits) if launch.strict else []
        if missing:
            raise Refused(f"The docker engine cannot {' or '.join(missing)}.")
        if launch.network == "host" or ":" in launch.network:
            raise Refused(f"Jobs cannot be given the network {launch.network}.")
        confines = self._confines(launch)
        # The engine starts what has ended again: between seeing `created` and starting it nobody
        # else may start it. (Among processes the mover's lock sees to that.)
        turn = self._turns[hash(launch.name) % len(self._turns)]
        with turn, self._engine() as engine:
            if self._make(engine, launch, confines):
                _begin(engine, launch)

    def look(self, name: str) -> Look:
        with self._engine() as engine:
            about = self._find(engine, name)
        found = Absent() if about is None else docker_words.look(about)
        found = self._accounts.seen(name, about or {}, found)
        url = self._url or kwargs_from_env().get("base_url")
        return engine_life.judged(found, url, lambda: bool(self._info().get("LiveRestoreEnabled")))

    def wait(self, name: str, timeout_s: float) -> None:
        """The engine holds the question open until it has ended; at once if it has already.

        So nothing is lost between a look and a wait, and there is no stream of events to keep
        alive. While the engine is away this returns after a pause, so that callers may just loop.
        """
        until = time.monotonic() + timeout_s
        try:
            with self._engine() as engine, contextlib.suppress(NotFound):
                engine.wait(name, timeout=max(timeout_s, 0.001))
        except TryLater:  # time is up, or the connection broke
            time.sleep(max(0, min(PAUSE_S, until - time.monotonic())))

    def stop(self, name: str, grace_s: float) -> None:
        # The SDK adds the grace to the time limit of the call (docker-py #1374).
        with self._engine() as engine, contextlib.suppress(NotFound):
            if self._find(engine, name):
                engine.stop(name, timeout=math.ceil(grace_s))

    def usage(self, name: str) -> Usage | None:
        return docker_stats.usage(self._engine, name)

    def process(self, name: str) -> Process | None:
        return docker_stats.process(self._engine, name)

    def said_bytes(self, name: str) -> int:
        return self._logs.said_bytes(name)

    def save_log(self, name: str, path: Path, limit_bytes: int) -> None:
        """Each line begins with its time. What was saved of a container that is gone is kept.

        The engine itself keeps the newest limits.log_bytes, in segments: of a longer log its
        oldest part is lost before we come.
        """
        if isinstance(self.look(name), Absent):
            return
        docker_log.save(path, limit_bytes, lambda: self._logs.said(name, follow=False))

    def follow_log(self, name: str, follow: bool) -> Iterator[bytes]:
        """With follow there is no time limit between two messages: a job may be silent for days."""
        if not isinstance(self.look(name), Absent):
            yield from self._logs.said(name, follow)

    def clear(self, name: str) -> None:
        self._logs.forget(name)
        with self._engine() as engine, contextlib.suppress(NotFound):
            if self._find(engine, name):
                _remove(engine, name)
        self._accounts.forget(name)

    def names(self) -> list[str]:
        with self._engine() as engine:
            ours = engine.containers(all=True, filters={"label": f"{LABEL}={self._spool8}"})
        return sorted(name.lstrip("/") for about in ours for name in about["Names"] or ())

    def image_id(self, image: str) -> str:
        found = self.images.find(image)
        return found.id if found else ""

    @property
    def images(self) -> DockerImages:
        return DockerImages(self._engine, NotFound)

    def runtimes(self, registry: str) -> set[str]:
        return self.images.runtimes(registry)

    def has_network(self, name: str) -> bool:
        """Is there a network of this name on the engine?"""
        with self._engine() as engine:
            return any(about["Name"] == name for about in engine.networks(names=[name]))

    def shortcomings(self) -> list[str]:
        self._engine_info = {}  # asked anew: it may be another engine by now
        lacking = [can for key, can, _ in _ABILITIES if not self._info().get(key)]
        if not any("seccomp" in option for option in self._info().get("SecurityOptions") or []):
            lacking.append("filter the system calls of jobs (seccomp)")
        return [f"The docker engine cannot {can}." for can in lacking]

    @contextlib.contextmanager
    def _engine(self) -> Iterator[APIClient]:
        """A client, for one thread at a time (docker-py #619, #3229), and its errors as ours."""
        client = None
        try:
            client = self._client()
            yield client
        except APIError as error:
            if _is_final(error):
                raise BadMachine(
                    "The docker engine refuses what it was asked.", detail=str(error)
                ) from error
            raise TryLater(
                "The docker engine cannot do now what it was asked.", detail=str(error)
            ) from error
        except (DockerException, OSError) as error:  # those of requests are OSErrors
            raise TryLater(
                "The docker engine does not answer.",
                hint="Is it running? `docker info` tells.",
                detail=str(error),
            ) from error
        finally:
            if client:
                self._idle.append(client)

    def _client(self) -> APIClient:
        with contextlib.suppress(IndexError):
            return self._idle.pop()
        where = {"base_url": self._url} if self._url else kwargs_from_env()
        client = APIClient(**where, version="auto", timeout=self._timeout_s)
        client.trust_env = False  # no proxy may see what we tell the engine: it holds secrets
        return client

    def _info(self) -> dict[str, Any]:
        """What the engine says of itself, asked once: it takes longer than making a container."""
        if not self._engine_info:
            with self._engine() as engine:
                self._engine_info = engine.info()
        return self._engine_info

    def _cannot(self, limits: Limits) -> list[str]:
        return [
            can
            for key, can, limit in _ABILITIES
            if limit and getattr(limits, limit) and not self._info().get(key)
        ]

    def _find(self, engine: APIClient, name: str) -> dict[str, Any] | None:
        """What the engine says of this container. Raises Refused if it is not ours."""
        try:
            about: dict[str, Any] = engine.inspect_container(name)
        except NotFound:
            return None
        if (about["Config"]["Labels"] or {}).get(LABEL) != self._spool8:
            raise Refused(f"The container {name} is not of this spool; it was left alone.")
        return about

    def _confines(self, launch: Launch) -> dict[str, Any]:
        can_limit = self._info().get("CpuCfsQuota")
        return docker_words.confines(launch, self._info()["NCPU"] if can_limit else 0)

    def _make(self, engine: APIClient, launch: Launch, confines: dict[str, Any]) -> bool:
        """Is there now a container of that name which has yet to be begun?

        A call whose answer was lost may have made it (docker-py #2461): the name tells, so there
        is never a second one. Nothing is pulled: creating a container does not.
        """
        settings = docker_words.settings(launch)
        settings["labels"] = {**launch.labels, LABEL: self._spool8}
        settings["host_config"] = engine.create_host_config(**confines)
        try:
            engine.create_container(**settings)
        except APIError as error:
            about = self._find(engine, launch.name)
            if about is None:
                _refuse(launch, error)
                raise
            return bool(about["State"]["Status"] == "created")
        return True


def _begin(engine: APIClient, launch: Launch) -> None:
    """Nothing is left of what cannot be begun."""
    try:
        engine.start(launch.name)
    except APIError as error:
        if _is_final(error):
            with contextlib.suppress(NotFound):
                _remove(engine, launch.name)
        _refuse(launch, error)
        raise


def _refuse(launch: Launch, error: APIError) -> None:
    """Raise the engine's no as ours, if it will never be a yes."""
    if isinstance(error, ImageNotFound):
        raise Refused(
            f"The image {launch.image} is not on this machine.",
            kind="no_image",
            hint="Load it with `spoolrunner images --load FILE`.",
        ) from error
    if _is_final(error):
        raise Refused(
            "The docker engine cannot begin this job.", kind="cannot_start", detail=str(error)
        ) from error


def _is_final(error: APIError) -> bool:
    """Not the engine's own trouble (5xx), not somebody at the same container (409)."""
    return bool(error.is_client_error()) and error.status_code != 409


def _remove(engine: APIClient, name: str) -> None:
    """With its volumes; if the engine is at it already (409), wait until it has done."""
    try:
        engine.remove_container(name, v=True, force=True)
    except APIError as error:
        if error.status_code != 409:
            raise
        engine.wait(name, condition="removed", timeout=engine.timeout)

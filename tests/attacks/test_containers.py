"""What a hostile study tries from within its container is held, under each executor.

All attacks run in one container (attacks.py). That they would get in without the guard is shown by
running the harmless ones of them on this machine without any.
"""

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spoolrunner.executor import Limits
from tests.attacks import attacks
from tests.executor.conftest import AS_ROOT, docker_house, process_house
from tests.rig import images

pytestmark = pytest.mark.skipif(
    not AS_ROOT and os.environ.get("CI") != "true", reason="root's tests: the guards are root's"
)

EXECUTORS = ("process", "docker")

# Harmless to the machine they get into, and possible for root on any.
WITHOUT_A_GUARD = (
    "read a file of the host that everybody may read",
    "write where everybody on the host may write",
    "read the list of the host's users",
    "read the host's passwords",
    "replace a program of its image",
    "see a process of the host",
    "signal a process of the host",
    "trace a process of the host",
    "read the environment of a process of the host",
    "use shared memory of the host (System V)",
    "reach a server on the host's loopback",
    "reach an abstract socket of the host",
    "become root",
    "join root's group",
    "run a set-uid program of root's",
    "keep any capability",
    "give a file to root",
    "change its root",
    "make a device",
    "name the machine",
    "open a raw socket",
)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What there is on this machine to be reached."""
    folder = tmp_path_factory.mktemp("host")
    for each in (folder, *folder.parents[:2]):
        each.chmod(0o755)
    (folder / "canary").write_text("of the host")
    (folder / "open").mkdir(mode=0o777)
    (folder / "open").chmod(0o777)
    marker = secrets.token_hex(8)
    key = secrets.randbelow(1 << 30)
    with contextlib.ExitStack() as stack:
        process = subprocess.Popen(["sh", "-c", f": {marker}; read forever"], stdin=subprocess.PIPE)
        stack.callback(process.communicate)
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        abstract = stack.enter_context(socket.socket(socket.AF_UNIX))
        abstract.bind(f"\0{marker}")
        abstract.listen()
        shared = attacks.call("shmget", key, 1, 0o1666)
        stack.callback(attacks.call, "shmctl", shared, 0, None)
        yield {
            "canary": str(folder / "canary"),
            "open_folder": str(folder / "open"),
            "a_user": "www-data",
            "marker": marker,
            "pid": process.pid,
            "port": server.getsockname()[1],
            "abstract": marker,
            "shm_key": key,
            "engine": "/var/run/docker.sock",
        }


def arm(folder: Path, host: dict[str, Any]) -> None:
    """Put the program, what it is to reach, and a set-uid shell of root's into a job's folder."""
    (folder / "host.json").write_text(json.dumps(host))
    shutil.copy(attacks.__file__, folder / "attacks.py")
    shutil.copy("/bin/busybox", folder / "sh")
    os.chown(folder / "sh", 0, 0)
    (folder / "sh").chmod(0o6755)


@pytest.fixture(scope="module", params=EXECUTORS)
def held(
    request: pytest.FixtureRequest,
    host: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, str]:
    """Attack -> what came of it in one container of this executor."""
    base = tmp_path_factory.mktemp("house")
    if request.param == "docker":
        engine = request.getfixturevalue("engine")
        house = docker_house(base, engine)
        host = host | {"engine": engine.socket.removeprefix("unix://")}
    else:
        house = process_house(base, request.param)
    limits = Limits(memory_bytes=256 << 20, pids=64)
    launch = house.launch("python", "attacks.py", image=images.PYTHON, limits=limits)
    arm(launch.folder, host | {"set_uid": "/workspace/sh"})
    ended = house.run(launch)
    said = house.said(launch)
    house.clear()
    assert ended.status == 0, said
    return outcomes(said)


def outcomes(said: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(said.partition("OUTCOMES ")[2].splitlines()[0])
    return found


@pytest.mark.attack("a job tries to {name}")
@pytest.mark.parametrize("name", attacks.attacks)
def test_an_attack_from_within_a_container_is_held(held: dict[str, str], name: str) -> None:
    assert held[name].startswith("held"), held[name]


def test_without_the_guard_they_get_in(host: dict[str, Any], tmp_path: Path) -> None:
    arm(tmp_path, host | {"set_uid": str(tmp_path / "sh"), "only": list(WITHOUT_A_GUARD)})
    command = ["unshare", "--mount", "--uts", sys.executable, "attacks.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    Path("/usr/bin/replaced").unlink(missing_ok=True)
    assert outcomes(done.stdout) == dict.fromkeys(WITHOUT_A_GUARD, attacks.GOT_IN)

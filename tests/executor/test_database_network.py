"""A database job reaches the database by its name, and nothing else: on a real engine with bridges.

The engine has a network namespace of its own, so the bridge, its firewall and what lies beyond are
this test's alone. Beyond the machine is another namespace: the database, a cloud's metadata
address, somebody else's machine. The network is made by the very script that operators are given.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from spoolrunner.executor import Running
from spoolrunner.report import fence
from tests.executor.conftest import House, docker_house
from tests.rig import images
from tests.rig.engine import Engine
from tests.rig.engine import engine as private_engine

DATABASE, METADATA, STRANGER, MACHINE = (
    *("203.0.113.7", "169.254.169.254"),
    *("203.0.113.8", "203.0.113.1"),
)
DB_PORT, WEB_PORT, DNS_PORT = 1433, 80, 53
FENCED, OPEN = "jobrunner-db", "open-db"

ANSWERS = f"""
import socket, sys, threading
def serve(port):
    listening = socket.create_server(("0.0.0.0", port), backlog=50)
    threading.Thread(target=accept, args=(listening,)).start()
def accept(listening):
    while True:
        one, _ = listening.accept()
        one.sendall(b"here")
        one.close()
names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
names.bind(("0.0.0.0", {DNS_PORT}))
for port in ({DB_PORT}, {WEB_PORT}):
    serve(port)
print("ready", flush=True)
while True:
    names.sendto(b"here", names.recvfrom(999)[1])
"""

TRIES = """
import json, socket, struct, sys, threading
wanted, came = json.loads(sys.argv[1]), {}
route = [line.split() for line in open("/proc/net/route").readlines()[1:]]
gateway = next(socket.inet_ntoa(struct.pack("<L", int(words[2], 16))) for words in route
               if words[1] == "00000000")
def attempt(what, host, port, kind):
    try:
        with socket.socket(socket.AF_INET, getattr(socket, kind)) as one:
            one.settimeout(2)
            one.connect((host.replace("GATEWAY", gateway), port))
            if kind == "SOCK_DGRAM":
                one.send(b"?")
            came[what] = one.recv(9) == b"here"
    except OSError:
        came[what] = False
threads = [threading.Thread(target=attempt, args=each) for each in wanted]
[each.start() for each in threads]
[each.join() for each in threads]
print("CAME " + json.dumps(came))
"""


def reached(other: str) -> dict[str, tuple[str, int, str]]:
    """What is tried -> where. other: the address of another container."""
    tcp, udp = "SOCK_STREAM", "SOCK_DGRAM"
    return {
        "the database, by its name": ("db.example", DB_PORT, tcp),
        "another port of the database's machine": ("db.example", WEB_PORT, tcp),
        "the gateway": ("GATEWAY", DB_PORT, tcp),
        "another address of its own machine": (MACHINE, DB_PORT, tcp),
        "the cloud's metadata address": (METADATA, WEB_PORT, tcp),
        "a stranger's machine": (STRANGER, DB_PORT, tcp),
        "a name server": (DATABASE, DNS_PORT, udp),
        "another container": (other, DB_PORT, tcp),
    }


OTHERS = [what for what in reached("") if not what.startswith("the database")]


@dataclass
class World:
    engine: Engine
    house: House

    def inside(self, *words: str, stdin: str | None = None) -> str:
        """Run a program on the engine's machine: in its network."""
        command = ["nsenter", "--net", f"--target={self.engine.pid}", *words]
        environment = {**os.environ, "DOCKER_HOST": self.engine.socket}
        environment["PATH"] += ":/usr/sbin"
        done = subprocess.run(
            command, input=stdin, env=environment, text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def come_of(self, network: str) -> dict[str, bool]:
        """What a database job reaches by this network while another one runs there."""
        hosts = {"db.example": DATABASE}
        other = self.house.launch(
            *("python", "-c", ANSWERS), number=1, image=images.PYTHON, network=network, hosts=hosts
        )
        self.house.executor.start(other)
        while "ready" not in self.house.said(other):
            assert isinstance(self.house.executor.look(other.name), Running)
            self.house.executor.wait(other.name, 0.1)
        [about] = self.engine.containers(f"spoolrunner={self.house.spool8}")
        address = about["NetworkSettings"]["Networks"][network]["IPAddress"]
        tries = json.dumps([(what, *where) for what, where in reached(address).items()])
        job = self.house.launch(
            *("python", "-c", TRIES, tries),
            number=2,
            image=images.PYTHON,
            network=network,
            hosts=hosts,
        )
        assert self.house.run(job).status == 0, self.house.said(job)
        said = self.house.said(job).partition("CAME ")[2]
        self.house.clear()
        return dict(json.loads(said))


@contextlib.contextmanager
def answering(*inside: str) -> Iterator[int]:
    """A program that answers at every address of a network. Yields its process id."""
    command = [*inside, sys.executable, "-c", ANSWERS]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
        process.kill()


def join(world: World, beyond: int) -> None:
    """A cable between the engine's machine and what lies beyond it, with addresses on both ends."""
    far = ("nsenter", "--net", f"--target={beyond}")
    world.inside("ip", "link", "set", "lo", "up")
    world.inside(*"ip link add outside type veth peer name cable netns".split(), str(beyond))
    world.inside("ip", "address", "add", f"{MACHINE}/24", "dev", "outside")
    for address in (f"{DATABASE}/24", f"{STRANGER}/24", f"{METADATA}/32"):
        world.inside(*far, "ip", "address", "add", address, "dev", "cable")
    world.inside("ip", "link", "set", "outside", "up")
    world.inside(*far, "ip", "link", "set", "cable", "up")
    world.inside("ip", "route", "add", METADATA, "dev", "outside")


@pytest.fixture(scope="module")
def world(engine_needed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with private_engine(networked=True) as engine:
        engine.load(images.archive())
        one = World(engine, docker_house(tmp_path_factory.mktemp("house"), engine))
        with (
            answering("unshare", "--net") as beyond,
            answering("nsenter", "--net", f"--target={engine.pid}"),
        ):
            join(one, beyond)
            yield one


@pytest.fixture(scope="module")
def fenced(world: World) -> dict[str, bool]:
    script = fence.script(FENCED, [(DATABASE, DB_PORT)])
    for _ in range(2):  # it may be run again
        world.inside("sh", stdin=script)
    return world.come_of(FENCED)


def test_a_database_job_reaches_the_database_by_its_name(fenced: dict[str, bool]) -> None:
    assert fenced["the database, by its name"]


@pytest.mark.attack("a database job reaches {what}")
@pytest.mark.parametrize("what", OTHERS)
def test_a_database_job_reaches_nothing_else(fenced: dict[str, bool], what: str) -> None:
    assert not fenced[what]


def test_without_the_fence_it_reaches_all_of_it(world: World) -> None:
    world.inside("docker", "network", "create", OPEN)
    came = world.come_of(OPEN)
    assert all(came.values()), came


def test_a_network_whose_containers_reach_each_other_is_not_fenced(world: World) -> None:
    world.inside("docker", "network", "create", "careless")
    with pytest.raises(AssertionError, match="reach each other"):
        world.inside("sh", stdin=fence.script("careless", []))

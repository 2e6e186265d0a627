"""What only the docker executor has to show; what every executor must is in test_contract."""

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from spoolrunner.errors import Refused, SpoolrunnerError, TryLater
from spoolrunner.executor import RESTARTED, Absent, Exit, Limits, Running
from spoolrunner.executor.docker import DockerExecutor
from tests.executor.conftest import BOUND_S, USER, House, docker_house
from tests.rig import images
from tests.rig.engine import Engine
from tests.rig.engine import engine as private_engine

IMPATIENT_S = 0.5
SOON_S = 30.0  # half of what the engine is given by default


@pytest.fixture
def house(engine: Engine, tmp_path: Path) -> Iterator[House]:
    one = docker_house(tmp_path, engine)
    yield one
    one.clear()


@pytest.fixture
def lonely(engine_alone: Engine, tmp_path: Path) -> House:
    """A house whose engine may be killed."""
    return docker_house(tmp_path, engine_alone)


def about(engine: Engine, house: House) -> dict[str, Any]:
    [container] = engine.containers(f"spoolrunner={house.spool8}")
    return container


# How a container is made


def test_a_container_bears_our_label_and_its_limits(engine: Engine, house: House) -> None:
    limits = Limits(cpus=0.5, memory_bytes=64 << 20, pids=50, log_bytes=5 << 20)
    launch = house.launch("true", limits=limits, labels={"workspace": "w", "spoolrunner": "not me"})
    house.executor.start(launch)
    made = about(engine, house)
    host = made["HostConfig"]
    assert made["Name"] == f"/{launch.name}"
    assert (
        made["Config"]["Labels"].items() >= {"workspace": "w", "spoolrunner": house.spool8}.items()
    )
    assert (host["NanoCpus"], host["PidsLimit"]) == (500_000_000, 50)
    assert host["Memory"] == host["MemorySwap"] == 64 << 20
    assert host["LogConfig"]["Config"]["max-size"] == str(1 << 20)


def test_a_container_may_do_next_to_nothing(engine: Engine, house: House) -> None:
    launch = house.launch("true")
    house.executor.start(launch)
    made = about(engine, house)
    host = made["HostConfig"]
    assert (host["NetworkMode"], host["CapDrop"], host["CapAdd"]) == ("none", ["ALL"], None)
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["ReadonlyRootfs"] is True
    assert (host["Init"], host["Privileged"], host["Devices"] or []) == (True, False, [])
    assert (host["PidMode"], host["IpcMode"], host["UTSMode"]) == ("", "private", "")
    assert made["Config"]["User"] == f"{USER[0]}:{USER[1]}"
    [mount] = [one for one in made["Mounts"] if one["Type"] == "bind"]
    assert (mount["Source"], mount["Destination"]) == (str(launch.folder), "/workspace")


@pytest.mark.parametrize(
    ("writable", "status"),
    [pytest.param(False, 1, marks=pytest.mark.attack("a job writes in its image")), (True, 0)],
)
def test_a_job_writes_in_its_image_only_where_that_is_allowed(
    house: House, writable: bool, status: int
) -> None:
    user = (os.geteuid(), os.getegid())  # one whom the image's own modes would let write
    launch = house.launch("sh", "-c", "touch /in-the-image", user=user, writable_root=writable)
    assert house.run(launch).status == status


def test_a_job_may_write_in_its_workspace_and_in_tmp(house: House) -> None:
    script = "touch /workspace/a /tmp/b $HOME/c /dev/shm/d"
    assert house.run(house.launch("sh", "-c", script)).status == 0


def test_an_image_may_be_named_by_its_id(house: House) -> None:
    image_id = house.executor.image_id(images.BUSYBOX)
    launch = house.launch("true", image=image_id)
    house.executor.start(launch)
    assert house.end_of(launch).image_id == image_id


def test_more_processors_than_there_are_is_all_there_are(house: House) -> None:
    assert house.run(house.launch("true", limits=Limits(cpus=1000))).status == 0


@pytest.mark.attack("the operator's own docker settings reach the job")
def test_the_operators_own_docker_settings_do_not_reach_the_job(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxies = {"default": {"httpProxy": "http://user:canary@proxy"}}
    (tmp_path / "config.json").write_text(json.dumps({"proxies": proxies}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    launch = house.launch("env")
    house.run(launch)
    assert "canary" not in house.said(launch)


def test_the_image_recorded_is_the_one_that_ran_even_if_its_name_moved_on(
    engine: Engine, house: House
) -> None:
    name = f"{images.REGISTRY}/moving-{house.spool8}"
    with contextlib.closing(engine.client()) as client:
        client.images.get(images.BUSYBOX).tag(name, "v1")
        launch = house.launch("true", image=f"{name}:v1")
        ran = house.executor.image_id(launch.image)
        house.executor.start(launch)
        client.images.get(images.PYTHON).tag(name, "v1")
        assert house.end_of(launch).image_id == ran != house.executor.image_id(launch.image)
        client.images.remove(launch.image)


# Networks


@pytest.mark.attack("a database job looks up other hosts")
def test_a_job_with_a_network_finds_the_hosts_we_name_and_no_others(
    engine: Engine, house: House
) -> None:
    script = "cat /etc/hosts; timeout 1 nslookup example.org && exit 1; ls /sys/class/net"
    with contextlib.closing(engine.client()) as client:
        network = client.networks.create(f"db-{house.spool8}", internal=True)
        launch = house.launch(
            "sh", "-c", script, network=network.name, hosts={"db.example": "192.0.2.7"}
        )
        assert house.run(launch).status == 0
        said = house.said(launch)
        assert "192.0.2.7\tdb.example" in said
        assert "eth0" in said
        assert about(engine, house)["HostConfig"]["Dns"] == ["192.0.2.0"]
        house.clear()
        network.remove()


@pytest.mark.parametrize("network", ["host", "container:another"])
def test_a_job_never_gets_the_machines_or_anothers_network(house: House, network: str) -> None:
    with pytest.raises(Refused):
        house.executor.start(house.launch("true", network=network))
    assert house.executor.names() == []


def test_a_network_that_is_not_there_is_refused_and_leaves_nothing(house: House) -> None:
    with pytest.raises(Refused) as refused:
        house.executor.start(house.launch("true", network="nosuchnetwork"))
    assert refused.value.kind == "cannot_start"
    assert "nosuchnetwork" in refused.value.detail
    assert house.executor.names() == []


def test_a_folder_that_is_not_there_is_refused_and_not_made(house: House) -> None:
    launch = house.launch("true")
    launch.folder.rmdir()
    with pytest.raises(Refused) as refused:
        house.executor.start(launch)
    assert refused.value.kind == "cannot_start"
    assert not launch.folder.exists()


# Once


def test_a_container_that_was_made_but_not_begun_is_absent_until_it_is_begun(
    engine: Engine, house: House
) -> None:
    launch = house.launch("true")
    with contextlib.closing(engine.client()) as client:
        made = client.containers.create(
            launch.image, "true", name=launch.name, labels={"spoolrunner": house.spool8}
        )
    assert house.executor.look(launch.name) == Absent()
    house.run(launch)
    assert about(engine, house)["Id"] == made.id
    assert engine.starts(f"spoolrunner={house.spool8}") == {launch.name: 1}


def test_a_container_of_another_spool_is_left_alone(
    house: House, engine: Engine, tmp_path: Path
) -> None:
    other = docker_house(tmp_path, engine)
    launch = other.waiting("exit 0")
    for touch in (
        lambda: house.executor.start(launch),
        lambda: house.executor.look(launch.name),
        lambda: house.executor.stop(launch.name, 0),
        lambda: house.executor.clear(launch.name),
        lambda: list(house.executor.follow_log(launch.name, False)),
    ):
        with pytest.raises(Refused):
            touch()
    assert house.executor.names() == []
    assert isinstance(other.executor.look(launch.name), Running)
    other.clear()


def test_a_container_cleared_by_ten_threads_at_once_is_gone_for_all_of_them(house: House) -> None:
    launch = house.waiting("exit 0")
    together = threading.Barrier(10)

    def clear(_: int) -> None:
        together.wait(BOUND_S)
        house.executor.clear(launch.name)
        assert house.executor.look(launch.name) == Absent()

    with ThreadPoolExecutor(10) as threads:
        list(threads.map(clear, range(10)))


def test_a_job_one_of_whose_children_took_too_much_memory_says_so_though_it_exits_well(
    house: House,
) -> None:
    script = "import subprocess; subprocess.run(['python', '-c', 'bytearray(400 << 20)'])"
    limits = Limits(memory_bytes=64 << 20)
    ended = house.run(house.launch("python", "-c", script, image=images.PYTHON, limits=limits))
    assert (ended.status, ended.reason) == (0, "out_of_memory")


# Logs


def test_of_a_log_beyond_its_limit_the_engine_keeps_the_end(house: House) -> None:
    count = "n=0; while test $n -lt 20000; do n=$((n+1)); echo line $n; done"
    launch = house.launch("sh", "-c", count, limits=Limits(log_bytes=100_000))
    house.run(launch)
    said = house.said(launch)
    assert "line 1\n" not in said
    assert said.endswith("line 20000\n")
    assert 50_000 < len(said) < 150_000


def test_the_log_that_was_saved_of_a_container_now_gone_is_kept(house: House) -> None:
    launch = house.launch("echo", "precious")
    house.run(launch)
    house.executor.save_log(launch.name, launch.log, 1000)
    house.executor.clear(launch.name)
    house.executor.save_log(launch.name, launch.log, 1000)
    assert "precious" in launch.log.read_text()


# The engine is away, or does not answer


def everything(executor: DockerExecutor, house: House) -> dict[str, Callable[[], object]]:
    """Every call that must say TryLater when the engine does not answer."""
    launch = house.launch("true")
    return {
        "start": lambda: executor.start(launch),
        "look": lambda: executor.look(launch.name),
        "stop": lambda: executor.stop(launch.name, 0),
        "save_log": lambda: executor.save_log(launch.name, launch.log, 1000),
        "follow_log": lambda: list(executor.follow_log(launch.name, True)),
        "clear": lambda: executor.clear(launch.name),
        "names": executor.names,
        "image_id": lambda: executor.image_id(launch.image),
        "shortcomings": executor.shortcomings,
        "runtimes": lambda: executor.runtimes("ghcr.io/opensafely-core"),
    }


CALLS = [
    *("start", "look", "stop", "save_log", "follow_log"),
    *("clear", "names", "image_id", "shortcomings", "runtimes"),
]


@pytest.mark.parametrize("call", CALLS)
def test_an_engine_that_hangs_is_try_later_within_its_time(
    engine: Engine, house: House, call: str
) -> None:
    executor = DockerExecutor(house.spool8, url=engine.socket, timeout_s=IMPATIENT_S)
    executor.shortcomings()  # it was there a moment ago
    with engine.frozen():
        began = time.monotonic()
        with pytest.raises(TryLater):
            everything(executor, house)[call]()
        assert time.monotonic() - began < SOON_S


@pytest.mark.parametrize("call", CALLS)
def test_an_engine_that_is_not_there_is_try_later(house: House, call: str) -> None:
    executor = DockerExecutor(house.spool8, url="unix:///nonexistent/docker.sock")
    with pytest.raises(TryLater):
        everything(executor, house)[call]()


def test_waiting_while_the_engine_hangs_or_is_not_there_ends_in_time_and_not_at_once(
    engine: Engine, house: House
) -> None:
    launch = house.waiting("exit 0")
    away = DockerExecutor(house.spool8, url="unix:///nonexistent/docker.sock")
    with engine.frozen():
        for executor in (house.executor, away):
            began = time.monotonic()
            executor.wait(launch.name, IMPATIENT_S)
            assert IMPATIENT_S <= time.monotonic() - began < SOON_S


def test_a_start_that_the_engine_answered_too_late_is_still_one_start(
    engine: Engine, house: House
) -> None:
    launch = house.launch("sh", "-c", "echo once >> count")
    executor = DockerExecutor(house.spool8, url=engine.socket, timeout_s=IMPATIENT_S)
    executor.shortcomings()
    with engine.frozen(), pytest.raises(TryLater):
        executor.start(launch)
    while house.executor.look(launch.name) == Absent():
        with contextlib.suppress(TryLater):  # the engine may be making the one it was asked for
            house.executor.start(launch)
    house.end_of(launch)
    assert (launch.folder / "count").read_text() == "once\n"
    assert engine.starts(f"spoolrunner={house.spool8}") == {launch.name: 1}


def test_a_log_that_breaks_off_is_not_taken_for_a_whole_one(
    lonely: House, engine_alone: Engine
) -> None:
    script = "n=0; while test $n -lt 100000; do n=$((n+1)); echo line $n; done"
    launch = lonely.launch("sh", "-c", script)
    lonely.run(launch)
    said = lonely.executor.follow_log(launch.name, follow=False)
    next(said)
    engine_alone.stop(kill=True)
    with pytest.raises(TryLater):
        list(said)
    engine_alone.start()


def test_a_job_outlives_a_killed_engine_and_its_end_is_noticed(
    lonely: House, engine_alone: Engine
) -> None:
    launch = lonely.waiting("echo once >> count; exit 5")
    with ThreadPoolExecutor(1) as thread:
        ending = thread.submit(follow_to_the_end, lonely, launch.name)
        engine_alone.restart(kill=True)
        assert isinstance(lonely.executor.look(launch.name), Running)
        lonely.executor.start(launch)
        lonely.open_gate(launch)
        assert ending.result(BOUND_S).status == 5
    assert (launch.folder / "count").read_text() == "once\n"


def follow_to_the_end(house: House, name: str) -> Exit:
    """As a job's thread does it: wait, look, and again while the engine is away."""
    while True:
        house.executor.wait(name, BOUND_S)
        with contextlib.suppress(TryLater):
            found = house.executor.look(name)
            if not isinstance(found, Running):
                assert isinstance(found, Exit)
                return found


def test_a_job_that_ended_with_its_engine_is_found_ended_not_absent(
    engine_needed: None, tmp_path: Path
) -> None:
    with private_engine() as engine:
        engine.load(images.archive())
        house = docker_house(tmp_path, engine)
        launch = house.waiting("exit 0")
        engine.restart(kill=True)
        ended = house.end_of(launch)
        assert ended.status in (137, 143)
        assert ended.reason == RESTARTED
        assert house.executor.names() == [launch.name]


def test_the_public_words_do_not_quote_the_engine(house: House) -> None:
    with pytest.raises(SpoolrunnerError) as refused:
        house.executor.start(house.launch("true", network="nosuchnetwork"))
    assert "nosuchnetwork" not in refused.value.public

"""The same under a real engine."""

import json
import os
import signal
from typing import Any

import pytest
from docker.errors import NotFound

from spoolrunner.errors import BadMachine
from spoolrunner.localrun import State
from tests.localrun.conftest import Study, action, make, one, states, until
from tests.rig.engine import Engine
from tests.site import WITHIN_S


@pytest.fixture
def docker_study(study: Study, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setenv("DOCKER_HOST", engine.socket)
    study.settings = {"DOCKER_HOST": engine.socket, "STOP_GRACE": "1s"}
    return study


def ours(study: Study, engine: Engine) -> list[dict[str, Any]]:
    """The containers of this study, running or not."""
    path = study.home / "identity.json"
    if not path.exists():
        return []
    return engine.containers(f"spoolrunner={json.loads(path.read_bytes())['id']}")


def test_an_engine_that_has_the_images_is_used_within_its_limits(
    docker_study: Study, engine: Engine
) -> None:
    study = docker_study
    study.has(
        a=action(make("out/a.csv"), out="out/a.csv"),
        b=action("ls out > b.csv; ls -d .git metadata >> b.csv; true", "a", out="b.csv"),
        odd=action("echo said; exit 5", out="c.csv"),
    )
    result = study.run("b")
    assert result.executor == "docker"
    assert states(result) == {"a": State.SUCCEEDED, "b": State.SUCCEEDED}
    assert study.read("b.csv") == "a.csv\n"
    assert ours(study, engine) == []

    kept = study.run("odd", debug=True, memory_bytes=1 << 28, cpus=0.5)
    odd = one(kept, "odd")
    assert odd.tail == ("said",), "without the engine's times"
    container = ours(study, engine)[0]
    assert container["Name"] == f"/{odd.container}"
    host = container["HostConfig"]
    assert (host["Memory"], host["NanoCpus"], host["NetworkMode"]) == (1 << 28, 5 * 10**8, "none")
    study.run("a")
    assert ours(study, engine) == []


def test_an_image_that_is_not_here_is_never_fetched_but_told(docker_study: Study) -> None:
    docker_study.has(
        a=action(make("a.csv"), out="a.csv"),
        r=action("true", "a", out="r.csv", image="r:v9"),
        lab=action("true && true", "a", out="lab.csv", image="jupyter:v9"),
    )
    with pytest.raises(BadMachine) as absent:
        docker_study.run("run_all")
    assert absent.value.kind == "no_image"
    assert "2 images are not" in absent.value.message
    assert "docker pull ghcr.io/opensafely-core/r:v9" in absent.value.hint
    assert not (docker_study.folder / "a.csv").exists(), "told before anything runs"


def test_containers_end_with_an_interrupt_and_after_kill_9(
    docker_study: Study, engine: Engine
) -> None:
    study = docker_study
    study.has(slow=action("exec sleep 600", out="slow.csv"))

    def runs() -> bool:
        try:
            found = ours(study, engine)
        except NotFound:  # listed, but just being made
            return False
        return [about["State"]["Status"] for about in found] == ["running"]

    run = study.start("slow")
    until(runs, "the container runs")
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=WITHIN_S)
    assert run.returncode == 130
    assert ours(study, engine) == []

    run = study.start("slow")
    until(runs, "the container runs")
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    assert runs()
    study.has(slow=action(make("slow.csv"), out="slow.csv"))
    assert study.run("slow").succeeded
    assert ours(study, engine) == []

"""Which executor runs a study here: docker if an engine has the images, else this machine.

Nothing is ever pulled: what is missing is named, with the command that brings it.
"""

from collections.abc import Callable, Iterable

from spoolrunner.config import Config
from spoolrunner.errors import BadMachine, TryLater
from spoolrunner.executor import Executor
from spoolrunner.localrun.home import Home

ANSWER_WITHIN_S = 5


def known(home: Home, timeout_s: float = 60) -> dict[str, Callable[[], Executor]]:
    """Name -> how to make it. The SDK of docker is loaded only if it is used."""

    def docker() -> Executor:
        from spoolrunner.executor.docker import DockerExecutor

        return DockerExecutor(home.spool8, timeout_s=timeout_s)

    def process() -> Executor:
        from spoolrunner.executor.process import ProcessExecutor

        return ProcessExecutor(home.spool8, folder=home.folder / "processes")

    return {"docker": docker, "process": process}


def choose(config: Config, home: Home, images: Iterable[str]) -> tuple[str, str]:
    """The name of the executor that has all of these images; and a sentence if it is not docker
    although nobody asked for another: what is used then is not what a server uses.

    Raises BadMachine ("no_image", "no_executor").
    """
    wanted = sorted(set(images))
    names = ["docker", "process"] if config.executor == "auto" else [config.executor]
    lacking = {name: _lacking(home, name, wanted) for name in names}
    for name, missing in lacking.items():
        if missing == []:
            instead = name == "process" and "docker" in lacking
            return name, _instead(lacking["docker"]) if instead else ""
    if missing := lacking.get("docker"):
        raise _no_image(missing)
    raise _no_executor(lacking)


def _lacking(home: Home, name: str, images: list[str]) -> list[str] | None:
    """Images that are not there; None if the engine does not answer."""
    try:
        executor = known(home, ANSWER_WITHIN_S)[name]()
        return [image for image in images if not executor.image_id(image)]
    except TryLater:
        return None


def _instead(missing: list[str] | None) -> str:
    why = f"Docker lacks {', '.join(missing)}" if missing else "No Docker engine answers"
    return f"{why}, so this machine's own programs are used; they may differ from a server's."


def _no_image(missing: list[str]) -> BadMachine:
    return BadMachine(
        f"{_number(len(missing))} not on this machine's Docker engine: {', '.join(missing)}.",
        kind="no_image",
        hint="Fetch what is missing and try again: "
        + "; ".join(f"docker pull {image}" for image in missing),
    )


def _no_executor(lacking: dict[str, list[str] | None]) -> BadMachine:
    engine = "No Docker engine answers" if "docker" in lacking else "EXECUTOR is `process`"
    missing = lacking.get("process")
    alone = f", and without one this machine can't run {', '.join(missing)}" if missing else ""
    return BadMachine(
        f"{engine}{alone}.",
        kind="no_executor",
        hint="Start Docker (`docker info` tells whether it runs), or get it from"
        " https://docs.docker.com/get-docker/.",
    )


def _number(count: int) -> str:
    return "An image is" if count == 1 else f"{count} images are"

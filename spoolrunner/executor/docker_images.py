"""The images of a docker engine: which are here, and how others come in without a registry.

Knows: docker_archive, docker_words, errors. Its engine is the executor's (docker).
"""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import IO, Any, cast

from spoolrunner.errors import BadInput, BadMachine
from spoolrunner.executor import Image, docker_archive, docker_words

Engine = Callable[[], AbstractContextManager[Any]]


class DockerImages:
    """engine: a client of the SDK for the length of a block, its errors as ours."""

    def __init__(self, engine: Engine, not_found: type[Exception]) -> None:
        self._engine = engine
        self._not_found = not_found

    def find(self, image: str) -> Image | None:
        with self._engine() as engine, contextlib.suppress(self._not_found):
            about = engine.inspect_image(image)
            return Image(id=about["Id"], built_at=docker_words.utc(about["Created"]))
        return None

    def runtimes(self, registry: str) -> set[str]:
        """NAME of every image REGISTRY/NAME:TAG that is here."""
        with self._engine() as engine:
            tags = [tag for about in engine.images() for tag in about["RepoTags"] or []]
        ours = [tag.removeprefix(f"{registry}/") for tag in tags if tag.startswith(f"{registry}/")]
        return {name.partition(":")[0] for name in ours}

    def load(self, file: IO[bytes], registry: str, read: Callable[[int], None]) -> list[str]:
        """Load an archive of `docker save`; the names that came. read: told of bytes, twice each.

        Verified before and after: what the engine then has are the layers of the archive.
        Raises BadInput ("bad_archive", "foreign_image"), BadMachine, TryLater.
        """
        archived = docker_archive.verify(cast(IO[bytes], _Told(file, read)))
        names = [name for each in archived for name in each.names]
        foreign = [name for name in names if not name.startswith(f"{registry}/")]
        if foreign or not names:
            raise BadInput(
                f"The archive holds {', '.join(foreign) or 'an image without a name'},"
                f" but jobs use images of {registry} alone.",
                kind="foreign_image",
                hint=f"Save it under its whole name: `docker save {registry}/NAME:TAG > FILE`.",
            )
        file.seek(0)
        with self._engine() as engine:
            for said in engine.load_image(iter(_parts(_Told(file, read))), quiet=False):
                _check_said(said)
        for each in archived:
            self._check_loaded(each)
        return names

    def _check_loaded(self, archived: docker_archive.Archived) -> None:
        for name in archived.names:
            with self._engine() as engine:
                layers = engine.inspect_image(name)["RootFS"].get("Layers") or []
            if tuple(layers) != archived.layers:
                raise BadMachine(f"The engine has another {name} than the archive.")


class _Told:
    """A file that tells how much of it has been read."""

    def __init__(self, file: IO[bytes], read: Callable[[int], None]) -> None:
        self._file = file
        self._tell = read

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._tell(len(data))
        return data


def _parts(file: "_Told") -> Iterator[bytes]:
    while part := file.read(docker_archive.CHUNK_BYTES):
        yield part


def _check_said(said: dict[str, Any]) -> None:
    if "error" in said:
        raise BadMachine("The engine can't load the archive.", detail=str(said["error"]))

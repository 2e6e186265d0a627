"""An archive of images, as `docker save` writes it: is all in it what its names say?

A manifest names for each image a configuration, by its sha256, and layers; the configuration names
the sha256 of each layer's content. So one stream through the file tells whether anything in it was
torn or exchanged, before the engine is given a byte of it. Both shapes are read: the old one, and
the OCI layout of engines since 25, whose layers may be compressed.
Source: https://github.com/moby/docker-image-spec, "Combined Image JSON + Filesystem".
Knows: errors.
"""

import hashlib
import json
import posixpath
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from spoolrunner.errors import BadInput

MANIFEST = "manifest.json"
GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
MOST_JSON_BYTES = 8 << 20
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Archived:
    """One image of an archive. layers: sha256 of each layer's content, as `sha256:...`."""

    names: tuple[str, ...]
    layers: tuple[str, ...]


@dataclass
class _Member:
    """sha256: of the bytes as they lie there. content: of what they hold, uncompressed; "" if only
    zstd could tell, which this Python has not."""

    sha256: str = ""
    content: str = ""
    text: bytes = b""


@dataclass
class _Members:
    files: dict[str, _Member] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def find(self, name: str) -> _Member:
        """Old archives hold a layer that two images share once, and links to it."""
        path = posixpath.normpath(name)
        found = self.files.get(self.links.get(path, path))
        if found is None:
            raise _bad(f"it lacks {name}")
        return found


def verify(file: IO[bytes]) -> list[Archived]:
    """Its images. Raises BadInput (kind "bad_archive") for whatever is not as its name says."""
    try:
        with tarfile.open(fileobj=file, mode="r|*", bufsize=CHUNK_BYTES) as whole:
            members = _read(whole)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise _bad("it is torn, or no archive at all", str(error)) from error
    manifest = _parsed(members.find(MANIFEST), list)
    images = [_image(members, each) for each in manifest if isinstance(each, dict)]
    if not images:
        raise _bad("no image is in it")
    return images


def _read(whole: tarfile.TarFile) -> _Members:
    members = _Members()
    for entry in whole:
        path = posixpath.normpath(entry.name)
        if path in members.files or path in members.links:
            raise _bad(f"{entry.name} is in it twice")
        if entry.issym():
            members.links[path] = posixpath.normpath(
                posixpath.join(posixpath.dirname(path), entry.linkname)
            )
        elif entry.islnk():
            members.links[path] = posixpath.normpath(entry.linkname)
        elif entry.isfile() and (content := whole.extractfile(entry)):
            members.files[path] = _hashed(content, entry.size)
    return members


def _hashed(file: IO[bytes], size: int) -> _Member:
    raw, kept = hashlib.sha256(), b""
    start = part = file.read(CHUNK_BYTES)
    content = _Unpacked() if start.startswith(GZIP) else hashlib.sha256()
    while part:
        raw.update(part)
        content.update(part)
        if size <= MOST_JSON_BYTES:
            kept += part
        part = file.read(CHUNK_BYTES)
    is_zstd = start.startswith(ZSTD)
    return _Member(raw.hexdigest(), "" if is_zstd else content.hexdigest(), kept)


class _Unpacked:
    """The sha256 of what gzip holds: one member, or (eStargz) one for each file of a layer."""

    def __init__(self) -> None:
        self._content = hashlib.sha256()
        self._member = zlib.decompressobj(wbits=31)

    def update(self, part: bytes) -> None:
        while part:
            if self._member.eof:
                self._member = zlib.decompressobj(wbits=31)
            self._content.update(self._member.decompress(part))
            part = self._member.unused_data

    def hexdigest(self) -> str:
        return self._content.hexdigest()


def _image(members: _Members, entry: Mapping[str, Any]) -> Archived:
    name = str(entry.get("Config"))
    config = members.find(name)
    if posixpath.basename(name).removesuffix(".json") != config.sha256:
        raise _bad(f"the configuration {name} is not what its name says")
    root = _parsed(config, dict).get("rootfs")
    said = list(root.get("diff_ids") or []) if isinstance(root, dict) else []
    contents = [members.find(each).content for each in entry.get("Layers") or []]
    if "" in contents:
        raise BadInput(
            "The archive can't be verified: a layer is compressed with zstd.",
            kind="bad_archive",
            hint="Make it with an engine whose `docker save` writes layers plain or with gzip.",
        )
    layers = [f"sha256:{content}" for content in contents]
    if layers != said:
        raise _bad("a layer is not what its image says")
    return Archived(tuple(entry.get("RepoTags") or ()), tuple(layers))


def _parsed(member: _Member, kind: type) -> Any:
    try:
        value = json.loads(member.text)
    except ValueError as error:
        raise _bad("its manifest can't be read", str(error)) from error
    if not isinstance(value, kind):
        raise _bad("its manifest can't be read")
    return value


def _bad(why: str, detail: str = "") -> BadInput:
    return BadInput(
        f"The archive can't be loaded: {why}.",
        kind="bad_archive",
        hint="Make it anew with `docker save`, and compare the sums of both copies.",
        detail=detail,
    )

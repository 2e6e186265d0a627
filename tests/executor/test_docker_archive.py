"""Archives of images in both shapes, whole and not."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable

import pytest

from spoolrunner.errors import BadInput
from spoolrunner.executor.docker_archive import Archived, verify

LAYER = b"not really a tar, which nobody asks here" * 100
NAME = "ghcr.io/opensafely-core/r:v2"
Entries = list[tuple[str, bytes]]
Compress = Callable[[bytes], bytes]


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def config(*layers: bytes) -> bytes:
    ids = [f"sha256:{sha(layer)}" for layer in layers]
    return json.dumps({"rootfs": {"type": "layers", "diff_ids": ids}}).encode()


def old(layer: bytes = LAYER) -> Entries:
    """As engines before 25 write it."""
    about = config(LAYER)
    manifest = [{"Config": f"{sha(about)}.json", "RepoTags": [NAME], "Layers": ["abc/layer.tar"]}]
    return [
        ("abc/layer.tar", layer),
        (f"{sha(about)}.json", about),
        ("manifest.json", json.dumps(manifest).encode()),
    ]


def oci(layer: bytes = LAYER, compress: Compress = gzip.compress) -> Entries:
    """As engines since 25 write it; here with a compressed layer."""
    about, packed = config(LAYER), compress(layer)
    blobs = "blobs/sha256"
    manifest = [
        {
            "Config": f"{blobs}/{sha(about)}",
            "RepoTags": [NAME],
            "Layers": [f"{blobs}/{sha(packed)}"],
        }
    ]
    return [
        (f"{blobs}/{sha(packed)}", packed),
        (f"{blobs}/{sha(about)}", about),
        ("manifest.json", json.dumps(manifest).encode()),
    ]


def packed(entries: Entries, links: dict[str, str] | None = None) -> io.BytesIO:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as whole:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            whole.addfile(info, io.BytesIO(content))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            whole.addfile(info)
    data.seek(0)
    return data


@pytest.mark.parametrize("shape", [old, oci])
def test_both_shapes_are_read(shape: Callable[[], Entries]) -> None:
    assert verify(packed(shape())) == [Archived((NAME,), (f"sha256:{sha(LAYER)}",))]


def estargz(layer: bytes) -> bytes:
    """One member of gzip for each file of a layer, and an empty one as the last."""
    parts = [layer[:100], layer[100:], b""]
    return b"".join(map(gzip.compress, parts))


def test_a_layer_of_many_gzip_members_is_read_to_its_end() -> None:
    assert verify(packed(oci(LAYER, estargz)))
    with pytest.raises(BadInput, match="a layer is not what its image says"):
        verify(packed(oci(LAYER + b"!", estargz)))


def test_of_a_layer_that_cannot_be_unpacked_here_that_is_said() -> None:
    with pytest.raises(BadInput, match="zstd") as refused:
        verify(packed(oci(LAYER, lambda layer: b"\x28\xb5\x2f\xfd" + layer)))
    assert "gzip" in refused.value.hint


def test_a_compressed_archive_is_read_too() -> None:
    assert verify(io.BytesIO(gzip.compress(packed(old()).getvalue())))


def test_a_layer_that_two_images_share_may_be_a_link() -> None:
    entries = [(name.replace("abc/", "def/"), data) for name, data in old()]
    assert verify(packed(entries, {"abc/layer.tar": "../def/layer.tar"}))


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        (old(LAYER + b"!"), "a layer is not what its image says"),
        (oci(LAYER + b"!"), "a layer is not what its image says"),
        (old()[1:], "it lacks abc/layer.tar"),
        (old()[:-1], "it lacks manifest.json"),
        ([*old(), old()[0]], "is in it twice"),
        ([*old()[:-1], ("manifest.json", b"[{]")], "its manifest can't be read"),
        ([*old()[:-1], ("manifest.json", b"{}")], "its manifest can't be read"),
        ([*old()[:-1], ("manifest.json", b"[]")], "no image is in it"),
        ([(name, data.replace(b"layers", b"LAYERS")) for name, data in old()], "what its name"),
        ([], "lacks manifest.json"),
    ],
)
def test_what_is_not_as_its_name_says_is_refused(entries: Entries, why: str) -> None:
    with pytest.raises(BadInput, match=why) as refused:
        verify(packed(entries))
    assert refused.value.kind == "bad_archive"


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "compressed"])
def test_a_torn_one_is_refused(part: float, pack: Callable[[bytes], bytes]) -> None:
    whole = pack(packed(old()).getvalue().rstrip(b"\0"))
    with pytest.raises(BadInput, match="can't be loaded"):
        verify(io.BytesIO(whole[: int(len(whole) * part)]))


def test_a_link_to_itself_leads_nowhere() -> None:
    with pytest.raises(BadInput, match="it lacks abc"):
        verify(packed(old()[1:], {"abc/layer.tar": "layer.tar"}))

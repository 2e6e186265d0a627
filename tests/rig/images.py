"""Stand-in images, made of this machine's own programs, without a registry or a network.

One docker archive holds them all, under the names that real studies use:

    busybox:latest                      a shell
    python:v2 python:latest             this Python and its standard library
    cohortextractor:latest              programs/cohortextractor
    stata-mp:latest                     programs/stata

They keep the contract of the real ones (opensafely-core/base-docker): ACTION_EXEC runs the
arguments, unless the first argument is itself a program. Layers are shared; the archive is kept in
the cache and made again when anything in it has changed.
"""

import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

REGISTRY = "ghcr.io/opensafely-core"
BUSYBOX = f"{REGISTRY}/busybox:latest"
PYTHON = f"{REGISTRY}/python:v2"
PROGRAMS = Path(__file__).parent / "programs"

_LEFT_OUT = {"test", "tests", "idlelib", "tkinter", "ensurepip", "lib2to3", "turtledemo"}
_LEFT_OUT |= {"pydoc_data", "site-packages", "dist-packages", "lib-tk"}
_PASSWD = "root:x:0:0::/root:/bin/sh\nuser:x:10000:10000::/tmp:/bin/sh\n"
_EPOCH = "2023-11-14T22:13:20Z"


def archive() -> Path:
    """The docker archive of all images; made if the cache does not have it."""
    path = _cache() / f"images-{_fingerprint()}.tar"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        _write_archive(draft)
        draft.rename(path)
    return path


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "spoolrunner-tests"


def _fingerprint() -> str:
    parts = [sys.version.encode(), sys.base_prefix.encode(), Path(_busybox()).read_bytes()]
    parts += [path.read_bytes() for path in (Path(__file__), *sorted(PROGRAMS.iterdir()))]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


# Layers


def _base(layer: tarfile.TarFile) -> None:
    """busybox under all its names, the entry point, and who is who."""
    for folder in ("usr/bin", "usr/lib", "usr/lib64", "etc", "workspace", "proc", "sys", "dev"):
        _folder(layer, folder)
    _folder(layer, "tmp", 0o1777)
    for name, target in (("bin", "usr/bin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")):
        _link(layer, name, target)
    _copy(layer, _busybox(), "usr/bin/busybox")
    applets = subprocess.run([_busybox(), "--list"], check=True, capture_output=True, text=True)
    for applet in applets.stdout.split():
        if applet != "busybox":
            _link(layer, f"usr/bin/{applet}", "busybox")
    _file(layer, "etc/passwd", _PASSWD)
    _file(layer, "etc/group", "root:x:0:\nuser:x:10000:\n")
    _program(layer, "entrypoint.sh")


def _python(layer: tarfile.TarFile) -> None:
    """This Python, at the very paths it has here, so that it finds its library as it does here."""
    library = Path(sysconfig.get_path("stdlib"))
    program = Path(sys.base_prefix, "bin", f"python{sysconfig.get_python_version()}").resolve()
    _copy(layer, str(program))
    for name in ("python", "python3"):
        _link(layer, f"usr/bin/{name}", str(program))
    layer.add(library, arcname=str(library).lstrip("/"), filter=_wanted)
    extensions = [path for path in (library / "lib-dynload").glob("*.so") if _needed(path.name)]
    for library_path in _shared_libraries([program, *extensions]):
        _copy(layer, library_path)


def _needed(name: str) -> bool:
    test_extension = name.startswith(("_test", "_xxtest", "_tkinter"))
    return not test_extension and name not in _LEFT_OUT and not name.startswith("config-3")


def _wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Compiled files come along with their dates: without them each start would compile anew."""
    name = os.path.basename(entry.name)
    if not _needed(name) or ".opt-" in name or name.endswith(".a"):
        return None
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _shared_libraries(programs: list[Path]) -> set[str]:
    listed = subprocess.run(
        ["ldd", *map(str, programs)], check=True, capture_output=True, text=True
    )
    words = (word for line in listed.stdout.splitlines() for word in line.split())
    return {word for word in words if word.startswith("/") and not word.endswith(":")}


def _stand_in(name: str) -> Callable[[tarfile.TarFile], None]:
    return lambda layer: _program(layer, name)


def _busybox() -> str:
    return shutil.which("busybox") or "/bin/busybox"


# A layer's entries


def _folder(layer: tarfile.TarFile, name: str, mode: int = 0o755) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    layer.addfile(entry)


def _link(layer: tarfile.TarFile, name: str, target: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    layer.addfile(entry)


def _file(layer: tarfile.TarFile, name: str, text: str | bytes, mode: int = 0o644) -> None:
    data = text.encode() if isinstance(text, str) else text
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    layer.addfile(entry, io.BytesIO(data))


def _program(layer: tarfile.TarFile, name: str) -> None:
    _file(layer, f"usr/bin/{name}", (PROGRAMS / name).read_bytes(), 0o755)


def _copy(layer: tarfile.TarFile, source: str, name: str = "") -> None:
    """One file of this machine; /lib is a link to /usr/lib in the image as on Debian."""
    place = name or os.path.join(
        os.path.realpath(os.path.dirname(source)), os.path.basename(source)
    )
    _file(layer, place.lstrip("/"), Path(source).read_bytes(), 0o755)


# The archive: https://github.com/moby/docker-image-spec, "Combined Image JSON + Filesystem"


def _write_archive(path: Path) -> None:
    base, python = _layer(_base), _layer(_python)
    cohortextractor, stata = _layer(_stand_in("cohortextractor")), _layer(_stand_in("stata"))
    images = [
        (["busybox:latest"], [base], ""),
        (["python:v2", "python:latest"], [base, python], "python"),
        (["cohortextractor:latest"], [base, python, cohortextractor], "cohortextractor"),
        (["stata-mp:latest"], [base, python, stata], "stata"),
    ]
    with tarfile.open(path, "w") as whole:
        for layer in (base, python, cohortextractor, stata):
            _file(whole, f"{_sha256(layer)}/layer.tar", layer)
        manifest = [_image(whole, *image) for image in images]
        _file(whole, "manifest.json", json.dumps(manifest))


def _layer(fill: Callable[[tarfile.TarFile], None]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as layer:
        fill(layer)
    return data.getvalue()


def _image(
    whole: tarfile.TarFile, tags: list[str], layers: list[bytes], action: str
) -> dict[str, Any]:
    """Write an image's configuration; returns its entry in the manifest."""
    digests = [_sha256(layer) for layer in layers]
    configuration = json.dumps(
        {
            "architecture": "arm64" if platform.machine() == "aarch64" else "amd64",
            "os": "linux",
            "created": _EPOCH,
            "config": _behaviour(action),
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
        }
    )
    name = f"{_sha256(configuration.encode())}.json"
    _file(whole, name, configuration)
    return {
        "Config": name,
        "RepoTags": [f"{REGISTRY}/{tag}" for tag in tags],
        "Layers": [f"{digest}/layer.tar" for digest in digests],
    }


def _behaviour(action: str) -> dict[str, Any]:
    environment = ["PATH=/usr/bin", "LANG=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1"]
    common: dict[str, Any] = {"Env": environment, "WorkingDir": "/workspace"}
    if not action:
        return common | {"Cmd": ["sh"]}
    return common | {
        "Env": [*environment, f"ACTION_EXEC={action}"],
        "Entrypoint": ["/usr/bin/entrypoint.sh"],
        "Labels": {"org.opensafely.action": action},
    }


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

"""The operators' list of images: what it says, and that a bad one opens nothing."""

from pathlib import Path

import pytest

from spoolrunner.errors import Refused
from spoolrunner.runner.trust import trusted

ID = "sha256:" + "0123456789abcdef" * 4
OTHER = "sha256:" + "f" * 64


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    path = tmp_path / "images"
    path.write_text(
        f"# the images of May\n\npython:v2   {ID}  # from the registry\nr:latest {OTHER}\n"
    )
    return path


def test_a_name_in_the_list_stands_for_its_id(listed: Path) -> None:
    assert trusted(listed, "python:v2") == ID
    assert trusted(listed, "r:latest") == OTHER


@pytest.mark.attack("an image runs that the operator did not write down")
@pytest.mark.parametrize("name", ["python:v3", "python", "PYTHON:v2", "ehrql:v1"])
def test_a_name_that_is_not_in_it_is_refused(listed: Path, name: str) -> None:
    with pytest.raises(Refused, match=f"The image {name} is not in"):
        trusted(listed, name)


@pytest.mark.attack("a list of images is half understood")
@pytest.mark.parametrize(
    "text",
    [
        f"python:v2 {ID}\npython:v2 {OTHER}\n",
        f"python:v2 {ID}\nr:latest\n",
        f"python:v2 {ID} {ID}\n",
        f"python:v2 {ID[:-1]}\n",
        f"python:v2 {ID.upper()}\n",
        f"python {ID}\n",
        f"python:v2={ID}\n",
    ],
)
def test_a_list_with_one_bad_line_opens_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "images"
    path.write_text(text)
    with pytest.raises(Refused) as refusal:
        trusted(path, "python:v2")
    assert refusal.value.kind == "no_image"
    assert str(tmp_path) not in refusal.value.public


@pytest.mark.attack("a list of images is {kind}")
@pytest.mark.parametrize("kind", ["absent", "empty", "folder", "not text"])
def test_a_list_that_says_nothing_opens_nothing(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "images"
    if kind == "folder":
        path.mkdir()
    elif kind != "absent":
        path.write_bytes(b"" if kind == "empty" else b"\xff\xfe")
    with pytest.raises(Refused):
        trusted(path, "python:v2")

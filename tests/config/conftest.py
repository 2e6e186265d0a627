from collections.abc import Callable
from pathlib import Path

import pytest

from spoolrunner import config


@pytest.fixture(autouse=True)
def no_system_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The machine the tests run on may have a configuration of its own."""
    monkeypatch.setattr(config, "SYSTEM_ENV_FILE", tmp_path / "no-such.env")


@pytest.fixture
def real(tmp_path: Path) -> dict[str, str]:
    """All that a backend with real data must have."""
    return {
        "BACKEND": "tpp",
        "HIGH_PRIVACY_STORAGE_BASE": str(tmp_path / "high"),
        "MEDIUM_PRIVACY_STORAGE_BASE": str(tmp_path / "medium"),
    }


@pytest.fixture
def env_file(tmp_path: Path) -> Callable[..., Path]:
    def write(text: str, mode: int = 0o600, name: str = "a.env") -> Path:
        path = tmp_path / name
        path.write_text(text)
        path.chmod(mode)
        return path

    return write

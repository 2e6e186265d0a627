"""Load settings as a test gives them, and look at what is wrong with them."""

from pathlib import Path

import pytest

from spoolrunner import config
from spoolrunner.errors import BadConfig

SECRET = "s3cr3t-pa55word"  # what no message may ever hold


def load(*env_files: Path, **environ: str) -> config.Config:
    return config.load(environ, env_files)


def problems(*env_files: Path, **environ: str) -> list[str]:
    with pytest.raises(BadConfig) as caught:
        load(*env_files, **environ)
    assert SECRET not in caught.value.public
    assert SECRET not in caught.value.detail
    return list(caught.value.problems)


def only_problem(*env_files: Path, **environ: str) -> str:
    found = problems(*env_files, **environ)
    assert len(found) == 1, found
    return found[0]

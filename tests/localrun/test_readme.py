"""What the README shows of local-run is what it prints; times and durations are any."""

import re
import shutil
import subprocess
from pathlib import Path

from tests.localrun.conftest import Study
from tests.site import STUDIES

README = (Path(__file__).parents[2] / "README.md").read_text()


def normal(text: str) -> str:
    """Without what differs from run to run."""
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "DATE", text)
    return re.sub(r" *\d+\.\d s", " TIME", text)


def test_what_the_readme_shows_is_what_happens(study: Study) -> None:
    shown = re.search(r"<!-- local-run -->\n```\n(.*?)```\n<!-- /local-run -->", README, re.DOTALL)
    assert shown
    shutil.copytree(STUDIES / "asthma-reviews", study.folder, dirs_exist_ok=True)
    happened = []
    for line in re.findall(r"^\$ .*$", shown[1], re.MULTILINE):
        happened.append(f"{line}\n")
        program, *words = line.removeprefix("$ ").split()
        if program == "sed":
            subprocess.run([program, *words], cwd=study.folder, check=True)
        else:
            assert words[0] == "local-run"
            happened.append(study.command(*words[1:]).stdout)
    assert normal("".join(happened)) == normal(shown[1])

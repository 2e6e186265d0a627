"""UPGRADING.md: what it names is there, and nothing that it should name is missing."""

import contextlib
import re
from pathlib import Path

import pytest

from spoolrunner import config
from spoolrunner.cli import VERBS
from spoolrunner.errors import CannotExpand
from spoolrunner.manifest import Provenance
from spoolrunner.request import Request, WorkspaceRef, job_identifier
from spoolrunner.runner import admission
from spoolrunner.runner.reading import Command
from spoolrunner.workspace.places import Places
from tests.workspace.conftest import storage_below

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "UPGRADING.md").read_text()
README = (ROOT / "README.md").read_text()
# Modules that job-runner 2.52.3 is started by, and commands of its successors (reference 1.5).
JOB_RUNNERS = {
    *("service", "run", "sync", "record_stats", "cli.add_job", "cli.extract_stats", "cli.flags"),
    *("cli.kill_job", "cli.local_run", "cli.manifest_migration", "cli.migrate", "cli.retry_job"),
    *("cli.prepare_for_reboot", "agent.cli.kill_task", "agent.cli.ehrql_telemetry"),
    *("agent.cli.update_manifest_for_old_job", "agent.cli.update_manifest_out_of_date_actions"),
    *("manage.py pause", "manage.py db_maintenance", "manage.py snapshot_database"),
}
SCRIPTS = {
    "run",
    "watch-job-logs",
    "mount-job-volume",
    "update-docker-image",
    "archive",
    "unarchive",
}
ROWS = set(range(1, 45)) - {42}  # of the reference, section 6


def part(name: str) -> str:
    return PAGE.partition(f"<!-- {name} -->\n")[2].partition(f"<!-- /{name} -->")[0]


def rows(name: str) -> list[list[str]]:
    lines = part(name).splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_every_command_that_it_names_is_there_and_every_one_of_ours_is_named() -> None:
    code = "\n".join(
        re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) + re.findall(r"`[^`\n]+`", PAGE)
    )
    assert set(re.findall(r"\bspoolrunner ([a-z][a-z-]+)", code)) == VERBS.keys()


def test_every_command_of_job_runners_has_its_row() -> None:
    first = " ".join(row[0] for row in rows("commands"))
    assert set(re.findall(r"`([^`]+)`", first)) == JOB_RUNNERS
    assert set(re.findall(r"`scripts/([\w-]+)\.sh`", part("playbook"))) == SCRIPTS


def test_settings_that_it_names_are_there() -> None:
    known = README.partition("<!-- settings -->")[2].partition("<!-- /settings -->")[0]
    here = " ".join(row[1] for row in rows("names"))
    named = set(re.findall(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b", here))
    for name in named - {"QUEUE_USER", "QUEUE_PASS", "STATA_LICENSE_FILE"}:
        assert f"`{name}`" in known, name


def test_every_row_of_what_went_wrong_is_answered_by_what_is_there() -> None:
    answers = rows("answers")
    assert {int(row[0]) for row in answers} == ROWS
    for number, _, _, shown in answers:
        (name,) = re.findall(r"`([^`]+)`", shown)
        path, _, test = name.partition("::")
        if name.startswith("spoolrunner "):
            assert name.split()[1] in VERBS, number
        elif test:
            assert re.search(rf"^def {test}\(", (ROOT / path).read_text(), re.MULTILINE), number
        else:
            assert (ROOT / path).exists(), number


def test_the_readme_leads_there() -> None:
    assert README.count("UPGRADING.md") >= 2


def test_the_identifier_of_a_job_is_the_one_job_runner_gives_it() -> None:
    assert job_identifier("123", "generate_cohort") == "cekdw4n2mqtn622b"
    assert job_identifier("abcdefgh23456789", "run_model") == "mret5jt4komafakp"


def test_a_log_lies_under_the_month_in_which_its_job_was_made(tmp_path: Path) -> None:
    made = Provenance(
        action="a", job="j", request="r", sequence=1, workspace="ws", repo="", commit="",
        created_at="2022-03-31T23:59:59.000Z",
    )  # fmt: skip
    log = Places(storage_below(tmp_path), "ws").job_log(made)
    assert log == tmp_path / "high/logs/2022-03/os-job-j"


@pytest.mark.parametrize(("needs_db", "is_refused"), [(True, True), (False, False)])
def test_stale_codelists_are_the_researchers_to_mend(needs_db: bool, is_refused: bool) -> None:
    request = Request(
        identifier="r", sequence=1, backend="expectations", requested_actions=["a"],
        workspace=WorkspaceRef(name="ws", repo="", branch="main"), created_at="",
        codelists_ok=False,
    )  # fmt: skip
    commands = {"a": Command(("ehrql:v1", "generate-dataset"), needs_db, {})}
    mild = contextlib.nullcontext()
    with pytest.raises(CannotExpand, match="codelists") if is_refused else mild:
        admission.check(config.load({}, [Path("/dev/null")]), request, commands)

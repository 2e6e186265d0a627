"""job-runner's .env, of both its samples and its later names, becomes a file of our settings."""

from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from spoolrunner import config, settings
from spoolrunner.jobrunner import environment
from tests.jobrunner.conftest import New
from tests.jobrunner.old import Old

# The names of its dotenv-sample, as it was first and as it is in 2.52.3.
SAMPLE = {
    "BACKEND": "tpp",
    "JOB_SERVER_ENDPOINT": "https://jobs.example.org/api/v2/",
    "HIGH_PRIVACY_STORAGE_BASE": "/srv/high",
    "MEDIUM_PRIVACY_STORAGE_BASE": "/srv/medium",
    "PRIVATE_REPO_ACCESS_TOKEN": "repo secret",
    "DUMMY_DATABASE_URL": "mssql://dummy",
    "SLICE_DATABASE_URL": "mssql://slice",
    "FULL_DATABASE_URL": "mssql://user:pass@host/full",
    "STATA_LICENSE": 'it\'s #"odd"$ \\n',
    "TEMP_DATABASE_NAME": "TempTables",
    "POLL_INTERVAL": "5",
    "JOB_LOOP_INTERVAL": "1.0",
    "MAX_WORKERS": "",
}
SECOND = SAMPLE | {"JOB_SERVER_TOKEN": "pass"}
FIRST = {f"OPENSAFELY_{name}": value for name, value in SAMPLE.items()} | {
    "OPENSAFELY_QUEUE_USER": "user",
    "OPENSAFELY_QUEUE_PASS": "pass",
}
HOME = Path("/srv/job-runner")


@pytest.mark.parametrize(("sample", "token"), [(FIRST, "user:pass"), (SECOND, "pass")])
def test_both_samples_become_settings_that_mean_the_same(
    tmp_path: Path, sample: dict[str, str], token: str
) -> None:
    made = environment.translated(sample, HOME)
    file = tmp_path / "spoolrunner.env"
    file.write_text(made.text())
    file.chmod(0o600)
    read = config.load({}, [file])
    assert (read.backend, read.job_server_token) == ("tpp", token)
    assert read.stata_license == SAMPLE["STATA_LICENSE"]
    assert str(read.high_privacy_storage_base) == "/srv/high"
    assert set(made.settings) <= set(settings.table())
    assert made.told.keys() == {
        name.removeprefix("OPENSAFELY_") for name, value in sample.items() if value
    }


def test_every_name_that_means_nothing_here_is_told_with_what_to_do() -> None:
    names = [pattern.replace("*", "X") for pattern in config.FOREIGN]
    made = environment.translated(dict.fromkeys(names, "1"), HOME)
    assert made.told.keys() == set(names)
    assert environment.UNKNOWN not in made.told.values()
    assert set(config.FOREIGN) == environment.UNUSED.keys() | environment.RENAMED.keys()


def test_what_nobody_knows_is_told_too() -> None:
    made = environment.translated({"MAX_WORKRS": "3"}, HOME)
    assert made.told == {"MAX_WORKRS": environment.UNKNOWN}
    assert "3" not in made.settings.values()


def test_a_controllers_names_for_this_backend_become_ours_and_no_others() -> None:
    given = {"BACKEND": "tpp", "TPP_MAX_WORKERS": "7", "EMIS_MAX_WORKERS": "9",
             "TPP_JOB_SERVER_TOKEN": "t", "TPP_JOB_MEMORY_LIMIT": "128G"}  # fmt: skip
    made = environment.translated(given, HOME)
    assert made.settings["MAX_WORKERS"] == "7"
    assert made.settings["JOB_SERVER_TOKEN"] == "t"
    assert made.settings["DEFAULT_JOB_MEMORY_LIMIT"] == "128G"
    assert "another backend" in made.told["EMIS_MAX_WORKERS"]


def test_what_job_runner_takes_for_granted_is_written_out() -> None:
    made = environment.translated({"JOB_SERVER_TOKEN": "t"}, HOME)
    assert made.settings["JOB_SERVER_ENDPOINT"] == environment.ENDPOINT
    assert made.settings["HIGH_PRIVACY_STORAGE_BASE"] == "/srv/job-runner/workdir/high_privacy"
    moved = environment.translated({"WORK_DIR": "/data"}, HOME)
    assert moved.workdir == Path("/data")
    assert moved.settings["MEDIUM_PRIVACY_STORAGE_BASE"] == "/data/medium_privacy"
    assert "WORKDIR" not in moved.settings


def test_a_line_that_can_not_be_read_is_told_and_windows_lines_are_no_trouble(
    tmp_path: Path,
) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b"BACKEND=tpp\r\nSTATA_LICENSE='very secret\r\n\r\n# fine\r\n")
    made = environment.read(tmp_path, file)
    assert made.settings["BACKEND"] == "tpp"
    assert made.told == {"BACKEND": environment.AS_IT_IS, "line 2": environment.UNREADABLE}


def test_its_paths_are_relative_to_the_folder_it_runs_in(tmp_path: Path) -> None:
    given = {"HIGH_PRIVACY_STORAGE_BASE": "high", "DEBUG_LOG_FILE": "/var/log/x", "WORKDIR": "w"}
    (tmp_path / "job-resource-weights.ini").touch()
    made = environment.translated(given, tmp_path)
    assert made.settings["HIGH_PRIVACY_STORAGE_BASE"] == str(tmp_path / "high")
    assert made.settings["MEDIUM_PRIVACY_STORAGE_BASE"] == str(tmp_path / "w/medium_privacy")
    assert made.settings["DEBUG_LOG_FILE"] == "/var/log/x"
    assert made.settings["JOB_RESOURCE_WEIGHTS"] == str(tmp_path / "job-resource-weights.ini")


def test_no_value_is_ever_shown(old: Old, new: New) -> None:
    (old.home / ".env").write_text("STATA_LICENSE=very-secret\nNOBODY_KNOWS=very-secret\n")
    assert "very-secret" not in new.do("import-jobrunner", str(old.home), "--yes")
    assert "STATA_LICENSE=very-secret" in new.settings.read_text()
    assert new.settings.stat().st_mode & 0o777 == 0o600


def test_a_value_that_can_not_be_is_told_before_anything_is_written(old: Old, new: New) -> None:
    (old.home / ".env").write_text("BACKEND=tpp\nMAX_WORKERS=many\n")
    result = new.try_to("import-jobrunner", str(old.home), "--yes")
    assert "MAX_WORKERS (the environment or job-runner's .env): 'many'" in str(result.exception)
    assert getattr(result.exception, "exit_status", 0) == 4
    assert not new.folder.exists()


def test_real_data_and_two_names_that_become_one(old: Old, new: New) -> None:
    (old.home / ".env").write_text("BACKEND=tpp\nQUEUE_USER=u\nQUEUE_PASS=p\n")
    told = new.told(old, "--yes")
    assert told["setting", "QUEUE_USER"]["deed"] == "take"
    assert "JOB_SERVER_TOKEN=u:p" in new.settings.read_text()


def test_settings_that_are_there_are_left_as_they_are(old: Old, new: New) -> None:
    new.settings.parent.mkdir(parents=True)
    storage = f"WORKDIR={old.home / 'workdir'}\n"
    new.settings.write_text(storage)
    told = new.told(old, "--yes")
    assert told["settings", str(new.settings)]["deed"] == "here"
    assert new.settings.read_text() == storage


def test_the_table_of_the_page_is_the_programs() -> None:
    page = (Path(__file__).parents[2] / "UPGRADING.md").read_text()
    shown = page.partition("<!-- names -->\n")[2].partition("<!-- /names -->")[0]
    assert shown == environment.table_for_page()
    for name in config.FOREIGN:
        assert any(fnmatchcase(name, known) for known in environment.UNUSED | environment.RENAMED)

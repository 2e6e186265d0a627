"""Where settings come from: the environment, env files and files that hold a secret."""

import os
import stat

import pytest

from spoolrunner import config
from tests.config.loading import SECRET, load, only_problem, problems


def test_the_environment_wins_over_files_and_a_later_file_over_an_earlier(env_file):
    first = env_file("BACKEND=first\nMAX_WORKERS=1\nMAX_ATTEMPTS=1\nUSING_DUMMY_DATA_BACKEND=1\n")
    second = env_file("BACKEND=second\nMAX_WORKERS=2\n", name="b.env")
    made = load(first, second, BACKEND="third")
    assert (made.backend, made.max_workers, made.max_attempts) == ("third", 2, 1)


def test_an_empty_name_in_the_environment_leaves_the_files_to_speak(env_file):
    assert load(env_file("MAX_WORKERS=3"), MAX_WORKERS="").max_workers == 3


def test_spoolrunner_env_names_a_file_unless_the_command_line_does(env_file):
    named, other = env_file("MAX_WORKERS=3"), env_file("MAX_WORKERS=4", name="b.env")
    assert load(SPOOLRUNNER_ENV=str(named)).max_workers == 3
    assert load(other, SPOOLRUNNER_ENV=str(named)).max_workers == 4


def test_the_system_s_file_is_read_where_nothing_else_is_named(env_file, monkeypatch):
    monkeypatch.setattr(config, "SYSTEM_ENV_FILE", env_file("MAX_WORKERS=5"))
    assert load().max_workers == 5


def test_a_file_in_the_current_folder_is_never_read(env_file, monkeypatch, tmp_path):
    for name in (".env", "spoolrunner.env"):
        env_file("MAX_WORKERS=99", name=name)
    monkeypatch.chdir(tmp_path)
    assert load().max_workers != 99


def test_a_file_that_was_named_must_be_there(tmp_path):
    missing = tmp_path / "gone.env"
    assert only_problem(missing) == f"The env file {missing} cannot be read: {os.strerror(2)}."
    assert str(missing) in only_problem(SPOOLRUNNER_ENV=str(missing))


def test_a_file_that_is_no_text_is_a_problem(env_file):
    path = env_file("")
    path.write_bytes(b"\xff\xfe\x00")
    assert "UTF-8" in only_problem(path)


def test_a_line_that_cannot_be_read_is_told_by_its_number_only(env_file):
    path = env_file(f"MAX_WORKERS=3\n\nSTATA_LICENSE='{SECRET}\n")
    assert only_problem(path).startswith(f"{path}, line 3: ")


def test_every_line_that_cannot_be_read_is_told(env_file):
    path = env_file(f"this is {SECRET}\nBACKEND=tpp-dummy\n- {SECRET}\nUSING_DUMMY_DATA_BACKEND=1")
    assert [line.split(":")[0][-6:] for line in problems(path)] == ["line 1", "line 3"]


def test_a_misspelt_name_in_a_file_is_asked_about_and_one_in_the_environment_is_not(env_file):
    path = env_file("MAX_WORKER=3\nHTTPS_PROXY=http://proxy.example\n")
    made = load(path, MAX_WORKERSS="3")
    assert made.warnings == (
        f"{path}, line 1: MAX_WORKER is not a setting; did you mean MAX_WORKERS?",
    )


def test_a_file_with_secrets_that_everybody_can_read_is_warned_about(env_file):
    path = env_file("STATA_LICENSE=x\n", mode=0o644)
    assert "can be read by everybody" in load(path).warnings[0]
    path.chmod(0o600)
    assert load(path).warnings == ()


def test_names_that_only_job_runner_knows_are_accepted_and_listed(env_file):
    path = env_file("JOB_LOOP_INTERVAL=1.0\nSTATS_DATABASE_FILE=x\nTPP_JOB_SERVER_TOKEN=x\n")
    made = load(path, OTEL_EXPORTER_OTLP_ENDPOINT="https://x", EXECUTION_API="true", PATH="/bin")
    assert made.ignored == (
        "EXECUTION_API",
        "JOB_LOOP_INTERVAL",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "STATS_DATABASE_FILE",
        "TPP_JOB_SERVER_TOKEN",
    )
    assert made.warnings == ()


def test_an_operators_env_file_of_job_runner_works(env_file, tmp_path):
    made = load(
        env_file(f"""# TPP
export BACKEND=tpp
HIGH_PRIVACY_STORAGE_BASE="{tmp_path}/high privacy"
MEDIUM_PRIVACY_STORAGE_BASE='{tmp_path}/medium'   # level 4
FULL_DATABASE_URL=mssql://user:p$a%23b@192.0.2.1:1433/OPENCoronaExport
TEMP_DATABASE_NAME=OPENCoronaTempTables
JOB_SERVER_ENDPOINT=https://jobs.opensafely.org/api/v2/
JOB_SERVER_TOKEN={SECRET}
STATA_LICENSE="first line
second line"
MAX_WORKERS=10
POLL_INTERVAL=15
DEBUG_LOG_FILE=
DOCKER_USER_ID=
""")
    )
    assert made.high_privacy_storage_base == tmp_path / "high privacy"
    assert made.medium_privacy_storage_base == tmp_path / "medium"
    assert made.full_database_url == "mssql://user:p$a%23b@192.0.2.1:1433/OPENCoronaExport"
    assert made.stata_license == "first line\nsecond line"
    assert (made.max_workers, made.poll_interval_s, made.debug_log_file) == (10, 15, None)


# --- secrets


def test_a_secret_may_lie_in_a_file_of_its_own(env_file):
    secret = env_file(f"{SECRET}\n", name="license")
    assert load(STATA_LICENSE_FILE=str(secret)).stata_license == SECRET


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o644])
def test_a_secret_in_a_file_that_everybody_can_open_is_refused(env_file, mode):
    secret = env_file(SECRET, mode=mode, name="license")
    assert "open to everybody" in only_problem(STATA_LICENSE_FILE=str(secret))


def test_a_secret_given_twice_is_refused(env_file):
    secret = env_file(SECRET, name="license")
    told = only_problem(STATA_LICENSE=SECRET, STATA_LICENSE_FILE=str(secret))
    assert "give one of the two" in told


def test_a_secret_of_the_environment_wins_over_a_secret_file_named_in_a_file(env_file):
    secret = env_file("other", name="license")
    path = env_file(f"STATA_LICENSE_FILE={secret}")
    assert load(path, STATA_LICENSE=SECRET).stata_license == SECRET


@pytest.mark.parametrize("content", [None, ""])
def test_a_secret_file_that_is_missing_or_empty_is_told_once(env_file, tmp_path, content):
    path = tmp_path / "token" if content is None else env_file(content, name="token")
    told = only_problem(
        JOB_SERVER_ENDPOINT="https://jobs.example/", JOB_SERVER_TOKEN_FILE=str(path)
    )
    assert told.startswith("JOB_SERVER_TOKEN_FILE (the environment): ")


def test_secrets_are_not_in_the_configurations_repr():
    made = load(STATA_LICENSE=SECRET, DUMMY_DATABASE_URL=f"mssql://u:{SECRET}@host/db")
    assert SECRET not in repr(made)
    assert SECRET not in str(made)


@pytest.mark.parametrize(
    "url",
    [
        SECRET,
        f"{SECRET}@host:1433",
        f"mssql:/u:{SECRET}@host/db",
        f"mssql://u:{SECRET}@/db",
        f"mssql://u:{SECRET}@host:port/db",
        f"mssql://u:{SECRET}@host:99999/db",
        f"mssql://u:{SECRET} @host/db",
        f"mssql://u:{SECRET}@[::1/db",
        f"MSSQL+x y://u:{SECRET}@host/db",
    ],
)
def test_a_database_url_that_is_none_is_refused_without_repeating_it(url):
    assert only_problem(FULL_DATABASE_URL=url).startswith("FULL_DATABASE_URL (the environment): ")


def test_a_file_of_a_secret_is_judged_by_the_file_that_was_read(tmp_path, env_file):
    secret = env_file(SECRET, name="license", mode=0o644)
    link = tmp_path / "link"
    link.symlink_to(secret)
    assert "open to everybody" in only_problem(STATA_LICENSE_FILE=str(link))
    secret.chmod(stat.S_IRUSR)
    assert load(STATA_LICENSE_FILE=str(link)).stata_license == SECRET

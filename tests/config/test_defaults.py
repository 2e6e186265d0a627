"""What a setting is when nobody gives it."""

import os

from tests.config.loading import SECRET, load


def test_without_any_setting_a_dummy_data_backend_is_described(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = load()
    assert made.backend == "expectations"
    assert made.dummy_data is True
    assert made.spool_dir == tmp_path / "spool"
    assert made.high_privacy_storage_base == tmp_path / "spool/storage/high_privacy"
    assert made.medium_privacy_storage_base == tmp_path / "spool/storage/medium_privacy"
    assert made.allowed_github_orgs == ("*",)
    assert made.allow_local_git_repos is True
    assert made.reports == "none"
    assert made.executor == "auto"
    assert (made.default_job_cpu_count, made.default_job_memory_limit_bytes) == (2, 4 << 30)
    assert (made.job_timeout_s, made.stop_grace_s, made.image_wait_s) == (0, 10, 86400)
    assert (made.ignored, made.warnings) == ((), ())


def test_real_data_changes_the_defaults_to_the_careful_ones(real):
    made = load(**real)
    assert made.dummy_data is False
    assert made.allowed_github_orgs == ("opensafely",)
    assert made.allow_local_git_repos is False
    assert made.reports == "export"


def test_a_dummy_data_backend_may_have_any_name():
    made = load(BACKEND="test-backend", USING_DUMMY_DATA_BACKEND="yes")
    assert made.dummy_data is True
    assert made.allow_local_git_repos is True


def test_one_core_is_left_to_the_runner():
    cores = os.cpu_count() or 1
    assert load().max_workers == load().max_db_workers == max(cores - 1, 1)
    assert load(MAX_WORKERS="7").max_db_workers == 7


def test_archives_and_job_folders_lie_on_the_high_privacy_storage(tmp_path):
    made = load(HIGH_PRIVACY_STORAGE_BASE=str(tmp_path))
    assert made.high_privacy_archive_dir == tmp_path / "archives"
    assert made.high_privacy_volume_dir == tmp_path / "volumes"


def test_reports_are_sent_where_there_is_a_job_server():
    made = load(JOB_SERVER_ENDPOINT="https://jobs.example/api/v2", JOB_SERVER_TOKEN=SECRET)
    assert made.reports == "send"
    assert made.job_server_endpoint == "https://jobs.example/api/v2/"
    assert made.job_server_token == SECRET


def test_only_the_databases_that_are_configured_are_named():
    url = f"mssql://user:{SECRET}@db.example:1433/full"
    assert load(FULL_DATABASE_URL=url).database_urls == {"full": url}


def test_empty_and_blank_mean_unset():
    made = load(BACKEND="", MAX_WORKERS="  ", JOB_SERVER_ENDPOINT="")
    assert (made.backend, made.reports) == ("expectations", "none")


def test_the_executor_of_job_runner_is_docker():
    assert load(EXECUTOR="jobrunner.executors.local:LocalDockerAPI").executor == "docker"

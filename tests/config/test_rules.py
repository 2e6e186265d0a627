"""What must hold of settings and between them; every problem is told at once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spoolrunner import config
from tests.config.loading import SECRET, load, only_problem, problems


def test_all_problems_are_told_at_once(env_file):
    path = env_file("MAX_WORKERS=many\nLOGLEVEL=LOUD\n")
    found = problems(
        path, BACKEND="-", JOB_TIMEOUT="soon", FULL_DATABASE_URL=SECRET, PRESTO_TLS_KEY_PATH="/k"
    )
    assert len(found) == 7  # the key is without its certificate and is not there
    assert f"MAX_WORKERS ({path}, line 1): 'many' must be a whole number of at least 1." in found
    assert any(told.startswith("LOGLEVEL") for told in found)


@pytest.mark.parametrize("name", ["t", "-tpp", "tpp-", "t p", "tpp/..", "tpé", "tpp\nx"])
def test_a_backend_is_two_or_more_letters_digits_dashes(name):
    assert only_problem(BACKEND=name).startswith("BACKEND")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("USING_DUMMY_DATA_BACKEND", "maybe"),
        ("MAX_WORKERS", "0"),
        ("MAX_WORKERS", "1.5"),
        ("MAX_WORKERS", "٣"),
        ("JOB_TIMEOUT", "-1s"),
        ("JOB_TIMEOUT", "1 fortnight"),
        ("JOB_DISK_LIMIT", "50 potatoes"),
        ("DEFAULT_JOB_CPU_COUNT", "nan"),
        ("JOB_USER", "jane:users"),
        ("EXECUTOR", "slurm"),
        ("REPORTS", "perhaps"),
        ("DATABASE_ACCESS_NETWORK", "host"),
        ("DATABASE_ACCESS_NETWORK", "container:x"),
        ("JOB_SERVER_ENDPOINT", "jobs.example"),
        ("GITHUB_PROXY_DOMAIN", "proxy/path"),
        ("SPOOL_GROUP", "no-such-group"),
        ("GIT_MIRROR_DIR", "/no/such/mirror"),
    ],
)
def test_a_value_that_cannot_be_is_told_with_its_setting(name, text):
    told = only_problem(**{name: text})
    assert told.startswith(name)
    assert text in told


def test_real_data_needs_both_storages():
    assert [told.split()[0] for told in problems(BACKEND="tpp")] == [
        "HIGH_PRIVACY_STORAGE_BASE",
        "MEDIUM_PRIVACY_STORAGE_BASE",
    ]


@pytest.mark.attack("patients' data could be committed to git")
def test_real_data_is_never_stored_in_a_git_work_tree(real, tmp_path):
    (tmp_path / ".git").mkdir()
    assert [told.split(":")[0] for told in problems(**real)] == [
        "HIGH_PRIVACY_STORAGE_BASE",
        "MEDIUM_PRIVACY_STORAGE_BASE",
    ]


def test_local_repositories_are_for_dummy_data_only(real):
    assert only_problem(**real, ALLOW_LOCAL_GIT_REPOS="true").startswith("ALLOW_LOCAL_GIT_REPOS")


@pytest.mark.attack("high privacy is set to lie in medium privacy ({name})")
@pytest.mark.parametrize(
    "name", ["HIGH_PRIVACY_STORAGE_BASE", "HIGH_PRIVACY_ARCHIVE_DIR", "HIGH_PRIVACY_VOLUME_DIR"]
)
def test_nothing_of_high_privacy_lies_in_medium_privacy(real, tmp_path, name):
    link = tmp_path / "elsewhere"
    link.symlink_to(tmp_path / "medium")
    apart = {"HIGH_PRIVACY_ARCHIVE_DIR": "archive", "HIGH_PRIVACY_VOLUME_DIR": "volumes"}
    apart = {other: str(tmp_path / folder) for other, folder in apart.items()}
    told = only_problem(**real | apart | {name: str(link / "x")})
    assert told.startswith(f"{name} must not lie in")


def test_presto_needs_its_certificate_and_its_key(tmp_path):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.touch()
    assert "set both or neither" in only_problem(PRESTO_TLS_CERT_PATH=str(certificate))
    pair = {"PRESTO_TLS_CERT_PATH": str(certificate), "PRESTO_TLS_KEY_PATH": str(key)}
    assert only_problem(**pair) == f"PRESTO_TLS_KEY_PATH: there is no file {key}."
    key.touch()
    assert load(**pair).presto_tls_key_path == key


def test_an_endpoint_needs_a_token_and_sending_needs_an_endpoint():
    assert "JOB_SERVER_TOKEN" in only_problem(JOB_SERVER_ENDPOINT="https://jobs.example/")
    assert "JOB_SERVER_ENDPOINT" in only_problem(REPORTS="send")


@pytest.mark.parametrize("name", ["DOCKER_USER_ID", "GITHUB_PROXY_DOMAIN", "JOB_SERVER_ENDPOINT"])
def test_an_address_is_never_repeated_whatever_it_was_given_to(name):
    assert only_problem(**{name: f"ftp://jane:{SECRET}@host"}).startswith(name)


def test_an_endpoint_holds_no_password():
    told = only_problem(JOB_SERVER_ENDPOINT=f"https://jane:{SECRET}@jobs.example/")
    assert "must not hold a user or password" in told


def test_studies_of_anybody_on_real_data_and_the_bridge_are_warned_about(real):
    made = load(**real, ALLOWED_GITHUB_ORGS="*", DATABASE_ACCESS_NETWORK="bridge")
    assert [told.split()[0] for told in made.warnings] == [
        "DATABASE_ACCESS_NETWORK",
        "ALLOWED_GITHUB_ORGS",
    ]


@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_a_mirror_that_others_can_write_in_is_refused(tmp_path, mode):
    tmp_path.chmod(mode)
    assert "can write in" in only_problem(GIT_MIRROR_DIR=str(tmp_path))
    tmp_path.chmod(0o755)
    assert load(GIT_MIRROR_DIR=str(tmp_path)).git_mirror_dir == tmp_path


# --- the user of jobs; what root may do differs, so another user is tried as well


def as_user(uid: int, **environ: str) -> str:
    """The user of jobs, or the problems, as a runner with this uid is told."""
    code = (
        "import os; from spoolrunner import config, errors\n"
        f"os.getuid() or os.setgroups([]); os.setgid({uid}); os.setuid({uid})\n"
        "try: print(config.load(dict(os.environ)).job_user)\n"
        "except errors.BadConfig as bad: print(bad.message)\n"
    )
    package = str(Path(config.__file__).parents[1])
    environ |= {"PYTHONPATH": package, "PYTHONDONTWRITEBYTECODE": "1", "SPOOL_DIR": "/spool"}
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
        timeout=20,
        check=True,
    )
    return run.stdout.strip()


def test_jobs_of_a_runner_that_is_not_root_run_as_the_runner():
    uid = os.getuid() or 12345
    assert as_user(uid) == f"({uid}, {os.getgid() if os.getuid() else uid})"
    assert "only root can run jobs as 10000:10000" in as_user(uid, JOB_USER="10000:10000")


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_jobs_of_a_runner_that_is_root_run_as_somebody_else():
    assert load().job_user == (10000, 10000)
    assert load(JOB_USER="20000:20001").job_user == (20000, 20001)
    assert load(DOCKER_USER_ID="30000", DOCKER_GROUP_ID="30001").job_user == (30000, 30001)
    assert load(DOCKER_USER_ID="30000", JOB_USER="20000:20001").job_user == (20000, 20001)


@pytest.mark.attack("jobs are set to run as root")
def test_a_job_never_runs_as_root():
    assert "never runs as root" in only_problem(JOB_USER="0:0")

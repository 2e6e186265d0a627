"""A canary in every secret while the surroundings fail: engine, TLS, git host, disk; and what each
command says when it is used wrongly. Every file and message is searched (see test_secrets)."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from spoolrunner import cli
from spoolrunner.cli import VERBS
from tests.site import Site
from tests.system.conftest import NewSite
from tests.system.test_secrets import (
    CANARY,
    SECRETS,
    SHOW,
    garbage,
    look_around,
    project,
    singing,
    sings,
)

__all__ = ["garbage"]  # a fixture

SERVER = f"{CANARY}-server"
# Verbs that run for long, start threads or change the process; they are run by themselves.
OF_THEIR_OWN = ("run", "sync", "local-run", "submit")
WRONG = ((), ("--nosuch",), ("nosuch",), ("nosuch", "nosuch"), ("--yes", "nosuch"))


def said_of(site: Site, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """In this process, or each would take half a second."""
    for name in list(os.environ):
        if name not in ("PATH", "HOME", "TMPDIR", "LANG"):
            monkeypatch.delenv(name)
    for name, value in site.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(site.folder)
    return cli._run(list(words))


@pytest.fixture
def site(new_site: NewSite, folder: Path, garbage: str) -> Site:
    """With real data, an engine that is away, and servers that answer TLS with something else."""
    (folder / "key.pem").write_text(f"MII{CANARY}presto")
    return new_site(
        BACKEND="tpp",
        EXECUTOR="docker",
        DOCKER_HOST=f"unix://{folder}/nosuch.sock",
        HIGH_PRIVACY_STORAGE_BASE=str(folder / "high"),
        MEDIUM_PRIVACY_STORAGE_BASE=str(folder / "medium"),
        GITHUB_PROXY_DOMAIN=garbage,
        JOB_SERVER_ENDPOINT=f"https://{garbage}/api/v2/",
        JOB_SERVER_TOKEN=SERVER,
        PRESTO_TLS_KEY_PATH=str(folder / "key.pem"),
        PRESTO_TLS_CERT_PATH=str(folder / "key.pem"),
        DEBUG_LOG_FILE=str(folder / "debug.log"),
        LOGLEVEL="DEBUG",
        **SECRETS,
    )


@pytest.mark.attack("a secret shows where a command is used wrongly")
def test_no_command_that_is_used_wrongly_says_one(
    site: Site,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for verb in VERBS:
        for words in WRONG if verb not in OF_THEIR_OWN else ():
            said_of(site, monkeypatch, verb, *words)
            told = "".join(capfd.readouterr())
            assert not sings(told), (verb, words)
    assert singing(folder, leave_out=(folder / "key.pem",)) == []


# Each secret with something that its setting can't be.
BROKEN = {
    "FULL_DATABASE_URL": f"{CANARY} is no url",
    "SLICE_DATABASE_URL": f"mssql://user:{CANARY}@[bad/records",
    "DUMMY_DATABASE_URL": f"mssql://user:{CANARY}@host:port/records",
    "PRIVATE_REPO_ACCESS_TOKEN": f"{CANARY}\nnext line",
    "JOB_SERVER_TOKEN": f"{CANARY}\tö",
    "EMIS_ORGANISATION_HASH_FILE": f"/nosuch/{CANARY}",
}


@pytest.mark.attack("a secret shows where its setting {name} is wrong")
@pytest.mark.parametrize("name", BROKEN)
def test_a_secret_that_is_wrong_is_named_by_its_setting_alone(
    site: Site, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    site.settings.pop(name.removesuffix("_FILE"), None)
    site.settings[name] = BROKEN[name]
    for words in (("status",), ("check",), ("service", "network"), ("service", "systemd")):
        said_of(site, monkeypatch, *words)
    told = "".join(capfd.readouterr())
    assert not sings(told.replace(f"/nosuch/{CANARY}", ""))  # a path is no secret


@pytest.mark.attack("a secret shows while engine, job-server and git host fail")
def test_while_all_that_is_outside_fails_none_is_said(site: Site, folder: Path) -> None:
    asked = site.request(
        "https://github.com/opensafely/private", "show", workspace={"db": "full"}, identifier="r1"
    )
    site.drop(asked, "r1.json")
    log = site.folder / "runner.log"
    runner = site.start("--verbose")
    site.until(lambda: "request=r1 accepted" in log.read_text())
    runner.kill()  # or it would wait for git, which tries four times
    runner.wait()
    synced = site.try_to("sync", "--once")
    everything = synced.stdout + synced.stderr + look_around(site, "r1")
    assert synced.returncode == 5
    assert not sings(everything)
    assert singing(folder, leave_out=(folder / "key.pem",)) == []


@pytest.mark.attack("a secret shows where the disk is full")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_on_a_full_disk_none_is_said(folder: Path) -> None:
    disk = folder / "full" / "spool"
    disk.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6M", "tmpfs", disk], check=True)
    settings = {"MIN_FREE_DISK": "1K", "DEBUG_LOG_FILE": str(folder / "debug.log"), **SECRETS}
    site = Volatile(folder / "full", **settings)
    try:
        fills = SHOW.replace("exit CODE", "head -c 9000000 /dev/zero > fills.csv; exit 0")
        study = site.study({"project.yaml": project(fills=f"python:v2 {fills}")})
        site.drop(site.request(study, "fills", identifier="r1"))
        runner = site.start("--verbose")
        site.until(lambda: shutil.disk_usage(disk).free == 0)
        runner.kill()
        runner.wait()
        everything = look_around(site, "r1")
        assert not sings(everything)
        assert singing(folder) == []
    finally:
        site.runners[0].kill()
        shutil.rmtree(disk / "processes", ignore_errors=True)  # its keeper would never give up
        subprocess.run(["umount", "--lazy", disk], check=True)


class Volatile(Site):
    """Its spool may lie in memory, on a disk of its own."""

    def drop(self, content: dict[str, Any] | str | bytes, name: str = "request.json") -> Path:
        path = self.spool / "inbox" / name
        path.write_text(json.dumps(content))
        return path

    def do(self, *words: str) -> str:
        return super().do(*words, *(("--volatile",) if words == ("init",) else ()))

"""A canary in every secret, a row of failures, and then every file and message is searched."""

import base64
import json
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.rig.engine import Engine
from tests.rig.images import PYTHON, REGISTRY
from tests.rig.jobserver import JobServer
from tests.site import Site, git
from tests.system.conftest import NewSite

CANARY = "kanarie"
SECRETS = {
    "FULL_DATABASE_URL": f"mssql://user:{CANARY}%2Dfull%40x@192.0.2.1/records",
    "SLICE_DATABASE_URL": f"mssql://user:{CANARY}-slice@192.0.2.1/records",
    "DUMMY_DATABASE_URL": f"mssql://user:{CANARY}-dummy@192.0.2.1/records",
    "DEFAULT_DATABASE_URL": f"mssql://user:{CANARY}-default@192.0.2.1/records",
    "STATA_LICENSE": f"{CANARY}-stata-serial!1234\n{CANARY}-stata-name!",
    "EMIS_ORGANISATION_HASH": f"{CANARY}-emis",
    "PRIVATE_REPO_ACCESS_TOKEN": f"ghp_{CANARY}git",
}
FAILURES = 8
KEY = f"-----BEGIN PRIVATE KEY-----\nMII{CANARY}presto\n-----END PRIVATE KEY-----\n"
SHOW = (
    'sh -c "env; env | base64 -w 0; echo; cat /proc/self/environ; '
    "printf %s $DATABASE_URL | head -c 9; printf %s ${DATABASE_URL#?????????}; "
    # the engine cuts a line in two at 16,384 bytes, here within the canary
    'echo; printf %016370d 0; echo $DATABASE_URL; exit CODE"'
)
# The end of the canary, should it be torn, and its base64 wherever in a text it begins.
FORMS = [CANARY[2:].encode()] + [
    base64.b64encode(b"\0" * n + CANARY.encode()).rstrip(b"=")[(0, 2, 3)[n] : -1] for n in range(3)
]


def project(**commands: str) -> str:
    """Actions that run these; each has an output that it makes."""
    actions = {
        name: {"run": command, "outputs": {"highly_sensitive": {"o": f"{name}.csv"}}}
        for name, command in commands.items()
    }
    return json.dumps({"version": "4.0", "actions": actions})


def singing(folder: Path, leave_out: tuple[Path, ...] = ()) -> list[str]:
    """Files below a folder whose name or content holds a canary."""
    found = []
    for path in folder.rglob("*"):
        if not path.is_file() or path.is_symlink() or path in leave_out:
            continue
        data = str(path).encode() + path.read_bytes()
        if any(form in data for form in FORMS):
            found.append(str(path))
    return found


def sings(text: str) -> bool:
    return any(form in text.encode() for form in FORMS)


@pytest.fixture
def garbage() -> Iterator[str]:
    """A port where TLS is answered with something else."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            while True:
                try:
                    one, _ = listening.accept()
                except OSError:
                    return
                with one:
                    one.sendall(b"this is no TLS\n")

        threading.Thread(target=answer, daemon=True).start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


def failures(site: Site, study: Path) -> None:
    """Drop what goes wrong in many ways."""
    for number, (repo, action, more) in enumerate(
        [
            (study, "show", {}),
            (study, "fail", {}),
            (study, "nosuchaction", {}),
            (site.folder / "nosuchrepo", "show", {}),
            ("https://github.com/opensafely/private", "show", {}),
            (study, "show", {"sha": "0" * 40}),
            (study, "licence", {}),
            (study, "noimage", {}),
        ]
    ):
        name = f"f{number}"
        asked = site.request(repo, action, identifier=name, workspace={"name": name}, **more)
        site.drop(asked, f"{name}.json")
    site.drop(b'{"identifier": "a/b"}', "broken.json")


def look_around(site: Site, *identifiers: str) -> str:
    """What the commands say; what each request says is in its file, which is searched itself."""
    asked = [("status",), *((verb, each) for each in identifiers for verb in ("show", "logs"))]
    said = [site.try_to(*words) for words in asked]
    return "".join(done.stdout + done.stderr for done in said)


@pytest.mark.attack("a secret shows in a file or message")
def test_with_dummy_data_no_secret_is_in_any_file_or_message(
    new_site: NewSite, folder: Path, garbage: str
) -> None:
    key, token = folder / "key.pem", folder / "token"
    key.write_text(KEY)
    token.write_text(f"{CANARY}-server")
    token.chmod(0o600)
    with JobServer() as server:
        site = new_site(
            BACKEND="test",
            USING_DUMMY_DATA_BACKEND="true",
            GITHUB_PROXY_DOMAIN=garbage,
            JOB_SERVER_ENDPOINT=server.endpoint,
            JOB_SERVER_TOKEN_FILE=str(token),
            PRESTO_TLS_KEY_PATH=str(key),
            PRESTO_TLS_CERT_PATH=str(key),
            DEBUG_LOG_FILE=str(folder / "debug.log"),
            IMAGE_WAIT="0",
            LOGLEVEL="DEBUG",
            **SECRETS,
        )
        study = site.study(
            {
                "project.yaml": project(
                    show=f"python:v2 {SHOW.replace('CODE', '0')}",
                    fail=f"python:v2 {SHOW.replace('CODE', '3')}",
                    licence=f"stata-mp:latest {SHOW.replace('CODE', '1')}",
                    noimage="jupyter:latest x",
                )
            }
        )
        failures(site, study)
        site.start("--verbose")
        # one of them is tried again for ever
        site.until(lambda: len(list(site.spool.glob("done/*/*.json"))) == FAILURES - 1)
        site.until(site.rejected)
        site.runners[0].kill()  # or it would wait for git, which tries four times
        site.runners[0].wait()
        synced = site.try_to("sync", "--once")  # its token is wrong here
        everything = synced.stdout + synced.stderr + look_around(site, "f1")
    assert "refuses our token" in everything
    assert not sings(everything)
    assert singing(folder, leave_out=(key, token)) == []


def real_data(new_site: NewSite, folder: Path, engine: Engine) -> Site:
    return new_site(
        BACKEND="tpp",
        EXECUTOR="docker",
        DOCKER_HOST=engine.socket,
        HIGH_PRIVACY_STORAGE_BASE=str(folder / "high"),
        MEDIUM_PRIVACY_STORAGE_BASE=str(folder / "medium"),
        DATABASE_ACCESS_NETWORK="none",
        GIT_MIRROR_DIR=str(folder / "mirror"),
        DEBUG_LOG_FILE=str(folder / "debug.log"),
        PRESTO_TLS_KEY_PATH=str(folder / "key.pem"),
        PRESTO_TLS_CERT_PATH=str(folder / "key.pem"),
        **SECRETS,
    )


def mirrored(site: Site, files: dict[str, str]) -> str:
    """A study as the operator's mirror has it; its address."""
    study = site.study(files)
    bare = site.folder.parent / "mirror" / "opensafely" / "study.git"
    bare.parent.mkdir(parents=True)
    git(study, "clone", "-q", "--bare", ".", str(bare))
    return "https://github.com/opensafely/study"


@pytest.mark.attack("a job prints its secrets, in base64 and in pieces, too")
def test_with_real_data_what_a_job_prints_of_its_secrets_is_masked_in_every_log(
    new_site: NewSite, folder: Path, engine: Engine
) -> None:
    for name in ("sqlrunner", "stata-mp"):
        engine.client().images.get(PYTHON).tag(f"{REGISTRY}/{name}", "v1")
    (folder / "key.pem").write_text(KEY)
    (folder / "mirror").mkdir()
    site = real_data(new_site, folder, engine)
    repo = mirrored(
        site,
        {
            "project.yaml": project(
                database=f"sqlrunner:v1 {SHOW.replace('CODE', '5')}",
                licence=f"stata-mp:v1 {SHOW.replace('CODE', '0')}",
                wrong="sqlrunner:v1 /nosuchprogram/at/all",
            )
        },
    )
    for action in ("database", "licence", "wrong"):
        asked = site.request(
            repo, action, identifier=action, workspace={"name": action, "db": "full"}
        )
        site.drop(asked, f"{action}.json")
    said = site.try_to("run", "--drain", "--verbose")
    everything = said.stdout + said.stderr + look_around(site, "database")
    assert not sings(everything)
    assert singing(folder, leave_out=(folder / "key.pem",)) == []
    assert (site.statuses("database"), site.statuses("wrong")) == (
        {"database": "nonzero_exit"},
        {"wrong": "nonzero_exit"},
    )
    log = (folder / "high/workspaces/database/metadata/database.log").read_text()
    for name in ("DATABASE_URL", "EMIS_ORGANISATION_HASH"):
        assert re.search(rf"\b{name}=\[secret\]", log), log
    assert log.count("[secret]") >= 8
    licence = (folder / "high/workspaces/licence/metadata/licence.log").read_text()
    assert "[secret]" in licence
    assert "DATABASE_URL" not in licence


@pytest.mark.attack("a secret shows to who follows a log, or on a command line")
def test_a_following_reader_never_sees_one_and_no_command_line_holds_one(
    new_site: NewSite, folder: Path, engine: Engine
) -> None:
    engine.client().images.get(PYTHON).tag(f"{REGISTRY}/sqlrunner", "v1")
    (folder / "key.pem").write_text(KEY)
    (folder / "mirror").mkdir()
    site = real_data(new_site, folder, engine)
    waits = 'sqlrunner:v1 sh -c "env; echo READY; sleep 1000"'
    repo = mirrored(site, {"project.yaml": project(waits=waits)})
    asked = site.request(repo, "waits", identifier="waits", workspace={"db": "full"})
    site.start()
    site.drop(asked)
    site.until(lambda: "READY" in site.try_to("logs", "waits").stdout)
    shown = site.do("logs", "waits")
    assert "DATABASE_URL=[secret]" in shown
    assert not sings(shown)
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [line for line in lines if any(form in line for form in FORMS)]
    site.do("cancel", "waits")
    site.finished("waits")


def test_the_search_itself_finds_what_it_looks_for(tmp_path: Path) -> None:
    for number, text in enumerate(
        [CANARY, base64.b64encode(f"x{CANARY}y".encode()).decode(), quote(f"a {CANARY}")]
    ):
        (tmp_path / str(number)).write_text(text)
    assert len(singing(tmp_path)) == 3

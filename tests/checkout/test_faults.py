"""Bad lines, killed runners, broken caches: tried again, mended, never mistaken for an answer."""

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from spoolrunner.checkout import Studies
from spoolrunner.errors import CannotExpand, TryLater
from tests.checkout.conftest import Make
from tests.rig.githost import Fault, GitHost, Repository

LS, FETCH = "command=ls-refs", "command=fetch"


@pytest.fixture
def study(host: GitHost, org: str) -> Repository:
    repository = host.create(f"{org}/study")
    repository.commit({"project.yaml": "one", "big": os.urandom(1 << 16)})
    repository.commit({"project.yaml": "two"})
    return repository


@pytest.fixture
def repo(org: str) -> str:
    return f"https://github.com/{org}/study"


def head(study: Repository) -> str:
    return study.git("rev-parse", "main")


@pytest.mark.parametrize(
    ("how", "during"),
    [("500", "info/refs"), ("429", "info/refs"), ("reset", "info/refs"), ("cut", "info/refs"),
     ("503", LS), ("reset", LS), ("cut", LS),
     ("500", FETCH), ("404", FETCH), ("reset", FETCH), ("cut", FETCH)],
)  # fmt: skip
def test_a_fault_that_passes_is_not_noticed(
    studies: Studies, host: GitHost, study: Repository, repo: str, how: str, during: str
) -> None:
    old = study.git("rev-parse", "main~1")
    host.faults += [Fault(how, during), Fault(how, during)]
    assert studies.resolve(repo, "main", old) == old
    assert studies.read(repo, old, "project.yaml") == b"one"
    assert host.faults == []


@pytest.mark.parametrize(
    ("how", "during"), [("503", "info/refs"), ("reset", LS), ("500", FETCH), ("cut", FETCH)]
)
def test_a_fault_that_stays_is_no_answer(
    studies: Studies, host: GitHost, study: Repository, repo: str, how: str, during: str
) -> None:
    host.faults += [Fault(how, during)] * 20
    with pytest.raises(TryLater) as caught:
        studies.resolve(repo, "main", head(study))
    assert caught.value.kind == "git_unreachable"
    assert caught.value.detail
    assert "error" not in caught.value.public
    host.faults.clear()
    assert studies.resolve(repo, "main", head(study)) == head(study)


def test_a_definite_answer_is_not_asked_for_twice(
    studies: Studies, host: GitHost, study: Repository, repo: str
) -> None:
    with pytest.raises(CannotExpand):
        studies.resolve(repo, "nope", None)
    assert [line for line in host.requests if line.startswith("POST")] == [
        f"POST /{repo.removeprefix('https://github.com/')}/git-upload-pack"
    ]


@pytest.mark.parametrize("how", ["hang", "stall"])
def test_a_server_that_hangs_is_left_after_the_time_limit_and_nothing_stays_behind(
    make: Make, host: GitHost, study: Repository, repo: str, org: str, how: str
) -> None:
    studies = make(proxy_domain=host.domain, timeout_s=1, waits_s=())
    host.faults.append(Fault(how, FETCH))
    with pytest.raises(TryLater):
        studies.resolve(repo, "main", head(study))
    for pid in command_lines(org):
        assert has_ended(pid)
    assert studies.resolve(repo, "main", head(study)) == head(study)


def test_a_certificate_we_cannot_check_is_no_answer(
    make: Make, host: GitHost, study: Repository, repo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GIT_SSL_CAINFO")
    monkeypatch.setenv("GIT_SSL_NO_VERIFY", "1")
    with pytest.raises(TryLater):
        make(proxy_domain=host.domain, token=host.token).resolve(repo, "main", None)
    assert host.tokens == []


def test_a_host_that_does_not_exist_is_no_answer(make: Make) -> None:
    with pytest.raises(TryLater):
        make(proxy_domain="nothing.invalid").resolve("https://github.com/o/s", "main", None)


def test_a_machine_without_git_is_the_operators(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(Exception, match="git can't be started") as caught:
        make().resolve("https://github.com/o/s", "main", None)
    assert caught.value.exit_status == 4  # type: ignore[attr-defined]


CHILD = """
import sys
from pathlib import Path
from spoolrunner.checkout import Studies
cache, locks, domain, repo, sha = sys.argv[1:]
Studies(Path(cache), locks=Path(locks), backend="tpp", allowed_orgs=["*"], allow_local=False,
        mirror=None, token=None, proxy_domain=domain).resolve(repo, "main", sha)
"""


@pytest.mark.parametrize("during", [LS, FETCH])
def test_a_runner_killed_in_the_middle_of_a_fetch_leaves_nothing_that_counts(
    studies: Studies, host: GitHost, study: Repository, repo: str, tmp_path: Path, during: str
) -> None:
    first, last = study.git("rev-parse", "main~1"), head(study)
    studies.resolve(repo, "main", first)
    host.faults.append(Fault("stall", during))
    arguments = (str(tmp_path / "cache"), str(tmp_path / "locks"), host.domain, repo, last)
    child = subprocess.Popen((sys.executable, "-c", CHILD, *arguments))
    assert host.stalled.wait(60)
    child.send_signal(signal.SIGKILL)
    child.wait()
    # Its git is still there, holding half a pack and the files that lock its repository.
    assert studies.resolve(repo, "main", first) == first
    assert studies.resolve(repo, "main", last) == last
    assert studies.read(repo, last, "project.yaml") == b"two"
    left = [path.name for path in (tmp_path / "cache").rglob("*")]
    assert [name for name in left if name.endswith(".lock") or name.startswith("tmp_")] == []


def test_locks_that_a_killed_git_left_are_cleared(
    studies: Studies, host: GitHost, study: Repository, repo: str, tmp_path: Path
) -> None:
    first = study.git("rev-parse", "main~1")
    studies.resolve(repo, "main", first)
    cache = next((tmp_path / "cache").glob("*-study-*"))
    for name in ("shallow.lock", "config.lock", f"refs/spoolrunner/{head(study)}.lock"):
        (cache / "files.git" / name).touch()
    (cache / "files.git/objects/pack/tmp_pack_x").touch()
    inode = cache.stat().st_ino
    assert studies.resolve(repo, "main", head(study)) == head(study)
    assert studies.read(repo, first, "project.yaml") == b"one"
    assert not (cache / "files.git/objects/pack/tmp_pack_x").exists()
    assert cache.stat().st_ino == inode  # cleared, not fetched anew


def damage(cache: Path) -> None:
    for pack in cache.glob("files.git/objects/pack/*.pack"):
        pack.chmod(0o600)
        data = bytearray(pack.read_bytes())
        for place in range(20, len(data) - 20, 5):
            data[place] ^= 0xFF
        pack.write_bytes(data)


def lose_packs(cache: Path) -> None:
    for pack in cache.glob("files.git/objects/pack/*"):
        pack.unlink()


def lose_blob(cache: Path) -> None:
    """Only the files' bytes: the commit and its trees are there."""
    git = cache / "files.git"
    objects = [row.split() for row in _git(git, "cat-file", "--batch-all-objects", "--batch-check")]
    keep = "".join(f"{name}\n" for name, kind, _ in objects if kind != "blob")
    packs = list(git.glob("objects/pack/*"))
    _git(git, "pack-objects", "--quiet", "objects/pack/pack", given=keep)
    for pack in packs:
        pack.unlink()


def _git(folder: Path, *arguments: str, given: str = "") -> list[str]:
    return subprocess.run(
        ("git", *arguments), cwd=folder, input=given, capture_output=True, text=True, check=True
    ).stdout.splitlines()


def spoil_blob(cache: Path) -> None:
    """One byte of the large file: a fetch would not notice, since it does not read files."""
    for pack in cache.glob("files.git/objects/pack/*.pack"):
        pack.chmod(0o600)
        data = bytearray(pack.read_bytes())
        data[len(data) // 2] ^= 0xFF
        pack.write_bytes(data)


def lose_everything(cache: Path) -> None:
    subprocess.run(("rm", "-r", cache.parent), check=True)


DAMAGES = [damage, lose_packs, lose_blob, lose_everything]


@pytest.mark.parametrize("harm", [*DAMAGES, spoil_blob])
def test_a_broken_cache_is_fetched_again_when_a_tree_is_laid_out(
    studies: Studies, study: Repository, repo: str, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    sha = studies.resolve(repo, "main", None)
    harm(next((tmp_path / "cache").glob("*-study-*")))
    (tmp_path / "tree").mkdir()
    studies.tree(repo, sha, tmp_path / "tree")
    assert (tmp_path / "tree/project.yaml").read_bytes() == b"two"
    assert (tmp_path / "tree/big").stat().st_size == 1 << 16
    assert not list((tmp_path / "cache").glob("*.new"))


@pytest.mark.parametrize("harm", DAMAGES)
def test_a_broken_cache_is_fetched_again_when_a_file_is_read(
    studies: Studies, study: Repository, repo: str, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    sha = studies.resolve(repo, "main", None)
    harm(next((tmp_path / "cache").glob("*-study-*")))
    assert studies.read(repo, sha, "project.yaml") == b"two"


@pytest.mark.parametrize("harm", DAMAGES)
def test_a_broken_cache_does_not_stop_the_next_fetch(
    studies: Studies, study: Repository, repo: str, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    first, last = study.git("rev-parse", "main~1"), head(study)
    studies.resolve(repo, "main", first)
    harm(next((tmp_path / "cache").glob("*-study-*")))
    assert studies.resolve(repo, "main", last) == last
    assert studies.read(repo, last, "project.yaml") == b"two"


def test_a_broken_history_is_fetched_again(
    studies: Studies, study: Repository, repo: str, tmp_path: Path
) -> None:
    root = study.git("rev-parse", "main~1")
    middle = head(study)
    study.commit({"project.yaml": "three"})
    studies.resolve(repo, "main", root)
    for pack in tmp_path.glob("cache/*-study-*/history.git/objects/pack/*"):
        pack.chmod(0o600)
        pack.write_bytes(b"x")
    assert studies.resolve(repo, "main", middle) == middle


def test_a_broken_cache_and_no_network_is_no_answer_and_loses_nothing_else(
    studies: Studies, host: GitHost, study: Repository, repo: str, tmp_path: Path
) -> None:
    first, last = study.git("rev-parse", "main~1"), head(study)
    for sha in (first, last):
        studies.resolve(repo, "main", sha)
    cache = next((tmp_path / "cache").glob("*-study-*"))
    for pack in newest(cache):
        pack.unlink()
    host.faults += [Fault("reset")] * 20
    with pytest.raises(TryLater):
        studies.read(repo, last, "project.yaml")
    assert studies.read(repo, first, "project.yaml") == b"one"
    assert studies.resolve(repo, "main", first) == first


def newest(cache: Path) -> list[Path]:
    packs = sorted(
        cache.glob("files.git/objects/pack/*.pack"), key=lambda path: path.stat().st_ctime_ns
    )
    return [packs[-1], packs[-1].with_suffix(".idx")]


def test_threads_that_want_the_same_new_commit_fetch_it_once(
    make: Make, host: GitHost, study: Repository, repo: str
) -> None:
    sha = head(study)
    jobs = [
        threading.Thread(target=make(proxy_domain=host.domain).resolve, args=(repo, "main", sha))
        for _ in range(8)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert len(host.fetches) == 1


def test_many_fetches_do_not_leave_many_packs(
    studies: Studies, study: Repository, repo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spoolrunner.checkout.cache.MANY_PACKS", 3)
    shas = []
    for number in range(6):
        study.commit({"project.yaml": str(number)})
        shas.append(studies.resolve(repo, "main", None))
    assert len(list(tmp_path.glob("cache/*-study-*/files.git/objects/pack/*.pack"))) <= 3
    assert [studies.read(repo, sha, "project.yaml") for sha in shas] == [
        str(number).encode() for number in range(6)
    ]


def command_lines(word: str) -> dict[int, str]:
    """Of the processes that name the word."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended
        if word in line:
            found[int(path.parent.name)] = line
    return found


def has_ended(pid: int) -> bool:
    """It was killed, or it is being killed."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], 5)[0])
    finally:
        os.close(handle)


@pytest.mark.attack("git's token shows on a command line, in a file or a message")
def test_the_token_is_on_no_command_line_in_no_file_and_in_no_message(
    make: Make, host: GitHost, org: str, tmp_path: Path
) -> None:
    secret = host.create(f"{org}/secret", private=True)
    sha = secret.commit({"a": "1"})
    repo = f"https://github.com/{org}/secret"
    studies = make(proxy_domain=host.domain, token=host.token, timeout_s=3, waits_s=())
    canaries = (host.token, studies._sources.of(studies._sources.repository(repo))._credentials)
    messages: list[str] = []

    def attempt(branch: str, wanted: str | None) -> None:
        try:
            studies.resolve(repo, branch, wanted)
        except (CannotExpand, TryLater) as error:
            messages.append(f"{error.public} {error.detail} {error!r} {error.__cause__!r}")

    host.faults.append(Fault("hang", "info/refs"))
    waiting = threading.Thread(target=attempt, args=("main", sha))
    waiting.start()
    assert host.stalled.wait(60)
    seen = list(command_lines(org).values())
    waiting.join()
    assert any("remote-https" in line for line in seen)
    for how in ("500", "401", "403", "404", "301", "reset", "cut"):
        for during in ("info/refs", LS, FETCH):
            host.faults.append(Fault(how, during))
            attempt("main", "1" * 40)
            host.faults.clear()
    attempt("nope", None)
    attempt("main", sha)
    assert host.token in host.tokens
    assert len(messages) > 20
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(kept) > 5
    for canary in canaries:
        assert not any(canary in line for line in (*seen, *messages))
        assert not any(canary.encode() in data for data in kept)

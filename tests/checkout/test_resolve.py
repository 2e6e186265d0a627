"""Which commit is run: fetched whole, and on the branch the request names."""

import pytest

from spoolrunner.checkout import Studies
from spoolrunner.errors import CannotExpand, TryLater
from tests.checkout.conftest import Make
from tests.rig.githost import Fault, GitHost, Tunnel


def refused(studies: Studies, repo: str, branch: str, sha: str | None) -> str:
    with pytest.raises(CannotExpand) as caught:
        studies.resolve(repo, branch, sha)
    return caught.value.kind


def test_without_a_sha_the_head_of_the_branch_is_taken(
    studies: Studies, host: GitHost, org: str
) -> None:
    study = host.create(f"{org}/study", private=True)
    study.commit({"project.yaml": "one"})
    head = study.commit({"project.yaml": "two"})
    repo = f"https://github.com/{org}/study"
    assert studies.resolve(repo, "main", None) == head
    assert studies.read(repo, head, "project.yaml") == b"two"


def test_the_head_is_asked_for_each_time(studies: Studies, host: GitHost, org: str) -> None:
    study = host.create(f"{org}/study")
    first = study.commit({"a": "1"})
    repo = f"https://github.com/{org}/study"
    assert studies.resolve(repo, "main", None) == first
    second = study.commit({"a": "2"})
    assert studies.resolve(repo, "main", None) == second


def test_an_older_commit_of_the_branch_is_found(studies: Studies, host: GitHost, org: str) -> None:
    study = host.create(f"{org}/study")
    shas = [study.commit({"project.yaml": str(number)}) for number in range(30)]
    repo = f"https://github.com/{org}/study"
    assert studies.resolve(repo, "main", shas[3]) == shas[3]
    assert studies.read(repo, shas[3], "project.yaml") == b"3"


def test_a_commit_that_is_known_needs_neither_network_nor_git(
    make: Make, host: GitHost, org: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = host.create(f"{org}/study")
    sha = study.commit({"a": "1"})
    repo = f"https://github.com/{org}/study"
    make(proxy_domain=host.domain).resolve(repo, "main", sha)
    later = make(proxy_domain=host.domain)
    monkeypatch.setenv("PATH", "/nonexistent")
    assert later.resolve(repo, "main", sha) == sha


@pytest.mark.attack("a commit is only on a pull request")
def test_a_commit_that_only_a_pull_request_holds_is_refused(
    studies: Studies, host: GitHost, org: str
) -> None:
    study = host.create(f"{org}/study")
    study.commit({"a": "1"})
    evil = study.commit({"a": "evil"}, branch="refs/pull/7/head", onto=None)
    repo = f"https://github.com/{org}/study"
    assert refused(studies, repo, "main", evil) == "commit_not_on_branch"
    assert refused(studies, repo, "pull/7/head", evil) == "no_such_branch"
    assert refused(studies, repo, "refs/pull/7/head", None) == "no_such_branch"


@pytest.mark.attack("a commit was forced away from its branch")
def test_a_commit_that_was_forced_away_is_refused_though_it_can_be_fetched(
    studies: Studies, host: GitHost, org: str
) -> None:
    study = host.create(f"{org}/study")
    old = study.commit({"a": "1"})
    study.commit({"a": "2"}, onto=None)
    assert refused(studies, f"https://github.com/{org}/study", "main", old) == (
        "commit_not_on_branch"
    )


@pytest.mark.attack("a commit is on another branch")
def test_a_commit_of_another_branch_is_refused(studies: Studies, host: GitHost, org: str) -> None:
    study = host.create(f"{org}/study")
    base = study.commit({"a": "1"})
    other = study.commit({"a": "2"}, branch="refs/heads/feature/x", onto=base)
    repo = f"https://github.com/{org}/study"
    assert refused(studies, repo, "main", other) == "commit_not_on_branch"
    assert studies.resolve(repo, "feature/x", other) == other
    assert refused(studies, repo, "main", other) == "commit_not_on_branch"
    assert studies.resolve(repo, "feature/x", base) == base


def test_a_server_that_cannot_filter_answers_the_same(
    studies: Studies, host: GitHost, org: str
) -> None:
    study = host.create(f"{org}/study", uploads=False)
    old = study.commit({"a": "1"})
    study.commit({"a": "2"})
    gone = study.commit({"a": "3"}, branch="refs/pull/1/head", onto=old)
    repo = f"https://github.com/{org}/study"
    assert studies.resolve(repo, "main", old) == old
    assert refused(studies, repo, "main", gone) == "commit_not_on_branch"


@pytest.mark.parametrize("sha", ["1" * 40, "123", "HEAD", "--upload-pack=touch /tmp/x", "main"])
def test_a_commit_that_does_not_exist_is_refused(
    studies: Studies, host: GitHost, org: str, sha: str
) -> None:
    host.create(f"{org}/study").commit({"a": "1"})
    assert refused(studies, f"https://github.com/{org}/study", "main", sha) == "no_such_commit"


@pytest.mark.attack("a branch is none")
@pytest.mark.parametrize(
    "branch",
    ["nope", "", "-x", "--upload-pack=x", "a b", "a..b", "m*", "ma[i]n", "main^{}", "HEAD", "a\nb",
     "refs/heads/main", "main:main", "v1", "main\0"],
)  # fmt: skip
def test_only_a_real_branch_is_a_branch(
    studies: Studies, host: GitHost, org: str, branch: str
) -> None:
    study = host.create(f"{org}/study")
    study.git("tag", "v1", study.commit({"a": "1"}))
    assert refused(studies, f"https://github.com/{org}/study", branch, None) == "no_such_branch"


def test_a_repository_that_is_not_there_is_refused(
    make: Make, studies: Studies, host: GitHost, org: str
) -> None:
    repo = f"https://github.com/{org}/nothing"
    assert refused(studies, repo, "main", None) == "no_such_repo"
    assert refused(make(proxy_domain=host.domain), repo, "main", None) == "no_such_repo"


def test_a_private_repository_needs_the_token(make: Make, host: GitHost, org: str) -> None:
    host.create(f"{org}/study", private=True).commit({"a": "1"})
    repo = f"https://github.com/{org}/study"
    assert refused(make(proxy_domain=host.domain), repo, "main", None) == "no_such_repo"
    with pytest.raises(TryLater) as caught:
        make(proxy_domain=host.domain, token="expired").resolve(repo, "main", None)
    assert caught.value.kind == "token_refused"


@pytest.mark.attack("a repository redirects elsewhere")
def test_a_repository_that_was_renamed_is_not_followed(
    studies: Studies, host: GitHost, org: str
) -> None:
    host.create("org/elsewhere").commit({"a": "somebody else's"})
    host.create(f"{org}/study")
    host.faults.append(Fault("301"))
    assert refused(studies, f"https://github.com/{org}/study", "main", None) == "no_such_repo"


def test_the_real_name_of_github_gets_the_token_too(
    make: Make, host: GitHost, org: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = host.create(f"{org}/study", private=True).commit({"a": "1"})
    with Tunnel(host.port) as tunnel:
        monkeypatch.setenv("https_proxy", tunnel.url)
        studies = make(token=host.token)
        assert studies.resolve(f"https://github.com/{org}/study.git", "main", None) == sha
    assert set(tunnel.asked) == {"github.com:443"}


@pytest.mark.attack("a repository is at {repo}")
@pytest.mark.parametrize(
    "repo",
    ["https://github.com/evil/study", "http://github.com/opensafely/study", "git@github.com:o/s",
     "https://github.com.evil.org/opensafely/study", "https://evil@github.com/opensafely/study",
     "https://github.com/opensafely/..", "https://github.com/opensafely/a/b", "/etc", "file:///etc",
     "ext::sh -c id", "--upload-pack=id", "https://gitlab.com/opensafely/study", "", "opensafely/x",
     "https://github.com/opensafely/study\n", "https://github.com/opensafely/st\u00fcdy"],
)  # fmt: skip
def test_an_address_that_is_not_allowed_is_refused(make: Make, repo: str) -> None:
    studies = make(allowed_orgs=["opensafely", "graphnet"], allow_local=False)
    with pytest.raises(CannotExpand) as caught:
        studies.check_address(repo)
    assert caught.value.kind == "repo_not_allowed"
    assert refused(studies, repo, "main", None) == "repo_not_allowed"


def test_an_address_of_an_allowed_organisation_is_fine_in_any_spelling(make: Make) -> None:
    studies = make(allowed_orgs=["opensafely"], allow_local=False)
    for name in ("opensafely/study", "OpenSAFELY/Study.git", "opensafely/a.b_c-d/"):
        studies.check_address(f"https://github.com/{name}")


@pytest.mark.attack("the list of organisations is empty")
def test_no_organisation_at_all_allows_none(make: Make) -> None:
    with pytest.raises(CannotExpand) as caught:
        make(allowed_orgs=[]).check_address("https://github.com/opensafely/study")
    assert "ALLOWED_GITHUB_ORGS is empty" in caught.value.public


@pytest.mark.attack("a password in a repository's address is repeated")
def test_a_password_in_an_address_is_not_repeated(make: Make) -> None:
    with pytest.raises(CannotExpand) as caught:
        make().check_address("https://jane:secret@github.com/opensafely/study")
    assert "secret" not in caught.value.public

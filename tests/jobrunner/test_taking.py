"""What `import-jobrunner` makes of an installation; nothing of it is changed."""

import json
import os

import pytest

from spoolrunner.request import job_identifier
from tests.jobrunner.conftest import New
from tests.jobrunner.old import GENERATIONS, REPO, SHA, Old

MODERATE, HIGH = "moderately_sensitive", "highly_sensitive"


@pytest.fixture
def filled(old: Old) -> Old:
    """Two actions that succeeded, one that failed; as a study leaves it."""
    fill(old)
    return old


def fill(old: Old) -> None:
    old.asked("aaaaaaaaaaaaaaaa", "run_all")
    old.job("aaaaaaaaaaaaaaaa", "make", outputs={"out/a.csv": HIGH})
    old.job("aaaaaaaaaaaaaaaa", "show", outputs={"out/b.csv": MODERATE})
    old.job("aaaaaaaaaaaaaaaa", "bad", "failed", status_code="nonzero_exit", outputs={"c": HIGH})
    old.has("out/a.csv", "a\n")
    old.has("out/b.csv", "b\n", medium=True)
    old.has("c", "torn")
    old.has("metadata/make.log", "said")
    old.manifest({"repo": REPO, "workspace": "ws"}, high=False)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_every_generation_of_its_database_is_read(make, new: New, generation: str) -> None:
    old = make(generation=generation)
    fill(old)
    told = new.told(old, "--yes")
    assert told["workspace", "ws"]["what"] == "2 of its 3 actions can be reused"
    index = new.index()
    assert (index["repo"], index["db"]) == (REPO, "full")
    assert {name: state["newest"]["status"] for name, state in index["actions"].items()} == {
        "make": "succeeded", "show": "succeeded", "bad": "failed",
    }  # fmt: skip
    assert index["actions"]["make"]["published"]["job"] == job_identifier("a" * 16, "make")
    assert index["actions"]["make"]["published"]["sha"] == SHA
    assert list(index["actions"]["show"]["outputs"]) == ["out/b.csv"]


def test_by_default_it_only_tells(filled: Old, new: New) -> None:
    before = filled.seen()
    told = new.told(filled)
    assert told["workspace", "ws"]["deed"] == "take"
    assert filled.seen() == before
    assert not new.folder.exists()


def test_nothing_of_the_old_is_changed(filled: Old, new: New) -> None:
    before = filled.seen()
    new.told(filled, "--yes")
    after = filled.seen()
    manifest = str(filled.medium / "workspaces/ws/metadata/manifest.json")
    kept = manifest.replace("manifest.json", "manifest.job-runner.json")
    assert after[kept] == before.pop(manifest)
    assert {path: after[path] for path in before} == before


def test_afterwards_all_holds_together(filled: Old, new: New) -> None:
    new.told(filled, "--yes")
    said = json.loads(new.try_to("check", "--hash", "--all", "--json").output)
    assert [one for one in said["findings"] if one["grade"] == "wrong"] == []


def test_done_twice_it_is_as_done_once(filled: Old, new: New) -> None:
    new.told(filled, "--yes")
    before, storage = new.seen(), contents(filled)
    told = new.told(filled, "--yes")
    assert {one["deed"] for one in told.values()} == {"here"}
    assert new.seen() == before
    assert contents(filled) == storage


def contents(old: Old) -> dict[str, bytes]:
    return {path: about[-1] for path, about in old.seen().items()}


def test_a_request_that_ended_is_shown_and_never_runs_again(filled: Old, new: New) -> None:
    new.told(filled, "--yes")
    shown = json.loads(new.do("show", "a" * 16, "--json"))
    assert (shown["status"], shown["workspace"]["branch"]) == ("failed", "main")
    assert {job["action"]: job["status_code"] for job in shown["jobs"]} == {
        "make": "succeeded", "show": "succeeded", "bad": "nonzero_exit",
    }  # fmt: skip


def test_of_one_that_ended_longer_ago_than_is_kept_the_identifier_stays_taken(
    make, new: New
) -> None:
    old = make(clock_s=1_600_000_000)
    fill(old)
    told = new.told(old, "--yes")
    assert told["requests", "1 that ended"]["deed"] == "take"
    assert not list((new.spool / "done").glob("*"))
    new.do("submit", REPO, "make")
    (dropped,) = (new.spool / "inbox").glob("*.json")
    asked = json.loads(dropped.read_bytes()) | {"identifier": "a" * 16}
    dropped.write_text(json.dumps(asked))
    new.drain()
    (reason,) = (new.spool / "rejected").glob("*.error.json")
    assert json.loads(reason.read_bytes())["error"] == "identifier_taken"


def test_what_waits_or_runs_is_asked_for_anew(old: Old, new: New) -> None:
    old.asked("bbbbbbbbbbbbbbbb", "show", force_run_dependencies=True)
    old.job("bbbbbbbbbbbbbbbb", "make", "running")
    old.job("bbbbbbbbbbbbbbbb", "show", "pending")
    told = new.told(old, "--yes")
    assert "make may still run under job-runner" in told["request", "b" * 16]["what"]
    dropped = json.loads((new.spool / "inbox" / f"{'b' * 16}.json").read_bytes())
    assert dropped["requested_actions"] == ["show"]
    assert dropped["force_run_dependencies"] is True
    assert not list((new.spool / "done").glob("*/*"))


def test_of_a_request_that_was_half_cancelled_that_half_stays_so(old: Old, new: New) -> None:
    old.asked("bbbbbbbbbbbbbbbb", "make", "show")
    old.job("bbbbbbbbbbbbbbbb", "make", "pending", cancelled=1)
    old.job("bbbbbbbbbbbbbbbb", "show", "pending")
    new.told(old, "--yes")
    dropped = json.loads((new.spool / "inbox" / f"{'b' * 16}.json").read_bytes())
    assert dropped["cancelled_actions"] == ["make"]


def test_a_request_that_was_cancelled_before_it_began_has_ended(old: Old, new: New) -> None:
    old.asked("bbbbbbbbbbbbbbbb", "make")
    old.job("bbbbbbbbbbbbbbbb", "make", "pending", cancelled=1)
    new.told(old, "--yes")
    shown = json.loads(new.do("show", "b" * 16, "--json"))
    assert [job["status_code"] for job in shown["jobs"]] == ["cancelled_by_user"]


def test_what_can_not_be_taken_over_is_told_with_its_reason(old: Old, new: New) -> None:
    for name in ("_odd", "Study", "study", "packed"):
        old.job(f"of-{name}", "make", workspace=name, outputs={"a.csv": HIGH})
        if name != "packed":
            old.has("a.csv", "a", workspace=name)
    (old.high / "archives").mkdir()
    (old.high / "archives" / "packed.tar.gz").touch()
    told = new.told(old, "--yes")
    assert {name: told["workspace", name]["deed"] for name in ("_odd", "Study", "packed")} == {
        "_odd": "leave", "Study": "leave", "packed": "leave",
    }  # fmt: skip
    assert "archived" in told["workspace", "packed"]["what"]
    assert not list((new.spool / "workspaces").glob("[!.]*"))


def test_an_action_whose_outputs_are_gone_runs_again(filled: Old, new: New) -> None:
    (filled.high / "workspaces/ws/out/a.csv").unlink()
    told = new.told(filled, "--yes")
    assert "1 of its 1 outputs are not there" in told["action", "ws make"]["what"]
    assert new.index()["actions"]["make"]["published"] is None


def test_what_lies_in_a_write_ahead_log_alone_counts_and_stays_there(make, new: New) -> None:
    old = make(generation="today")
    old.has("a.csv", "a")
    pid = os.fork()
    if pid == 0:
        held = old.connect()  # who closes last empties the log
        held.execute("SELECT * FROM job").fetchall()
        old.job("r", "make", outputs={"a.csv": HIGH})
        os._exit(0)
    os.waitpid(pid, 0)
    assert old.database.with_name("db.sqlite-wal").stat().st_size
    before = old.seen()
    assert new.told(old)["workspace", "ws"]["what"] == "1 of its 1 actions can be reused"
    assert old.seen() == before


ELSEWHERE = ["../ws2/a.csv", "/etc/passwd", "metadata/x", "link/a.csv", "./c", "", "real", "a\0b"]


@pytest.mark.parametrize("path", ELSEWHERE)
def test_an_output_that_leads_elsewhere_is_not_followed(old: Old, new: New, path: str) -> None:
    old.has("real/a.csv", "a")
    old.has("a.csv", "a", workspace="ws2")
    old.has("metadata/x", "x")
    os.symlink("real", old.high / "workspaces/ws/link")
    old.job("r", "make", outputs={path: HIGH})
    new.told(old, "--yes")
    assert new.index()["actions"]["make"]["published"] is None


@pytest.mark.parametrize("torn", ['{"a.csv":', "[1]", '{"\\ud800": "highly_sensitive"}', "7"])
def test_outputs_that_can_not_be_read_are_made_again(old: Old, new: New, torn: str) -> None:
    old.job("r", "make", outputs=torn)
    told = new.told(old, "--yes")
    assert "can't be read" in told["action", "ws make"]["what"]
    assert new.index()["actions"]["make"]["published"] is None


def test_without_a_log_nobody_knows_what_a_job_of_today_made(make, new: New) -> None:
    old = make(generation="today")
    job = old.job("r", "make", outputs={"a.csv": HIGH})
    old.has("a.csv", "a")
    (metadata,) = old.high.glob(f"logs/*/os-job-{job}/metadata.json")
    metadata.write_text(metadata.read_text()[:-3])
    told = new.told(old, "--yes")
    assert told["action", "ws make"]["deed"] == "tell"
    assert new.index()["actions"]["make"]["published"] is None


def test_a_level_that_nobody_knows_is_the_most_private_one(old: Old, new: New) -> None:
    old.job("r", "make", outputs={"a.csv": "a_bit_sensitive"})
    old.has("a.csv", "a", medium=True)
    new.told(old, "--yes")
    assert new.index()["actions"]["make"]["outputs"]["a.csv"]["level"] == HIGH


def test_outputs_written_since_by_a_run_that_does_not_count_are_told(old: Old, new: New) -> None:
    old.job("r1", "make", outputs={"a.csv": HIGH})
    old.job("r2", "make", outputs={"a.csv": HIGH}, cancelled=1)
    old.has("a.csv", "of the second")
    told = new.told(old, "--yes")
    assert "another run" in told["action", "ws make"]["what"]
    assert new.index()["actions"]["make"]["published"]["request"] == "r1"


def test_what_was_kept_back_stays_so_with_the_reason(make, new: New) -> None:
    old = make(generation="today")
    why = "File row count (5001) exceeds maximum allowed rows (5000)"
    excluded = {"big.csv": why}
    job = old.job("r", "show", outputs={"big.csv": MODERATE}, level4_excluded_files=excluded)
    old.has("big.csv", "n\n" * 5002)
    entry = {"level": MODERATE, "job_id": job, "job_request": "r", "action": "show",
             "excluded": True, "message": why, "row_count": 5001, "unheard_of": 1}  # fmt: skip
    old.manifest({"workspace": "ws", "repo": None, "outputs": {"big.csv": entry}}, high=False)
    new.told(old, "--yes")
    medium = old.medium / "workspaces/ws"
    ours = json.loads((medium / "metadata/manifest.json").read_bytes())["outputs"]["big.csv"]
    assert (ours["excluded"], ours["message"]) == (True, why)
    assert why in (medium / "big.csv.txt").read_text()
    assert not (medium / "big.csv").exists()


def test_a_note_of_job_runners_own_stays_as_it_is(old: Old, new: New) -> None:
    old.job("r", "show", outputs={"big.csv": MODERATE})
    old.has("big.csv", "n\n")
    note = old.medium / "workspaces/ws/big.csv.txt"
    note.parent.mkdir(parents=True)
    note.write_text("job-runner's words")
    new.told(old, "--yes")
    assert note.read_text() == "job-runner's words"


def test_what_only_the_oldest_manifest_knows_is_taken_over(old: Old, new: New) -> None:
    about = {"job_id": "jjjjjjjj", "state": "SUCCEEDED", "commit": SHA}
    about |= {"created_at": "2020-12-01T10:00:00Z", "completed_at": "2020-12-01T11:00:00Z"}
    files = {"a.csv": {"created_by_action": "make", "privacy_level": HIGH}}
    actions = {"make": about, "torn": {}}
    told = {"workspace": "ws", "repo": REPO, "actions": actions, "files": files}
    old.manifest(told, high=True)
    old.has("a.csv", "a\n")
    new.told(old, "--yes")
    state = new.index()["actions"]["make"]
    assert (state["published"]["job"], list(state["outputs"])) == ("jjjjjjjj", ["a.csv"])
    kept = old.high / "workspaces/ws/metadata/manifest.job-runner.json"
    assert json.loads(kept.read_bytes()) == told


def test_flags_are_told(old: Old, new: New) -> None:
    old.flag("paused", "true")
    old.flag("mode", "db-maintenance")
    told = new.told(old)
    assert told["flag", "paused=true"]["deed"] == "tell"
    assert "maintenance on" in told["flag", "mode=db-maintenance"]["what"]


def test_only_jobs_of_this_backend_are_taken_over(make, new: New) -> None:
    old = make(generation="today")
    old.job("r1", "make", outputs={"a.csv": HIGH})
    old.job("r2", "make", workspace="theirs", backend="tpp", outputs={})
    old.has("a.csv", "a")
    assert ("workspace", "theirs") not in new.told(old)


def test_a_journal_that_a_killed_job_runner_left_is_not_touched(filled: Old, new: New) -> None:
    """It is rolled back in a copy alone: what was never committed counts nowhere."""
    pid = os.fork()
    if pid == 0:
        database = filled.connect()
        database.execute("PRAGMA cache_size=1")
        database.execute("BEGIN")
        database.execute("UPDATE job SET state = 'failed', run_command = ?", ("x" * 100_000,))
        os._exit(0)
    os.waitpid(pid, 0)
    assert filled.database.with_name("db.sqlite-journal").stat().st_size
    before = filled.seen()
    assert new.told(filled)["workspace", "ws"]["what"] == "2 of its 3 actions can be reused"
    assert filled.seen() == before


@pytest.mark.parametrize(
    ("content", "kind"), [(None, "no_database"), (b"x" * 5000, "bad_database")]
)
def test_without_a_database_it_says_where_to_look(
    old: Old, new: New, content: bytes | None, kind: str
) -> None:
    old.database.unlink()
    if content:
        old.database.write_bytes(content)
    result = new.try_to("import-jobrunner", str(old.home), "--yes")
    assert getattr(result.exception, "kind", "") == kind
    assert not new.folder.exists()  # it may have been the wrong folder


def test_beside_a_runner_it_does_nothing(filled: Old, new: New) -> None:
    from spoolrunner.lock import Lock

    new.told(filled, "--yes")
    (new.spool / "workspaces/ws.json").unlink()
    lock = Lock(new.spool / ".locks" / "mover")
    assert lock.take()
    result = new.try_to("import-jobrunner", str(filled.home), "--yes")
    lock.release()
    assert getattr(result.exception, "exit_status", 0) == 5
    assert not (new.spool / "workspaces/ws.json").exists()


def test_a_workspace_that_ran_here_already_is_left_as_it_is(filled: Old, new: New) -> None:
    new.told(filled, "--yes")
    filled.job("later", "make", outputs={"out/a.csv": HIGH})
    before = new.index()
    told = new.told(filled, "--yes")
    assert told["workspace", "ws"]["deed"] == "here"
    assert new.index() == before

"""The function that other tools import, under the process executor."""

import json
import os
import shutil
import signal

import pytest

from spoolrunner import notebook
from spoolrunner.errors import BadInput, BadMachine, BadProject, CannotExpand, TryLater
from spoolrunner.localrun import Interrupted, State, home
from spoolrunner.localrun.ending import alike, printable
from spoolrunner.request import Code
from tests.localrun.conftest import Seen, Study, action, make, one, states
from tests.rig.githost import Repository
from tests.site import STUDIES

LOOK = "find . ! -type d > /tmp/seen; sort /tmp/seen"
RUN, REUSED = State.SUCCEEDED, State.REUSED


def test_the_example_study_runs_and_what_it_makes_lies_where_it_belongs(study: Study) -> None:
    shutil.copytree(STUDIES / "asthma-reviews", study.folder, dirs_exist_ok=True)
    result = study.run("report")
    assert result.succeeded
    assert set(states(result).values()) == {RUN}
    assert list(states(result))[-1] == "report"
    assert "<html" in study.read("output/report.html")
    assert "JOB SUMMARY" in study.read("metadata/model.log")
    manifest = json.loads(study.read("metadata/manifest.json"))
    assert manifest["outputs"]["output/cohort.csv"]["level"] == "highly_sensitive"
    assert not study.leftovers()

    again = study.run("run_all")
    assert again.nothing_to_do
    assert again.succeeded
    assert set(states(again).values()) == {REUSED}


def test_an_action_sees_the_study_and_the_outputs_of_what_it_needs(study: Study) -> None:
    study.has(
        needed=action(make("output/needed.csv"), out="output/needed.csv"),
        other=action(make("output/other.csv"), out="output/*r.csv"),
        look=action(f"{LOOK} > seen.txt; ls -l link >> seen.txt", "needed", out="seen.txt"),
    )
    for path in (".git/config", "sub/.git", "metadata/needed.log", "output/hidden/other.csv"):
        study.write(path)
    study.write("output/.draft-0123456789abcdef")
    study.write("analysis/tool.sh").chmod(0o755)
    (study.folder / "link").symlink_to("/etc/hostname")
    study.run("other")
    study.run("look")
    seen = study.read("seen.txt").splitlines()
    assert seen[:-1] == [
        *("./analysis/tool.sh", "./link", "./output/hidden/other.csv", "./output/needed.csv"),
        "./project.yaml",
    ]
    assert seen[-1].endswith("link -> /etc/hostname")


def test_what_is_run_again_and_what_is_reused(study: Study) -> None:
    study.has(
        a=action(make("a.csv"), out="a.csv"),
        b=action(make("b.csv"), "a", out="b.csv"),
        c=action("cat b.csv > c.csv", "b", out="c.csv"),
    )
    assert states(study.run("c")) == {"a": RUN, "b": RUN, "c": RUN}
    assert states(study.run("c")) == {"b": REUSED, "c": RUN}, "named: run, its need: reused"
    (study.folder / "b.csv").unlink()
    gone = study.run("c")
    assert states(gone) == {"a": REUSED, "b": RUN, "c": RUN}
    assert "are gone: 'b'" in gone.notes[0]
    study.write("b.csv", "by hand\n")
    changed = study.run("c")
    assert states(changed) == {"a": REUSED, "b": RUN, "c": RUN}
    assert "were changed" in changed.notes[0]
    forced = study.run("c", force_run_dependencies=True)
    assert states(forced) == {"a": RUN, "b": RUN, "c": RUN}

    study.has(b=action("exit 3", "a", out="b.csv"), a=action(make("a.csv"), out="a.csv"))
    failed = study.run("b")
    assert states(failed) == {"a": REUSED, "b": State.FAILED}
    assert not failed.succeeded
    assert study.read("b.csv") == "x\n", "what an earlier run made is not touched"
    study.has(
        a=action(make("a.csv"), out="a.csv"),
        b=action(make("b.csv", "new"), "a", out="b.csv"),
        c=action("cat b.csv > c.csv", "b", out="c.csv"),
    )
    assert states(study.run("c")) == {"a": REUSED, "b": RUN, "c": RUN}
    assert study.read("c.csv") == "new\n"


def test_the_manifest_of_a_large_study_tells_all_by_itself(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notebook, "SMALL_BYTES", 0)
    study.has(
        first=action(make("first.csv"), out="first.csv"),
        second=action(make("second.csv"), "first", out="second.csv"),
    )
    study.run("run_all")
    told = json.loads(study.read("metadata/manifest.json"))
    assert sorted(told["outputs"]) == ["first.csv", "second.csv"]
    assert not (study.folder / "metadata/manifest.notes").exists()


def test_notes_that_nobody_can_read_are_set_aside_with_their_manifest(study: Study) -> None:
    study.has(first=action(make("first.csv"), out="first.csv"))
    assert study.run("first").succeeded
    study.write("metadata/manifest.notes")
    assert study.run("first", force_run_dependencies=True).succeeded
    assert json.loads(study.read("metadata/manifest.json"))["outputs"].keys() == {"first.csv"}
    assert (study.folder / "metadata/manifest.notes.before-spoolrunner").exists()


def test_the_first_failure_ends_the_run_unless_that_is_declined(study: Study) -> None:
    study.has(
        bad=action("echo said; exit 7", out="bad.csv"),
        slow=action("sleep 600; true", out="slow.csv"),
        after=action("true", "bad", out="after.csv"),
    )

    result = study.run("run_all")
    assert states(result)["bad"] is State.FAILED
    assert states(result)["after"] is State.NOT_RUN
    assert states(result)["slow"] in (State.STOPPED, State.NOT_RUN)
    assert one(result, "slow").message == "because 'bad' failed"
    assert one(result, "bad").tail == ("said",)
    assert not study.leftovers()

    study.has(
        bad=action("echo said; exit 7", out="bad.csv"),
        after=action("true", "bad", out="after.csv"),
        later=action("false", "after", out="later.csv"),
        apart=action(make("apart.csv"), out="apart.csv"),
    )
    result = study.run("run_all", continue_on_error=True)
    assert states(result) == {
        "bad": State.FAILED, "after": State.NOT_RUN, "later": State.NOT_RUN, "apart": RUN,
    }  # fmt: skip
    assert one(result, "later").message == "because it needs 'after', which failed"
    index = json.loads((study.home / "workspace.json").read_bytes())["actions"]
    assert index["later"]["newest"]["status"] == "failed", "so it is run again when it is needed"


def test_no_more_at_once_than_asked_and_an_interrupt_stops_them(study: Study) -> None:
    study.has(**{name: action(f"sleep 600; echo {name}", out=f"{name}.csv") for name in "abcd"})

    def interrupt(seen: Seen) -> None:
        if not seen.stops and len([r for r in seen.running() if r.code is Code.EXECUTING]) == 3:
            os.kill(os.getpid(), signal.SIGINT)

    seen = Seen(interrupt)
    with pytest.raises(Interrupted) as stopped:
        study.run("run_all", concurrency=3, watcher=seen)
    assert seen.most_at_once == 3
    assert seen.stops
    assert sorted(states(stopped.value.result).values()) == ["not run", *["stopped"] * 3]
    assert not study.leftovers()


def test_a_watcher_that_fails_ends_the_run_and_is_told_of(study: Study) -> None:
    study.has(a=action("sleep 600; echo a", out="a.csv"))

    def fail(seen: Seen) -> None:
        if [run for run in seen.running() if run.code is Code.EXECUTING]:
            raise LookupError("the watcher's own")

    with pytest.raises(LookupError):
        study.run("a", watcher=Seen(fail))
    assert not study.leftovers()


def test_one_at_a_time_if_asked(study: Study) -> None:
    study.has(**{name: action(make(f"{name}.csv"), out=f"{name}.csv") for name in "abc"})
    seen = Seen()
    assert study.run("run_all", concurrency=1, watcher=seen).succeeded
    assert seen.most_at_once == 1
    assert [name for name, state in seen.history if state is RUN] == ["a", "b", "c"]


def test_what_was_meant_by_a_pattern_without_a_file(study: Study) -> None:
    study.has(
        odd=action(
            f"{make('output/tabel.csv')}; {make('output/notes.txt')}", out="output/table.csv"
        ),
        link=action("ln -s /etc/passwd p.csv", out="p.csv"),
    )
    result = study.run("run_all", continue_on_error=True)
    odd = one(result, "odd")
    assert odd.code is Code.UNMATCHED_PATTERNS
    assert [(each.pattern, each.like) for each in odd.missing] == [
        ("output/table.csv", ("output/tabel.csv",))
    ]
    assert sorted(odd.other_files) == ["output/notes.txt", "output/tabel.csv"]
    assert one(result, "link").refused == {"p.csv": "it is a symbolic link"}
    assert not (study.folder / "p.csv").is_symlink()


def test_likeness_is_of_names() -> None:
    made = ["results/table.csv", "output/table.txt", "output/other.csv", "output/tabel.csv"]
    assert alike("output/table.csv", made) == (
        "results/table.csv", "output/table.txt", "output/tabel.csv",
    )  # fmt: skip
    assert alike("output/model_*.csv", ["out/model_1.csv", "x.csv"]) == ("out/model_1.csv",)
    assert alike("a.csv", []) == ()


def test_what_a_job_says_cannot_move_the_cursor() -> None:
    assert printable("\x1b[31mred\x1b[0m\tand \x1b]0;title\x07\r") == "red\tand \\x1b]0;title\\x07"


def test_an_action_is_told_of_dummy_data_alone_whatever_the_environment_says(study: Study) -> None:
    study.settings |= {
        "BACKEND": "tpp", "FULL_DATABASE_URL": "mssql://u:p@host/db", "REPORTS": "send",
        "MAX_WORKERS": "none", "HIGH_PRIVACY_STORAGE_BASE": "/nowhere",
    }  # fmt: skip
    study.has(env=action("env > env.txt", out="env.txt"))
    assert study.run("env").succeeded
    given = dict(line.split("=", 1) for line in study.read("env.txt").splitlines())
    assert given["OPENSAFELY_BACKEND"] == "expectations"
    assert not [name for name in given if "DATABASE" in name]


def test_bad_input_is_told_before_anything_runs(study: Study) -> None:
    with pytest.raises(BadInput) as absent:
        study.run("a")
    assert absent.value.kind == "no_such_file"
    assert not [*study.folder.iterdir()], "no study's folder: nothing is made in it"
    study.has(model=action(make("out/a.csv"), out="out/a.csv"))
    with pytest.raises(CannotExpand, match="no such action: 'modle'") as unknown:
        study.run("modle")
    assert "Did you mean 'model'" in unknown.value.hint
    with pytest.raises(BadInput) as none:
        study.run()
    assert "'model', or run_all" in none.value.hint
    (study.folder / "elsewhere").mkdir()
    (study.folder / "out").symlink_to("elsewhere")
    with pytest.raises(BadInput) as linked:
        study.run("model")
    assert linked.value.kind == "linked_output"
    study.write("project.yaml", "version: 4\nactions: [")
    with pytest.raises(BadProject):
        study.run("model")
    assert not study.leftovers()


def test_a_reusable_action_comes_from_the_mirror_as_on_a_server(study: Study) -> None:
    mirror = study.folder.with_name("mirror")
    repository = Repository(mirror / "opensafely-actions" / "join.git", uploads=False)
    repository.commit({"action.yaml": "run: python:v2 sh join.sh", "join.sh": "cat a.csv > $1"})
    repository.git("tag", "v1", "main")
    study.settings["GIT_MIRROR_DIR"] = str(mirror)
    study.has(
        a=action(make("a.csv"), out="a.csv"),
        joined={"run": "join:v1 joined.csv", "needs": ["a"],
                "outputs": {"moderately_sensitive": {"it": "joined.csv"}}},
    )  # fmt: skip
    assert study.run("joined").succeeded
    assert study.read("joined.csv") == "x\n"


def test_two_runs_in_one_folder_do_not_mix(study: Study) -> None:
    study.has(a=action(make("a.csv"), out="a.csv"))
    place = home.enter(study.folder)
    lock = place.lock()
    with pytest.raises(TryLater, match="Another local-run"):
        study.run("a")
    lock.release()
    assert study.run("a").succeeded


def test_records_count_only_where_they_were_made(study: Study) -> None:
    """A study comes with any files; a copy of a record must not make us end its containers."""
    study.has(a=action(make("a.csv"), out="a.csv"), b=action("cat a.csv", "a"))
    study.run("a")
    first = home.enter(study.folder)
    assert not first.renewed
    copy = study.folder.with_name("copy")
    shutil.copytree(study.folder, copy, copy_function=shutil.copy2, symlinks=True)
    result = Study(copy).run("b")
    assert states(result) == {"a": RUN, "b": RUN}
    assert "made for another folder" in result.notes[0]
    assert home.enter(copy).spool8 != first.spool8
    moved = study.folder.rename(study.folder.with_name("moved"))
    assert states(Study(moved).run("b")) == {"a": REUSED, "b": RUN}


@pytest.mark.parametrize("place", ["metadata", "metadata/.spoolrunner"])
def test_nothing_is_written_through_a_link(study: Study, place: str) -> None:
    study.has(a=action(make("a.csv"), out="a.csv"))
    elsewhere = study.folder.with_name("elsewhere")
    elsewhere.mkdir()
    (study.folder / place).parent.mkdir(exist_ok=True)
    (study.folder / place).symlink_to(elsewhere)
    with pytest.raises(BadInput, match="is not a folder"):
        study.run("a")
    assert not [*elsewhere.iterdir()]


def test_links_and_old_files_in_metadata_are_replaced_not_followed(study: Study) -> None:
    study.has(a=action(make("a.csv"), out="a.csv"))
    victim = study.write("victim", "mine")
    study.write("metadata/manifest.json", '{"actions": {}}')
    (study.folder / "metadata" / "a.log").symlink_to(victim)
    (study.folder / "a.csv").symlink_to(victim)
    assert study.run("a").succeeded
    assert victim.read_text() == "mine"
    assert study.read("a.csv") == "x\n"
    assert "before-spoolrunner" in " ".join(p.name for p in (study.folder / "metadata").iterdir())


def test_what_cannot_run_here_is_told_with_what_to_do(study: Study) -> None:
    study.has(
        lab=action("x", out="a.csv", image="jupyter:v1"),
        stata=action("y", out="b.csv", image="stata-mp:v1"),
    )
    with pytest.raises(BadMachine, match=r"can't run .*/jupyter:v1") as none:
        study.run("lab")
    assert none.value.kind == "no_executor"
    with pytest.raises(BadMachine) as unlicensed:
        study.run("stata")
    assert unlicensed.value.kind == "no_stata_license"


def test_a_large_output_is_told_as_far_as_it_has_been_read(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spoolrunner.localrun.house.HEADWAY_EVERY_S", 0.0)
    told: list[str] = []
    study.has(a=action("truncate -s 8M large.bin", out="large.bin", level="highly_sensitive"))
    assert study.run("a", watcher=Seen(lambda now: told.append(now.now["a"].headway))).succeeded
    assert "looking through its outputs: 1.0 MB of 8.4 MB, 0 s left" in told
    assert told[-1] == "", "what has ended is nowhere any more"

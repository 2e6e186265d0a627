"""`spoolrunner local-run` as researchers and workflows meet it: real processes and signals."""

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.localrun.conftest import Study, action, make, until
from tests.site import WITHIN_S
from tests.study_verbs.conftest import Do, do

__all__ = ["do"]

ROW = r"^{} +{} +[0-9.]+ s  {}$"


def running(study: Study, marker: str) -> bool:
    """Is there a process that has this in its command line?"""
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker.encode() in process.read_bytes():
                return True
        except OSError:
            continue
    return False


def test_a_failure_is_told_with_all_that_is_needed_to_mend_it(study: Study) -> None:
    study.has(
        good=action(make("out/good.csv"), out="out/good.csv"),
        bad=action("echo one; echo two; exit 7", "good", out="out/bad.csv"),
        odd=action(make("out/tabel.csv"), "good", out="out/table.csv"),
        patients=action(make("p.csv", "patient_id"), out="p.csv"),
    )
    done = study.command("run_all", "--continue-on-error", "--timestamps")
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ "
    plain = [re.sub(f"^{time}", "", line) for line in lines]
    assert plain[0] == "Running 4 actions with process, 2 at once."
    progress = lines[: lines.index("")]
    assert all(re.match(time, line) for line in progress)
    text = "\n".join(plain)
    for row in (
        ROW.format("good", "succeeded", "1 output"),
        ROW.format("bad", "failed", r"Job exited with an error \(exit code 7\)."),
        ROW.format("patients", "succeeded", "1 output, 1 not fit for release"),
        r"^done       good in [0-9.]+ s$\n^output     out/good.csv  moderately_sensitive$",
        r"^unfit      for release: .+identifies patients",
        r"^failed     bad after [0-9.]+ s$\n^why        Job exited .+ \(exit code 7\)\.$",
        r"^log        metadata/bad.log, which ends:$\n^  \| one$\n^  \| two$",
        r"^missing    out/table.csv; is it out/tabel.csv, which it made\?$",
        r"^2 succeeded, 2 failed, in [0-9.]+ s\.$",
    ):
        assert re.search(row, text, re.MULTILINE), f"{row} is not in\n{text}"


def test_project_yaml_is_told_off_as_validate_does(
    study: Study, do: Do, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(study.folder)
    study.write("project.yaml", "version: 4\nactions:\n  a:\n    run: python\n    ouputs: {}\n")
    status, out, err = do("validate", "project.yaml")
    assert status == 3
    assert out.startswith("project.yaml:4:")
    assert do("local-run", "a") == (status, out, err)
    github = do("validate", "project.yaml", "--format", "github")
    told = do("local-run", "a", "--format-output-for-github")
    assert told[0] == 3
    assert github[1] in told[1]


def test_exit_statuses(study: Study, do: Do, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(study.folder)
    monkeypatch.setenv("EXECUTOR", "docker")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    assert do("local-run", "a")[0] == 3, "no project.yaml"
    study.has(a=action(make("a.csv"), out="a.csv"))
    status, _, err = do("local-run", "a")
    assert status == 4
    assert "No Docker engine answers" in err
    assert "docker info" in err
    assert do("local-run", "b")[0] == 3
    assert do("local-run", "a", "--memory", "lots")[0] == 2
    monkeypatch.setenv("EXECUTOR", "auto")
    status, out, _ = do("local-run", "a", "-m", "1G", "--cpus", "1", "--project-dir", ".")
    assert status == 0
    assert "with process" in out
    assert "No Docker engine answers, so this machine's own programs are used" in out


def interrupted(study: Study, number: signal.Signals) -> tuple[int, str]:
    """A run that gets this signal while a job runs: its exit status, and what it said."""
    marker = f"600.{os.getpid()}{number}"
    study.has(
        first=action(make("first.csv"), out="first.csv"),
        slow=action(f"sleep {marker}; true", "first", out="slow.csv"),
    )
    run = study.start("slow")
    until(lambda: running(study, f"sleep {marker}"), "the job runs")
    run.send_signal(number)
    out, _ = run.communicate(timeout=WITHIN_S)
    assert not running(study, marker)
    assert not study.leftovers()
    return run.returncode, out


def test_an_interrupt_stops_the_jobs_and_the_next_run_goes_on(study: Study) -> None:
    status, out = interrupted(study, signal.SIGINT)
    assert status == 130
    assert "Interrupt again" in out
    assert re.search(r"^slow +stopped .* because the run was interrupted$", out, re.MULTILINE)
    for number, status in ((signal.SIGTERM, 143), (signal.SIGHUP, 129)):
        ended, out = interrupted(study, number)
        assert ended == status, out
        assert re.search(r"^first +reused +made ", out, re.MULTILINE)


def test_two_more_interrupts_do_not_wait(study: Study) -> None:
    """The first asks, the second kills, whatever the job makes of SIGTERM."""
    study.settings["STOP_GRACE"] = "600s"
    study.has(deaf=action("trap '' TERM; echo deaf; while :; do sleep 1; done", out="a.csv"))
    run = study.start("deaf")

    def said() -> bytes:
        return b"".join(log.read_bytes() for log in study.home.glob("storage/volumes/*/log.txt"))

    until(lambda: b"deaf" in said(), "the job runs")
    run.send_signal(signal.SIGINT)
    assert run.stdout
    until(lambda: "Interrupt again" in run.stdout.readline(), "the first is heard")
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=WITHIN_S)
    assert run.returncode == 130
    assert not study.leftovers()


def test_after_kill_9_nothing_is_in_the_way(study: Study) -> None:
    marker = f"601.{os.getpid()}"
    slow = action(f"sleep {marker}; true", "first", out="slow.csv")
    study.has(first=action(make("first.csv"), out="first.csv"), slow=slow)
    run = study.start("run_all")
    until(lambda: running(study, f"sleep {marker}"), "the job runs")
    run.kill()
    run.wait()
    assert running(study, marker), "nobody was there to stop it"
    study.has(
        first=action(make("first.csv"), out="first.csv"),
        slow=action(make("slow.csv", "new"), "first", out="slow.csv"),
    )
    done = study.command("run_all")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^first +reused", done.stdout, re.MULTILINE)
    assert study.read("slow.csv") == "new\n"
    assert not running(study, marker)
    assert not study.leftovers()


def test_debug_leaves_what_can_be_looked_at_until_the_next_run(study: Study) -> None:
    study.has(a=action(f"echo scratch > left.txt; {make('a.csv')}", out="a.csv"))
    done = study.command("a", "--debug")
    found = re.search(r"^left +(\S+)$", done.stdout, re.MULTILINE)
    assert found
    assert (Path(found[1]) / "left.txt").read_text() == "scratch\n"
    assert len(study.leftovers()) == 2
    study.command("a")
    assert not study.leftovers()


def test_in_a_workflow_logs_fold_and_jobs_give_no_commands(study: Study) -> None:
    study.has(bad=action("echo ::error::obey me; exit 1", out="a.csv"))
    done = study.command("bad", "--format-output-for-github")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0] == "::group::Progress"
    start = next(at for at, line in enumerate(lines) if line.startswith("::stop-commands::"))
    end = lines.index(f"::{lines[start].removeprefix('::stop-commands::')}::")
    assert lines[start - 1] == "::group::bad: metadata/bad.log"
    obeyed = lines[:start] + lines[end:]
    assert "::error::obey me" in "\n".join(lines[start:end])
    assert not [line for line in obeyed if line.lstrip().startswith("::error::obey")]
    assert "::error title=bad::Job exited with an error (exit code 1)." in obeyed
    assert lines.count("::endgroup::") == 2


def test_a_terminal_shows_each_action_once_and_fits(study: Study) -> None:
    long = "a_name_longer_than_anybody_would_like_to_read_in_a_column"
    study.has(
        **{long: action(make("a.csv"), out="a.csv")},
        bad=action("exit 1", out="b.csv"),
    )
    screen, end = pty.openpty()
    settings = {**study.environment(), "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    words = [sys.executable, "-m", "spoolrunner", "local-run", "run_all", "--continue-on-error"]
    run = subprocess.Popen(
        words, env=settings, cwd=study.folder, stdin=end, stdout=end, stderr=end, close_fds=True
    )
    os.close(end)
    shown = bytearray()
    try:
        while part := os.read(screen, 65536):
            shown += part
    except OSError:  # the other end is closed
        pass
    os.close(screen)
    assert run.wait(WITHIN_S) == 1
    text = re.sub(r"\x1b\[2K", "\n", shown.decode())  # drawn anew
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", text).splitlines()
    assert max(map(len, lines)) <= 80
    assert len([line for line in lines if line.startswith("✗ bad ")]) == 1
    assert len([line for line in lines if line.startswith("✓ a_name_longer_than_a")]) == 1
    assert any("of 2" in line and "━" in line for line in lines)
    assert lines[-1].startswith("1 succeeded, 1 failed, in ")

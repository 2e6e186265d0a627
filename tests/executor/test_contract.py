"""The executor contract: the same suite for every executor (design, "The executor contract")."""

import multiprocessing
import re
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from spoolrunner.errors import Refused
from spoolrunner.executor import Absent, Executor, Exit, Launch, Limits, Process, Running
from tests.executor.conftest import AS_ROOT, BOUND_S, USER, House
from tests.rig import images

FOREVER = "while :; do sleep 1; done"


def until_exists(path: Path) -> None:
    """Wait for a job to have got somewhere; there is nobody to be told by."""
    deadline = time.monotonic() + BOUND_S
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} does not appear"
        time.sleep(0.005)


def command_lines() -> list[str]:
    """Of every process of this machine, in containers and sandboxes too."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_text(errors="replace"))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
    return found


# Use


def test_what_a_running_job_uses_is_known_and_of_another_nothing(house: House) -> None:
    launch = house.launch("sh", "-c", "read go < gate; while :; do :; done")
    house.gate(launch)
    house.executor.start(launch)
    first = house.executor.usage(launch.name)
    assert first is not None
    assert first.memory_bytes > 0
    house.open_gate(launch)
    deadline = time.monotonic() + BOUND_S
    while (now := house.executor.usage(launch.name)) and now.cpu_s < first.cpu_s + 0.2:
        assert time.monotonic() < deadline, "its processor time does not grow"
    assert now is not None
    house.executor.stop(launch.name, 0)
    assert house.executor.usage(launch.name) is None
    assert house.executor.usage(f"sr-{house.spool8}-other-1") is None


def is_at(process: Process, launch: Launch) -> bool:
    """A container's is the engine's own until it becomes the job's."""
    seen = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    return process.argv[-1] == launch.arguments[-1] and seen.endswith(b"; true\0")


def test_its_process_is_known_while_it_runs(house: House) -> None:
    launch = house.waiting("true")
    deadline = time.monotonic() + BOUND_S
    while not ((it := house.executor.process(launch.name)) and is_at(it, launch)):
        assert time.monotonic() < deadline, f"its process is not found: {it}"
    house.open_gate(launch)
    house.end_of(launch)
    assert house.executor.process(launch.name) is None


# Once


def test_a_name_that_was_never_started_is_absent(house: House) -> None:
    assert house.executor.look(house.launch().name) == Absent()
    assert house.executor.names() == []


def test_starting_the_same_name_again_starts_nothing(house: House) -> None:
    launch = house.waiting("echo once >> count")
    house.executor.start(launch)
    house.open_gate(launch)
    ended = house.end_of(launch)
    house.executor.start(launch)
    assert house.executor.look(launch.name) == ended
    assert (launch.folder / "count").read_text() == "once\n"


def test_a_name_started_by_ten_threads_at_once_is_started_once(house: House) -> None:
    launch = house.launch("sh", "-c", "echo once >> count")
    together = threading.Barrier(10)

    def start(_: int) -> None:
        together.wait(BOUND_S)
        house.executor.start(launch)

    with ThreadPoolExecutor(10) as threads:
        list(threads.map(start, range(10)))
    house.end_of(launch)
    assert (launch.folder / "count").read_text() == "once\n"


def test_a_job_runs_until_its_exit_is_told(house: House) -> None:
    launch = house.waiting("exit 7")
    running = house.executor.look(launch.name)
    assert isinstance(running, Running)
    house.open_gate(launch)
    ended = house.end_of(launch)
    assert (ended.status, ended.reason) == (7, "")
    assert house.executor.image_id(launch.image) == ended.image_id == running.image_id != ""
    times = (running.started_at, ended.started_at, ended.finished_at)
    started, still_started, finished = map(datetime.fromisoformat, times)
    assert started == still_started <= finished
    assert all(time.endswith("Z") for time in times)


@pytest.mark.parametrize(("name", "status"), [("KILL", 137), ("TERM", 143), ("SEGV", 139)])
def test_a_job_ended_by_a_signal_has_128_and_its_number(
    house: House, name: str, status: int
) -> None:
    assert house.run(house.launch("sh", "-c", f"kill -{name} $$")).status == status


def test_many_jobs_run_at_once(house: House) -> None:
    launches = [house.launch("sh", "-c", f"exit {n}", number=n) for n in range(20)]
    with ThreadPoolExecutor(20) as threads:
        ended = list(threads.map(house.run, launches))
    assert [one.status for one in ended] == list(range(20))
    assert sorted(house.executor.names()) == sorted(launch.name for launch in launches)


# Waiting


def test_waiting_ends_as_soon_as_the_job_does(house: House) -> None:
    launch = house.waiting("exit 0")
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(house.executor.wait, launch.name, BOUND_S)
        house.open_gate(launch)
        began = time.monotonic()
        waiting.result(BOUND_S)
    assert time.monotonic() - began < BOUND_S / 10
    assert isinstance(house.executor.look(launch.name), Exit)


def test_waiting_ends_when_the_time_is_up(house: House) -> None:
    launch = house.waiting("exit 0")
    began = time.monotonic()
    house.executor.wait(launch.name, 0.3)
    assert 0.3 <= time.monotonic() - began < BOUND_S / 10
    assert isinstance(house.executor.look(launch.name), Running)


def test_waiting_for_what_is_not_there_or_has_ended_returns_at_once(house: House) -> None:
    launch = house.launch("true")
    began = time.monotonic()
    house.executor.wait(launch.name, BOUND_S)
    house.run(launch)
    house.executor.wait(launch.name, BOUND_S)
    assert time.monotonic() - began < BOUND_S / 10


# Stopping and clearing


def test_stop_asks_the_job_to_end_and_lets_it_say_how(house: House) -> None:
    script = f"trap 'echo asked > asked; exit 9' TERM; touch begun; {FOREVER}"
    launch = house.launch("sh", "-c", script)
    house.executor.start(launch)
    until_exists(launch.folder / "begun")
    house.executor.stop(launch.name, BOUND_S)
    assert house.end_of(launch).status == 9
    assert (launch.folder / "asked").exists()


@pytest.mark.attack("a job ignores SIGTERM")
def test_stop_kills_a_job_that_does_not_listen(house: House) -> None:
    launch = house.launch("sh", "-c", f"trap '' TERM; touch begun; {FOREVER}")
    house.executor.start(launch)
    until_exists(launch.folder / "begun")
    house.executor.stop(launch.name, 1)
    assert house.end_of(launch).status == 137


def test_stopping_what_has_ended_or_never_was_changes_nothing(house: House) -> None:
    launch = house.launch("sh", "-c", "exit 4")
    house.executor.stop(launch.name, 1)
    ended = house.run(launch)
    house.executor.stop(launch.name, 1)
    assert house.executor.look(launch.name) == ended


def test_clearing_leaves_no_trace_and_may_be_repeated(house: House) -> None:
    launch = house.launch("true")
    house.run(launch)
    assert house.executor.names() == [launch.name]
    house.executor.clear(launch.name)
    house.executor.clear(launch.name)
    assert house.executor.names() == []
    assert house.executor.look(launch.name) == Absent()


def test_clearing_a_running_job_ends_it(house: House) -> None:
    token = secrets.token_hex(8)
    launch = house.launch("sh", "-c", f": {token}; touch begun; {FOREVER}")
    house.executor.start(launch)
    until_exists(launch.folder / "begun")
    house.executor.clear(launch.name)
    assert house.executor.look(launch.name) == Absent()
    assert not any(token in line for line in command_lines())


@pytest.mark.attack("a job leaves a daemon behind")
def test_a_daemon_left_behind_is_gone_when_the_exit_is_told(house: House) -> None:
    token = secrets.token_hex(8)
    daemon = f": {token}; trap '' TERM HUP; touch begun; {FOREVER}"
    script = f'(setsid sh -c "{daemon}" > /dev/null 2>&1 &); until test -e begun; do :; done'
    launch = house.launch("sh", "-c", script)
    assert house.run(launch).status == 0
    assert (launch.folder / "begun").exists()
    assert not any(token in line for line in command_lines())


# Another runner


def start_and_wait(again: Callable[[], Executor], launch: Launch, started: Event) -> None:
    """A runner in a process of its own."""
    executor = again()
    executor.start(launch)
    started.set()
    executor.wait(launch.name, BOUND_S)


def test_a_job_outlives_its_killed_runner_and_another_one_finds_it(house: House) -> None:
    launch = house.launch("sh", "-c", "echo once >> count; read go < gate; exit 5")
    house.gate(launch)
    context = multiprocessing.get_context("spawn")
    started = context.Event()
    runner = context.Process(target=start_and_wait, args=(house.again, launch, started))
    runner.start()
    assert started.wait(BOUND_S)
    runner.kill()
    runner.join()
    other = house.again()
    assert isinstance(other.look(launch.name), Running)
    other.start(launch)
    house.open_gate(launch)
    assert house.end_of(launch).status == 5
    assert (launch.folder / "count").read_text() == "once\n"


# What a job said


def test_the_whole_log_is_saved_both_streams_of_it(house: House) -> None:
    launch = house.launch("sh", "-c", "echo to stdout; echo to stderr >&2")
    house.run(launch)
    said = house.said(launch)
    assert "to stdout\n" in said
    assert "to stderr\n" in said


@pytest.mark.attack("a job floods its log")
def test_a_long_log_is_cut_in_the_middle_and_says_so(house: House) -> None:
    count = "n=0; while test $n -lt 5000; do n=$((n+1)); echo line $n; done"
    launch = house.launch("sh", "-c", count)
    house.run(launch)
    said = house.said(launch, 20_000)
    assert len(said) <= 20_000
    assert "line 1\n" in said
    assert "line 2500\n" not in said
    assert "line 5000\n" in said
    assert "cut" in said


@pytest.mark.attack("a secret in a job's log is torn where the log is cut")
def test_a_log_is_cut_at_the_ends_of_lines_however_long_they_are(house: House) -> None:
    """The engine itself has lines of up to 16 KiB."""
    words = 'import sys\nfor n in range(300): sys.stdout.write(f"<{n} " + "secret " * (n % 7 * 900)'
    launch = house.launch("python", "-c", words + ' + ">\\n")', image=images.PYTHON)
    house.run(launch)
    for limit_bytes in range(200_000, 300_000, 9_999):
        said = house.said(launch, limit_bytes)
        assert len(said) <= limit_bytes
        lines = [line for line in said.splitlines() if line and "cut out here" not in line]
        torn = [line[:60] for line in lines if not re.search(r"<\d+ (secret )*>$", line)]
        assert torn == []


def test_a_saved_log_replaces_the_file_it_was_written_to_and_can_be_saved_again(
    house: House,
) -> None:
    launch = house.launch("sh", "-c", "echo once")
    house.run(launch)
    for _ in range(2):
        house.executor.save_log(launch.name, launch.log, 1000)
    assert launch.log.read_text().count("once") == 1


def test_a_log_can_be_followed_until_the_job_ends(house: House) -> None:
    launch = house.launch("sh", "-c", "echo before; read go < gate; echo after")
    house.gate(launch)
    house.executor.start(launch)
    said = b""
    for piece in house.executor.follow_log(launch.name, follow=True):
        said += piece
        if b"before" in said and b"after" not in said:
            house.open_gate(launch)
    assert b"after" in said


def test_what_was_said_so_far_is_told_without_waiting(house: House) -> None:
    launch = house.launch("sh", "-c", "echo so far; touch begun; read go < gate; echo after")
    house.gate(launch)
    house.executor.start(launch)
    until_exists(launch.folder / "begun")
    said = b""
    while b"so far" not in said:  # the log may come a moment after
        said = b"".join(house.executor.follow_log(launch.name, follow=False))
    assert b"after" not in said


# What a job sees


@pytest.mark.attack("a job's environment has something of the runner's")
def test_the_environment_is_given_and_nothing_of_the_runners(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNNERS_OWN_TOKEN", "canary")
    launch = house.launch(
        "sh", "-c", "env; echo HOME is $HOME", environment={"OPENSAFELY_BACKEND": "a b'c\"$d"}
    )
    house.run(launch)
    said = house.said(launch)
    assert "OPENSAFELY_BACKEND=a b'c\"$d\n" in said
    assert "HOME is /tmp\n" in said
    assert "canary" not in said


@pytest.mark.attack("a job's secrets stand on a command line or in a file")
def test_a_secret_stands_on_no_command_line_and_in_no_file(house: House) -> None:
    secret = secrets.token_hex(8)
    launch = house.waiting("exit 0", environment={"DATABASE_URL": secret})
    lines = command_lines()
    house.open_gate(launch)
    house.end_of(launch)
    assert not any(secret in line for line in lines)
    left = [path for path in house.base.rglob("*") if path.is_file()]
    assert not any(secret.encode() in path.read_bytes() for path in left)


def test_the_folder_is_the_working_directory_and_workspace(house: House) -> None:
    launch = house.launch("sh", "-c", "pwd; echo made > made; cat made")
    (launch.folder / "given").write_text("given")
    assert house.run(launch).status == 0
    assert (launch.folder / "made").read_text() == "made\n"
    assert ("/workspace" if house.isolated else str(launch.folder)) in house.said(launch)


@pytest.mark.attack("a job becomes another user")
def test_the_job_has_its_own_user_and_no_way_to_become_another(house: House) -> None:
    script = "id -u; id -g; grep -E 'NoNewPrivs|Cap(Eff|Prm|Bnd)' /proc/self/status; touch made"
    launch = house.launch("sh", "-c", script)
    assert house.run(launch).status == 0
    said = house.said(launch)
    assert said.count(f"{USER[0]}\n") == 2
    assert "NoNewPrivs:\t1\n" in said
    assert said.count(f"{0:016x}\n") == (3 if AS_ROOT else 2)  # only root can empty the bound
    made = (launch.folder / "made").stat()
    assert (made.st_uid, made.st_gid) == USER


def test_the_job_reads_nothing_from_stdin(house: House) -> None:
    script = "! read line && test -c /proc/self/fd/0"
    assert house.run(house.launch("sh", "-c", script)).status == 0


@pytest.mark.attack("a job uses a network")
def test_the_job_has_no_network_but_its_own_loopback(house: House) -> None:
    if not house.isolated:
        assert any("network" in sentence for sentence in house.executor.shortcomings())
        return
    launch = house.launch("sh", "-c", "grep : /proc/net/dev | cut -d: -f1 > interfaces")
    house.run(launch)
    assert (launch.folder / "interfaces").read_text().split() == ["lo"]


@pytest.mark.attack("a job looks for other processes and files")
def test_the_job_sees_neither_other_processes_nor_other_files(house: House) -> None:
    if not house.isolated:
        assert any("files" in sentence for sentence in house.executor.shortcomings())
        return
    (house.base / "secret").write_text("of another")
    script = f"ls /proc | grep -c '^[0-9]*$' > processes; ls {house.base} > others"
    launch = house.launch("sh", "-c", script)
    assert house.run(launch).status != 0
    assert int((launch.folder / "processes").read_text()) < 8
    assert (launch.folder / "others").read_text() == ""


# Images


def test_an_image_that_is_not_here_is_refused_by_name(house: House) -> None:
    launch = house.launch("true", image=f"{images.REGISTRY}/absent:v9")
    assert house.executor.image_id(launch.image) == ""
    with pytest.raises(Refused, match=r"absent:v9") as refused:
        house.executor.start(launch)
    assert refused.value.kind == "no_image"
    assert house.executor.names() == []


def test_the_runtimes_are_the_images_that_are_here_without_their_tags(house: House) -> None:
    assert {"busybox", "python"} <= house.executor.runtimes(images.REGISTRY)
    assert "stata-mp" not in house.executor.runtimes("ghcr.io/nobody")


def test_a_program_that_is_not_there_ends_with_127_and_its_name_in_the_log(house: House) -> None:
    launch = house.launch("nosuchprogram")
    assert house.run(launch).status == 127
    assert "nosuchprogram" in house.said(launch)


@pytest.mark.parametrize("arguments", [("python", "say.py", "it"), ("say.py", "it")])
def test_the_entry_point_runs_a_program_or_the_images_own(
    house: House, arguments: tuple[str, ...]
) -> None:
    launch = house.launch(*arguments, image=images.PYTHON)
    (launch.folder / "say.py").write_text("import sys; print('said', sys.argv[1])")
    assert house.run(launch).status == 0
    assert "said it" in house.said(launch)


def test_a_script_of_the_study_is_a_program_too(house: House) -> None:
    launch = house.launch("./run.sh", "it", image=images.PYTHON)
    (launch.folder / "run.sh").write_text("#!/bin/sh\necho said $1\n")
    (launch.folder / "run.sh").chmod(0o755)
    assert house.run(launch).status == 0
    assert "said it" in house.said(launch)


# Limits (without root there are no control groups to set them with)


@pytest.mark.attack("a job takes all memory")
@pytest.mark.skipif(not AS_ROOT, reason="limits of a whole job need root")
def test_a_job_that_takes_too_much_memory_is_killed_and_told_why(house: House) -> None:
    greedy = ("python", "-c", "bytearray(400 << 20)")
    limits = Limits(memory_bytes=64 << 20)
    ended = house.run(house.launch(*greedy, image=images.PYTHON, limits=limits))
    assert (ended.status, ended.reason) == (137, "out_of_memory")


@pytest.mark.attack("a job forks without end")
@pytest.mark.skipif(not AS_ROOT, reason="limits of a whole job need root")
def test_a_job_can_make_no_more_processes_than_it_may(house: House) -> None:
    script = "n=0; while test $n -lt 40; do n=$((n+1)); sleep 60 & done; touch made"
    launch = house.launch("sh", "-c", script, limits=Limits(pids=16))
    assert house.run(launch).status != 0
    assert not (launch.folder / "made").exists()
    assert "fork" in house.said(launch)


@pytest.mark.attack("a job takes all processors")
@pytest.mark.skipif(not AS_ROOT, reason="limits of a whole job need root")
def test_a_job_gets_no_more_cpu_than_it_may(house: House) -> None:
    busy = "import time; t=time.monotonic()\nwhile time.monotonic() < t + 1: pass\n"
    told = "print('used', int(time.process_time() * 1000), 'ms')"
    launch = house.launch("python", "-c", busy + told, image=images.PYTHON, limits=Limits(cpus=0.3))
    house.run(launch)
    used_ms = int(house.said(launch).split("used ")[1].split()[0])
    assert used_ms < 600

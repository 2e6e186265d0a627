"""What only the process executor has: its keeper, its sandbox, what it refuses."""

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

import spoolrunner
from spoolrunner.errors import Refused
from spoolrunner.executor import (
    UNPREPARED,
    Absent,
    Exit,
    Launch,
    Limits,
    Running,
    joblog,
    kept,
)
from spoolrunner.executor.images import LocalImages
from spoolrunner.executor.keeper import CANNOT_PREPARE
from spoolrunner.executor.process import ProcessExecutor
from tests.executor.conftest import AS_ROOT, BOUND_S, House, process_house
from tests.rig import images

FOREVER = "while :; do sleep 1; done"


@pytest.fixture(params=["process", "process-without-bubblewrap"])
def house(request: pytest.FixtureRequest, tmp_path: Path, reachable: Path) -> Iterator[House]:
    one = process_house(tmp_path if request.param == "process" else reachable, request.param)
    yield one
    one.clear()


@pytest.fixture
def sandboxed(tmp_path: Path) -> Iterator[House]:
    one = process_house(tmp_path, "process")
    yield one
    one.clear()


@pytest.fixture
def bare(reachable: Path) -> Iterator[House]:
    one = process_house(reachable, "process-without-bubblewrap")
    yield one
    one.clear()


def keeper_of(house: House, launch: Launch) -> int:
    pid = json.loads(house.base.joinpath("executor", launch.name, "started").read_bytes())["pid"]
    return int(pid)


def guard_of(keeper: int) -> int:
    return int(Path(f"/proc/{keeper}/stat").read_text().rpartition(")")[2].split()[1])


def processes_saying(token: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if token in path.read_text(errors="replace"):
                found.append(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
    return found


def until_not_running(house: House, launch: Launch) -> None:
    deadline = time.monotonic() + BOUND_S
    while isinstance(house.executor.look(launch.name), Running):
        assert time.monotonic() < deadline
        house.executor.wait(launch.name, 1)


def until_written(path: Path) -> None:
    until(path.exists, f"{path.name} appears")


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + BOUND_S
    while not holds():
        assert time.monotonic() < deadline, f"not within {BOUND_S} s: {what}"
        time.sleep(0.005)


def until_begun(launch: Launch) -> None:
    until_written(launch.folder / "begun")


def with_a_daemon(house: House) -> Launch:
    """A running job with a process that left its session; both carry the job's name."""
    name = house.launch().name
    daemon = f": {name}; trap '' TERM HUP; touch begun; {FOREVER}"
    script = f'(setsid sh -c "{daemon}" > /dev/null 2>&1 &); : {name}; {FOREVER}'
    launch = house.launch("sh", "-c", script)
    house.executor.start(launch)
    until_begun(launch)
    return launch


# The keeper


def test_a_killed_keeper_takes_all_of_its_job_with_it_and_the_job_is_lost(house: House) -> None:
    launch = with_a_daemon(house)
    os.kill(keeper_of(house, launch), signal.SIGKILL)
    until_not_running(house, launch)
    assert house.executor.look(launch.name) == Absent()
    assert processes_saying(f": {launch.name}") == []


def test_a_lost_job_is_not_begun_again_under_its_name(house: House) -> None:
    launch = house.waiting("echo again >> count")
    os.kill(keeper_of(house, launch), signal.SIGKILL)
    until_not_running(house, launch)
    house.executor.start(launch)
    assert house.executor.look(launch.name) == Absent()
    assert not (launch.folder / "count").exists()


def test_a_keeper_whose_guard_was_killed_goes_on(house: House) -> None:
    launch = house.waiting("exit 6")
    os.kill(guard_of(keeper_of(house, launch)), signal.SIGKILL)
    house.open_gate(launch)
    assert house.end_of(launch).status == 6


@pytest.mark.skipif(not AS_ROOT, reason="a job's processes are only found by its control group")
def test_what_outlives_keeper_and_guard_is_killed_at_the_latest_by_stop(bare: House) -> None:
    launch = with_a_daemon(bare)
    keeper = keeper_of(bare, launch)
    for pid in (guard_of(keeper), keeper):
        os.kill(pid, signal.SIGKILL)
    until_not_running(bare, launch)
    assert bare.executor.look(launch.name) == Absent()  # so the job never had the lock
    bare.executor.stop(launch.name, 0)
    assert processes_saying(f": {launch.name}") == []


def test_a_job_killed_from_outside_is_recorded_like_any_end(house: House) -> None:
    launch = house.launch("sh", "-c", f"touch begun; {FOREVER}")
    house.executor.start(launch)
    until_begun(launch)
    os.kill(max(processes_saying(f"touch begun; {FOREVER}")), signal.SIGKILL)
    assert house.end_of(launch).status == 137


def test_half_a_launch_begins_nothing_and_the_whole_one_still_can(house: House) -> None:
    launch = house.launch("sh", "-c", "echo once >> count")
    folder = house.base / "executor" / launch.name
    folder.mkdir()
    command = [sys.executable, "-I", "-S", str(kept.KEEPER), str(folder)]
    cut = subprocess.run(command, input=b'{"argv": ["/bin/sh"', capture_output=True, check=False)
    assert cut.returncode != 0
    assert house.executor.look(launch.name) == Absent()
    house.run(launch)
    assert (launch.folder / "count").read_text() == "once\n"


def test_the_keeper_knows_no_secret_by_its_environment_and_needs_no_library(house: House) -> None:
    launch = house.waiting("exit 0", environment={"SECRET": "canary"})
    keeper = keeper_of(house, launch)
    assert Path(f"/proc/{keeper}/environ").read_bytes() == b""
    assert "site-packages" not in Path(f"/proc/{keeper}/maps").read_text()
    assert os.getsid(keeper) != os.getsid(0)


def test_a_job_that_could_not_be_prepared_has_no_end_of_its_own(sandboxed: House) -> None:
    lost = sandboxed.launch("true")
    lost.folder.rmdir()
    failed = sandboxed.run(lost)
    assert (failed.status, failed.reason) == (CANNOT_PREPARE, UNPREPARED)
    own = sandboxed.run(sandboxed.launch("sh", "-c", f"exit {CANNOT_PREPARE}", number=2))
    assert (own.status, own.reason) == (CANNOT_PREPARE, "")


@pytest.mark.parametrize(
    ("said", "reason"), [('{ "child-pid": 7 }\n', UNPREPARED), ('{ "exit-code": 1 }\n', "")]
)
def test_a_sandbox_that_fails_is_told_from_the_jobs_own_end(
    tmp_path: Path, said: str, reason: str
) -> None:
    """Both end with 1."""
    told = os.memfd_create("told")
    os.write(told, said.encode())
    description = json.loads(description_of(tmp_path))
    description |= {"argv": ["/bin/sh", "-c", "exit 1"], "sandbox": [told]}
    job = kept.KeptJob(tmp_path)
    job.begin(json.dumps(description), (told,))
    os.close(told)
    job.wait(BOUND_S)
    ended = job.look()
    assert isinstance(ended, Exit)
    assert (ended.status, ended.reason) == (1, reason)


def test_a_job_is_given_no_descriptor_of_ours(house: House) -> None:
    launch = house.launch("sh", "-c", "for each in /proc/self/fd/*; do readlink $each; done; true")
    assert house.run(launch).status == 0
    assert "memfd" not in house.said(launch)


def test_no_zombie_is_left_to_the_runner(house: House) -> None:
    house.run(house.launch("true"))
    with contextlib.suppress(ChildProcessError):  # no child at all, as is right
        assert os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def description_of(folder: Path) -> str:
    """Of a job that writes one word."""
    nothing: dict[str, Any] = {"environment": {}, "owner": None, "rlimits": {}, "cpus": []}
    nothing |= {"layers": 0, "image_id": "", "log_bytes": 0, "join": []}
    nothing |= {"oom_events": "", "pids_max": "", "sandbox": []}
    script = ["/bin/sh", "-c", "echo word >> words"]
    more = {"argv": script, "cwd": str(folder), "log": str(folder / "log")}
    return json.dumps(nothing | more)


def keep(folder: Path, *before: str) -> str:
    """Run a keeper by hand. Returns its answer."""
    command = [*before, sys.executable, "-I", "-S", str(kept.KEEPER), str(folder)]
    told = description_of(folder)
    done = subprocess.run(
        command, input=told, capture_output=True, text=True, check=True, timeout=BOUND_S
    )
    return done.stdout


def test_a_job_goes_on_whose_runner_died_before_it_heard_the_answer(tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-S", str(kept.KEEPER), str(tmp_path)]
    nobody_listens, answer = os.pipe()
    os.close(nobody_listens)
    told = description_of(tmp_path)
    subprocess.run(command, input=told, text=True, stdout=answer, check=True, timeout=BOUND_S)
    os.close(answer)
    until_written(tmp_path / "status")
    ended = kept.KeptJob(tmp_path).look()
    assert isinstance(ended, Exit)
    assert ended.status == 0


def test_the_status_is_flushed_before_anybody_can_read_it(tmp_path: Path) -> None:
    """The order that reference/spool.md 2.1 asks for: file, rename, folder."""
    trace = tmp_path / "trace"
    keep(tmp_path, "strace", "-f", "-o", str(trace), "-e", "trace=fsync,rename")
    calls = [line.split()[1].partition("(")[0] for line in trace.read_text().splitlines()]
    steps = [call for call in calls if call in ("fsync", "rename")]
    assert steps == ["fsync", "rename", "fsync"] * 2
    assert (tmp_path / "status").exists()


def test_a_keeper_that_comes_late_leaves_alone_what_was_begun(tmp_path: Path) -> None:
    assert keep(tmp_path) == "begun"
    kept.KeptJob(tmp_path).wait(BOUND_S)
    assert keep(tmp_path) == "already"
    assert (tmp_path / "words").read_text() == "word\n"


def test_a_keeper_that_comes_after_its_name_was_given_up_begins_nothing(tmp_path: Path) -> None:
    """Its runner was killed as it began, and the job was cancelled meanwhile."""
    folder = tmp_path / "name"
    folder.mkdir()
    command = [sys.executable, "-I", "-S", str(kept.KEEPER), str(folder)]
    late = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: os.readlink(f"/proc/{late.pid}/cwd") == str(folder), "it is in its folder")
    kept.KeptJob(folder).forget()
    _, said = late.communicate(description_of(tmp_path), timeout=BOUND_S)
    assert (late.returncode, "FileNotFoundError" in said) == (1, True)
    folder.mkdir()
    (folder / kept.FORGOTTEN).touch()
    assert keep(folder) == "already"
    assert not (tmp_path / "words").exists()


def test_a_name_that_was_given_up_half_way_can_be_begun_and_forgotten(tmp_path: Path) -> None:
    folder = tmp_path / "name"
    folder.mkdir()
    (folder / kept.FORGOTTEN).touch()
    (folder / ".draft-of-it").touch()  # of a power cut
    job = kept.KeptJob(folder)
    job.begin(description_of(tmp_path), ())
    job.wait(BOUND_S)
    assert (tmp_path / "words").read_text() == "word\n"
    job.forget()
    assert not folder.exists()


@pytest.mark.skipif(not AS_ROOT, reason="limits of a whole job need root")
def test_who_comes_while_another_keeper_begins_waits_until_that_is_written_down(
    tmp_path: Path,
) -> None:
    """Else the job would be taken for lost: it has the lock, but no record yet."""
    job = kept.KeptJob(tmp_path)
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.fcntl(lock, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(job.begin, description_of(tmp_path), ())
        with pytest.raises(TimeoutError):
            coming.result(timeout=2)
        about = {"pid": os.getpid(), "started_at": "now", "log": "", "image_id": ""}
        (tmp_path / ".begun").write_text(json.dumps(about))
        (tmp_path / ".begun").rename(tmp_path / "started")
        coming.result(BOUND_S)
    os.close(lock)


def test_a_fork_bomb_is_stopped(house: House) -> None:
    bomb = "trap '' TERM; (bomb() { bomb | bomb & }; bomb) & : > begun; while :; do :; done"
    launch = house.launch("sh", "-c", bomb, limits=Limits(pids=100, log_bytes=100_000))
    house.executor.start(launch)
    until_begun(launch)
    house.executor.stop(launch.name, 0)
    assert house.end_of(launch).status == 137
    assert processes_saying("bomb() {") == []


def test_executors_of_two_spools_may_share_a_folder_and_do_not_see_each_other(
    tmp_path: Path,
) -> None:
    one = process_house(tmp_path, "process")
    other = process_house(tmp_path, "process")
    launch = one.launch("true")
    one.run(launch)
    assert one.executor.names() == [launch.name]
    assert other.executor.names() == []
    one.clear()


# The log


@pytest.mark.parametrize("lines", [0, 10, 100_000])
def test_a_log_takes_no_more_room_than_it_may_and_keeps_both_ends(house: House, lines: int) -> None:
    limit_bytes = 200_000
    script = f"seq 1 {lines}; echo the end"
    launch = house.launch("sh", "-c", script, limits=Limits(log_bytes=limit_bytes))
    house.run(launch)
    room_bytes = launch.log.stat().st_blocks * 512
    said = house.said(launch, 0)
    followed = b"".join(house.executor.follow_log(launch.name, follow=False)).decode()
    assert room_bytes <= limit_bytes + 2 * 4096
    assert said == followed
    assert said.endswith("the end\n")
    assert said.startswith("1\n2\n") == (lines > 0)
    assert ("were cut out here" in said) == (lines == 100_000)
    assert "\0" not in said


def test_a_cut_tells_exactly_how_much_is_missing(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"".join(b"%07d\n" % number for number in range(1000)))
    joblog.save(source, target, 2000)
    text = target.read_bytes()
    cut_bytes = int(text.split(b"[spoolrunner: ")[1].split()[0])
    kept_bytes = len(text) - len(joblog.notice(cut_bytes))
    assert len(text) <= 2000
    assert kept_bytes + cut_bytes == 8000


# What it refuses


def test_without_a_sandbox_no_job_runs_that_must_have_no_network(bare: House) -> None:
    launch = bare.launch("true", strict=True)
    with pytest.raises(Refused, match="no network") as refused:
        bare.executor.start(launch)
    assert refused.value.kind == "cannot_enforce"
    assert bare.executor.names() == []


def test_a_database_network_is_refused_where_it_counts_and_else_left_out(sandboxed: House) -> None:
    script = "grep : /proc/net/dev | cut -d: -f1 > interfaces"
    launch = sandboxed.launch("sh", "-c", script, network="jobrunner-db")
    with pytest.raises(Refused, match="jobrunner-db"):
        sandboxed.executor.start(launch)
    lenient = sandboxed.launch("sh", "-c", script, network="jobrunner-db", strict=False)
    sandboxed.run(lenient)
    assert (launch.folder / "interfaces").read_text().split() == ["lo"]
    assert any("network" in sentence for sentence in sandboxed.executor.shortcomings())


# The sandbox


def test_the_sandbox_shows_a_list_of_things_and_nothing_else(sandboxed: House) -> None:
    script = "ls -A / > root; ls -A /etc > etc; ls -A /tmp /dev/shm /root /home > rest 2>&1; id -un"
    launch = sandboxed.launch("sh", "-c", script)
    sandboxed.run(launch)
    seen = set((launch.folder / "root").read_text().split())
    links = {"bin", "sbin", "lib", "lib32", "lib64", "libx32"}
    python = {Path(prefix).parts[1] for prefix in (sys.prefix, sys.base_prefix)}
    assert seen - links == python | {"dev", "etc", "proc", "tmp", "usr", "workspace"}
    etc = set((launch.folder / "etc").read_text().split())
    assert etc <= {"passwd", "group", "ld.so.cache", "alternatives", "R", "localtime", "fonts"}
    assert "job\n" in sandboxed.said(launch)


def test_nothing_but_the_workspace_and_tmp_can_be_written(sandboxed: House) -> None:
    places = "/ /usr /etc /dev /tmp /dev/shm /workspace"
    script = f"for place in {places}; do touch $place/x && echo $place; done"
    launch = sandboxed.launch("sh", "-c", f"({script}) > written 2> /dev/null; exit 0")
    sandboxed.run(launch)
    assert (launch.folder / "written").read_text().split() == ["/tmp", "/dev/shm", "/workspace"]


def test_the_interpreter_of_a_virtual_environment_under_a_closed_home_works(tmp_path: Path) -> None:
    house = process_house(tmp_path, "process", commands={"python:*": (sys.executable,)})
    script = "import sys, msgspec; print(sys.prefix)"
    launch = house.launch("python", "-c", script, image=images.PYTHON)
    assert house.run(launch).status == 0
    assert sys.prefix in house.said(launch)
    house.clear()


def test_a_command_outside_of_usr_is_shown_with_its_folder(tmp_path: Path) -> None:
    tool = tmp_path / "opt" / "tool"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho tool says $1\n")
    tool.chmod(0o755)
    house = process_house(tmp_path, "process", commands={"tool:*": (str(tool),)})
    launch = house.launch("it", image="registry/tool:v1")
    assert house.run(launch).status == 0
    assert "tool says it" in house.said(launch)
    house.clear()


def test_a_bubblewrap_that_does_not_work_counts_as_none(tmp_path: Path) -> None:
    executor = ProcessExecutor("00000000", folder=tmp_path, bubblewrap="false")
    assert any("bubblewrap" in sentence for sentence in executor.shortcomings())


@pytest.mark.skipif(not AS_ROOT, reason="the other user is the one who runs the tests")
def test_a_runner_who_is_not_root_can_keep_jobs_too(reachable: Path) -> None:
    os.chmod(reachable, 0o777)
    for package in (spoolrunner, msgspec):  # where we have them may be for root alone
        source = Path(package.__file__).parent
        shutil.copytree(source, reachable / "lib" / source.name)
    script = shutil.copy(Path(__file__).with_name("as_another_user.py"), reachable)
    command = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", "/usr/bin/python3"]
    done = subprocess.run(
        [*command, script, reachable],
        env={"PYTHONPATH": str(reachable / "lib")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(done.stdout) == ["12345", "lo", "7"], done.stderr


# The table of images


@pytest.mark.parametrize(
    ("image", "pattern"),
    [
        ("ghcr.io/opensafely-core/python:v2", "python:v2"),
        ("localhost:5000/python", "python:latest"),
        ("python:v2@sha256:0123", "python:*"),
        ("python", "*"),
    ],
)
def test_an_image_is_known_by_its_last_part_and_tag(
    image: str, pattern: str, tmp_path: Path
) -> None:
    commands = LocalImages({pattern: ("/bin/echo", "-n")})
    assert commands.image_id(image).startswith("local:")
    assert commands.argv(image, ["a b"], tmp_path) == ["/bin/echo", "-n", "a b"]


def test_an_image_whose_program_is_not_installed_is_not_here(tmp_path: Path) -> None:
    commands = LocalImages({"stata-mp:*": ("no-such-stata",)})
    assert commands.image_id("stata-mp:latest") == ""
    with pytest.raises(Refused, match="stata-mp:latest"):
        commands.argv("stata-mp:latest", ["analysis/a.do"], tmp_path)


def test_a_file_that_only_looks_executable_is_given_to_the_images_command(tmp_path: Path) -> None:
    (tmp_path / "data.py").write_text("print(1)")
    (tmp_path / "data.py").chmod(0o755)
    os.symlink("/bin/true", tmp_path / "link")
    commands = LocalImages({"python:*": ("/usr/bin/python3",)})
    for word in ("./data.py", "./link", "./absent", "."):
        assert commands.argv("python:v2", [word], tmp_path) == ["/usr/bin/python3", word]


IN_OTHER_LANGUAGES = {
    "perl": """open(F, ">", "plot.png"); print F "a plot"; print "fitted\\n";""",
    "Rscript": """png("plot.png"); plot(1); cat("fitted\\n")""",
}


@pytest.mark.parametrize("program", [*filter(shutil.which, IN_OTHER_LANGUAGES)])
def test_an_image_of_another_language_is_its_program_here(tmp_path: Path, program: str) -> None:
    """perl is on every Debian. R runs too where it is installed; tests don't ask for its 50 MB."""
    house = process_house(tmp_path, "process", commands={"r:*": (program,)})
    launch = house.launch("model.R", image="ghcr.io/opensafely-core/r:latest")
    (launch.folder / "model.R").write_text(IN_OTHER_LANGUAGES[program])
    assert house.run(launch).status == 0
    assert house.said(launch) == "fitted\n"
    assert (launch.folder / "plot.png").stat().st_size
    house.clear()


def test_a_keeper_whose_folder_was_removed_ends_with_its_job(house: House) -> None:
    launch = house.waiting("exit 0")
    (started,) = house.base.glob(f"**/{launch.name}/started")
    keeper = os.pidfd_open(json.loads(started.read_bytes())["pid"])
    shutil.rmtree(started.parent)
    house.open_gate(launch)
    assert select.select([keeper], [], [], BOUND_S)[0]
    os.close(keeper)

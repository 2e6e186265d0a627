"""What a hostile study would try from within its container. A program of its own, for the job:

    python attacks.py      reads what there is to be reached from host.json beside it,
                           prints one JSON object: attack -> what came of it

Each attack is a function that returns if it got what it wanted and raises if it was held. Each runs
in a process of its own. Knows only the standard library: it is copied into the job's folder.
"""

import ctypes
import json
import os
import resource
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

GOT_IN = "got in"
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_BIND = 4096
PTRACE_ATTACH, PTRACE_DETACH = 16, 17
TIOCSTI = 0x5412
# (x86_64, aarch64)
SYSCALLS = {
    "pivot_root": (155, 41),
    "init_module": (175, 105),
    "kexec_load": (246, 104),
    "perf_event_open": (298, 241),
    "open_by_handle_at": (304, 265),
    "bpf": (321, 280),
    "acct": (163, 89),
    "swapon": (167, 224),
    "add_key": (248, 217),
}

libc = ctypes.CDLL(None, use_errno=True)
attacks: dict[str, Callable[[dict[str, Any]], object]] = {}


def attack(name: str) -> Callable[[Callable[..., object]], Callable[..., object]]:
    def register(function: Callable[..., object]) -> Callable[..., object]:
        attacks[name] = function
        return function

    return register


def call(name: str, *arguments: Any) -> int:
    """A function of libc, or a system call that it has no function for. Raises OSError."""
    if name in SYSCALLS:
        number = SYSCALLS[name][os.uname().machine == "aarch64"]
        result = libc.syscall(ctypes.c_long(number), *arguments)
    else:
        result = getattr(libc, name)(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(result)


def need(got: object, why: str) -> None:
    if not got:
        raise PermissionError(why)


# --- the host's files


@attack("read a file of the host that everybody may read")
def read_host_file(host: dict[str, Any]) -> None:
    Path(host["canary"]).read_text()


@attack("write where everybody on the host may write")
def write_host_file(host: dict[str, Any]) -> None:
    Path(host["open_folder"], "from-the-job").write_text("1")


@attack("read a host file through the first process's root")
def read_through_root(host: dict[str, Any]) -> None:
    Path(f"/proc/1/root{host['canary']}").read_text()


@attack("read the list of the host's users")
def read_users(host: dict[str, Any]) -> None:
    need(host["a_user"] in Path("/etc/passwd").read_text(), "not the host's")


@attack("read the host's passwords")
def read_shadow(host: dict[str, Any]) -> None:
    Path("/etc/shadow").read_text()


@attack("open a file by its handle, past every mount")
def open_by_handle(host: dict[str, Any]) -> None:
    handle = ctypes.create_string_buffer(b"\x08\0\0\0\x01\0\0\0\x02\0\0\0\0\0\0\0", 16)
    folder = os.open("/", os.O_RDONLY)
    call("open_by_handle_at", folder, handle, os.O_RDONLY)


@attack("find a descriptor that the runner left open")
def inherited_descriptors(host: dict[str, Any]) -> None:
    kept = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            kept[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue  # the listing's own
    outside = [to for to in kept.values() if to.startswith("/") and not _harmless(to)]
    need(outside, "none")


def _harmless(path: str) -> bool:
    return path.startswith(("/dev/", "/proc/", "/workspace", str(Path.cwd())))


# --- its own image


@attack("replace a program of its image")
def replace_program(host: dict[str, Any]) -> None:
    Path("/usr/bin/replaced").write_text("#!/bin/sh\n")


@attack("write in the root of its image")
def write_root(host: dict[str, Any]) -> None:
    Path("/in-the-root").write_text("1")


# --- other processes


@attack("see a process of the host")
def see_process(host: dict[str, Any]) -> None:
    words = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.is_file()]
    need(any(host["marker"].encode() in line for line in words), "not to be seen")


@attack("signal a process of the host")
def signal_process(host: dict[str, Any]) -> None:
    os.kill(host["pid"], 0)


@attack("trace a process of the host")
def trace_process(host: dict[str, Any]) -> None:
    call("ptrace", PTRACE_ATTACH, host["pid"], 0, 0)
    os.waitpid(host["pid"], 0)
    call("ptrace", PTRACE_DETACH, host["pid"], 0, 0)


@attack("read the environment of a process of the host")
def read_environment(host: dict[str, Any]) -> None:
    need(Path(f"/proc/{host['pid']}/environ").read_bytes(), "empty")


@attack("use shared memory of the host (System V)")
def shared_memory(host: dict[str, Any]) -> None:
    call("shmget", host["shm_key"], 1, 0)


@attack("type into the operator's terminal")
def type_into_terminal(host: dict[str, Any]) -> None:
    import fcntl

    fcntl.ioctl(os.open("/dev/tty", os.O_RDWR), TIOCSTI, b"x")


# --- networks


@attack("reach a server on the host's loopback")
def reach_loopback(host: dict[str, Any]) -> None:
    socket.create_connection(("127.0.0.1", host["port"]), timeout=2).close()


@attack("reach an abstract socket of the host")
def reach_abstract(host: dict[str, Any]) -> None:
    socket.socket(socket.AF_UNIX).connect("\0" + host["abstract"])


@attack("reach the engine's own socket")
def reach_engine(host: dict[str, Any]) -> None:
    socket.socket(socket.AF_UNIX).connect(host["engine"])


@attack("reach the cloud's metadata address")
def reach_metadata(host: dict[str, Any]) -> None:
    socket.create_connection(("169.254.169.254", 80), timeout=2).close()


@attack("find a network interface besides its own loopback")
def find_interface(host: dict[str, Any]) -> None:
    need([name for _, name in socket.if_nameindex() if name != "lo"], "only lo")


@attack("open a raw socket")
def raw_socket(host: dict[str, Any]) -> None:
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)


@attack("open a packet socket")
def packet_socket(host: dict[str, Any]) -> None:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)


# --- more rights


@attack("become root")
def become_root(host: dict[str, Any]) -> None:
    os.setuid(0)


@attack("join root's group")
def join_group(host: dict[str, Any]) -> None:
    os.setgroups([0])


@attack("run a set-uid program of root's")
def set_uid(host: dict[str, Any]) -> None:
    said = subprocess.run([host["set_uid"], "-c", "id -u"], capture_output=True, check=True)
    need(said.stdout.strip() == b"0", "still its own user")


@attack("keep any capability")
def capabilities(host: dict[str, Any]) -> None:
    lines = dict(
        line.split(":\t") for line in Path("/proc/self/status").read_text().splitlines() if line
    )
    need(int(lines["CapEff"], 16) | int(lines["CapPrm"], 16), "none")


@attack("gain a capability that a program of its image may ask for")
def bounding_set(host: dict[str, Any]) -> None:
    lines = dict(
        line.split(":\t") for line in Path("/proc/self/status").read_text().splitlines() if line
    )
    need(int(lines["CapBnd"], 16) and lines["NoNewPrivs"] == "0", "never")


@attack("give a file to root")
def give_away(host: dict[str, Any]) -> None:
    Path("given").write_text("1")
    os.chown("given", 0, 0)


@attack("give a file capabilities")
def file_capabilities(host: dict[str, Any]) -> None:
    Path("capable").write_text("1")
    os.setxattr("capable", "security.capability", b"\x01\0\0\x02" + b"\xff" * 16)


@attack("raise its hard limits")
def raise_limits(host: dict[str, Any]) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))


@attack("have a core dump written, with patients' data in it")
def core_dump(host: dict[str, Any]) -> None:
    need(resource.getrlimit(resource.RLIMIT_CORE)[0], "none is written")


@attack("put itself before other processes")
def be_first(host: dict[str, Any]) -> None:
    os.nice(-5)


# --- the kernel


@attack("mount something")
def mount(host: dict[str, Any]) -> None:
    call("mount", b"none", b"/tmp", b"tmpfs", 0, None)


@attack("unmount its sandbox")
def unmount(host: dict[str, Any]) -> None:
    call("umount2", b"/proc", 2)


@attack("bind /etc over its own folder")
def bind(host: dict[str, Any]) -> None:
    os.mkdir("there")
    call("mount", b"/etc", b"there", None, MS_BIND, None)


@attack("change its root")
def change_root(host: dict[str, Any]) -> None:
    os.chroot("/tmp")


@attack("swap roots")
def swap_roots(host: dict[str, Any]) -> None:
    call("pivot_root", b"/tmp", b"/tmp")


@attack("make a device")
def make_device(host: dict[str, Any]) -> None:
    os.mknod("disk", stat.S_IFBLK | 0o600, os.makedev(8, 0))


@attack("read the memory of the machine")
def read_memory(host: dict[str, Any]) -> None:
    os.close(os.open("/dev/mem", os.O_RDONLY))


@attack("read a disk of the machine")
def read_disk(host: dict[str, Any]) -> None:
    disks = [path for path in Path("/dev").glob("*") if stat.S_ISBLK(path.stat().st_mode)]
    need(disks, "there is none")
    os.close(os.open(disks[0], os.O_RDONLY))


@attack("read the kernel's messages")
def read_messages(host: dict[str, Any]) -> None:
    os.close(os.open("/dev/kmsg", os.O_RDONLY))


@attack("set what is done with core dumps on the host")
def set_core_pattern(host: dict[str, Any]) -> None:
    os.close(os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY))


@attack("press the magic key of the kernel")
def magic_key(host: dict[str, Any]) -> None:
    os.close(os.open("/proc/sysrq-trigger", os.O_WRONLY))


@attack("put the machine to sleep")
def put_to_sleep(host: dict[str, Any]) -> None:
    os.close(os.open("/sys/power/state", os.O_WRONLY))


@attack("have the kernel run a program when its group ends")
def release_agent(host: dict[str, Any]) -> None:
    agents = [*Path("/sys/fs/cgroup").glob("**/release_agent")]
    need(agents, "there is none to be seen")
    os.close(os.open(agents[0], os.O_WRONLY))


@attack("load a kernel module")
def load_module(host: dict[str, Any]) -> None:
    call("init_module", b"", 0, b"")


@attack("load another kernel")
def load_kernel(host: dict[str, Any]) -> None:
    call("kexec_load", 0, 0, None, 0)


@attack("load a program into the kernel (bpf)")
def load_bpf(host: dict[str, Any]) -> None:
    call("bpf", 5, ctypes.create_string_buffer(128), 128)


@attack("watch the machine's processors (perf)")
def watch_processors(host: dict[str, Any]) -> None:
    event = ctypes.create_string_buffer(112)
    event[4] = 112
    call("perf_event_open", event, -1, 0, -1, 0)


@attack("set the machine's clock")
def set_clock(host: dict[str, Any]) -> None:
    time.clock_settime(time.CLOCK_REALTIME, time.time())


@attack("name the machine")
def name_machine(host: dict[str, Any]) -> None:
    socket.sethostname(socket.gethostname())


@attack("keep accounts of all processes")
def keep_accounts(host: dict[str, Any]) -> None:
    call("acct", None)


@attack("swap to a file of its own")
def swap(host: dict[str, Any]) -> None:
    Path("swap").write_bytes(b"\0" * 65536)
    call("swapon", b"swap", 0)


def outcome_of(name: str, host: dict[str, Any]) -> str:
    """Run in a child: whatever it does to itself ends with it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        try:
            attacks[name](host)
            told = GOT_IN
        except Exception as error:  # noqa: BLE001 - whatever held it, it was held
            told = f"held: {type(error).__name__}: {error}"
        os.write(writing, told.encode(errors="replace"))
        os._exit(0)
    os.close(writing)
    told = os.read(reading, 4096).decode()
    os.close(reading)
    os.waitpid(child, 0)
    return told or "held: it was killed"


def main() -> None:
    host = json.loads(Path("host.json").read_text())
    wanted = host.get("only") or list(attacks)
    print("OUTCOMES " + json.dumps({name: outcome_of(name, host) for name in wanted}))


if __name__ == "__main__":
    main()

"""Unit files: the service as systemd wants it written down, and the crontab line.

What is closed is closed because nothing here needs it; what stays open says why. Manual pages:
systemd.exec(5), systemd.service(5), systemd.path(5).
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CAPABILITIES_OF_ROOT = (
    *("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID"),
    *("CAP_KILL", "CAP_LEASE", "CAP_SETGID", "CAP_SETUID"),
)
# bubblewrap, run by root, makes namespaces, mounts, and its own loopback device.
CAPABILITIES_OF_SANDBOX = ("CAP_NET_ADMIN", "CAP_SETPCAP", "CAP_SYS_ADMIN", "CAP_SYS_CHROOT")


@dataclass(frozen=True)
class Service:
    """program: words that run spoolrunner, absolute. environment: settings that no file has.

    writable: folders it writes in. docker: jobs run on an engine; else as processes of ours.
    """

    program: Sequence[str]
    environment: Mapping[str, str]
    spool: Path
    writable: Sequence[Path]
    user: str
    group: str
    docker: bool
    docker_group: str = ""

    @property
    def is_root(self) -> bool:
        return self.user == "root"


def always(service: Service) -> dict[str, str]:
    """Unit file -> text: a service that runs all the time."""
    kind = """\
Type=notify
# Its loop tells that it lives at least every 10 s. If it hangs it is started anew; jobs go on.
WatchdogSec=180
Restart=on-failure
RestartSec=5
# A wrong command line is not mended by trying again.
RestartPreventExitStatus=2
ExecReload=/bin/kill -HUP $MAINPID
"""
    install = "\n[Install]\nWantedBy=multi-user.target\n"
    return {"spoolrunner.service": _service(service, "run", kind) + install}


def drain(service: Service) -> dict[str, str]:
    """Unit file -> text: a service that is started when something is dropped, and each minute.

    PathChanged, never DirectoryNotEmpty: a file left for another backend would start it for ever.
    """
    kind = "Type=oneshot\n# As long as its jobs take.\nTimeoutStartSec=infinity\n"
    path = f"""\
[Unit]
Description=Start spoolrunner when something is dropped into {_escaped(service.spool)}/inbox

[Path]
PathChanged={_escaped(service.spool)}/inbox
PathChanged={_escaped(service.spool)}/control
Unit=spoolrunner-drain.service

[Install]
WantedBy=multi-user.target
"""
    timer = """\
[Unit]
Description=Start spoolrunner each minute: events get lost, and some things become due by time

[Timer]
OnCalendar=minutely
AccuracySec=5s
Unit=spoolrunner-drain.service

[Install]
WantedBy=timers.target
"""
    return {
        "spoolrunner-drain.service": _service(service, "run --drain", kind),
        "spoolrunner-drain.path": path,
        "spoolrunner-drain.timer": timer,
    }


def crontab(service: Service) -> str:
    """One line. cron gives next to no environment, and takes % for a line's end."""
    words = [f"{name}={shlex.quote(value)}" for name, value in service.environment.items()]
    words += [*map(shlex.quote, service.program), "run", "--drain"]
    return "* * * * * " + " ".join(words).replace("%", r"\%")


def _service(service: Service, verb: str, kind: str) -> str:
    needs = " docker.service" if service.docker else ""
    return f"""\
[Unit]
Description=spoolrunner: runs the job requests dropped into {_escaped(service.spool)}
After=network.target{needs}
# A disk that is not mounted must hold it back, not look like an empty queue.
RequiresMountsFor={" ".join(map(_quoted, service.writable))}

[Service]
{kind}ExecStart={_command(service.program)} {verb}
# What belongs to the process, such as PATH, DOCKER_HOST or proxies. Settings are in files that it
# reads itself, so that SIGHUP (systemctl reload) sees what has changed in them.
EnvironmentFile=-/etc/default/spoolrunner
{_environment(service)}User={service.user}
Group={service.group}
{_groups(service)}UMask=0077
# Jobs outlive it: the next runner takes them over. A job that is killed for its memory is its own
# affair, too.
KillMode=process
OOMPolicy=continue
Delegate=yes
TasksMax=infinity

# What it may write.
ProtectSystem=strict
ReadWritePaths={" ".join(map(_quoted, service.writable))}
{_closed(service)}"""


def _environment(service: Service) -> str:
    pairs = [f"{name}={value}" for name, value in service.environment.items()]
    return "".join(f"Environment={_quoted(pair)}\n" for pair in pairs)


def _groups(service: Service) -> str:
    named = service.docker and service.docker_group and not service.is_root
    return f"SupplementaryGroups={service.docker_group}\n" if named else ""


def _closed(service: Service) -> str:
    in_tmp = any(path.is_relative_to("/tmp") for path in service.writable)
    always = "" if in_tmp else "PrivateTmp=yes\n"
    always += """\
ProtectHome=read-only
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelModules=yes
NoNewPrivileges=yes
RestrictRealtime=yes
LockPersonality=yes
SystemCallArchitectures=native
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
# Not RestrictSUIDSGID: folders of medium privacy hand on their group by that bit.
"""
    return always + (_closed_with_engine(service) if service.docker else _closed_with_jobs(service))


def _closed_with_engine(service: Service) -> str:
    """Jobs are the engine's: nothing of them is below this service."""
    # With CAP_LEASE the kernel tells whether somebody still writes a file in the inbox.
    own = CAPABILITIES_OF_ROOT if service.is_root else ("CAP_LEASE",)
    ambient = "" if service.is_root else "AmbientCapabilities=CAP_LEASE\n"
    return f"""\
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RestrictNamespaces=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
CapabilityBoundingSet={" ".join(own)}
{ambient}"""


def _closed_with_jobs(service: Service) -> str:
    """Jobs are processes below this service, and bubblewrap makes their namespaces.

    It can mount a /proc only where none of the service's own is covered: no ProtectProc,
    ProtectKernelTunables or ProtectKernelLogs. Control groups limit the jobs.
    """
    own = (*CAPABILITIES_OF_ROOT, *CAPABILITIES_OF_SANDBOX) if service.is_root else ()
    return f"""\
# Jobs run below this service: bubblewrap needs namespaces and an uncovered /proc, so there is no
# RestrictNamespaces, ProtectProc, ProtectKernelTunables, ProtectKernelLogs; limits need the control
# groups, so no ProtectControlGroups.
SystemCallFilter=~@clock @cpu-emulation @module @obsolete @raw-io @reboot @swap
SystemCallErrorNumber=EPERM
CapabilityBoundingSet={" ".join(own)}
"""


def _command(program: Sequence[str]) -> str:
    """In a command line $ begins a variable, too (systemd.service(5))."""
    return " ".join(_quoted(word.replace("$", "$$")) for word in program)


def _quoted(word: str | Path) -> str:
    """One of several words, as systemd.syntax(7) has it."""
    text = _escaped(word)
    special = re.search(r"[\s\"'\\]", text)
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"' if special else text


def _escaped(text: str | Path) -> str:
    """% begins a specifier everywhere (systemd.unit(5))."""
    return str(text).replace("%", "%%")

"""systemd's notifications: one datagram for each change of state (sd_notify(3)).

    READY=1   STATUS=...   WATCHDOG=1   STOPPING=1

Nothing is sent, and nothing fails, where no service manager asked for it. Knows nothing of the
package.
"""

import contextlib
import socket
from collections.abc import Mapping


class Notify:
    """environment: NOTIFY_SOCKET says where to; a leading @ means an abstract address."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def alive(self, status: str) -> None:
        """It is ready, and what it is at; the watchdog is content for another while."""
        self._send(f"READY=1\nWATCHDOG=1\nSTATUS={status}")

    def stopping(self, status: str) -> None:
        self._send(f"STOPPING=1\nSTATUS={status}")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # A manager that does not listen must not hold up the runner.
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as bell,
        ):
            bell.setblocking(False)
            bell.sendto(message.encode(), self._address)

"""What systemd is told over $NOTIFY_SOCKET, and how often its watchdog wants to hear.

Owns the protocol of sd_notify(3): READY, RELOADING, STOPPING, STATUS, WATCHDOG.
May not decide when any of it is true, and may not fail or do anything when not started by systemd.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable, Mapping

# systemd reads at once; this only keeps a stuck one from stopping the passes.
_PATIENCE_S = 0.2
UNWATCHED_ROUND_S = 60.0


class Systemd:
    """The way to the service manager, if there is one; every method says whether the message was delivered."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address

    def ready(self, status: str) -> bool:
        """The start, or the reload, is complete."""
        return self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> bool:
        """A reload has begun; `ready` ends it."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, status: str) -> bool:
        """The end has begun."""
        return self._send("STOPPING=1", f"STATUS={status}")

    def status(self, status: str) -> bool:
        """One line for `systemctl status`."""
        return self._send(f"STATUS={status}")

    def watchdog(self) -> bool:
        """recond is alive; see `watchdog_interval_s`."""
        return self._send("WATCHDOG=1")

    def _send(self, *assignments: str) -> bool:
        if not self._address:
            return False
        message = "\n".join(assignment.replace("\n", " ") for assignment in assignments)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
                out.settimeout(_PATIENCE_S)
                out.sendto(message.encode(), self._address)
        except OSError:
            return False
        return True


class Watchdog:
    """Feeds systemd's watchdog once every loop has come round since it was fed last.

    So it is food only while all of them turn: one that is stuck starves it, an unreachable broker does not.
    """

    def __init__(self, systemd: Systemd, environ: Mapping[str, str], loops: Iterable[str]) -> None:
        self._systemd = systemd
        self._interval_s = watchdog_interval_s(environ)
        self._loops = frozenset(loops)
        self._missing = set(self._loops)

    @property
    def round_s(self) -> float:
        """How often every loop should come round at least."""
        return self._interval_s or UNWATCHED_ROUND_S

    def came_round(self, loop: str) -> None:
        """Take note that this loop turns."""
        self._missing.discard(loop)
        if not self._missing:
            self._missing = set(self._loops)
            if self._interval_s is not None:
                self._systemd.watchdog()


def watchdog_interval_s(environ: Mapping[str, str]) -> float | None:
    """Seconds between two `watchdog` calls, a third of what systemd allows; None when it does not watch."""
    limit_us = environ.get("WATCHDOG_USEC", "")
    if not limit_us.isdecimal() or environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(limit_us) / 3_000_000 or None

"""What systemd gets to hear, on a real datagram socket, and the unit that it is told to run."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from recond.systemd import Systemd, Watchdog, watchdog_interval_s

ROOT = Path(__file__).parents[1]


@pytest.fixture(params=["file", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A socket as systemd's, and the $NOTIFY_SOCKET that leads to it."""
    name = str(tmp_path / "notify") if request.param == "file" else f"@recond-{uuid.uuid4()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inbox:
        inbox.bind(name.replace("@", "\0", 1))
        inbox.settimeout(5)
        yield inbox, name


def test_every_message_arrives_as_one_datagram(manager: tuple[socket.socket, str]) -> None:
    """Each method sends what sd_notify(3) asks for, to a file as well as to an abstract socket."""
    inbox, name = manager
    systemd = Systemd({"NOTIFY_SOCKET": name})
    for sent, expected in (
        (systemd.ready("2 accounts"), "READY=1\nSTATUS=2 accounts"),
        (systemd.status("one\ntwo=3"), "STATUS=one two=3"),
        (systemd.watchdog(), "WATCHDOG=1"),
        (systemd.stopping("asked to"), "STOPPING=1\nSTATUS=asked to"),
    ):
        assert sent
        assert inbox.recv(4096).decode() == expected


def test_a_reload_carries_its_moment(manager: tuple[socket.socket, str]) -> None:
    """RELOADING=1 and the monotonic microseconds travel together, as Type=notify-reload demands."""
    inbox, name = manager
    before = time.monotonic_ns() // 1000
    assert Systemd({"NOTIFY_SOCKET": name}).reloading()
    found = re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=(\d+)", inbox.recv(4096).decode())
    assert found
    assert before <= int(found[1]) <= time.monotonic_ns() // 1000


def test_without_systemd_nothing_happens(tmp_path: Path) -> None:
    """No $NOTIFY_SOCKET, or one that nobody listens on, is no error and no delivery."""
    for environ in ({}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": str(tmp_path / "gone")}):
        assert not Systemd(environ).ready("")


def test_a_manager_that_does_not_read_delays_nothing(manager: tuple[socket.socket, str]) -> None:
    """When its queue is full the message is given up within a second, and said to be."""
    systemd = Systemd({"NOTIFY_SOCKET": manager[1]})
    begun = time.monotonic()
    while systemd.watchdog():
        begun = time.monotonic()
    assert time.monotonic() - begun < 1


def test_the_watchdog_is_fed_three_times_as_often_as_it_bites() -> None:
    """A third of WATCHDOG_USEC, if this process is the one that is watched, and None otherwise."""
    assert watchdog_interval_s({"WATCHDOG_USEC": "90000000"}) == 30
    assert watchdog_interval_s({"WATCHDOG_USEC": "90000000", "WATCHDOG_PID": str(os.getpid())}) == 30
    assert watchdog_interval_s({"WATCHDOG_USEC": "90000000", "WATCHDOG_PID": "1"}) is None
    for environ in ({}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "0"}):
        assert watchdog_interval_s(environ) is None


def test_one_loop_that_hangs_starves_the_watchdog(manager: tuple[socket.socket, str]) -> None:
    """It is fed once all loops have come round since the last time, and not by those that go on alone."""
    inbox, name = manager
    inbox.settimeout(0)
    environ = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "30000000"}
    watchdog = Watchdog(Systemd(environ), environ, ("a", "b"))
    assert watchdog.round_s == 10
    for _ in range(2):
        watchdog.came_round("a")
        watchdog.came_round("a")
        with pytest.raises(BlockingIOError):
            inbox.recv(4096)
        watchdog.came_round("b")
        assert inbox.recv(4096) == b"WATCHDOG=1"
    unwatched = Watchdog(Systemd(environ), {"NOTIFY_SOCKET": name}, ("a",))
    unwatched.came_round("a")
    assert unwatched.round_s > 0
    with pytest.raises(BlockingIOError):
        inbox.recv(4096)


def test_the_unit_says_what_recond_relies_on() -> None:
    """Start is awaited, a refused configuration is not retried, and the ledger's folder belongs to the group too."""
    unit = (ROOT / "systemd" / "recond.service").read_text().splitlines()
    for line in (
        "Type=notify",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "RestartPreventExitStatus=78",
        "StateDirectoryMode=2770",
        "UMask=0007",
    ):
        assert line in unit
    assert any(line.startswith("WatchdogSec=") for line in unit)
    assert not any(line.startswith("ProcSubset=") for line in unit)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_the_unit() -> None:
    """`systemd-analyze verify` is silent about it, and its exposure is below 2.0."""
    done = subprocess.run([ROOT / ".ci" / "unit"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""

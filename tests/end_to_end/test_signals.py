"""Signals to the real process: a pass is forced, and the end is quick and clean whatever hangs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from recond.simulator import Simulator
from tests.end_to_end.conftest import Start
from tests.end_to_end.process import Daemon, Setting, bot, until

STOP_S = 2.0


class Manager:
    """What systemd would hear."""

    def __init__(self, listening: socket.socket) -> None:
        self._socket, self._heard = listening, list[str]()

    def heard(self, word: str) -> int:
        """How often a message began with this assignment so far."""
        while True:
            try:
                self._heard.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return sum(message.startswith(word) for message in self._heard)


@pytest.fixture
def address() -> str:
    """An abstract socket of this test's own: no path that could be too long, nothing left behind."""
    return f"@recond-{os.getpid()}-{time.monotonic_ns()}"


@pytest.fixture
def manager(address: str) -> Iterator[Manager]:
    """Listens where $NOTIFY_SOCKET points."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)) as listening:
        listening.bind(address.replace("@", "\0"))
        yield Manager(listening)


def hups(daemon: Daemon) -> int:
    """How many passes have been made because of SIGHUP."""
    return sum("sighup" in run["trigger"] for run in daemon.runs())


async def test_sighup_forces_one_pass_for_all_that_came_during_another(
    simulator: Simulator, start: Start, tmp_path: Path, manager: Manager, address: str
) -> None:
    """SIGHUP makes a pass; two that come while a pass is under way make one more, not two."""
    daemon = await start(Setting(tmp_path, simulator, environ={"NOTIFY_SOCKET": address}))
    await daemon.reconcile()
    assert manager.heard("READY=1") == 1

    daemon.signal(signal.SIGHUP)
    await until(lambda: hups(daemon) == 1)

    simulator.fault("positions", "delay", seconds=0.7, count=1)
    under_way = asyncio.create_task(daemon.reconcile())
    await until(lambda: not simulator.faults.active())
    for number in (2, 3):
        daemon.signal(signal.SIGHUP)
        await until(lambda number=number: manager.heard("RELOADING=1") == number)
    assert not under_way.done()
    await under_way
    await until(lambda: hups(daemon) == 2)
    later = await daemon.reconcile()

    assert hups(daemon) == 2
    assert [run["trigger"] for run in daemon.runs()][-3:] == ["http", "sighup", "http"]
    assert later["status"] == "success"


async def test_sigterm_ends_at_once_though_a_request_hangs_and_a_client_waits(
    simulator: Simulator, start: Start, tmp_path: Path, manager: Manager, address: str
) -> None:
    """SIGTERM ends with code 0 within 2 s; the client is told, the ledger is closed, the next start finds it free."""
    setting = Setting(tmp_path, simulator, environ={"NOTIFY_SOCKET": address})
    daemon = await start(setting)
    await daemon.reconcile()
    simulator.fault("positions", "hang", count=1)
    waiting = asyncio.create_task(daemon.session.post("/api/positions/reconcile"))
    await until(lambda: not simulator.faults.active())

    began = time.monotonic()
    daemon.signal(signal.SIGTERM)
    code = await daemon.ended(STOP_S)

    assert code == 0
    assert time.monotonic() - began < STOP_S
    answer = await waiting
    assert (answer.status, json.loads(await answer.text())["detail"]) == (503, "recond is stopping")
    assert manager.heard("STOPPING=1") == 1
    assert [name for name in os.listdir(tmp_path) if name.startswith("recond.db-")] == []  # noqa: PTH208
    with bot(daemon.ledger) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert "Traceback" not in daemon.text

    again = await start(setting)
    assert (await again.reconcile())["status"] == "success"

"""The ledger's file in trouble: in use, locked, or without room. Nothing is half written and nobody has to help."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from recond.simulator import Simulator
from tests.end_to_end.conftest import Start
from tests.end_to_end.process import PATIENCE_S, Daemon, Setting, book, bot, held

STOP_S = 2.0


async def test_a_second_recond_is_refused(simulator: Simulator, start: Start, tmp_path: Path) -> None:
    """A second recond on the same ledger ends with code 1 and names the first one's pid; the first goes on."""
    setting = Setting(tmp_path, simulator)
    first = await start(setting)

    second = Daemon(setting)
    code = await second.ended()

    assert code == 1
    assert f"is in use by another recond, pid {first.pid}" in second.text
    assert "Traceback" not in second.text
    assert (await first.reconcile())["status"] == "success"


async def test_a_locked_ledger_is_a_failed_pass_that_is_recorded_later(
    simulator: Simulator, start: Start, tmp_path: Path
) -> None:
    """While a bot holds the lock a pass fails and the gate is unknown; afterwards the pass is in the ledger as well."""
    daemon = await start(Setting(tmp_path, simulator))
    await daemon.reconcile()
    simulator.do("trade", symbol="AAPL", side="buy", qty=11)
    before = book(daemon.ledger)
    with bot(daemon.ledger) as platform:
        platform.execute("BEGIN IMMEDIATE")
        locked = await daemon.reconcile(wait=0)
        gate = await daemon.get("/api/gate")
        platform.execute("ROLLBACK")

        assert (locked["status"], locked["recorded"]) == ("failed", False)
        assert "locked" in locked["error"]["message"]
        assert "another program" in locked["error"]["hint"]
        assert gate["state"] == "unknown"
        assert book(daemon.ledger) == before
        assert platform.execute("SELECT * FROM runs WHERE id = ?", (locked["runId"],)).fetchall() == []

        free = await daemon.reconcile()

        assert free["error"] is None
        assert book(daemon.ledger) == held(simulator)
        kept = platform.execute("SELECT status, error FROM runs WHERE id = ?", (locked["runId"],)).fetchall()
        assert kept == [("failed", locked["error"]["message"])]
    assert (await daemon.get("/api/gate"))["state"] == "clear"


async def positions_read(daemon: Daemon) -> float:
    """How often the broker has answered with positions."""
    sample = r'recond_broker_requests_total\{account="default",code="200",endpoint="positions"\} (\S+)'
    found = re.search(sample, await daemon.metrics())
    assert found is not None
    return float(found.group(1))


async def test_the_end_comes_in_time_though_the_ledger_is_locked(
    simulator: Simulator, start: Start, tmp_path: Path
) -> None:
    """A bot that holds the ledger's lock does not hold up SIGTERM; the ledger is closed and as it was."""
    setting = Setting(tmp_path, simulator)
    daemon = await start(setting)
    await daemon.reconcile()
    simulator.do("trade", symbol="AAPL", side="buy", qty=11)
    before = book(daemon.ledger)
    with bot(daemon.ledger) as platform:
        platform.execute("BEGIN IMMEDIATE")
        answered = await positions_read(daemon)
        failing = asyncio.create_task(daemon.reconcile(wait=0))
        async with asyncio.timeout(PATIENCE_S):
            while await positions_read(daemon) == answered:
                await asyncio.sleep(0.01)
        began = time.monotonic()
        daemon.signal(signal.SIGTERM)
        code = await daemon.ended()
        assert time.monotonic() - began < STOP_S
        failing.cancel()
        await asyncio.gather(failing, return_exceptions=True)
        platform.execute("ROLLBACK")
        assert platform.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert code == 0
    assert daemon.lines()[-1]["event"] == "recond was told to stop; the ledger is closed"
    assert "Traceback" not in daemon.text
    assert book(daemon.ledger) == before

    again = await start(setting)
    assert (await again.reconcile())["error"] is None
    assert book(daemon.ledger) == held(simulator)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("NOT TESTED HERE: a full disk needs a small tmpfs, which only root can mount")
    mounted = subprocess.run((mount, "-t", "tmpfs", "-o", "size=2m", "recond-test", folder), check=False)
    if mounted.returncode != 0:
        pytest.skip("NOT TESTED HERE: a full disk needs a small tmpfs, and mounting one was refused")
    yield folder
    subprocess.run(("umount", "--lazy", folder), check=True)


async def test_a_full_disk_is_a_failed_pass_until_there_is_room(
    simulator: Simulator, small_disk: Path, start: Start, tmp_path: Path
) -> None:
    """Without room a pass fails and says so, nothing is half written; with room all goes on, without a restart."""
    daemon = await start(Setting(tmp_path, simulator, ledger=small_disk / "recond.db"))
    await daemon.reconcile()
    before = book(daemon.ledger)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        file.writelines(itertools.repeat(bytes(4096)))
    simulator.do("trade", symbol="AAPL", side="buy", qty=11)
    simulator.do("trade", symbol="MSFT", side="sell", qty=50)

    failures = [await daemon.reconcile() for _ in range(3)]

    for failure in failures:
        assert (failure["status"], failure["recorded"]) == ("failed", False)
        assert "full" in failure["error"]["message"]
        assert "room" in failure["error"]["hint"]
    assert book(daemon.ledger) == before
    assert (await daemon.get("/api/gate"))["state"] == "unknown"
    assert daemon.alive

    filler.unlink()
    after = await daemon.reconcile()

    assert after["error"] is None
    assert book(daemon.ledger) == held(simulator)
    with bot(daemon.ledger) as platform:
        assert platform.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        kept = platform.execute("SELECT id FROM runs WHERE status = 'failed'").fetchall()
    assert {run for (run,) in kept} >= {failure["runId"] for failure in failures}

"""What goes on after the story."""

from __future__ import annotations

import asyncio
import os
import signal
from io import StringIO
from pathlib import Path

import pytest

from recond.demo import setting
from recond.demo.daemon import DaemonDied
from recond.demo.screen import Screen
from recond.demo.watch import watch


async def shown(out: StringIO, text: str) -> None:
    """Wait until the screen shows a text, wherever its lines are broken."""
    async with asyncio.timeout(30):
        while text not in " ".join(out.getvalue().split()):
            await asyncio.sleep(0.05)


async def test_what_recond_finds_is_told_until_it_dies(tmp_path: Path) -> None:
    """A trade by hand and an outage each become a line, trades of the bot none; a dead daemon ends the watching."""
    out = StringIO()
    async with setting(Screen(out, {}), tmp_path) as stage, asyncio.timeout(90):
        await stage.recond.started(30)
        watching = asyncio.create_task(watch(stage))
        try:
            await shown(out, "MSFT 0 -> 50 (adoption)")
            while not await stage.recond.listed("positions", strategyId="momentum"):
                await asyncio.sleep(0.05)
            stage.simulator.do("trade", symbol="TSLA", side="buy", qty=5)
            await shown(out, "TSLA 0 -> 5")
            stage.simulator.fault("positions", "status", count=1)
            await shown(out, "failed: GET /v2/positions: HTTP 500")
            os.kill(stage.recond.pid, signal.SIGKILL)
            with pytest.raises(DaemonDied, match="ended with -9"):
                await watching
        finally:
            watching.cancel()
    told = [line for line in out.getvalue().splitlines() if "NVDA" in line]
    assert [line for line in told if "adoption" not in line] == []

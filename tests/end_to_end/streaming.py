"""A daemon whose account has its stream on, and what can be seen of that from outside."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.end_to_end.process import PATIENCE_S, Daemon, Setting, bot


@dataclass(frozen=True)
class Streaming(Setting):
    """A configuration whose accounts have their stream on."""

    def write(self) -> Path:
        """The configuration as a file."""
        assert self.simulator is not None
        config = super().write()
        config.write_text(
            config.read_text().replace("stream = false", f'stream = true\nstream_url = "{self.simulator.stream_url}"')
        )
        return config


async def account(daemon: Daemon) -> dict[str, Any]:
    """What the status says of the one account."""
    [one] = (await daemon.get("/api/positions/reconciliation-status"))["accounts"]
    return dict(one)


async def eventually(
    condition: Callable[[dict[str, Any]], object], daemon: Daemon, within_s: float = PATIENCE_S
) -> dict[str, Any]:
    """Wait until the account's status is so, and return it."""
    deadline_s = time.monotonic() + within_s
    while not condition(seen := await account(daemon)):
        assert time.monotonic() < deadline_s, seen
        await asyncio.sleep(0.02)
    return seen


async def settled(daemon: Daemon) -> None:
    """Wait until the stream is connected and both sides agree."""
    await eventually(lambda seen: seen["stream"] == "connected" and seen["gate"]["state"] == "clear", daemon)
    assert (await daemon.reconcile())["pending"] == []


def executions(daemon: Daemon) -> list[str]:
    """The orders of the executions in the ledger, one for each execution."""
    with bot(daemon.ledger) as platform:
        return [order for (order,) in platform.execute("SELECT order_id FROM executions ORDER BY at")]

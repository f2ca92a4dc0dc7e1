"""A simulated Alpaca in this process, and daemons beside it that never outlive their test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from recond.simulator import Simulator
from tests.end_to_end.process import Daemon, Setting

Start = Callable[..., Awaitable[Daemon]]


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """One account with the holdings of the demo; no request is refused for being one too many."""
    async with Simulator(scenario="demo", rate_limit=100_000) as running:
        yield running


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start a daemon with a setting and wait until it answers."""
    async with AsyncExitStack() as ends:

        async def begin(setting: Setting, **options: Any) -> Daemon:
            daemon = Daemon(setting, **options)
            ends.push_async_callback(daemon.close)
            await daemon.ready()
            return daemon

        yield begin

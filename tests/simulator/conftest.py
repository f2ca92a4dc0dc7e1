"""A running simulator, alpaca-py's client to it, and a bare HTTP client with its keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from alpaca.trading.client import TradingClient

from recond.simulator import Simulator


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    """The demo account."""
    async with Simulator(scenario="demo") as simulator:
        yield simulator


@pytest.fixture
async def client(sim: Simulator) -> AsyncIterator[TradingClient]:
    """alpaca-py's own client, with its parsed models; it is synchronous, so call it in a thread."""
    trading = TradingClient(sim.key, sim.secret, paper=True, url_override=sim.rest_url)
    yield trading
    trading._session.close()


@pytest.fixture
async def http(sim: Simulator) -> AsyncIterator[aiohttp.ClientSession]:
    """A bare client with the account's keys; paths are relative to the simulator."""
    headers = {"APCA-API-KEY-ID": sim.key, "APCA-API-SECRET-KEY": sim.secret}
    async with aiohttp.ClientSession(sim.rest_url, headers=headers) as session:
        yield session


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait for a condition; fails after the deadline."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def body_of(answer: Awaitable[aiohttp.ClientResponse]) -> tuple[int, Any]:
    """Status and JSON of a request."""
    async with await answer as response:
        return response.status, await response.json()

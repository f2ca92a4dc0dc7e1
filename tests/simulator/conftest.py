"""A running simulator, alpaca-py's client to it, and a bare HTTP client with its keys."""

from __future__ import annotations

from collections.abc import AsyncIterator

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

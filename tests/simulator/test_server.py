"""The simulator as a whole."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from recond.simulator import Simulator, serve
from tests.simulator.asking import get


async def test_several_accounts_are_chosen_by_key() -> None:
    """Each key opens its own account, with its own budget and faults."""
    async with Simulator(accounts={"a": "empty", "b": "demo"}) as sim:
        sim.fault("positions", "status", account="a")
        seen = {}
        for name in ("a", "b"):
            key, secret = sim.keys(name)
            headers = {"APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": secret}
            async with aiohttp.ClientSession(sim.rest_url, headers=headers) as http:
                seen[name] = await get(http, "/v2/positions")
    assert seen["a"][0] == 500
    assert len(seen["b"][1]) == 6


async def test_the_same_seed_gives_the_same_world() -> None:
    """Keys, account id and execution ids repeat; another seed has others."""

    async def world(seed: int) -> tuple[str, str, list[str]]:
        async with Simulator(scenario="demo", seed=seed) as sim:
            sim.do("trade", symbol="AAPL", side="buy", qty=1)
            return sim.key, sim.account().id, list(sim.account().executions)

    assert await world(1) == await world(1)
    assert (await world(1))[0] != (await world(2))[0]


async def test_serve_says_when_it_is_ready_and_ends_when_cancelled() -> None:
    """`ready` gets the simulator with its addresses; after the end its port is free."""
    ready: asyncio.Future[Simulator] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve("127.0.0.1", 0, "demo", ready.set_result))
    sim = await ready
    async with aiohttp.ClientSession() as http:
        assert (await get(http, f"{sim.rest_url}/control"))[0] == 200
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        with pytest.raises(aiohttp.ClientConnectorError):
            await get(http, f"{sim.rest_url}/control")


async def test_a_taken_port_and_an_unknown_scenario_are_told() -> None:
    """OSError for the port, ValueError with the known names for the scenario."""
    async with Simulator() as sim:
        port = int(sim.rest_url.rsplit(":", 1)[1])
        with pytest.raises(OSError, match="in use"):
            await serve("127.0.0.1", port, "demo")
    with pytest.raises(ValueError, match="expected one of empty, demo"):
        await serve("127.0.0.1", 0, "chaos")

"""The contract of the stream port, asked of every implementation, and the listener on top of each."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Protocol

import pytest

from recond.alpaca.stream import AlpacaStream
from recond.core.model import Execution
from recond.core.run import Reason
from recond.listener import listen
from recond.ports import BrokerBusy, BrokerRefused, BrokerUnavailable, PortError, Stream, StreamEvent
from recond.simulator import Simulator
from recond.triggers import Triggers
from tests.fake_stream import FakeStream


class World(Protocol):
    """A broker with one account, and the stream to it under test."""

    @property
    def stream(self) -> Stream:
        """The port."""

    def trade(self) -> None:
        """Buy three shares of AAPL: an event that moves nothing, then a fill."""

    def cut(self) -> None:
        """End the connection."""

    def fail_next(self, error: type[PortError]) -> None:
        """Let the next attempt to connect fail like that."""


class FakeWorld:
    """The fake that other tests stand on, so that it promises no more than the adapter keeps."""

    def __init__(self) -> None:
        self.stream = FakeStream()

    def trade(self) -> None:
        at = datetime.now(UTC)
        self.stream.tell(StreamEvent("new"))
        self.stream.tell(StreamEvent("fill", (Execution("AAPL", at, Decimal(3), "order", Decimal(3)),), movement=True))

    def cut(self) -> None:
        self.stream.tell(BrokerUnavailable("cut", hint=""))

    def fail_next(self, error: type[PortError]) -> None:
        self.stream.fails.append(error("no", hint="wait"))


class SimulatedWorld:
    """The adapter on the simulated Alpaca."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.stream = AlpacaStream(simulator.key, simulator.secret, url=simulator.stream_url, ack_timeout_s=0.5)

    def trade(self) -> None:
        self.simulator.do("trade", symbol="AAPL", side="buy", qty=3)

    def cut(self) -> None:
        self.simulator.fault("stream", "cut")

    def fail_next(self, error: type[PortError]) -> None:
        kinds = {BrokerBusy: "refuse", BrokerRefused: "unauthorized", BrokerUnavailable: "no_ack"}
        self.simulator.fault("stream", kinds[error], count=1)


@pytest.fixture(params=["fake", "alpaca"])
async def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """Each world in turn, without the machine's own proxies."""
    for name in os.environ:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    if request.param == "fake":
        yield FakeWorld()
        return
    async with Simulator() as simulator:
        yield SimulatedWorld(simulator)


async def test_what_happens_after_entering_is_told(world: World) -> None:
    """Who has entered is subscribed: from then on each event comes, fills with their executions as movements."""
    async with world.stream.connect() as events:
        world.trade()
        new, fill = await anext(events), await anext(events)
    assert (new.name, new.movement, new.executions) == ("new", False, ())
    assert (fill.name, fill.movement) == ("fill", True)
    [execution] = fill.executions
    assert (execution.symbol, execution.quantity, execution.cum_quantity) == ("AAPL", Decimal(3), Decimal(3))
    assert execution.order_id
    assert execution.at.tzinfo is UTC


@pytest.mark.parametrize("error", [BrokerBusy, BrokerRefused, BrokerUnavailable])
async def test_entering_raises_the_ports_errors(world: World, error: type[PortError]) -> None:
    """A taken slot, refused keys and an unusable server are told apart, each with a hint; later it may work."""
    world.fail_next(error)
    with pytest.raises(PortError) as raised:
        async with world.stream.connect():
            pass
    assert type(raised.value) is error
    assert raised.value.hint
    async with world.stream.connect():
        pass


async def test_the_iterator_ends_by_raising(world: World) -> None:
    """A connection that ends raises; it never just stops."""
    async with world.stream.connect() as events:
        world.cut()
        with pytest.raises(BrokerUnavailable):
            await anext(events)


async def test_leaving_frees_the_slot(world: World) -> None:
    """One connection after the other is possible at once, also when the first was left by an error or cancelled."""

    @asynccontextmanager
    async def entered() -> AsyncIterator[None]:
        async with asyncio.timeout(2), world.stream.connect():
            yield

    with pytest.raises(ZeroDivisionError):
        async with entered():
            raise ZeroDivisionError
    with pytest.raises(asyncio.CancelledError):
        async with entered():
            raise asyncio.CancelledError
    async with entered():
        pass


async def test_the_listener_comes_back(world: World) -> None:
    """After cut connections and failed attempts the listener is connected again, and nothing told to it is missing."""
    states: asyncio.Queue[str] = asyncio.Queue()
    kept: asyncio.Queue[Sequence[Execution]] = asyncio.Queue()
    triggers = Triggers()
    task = asyncio.create_task(
        listen(
            "default",
            world.stream,
            triggers,
            keep=kept.put_nowait,
            on_state=states.put_nowait,
            on_event=lambda name: None,
            random=lambda: 0.0,
        )
    )
    try:
        async with asyncio.timeout(20):
            assert await states.get() == "connecting"
            for _ in range(3):
                while await states.get() != "connected":
                    pass
                assert Reason.RECONNECT in triggers.take()[1]
                world.trade()
                assert [execution.quantity for execution in await kept.get()] == [3]
                world.fail_next(BrokerUnavailable)
                world.cut()
            while await states.get() != "connected":
                pass
    finally:
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()

"""The account stream, as alpaca-py's own client and a bare one see it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from alpaca.trading.models import TradeUpdate
from alpaca.trading.stream import TradingStream
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from recond.simulator import Simulator
from tests.simulator.asking import until

LISTEN = {"action": "listen", "data": {"streams": ["trade_updates"]}}


async def told(socket: ClientConnection, seconds: float = 5.0) -> Any:
    """The next frame, which must be binary, as JSON."""
    async with asyncio.timeout(seconds):
        frame = await socket.recv()
    assert isinstance(frame, bytes)
    return json.loads(frame)


async def say(socket: ClientConnection, frame: object) -> Any:
    """Send a frame and return the answer."""
    await socket.send(json.dumps(frame))
    return await told(socket)


@asynccontextmanager
async def listening(sim: Simulator, **options: Any) -> AsyncIterator[ClientConnection]:
    """An authorized connection that listens."""
    async with connect(sim.stream_url, close_timeout=0.5, **options) as socket:
        answer = await say(socket, {"action": "auth", "key": sim.key, "secret": sim.secret})
        assert answer == {"stream": "authorization", "data": {"action": "authenticate", "status": "authorized"}}
        assert await say(socket, LISTEN) == {"stream": "listening", "data": {"streams": ["trade_updates"]}}
        yield socket


def buy(sim: Simulator, symbol: str = "AAPL") -> None:
    """One external trade: two events."""
    sim.do("trade", symbol=symbol, side="buy", qty=1)


async def silent(socket: ClientConnection, seconds: float = 0.2) -> bool:
    """Whether nothing comes."""
    try:
        await told(socket, seconds)
    except TimeoutError:
        return True
    return False


async def test_alpaca_py_sees_new_and_fill_unchanged(sim: Simulator) -> None:
    """Its TradingStream authenticates, listens and parses what a trade tells."""
    seen: list[TradeUpdate] = []

    async def handle(update: TradeUpdate) -> None:
        seen.append(update)

    stream = TradingStream(sim.key, sim.secret, paper=True, url_override=sim.stream_url)
    stream.subscribe_trade_updates(handle)
    running = asyncio.create_task(stream._run_forever())
    await until(sim.stream_connected)
    buy(sim)
    buy(sim, "BTC/USD")
    await until(lambda: len(seen) == 4)
    assert [update.event for update in seen] == ["new", "fill", "new", "fill"]
    assert (seen[1].order.symbol, seen[1].qty, seen[1].position_qty) == ("AAPL", 1.0, 101.0)
    assert str(seen[1].order.id) in sim.account().orders
    assert str(seen[1].execution_id) in sim.account().executions
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await stream.close()
    await until(lambda: not sim.stream_connected())


async def test_both_authentications_and_their_refusals(sim: Simulator) -> None:
    """The old form works with a warning; wrong keys, and listening before, are unauthorized."""
    async with connect(sim.stream_url) as socket:
        assert (await say(socket, LISTEN))["data"] == {"action": "listen", "status": "unauthorized"}
        wrong = await say(socket, {"action": "auth", "key": sim.key, "secret": "no"})
        assert wrong["data"]["status"] == "unauthorized"
        old = {"action": "authenticate", "data": {"key_id": sim.key, "secret_key": sim.secret}}
        right = await say(socket, old)
        assert (right["data"]["status"], "deprecated" in right["data"]["message"]) == ("authorized", True)
        nothing = await say(socket, {"action": "listen", "data": {"streams": ["account_updates"]}})
        assert nothing == {"stream": "listening", "data": {"streams": []}}
        assert not sim.stream_connected()


async def test_listening_replaces_the_whole_set(sim: Simulator) -> None:
    """An empty set ends the events."""
    async with listening(sim) as socket:
        assert (await say(socket, {"action": "listen", "data": {"streams": []}}))["data"] == {"streams": []}
        buy(sim)
        assert await silent(socket)


@pytest.mark.parametrize("frame", ["not json", "[]", '{"action": "dance"}', '{"action": "auth"}'])
async def test_a_wrong_frame_is_an_error_and_the_end(sim: Simulator, frame: str) -> None:
    """An error frame without a stream, then close."""
    async with connect(sim.stream_url) as socket:
        await socket.send(frame)
        answer = await told(socket)
        assert (answer["action"], set(answer["data"])) == ("error", {"error_message"})
        with pytest.raises(ConnectionClosed):
            await socket.recv()


async def test_a_second_connection_is_refused_until_the_first_is_gone(sim: Simulator) -> None:
    """HTTP 429 at the upgrade; after the first has closed the next may come."""
    async with listening(sim):
        with pytest.raises(InvalidStatus) as refused:
            await connect(sim.stream_url)
        assert refused.value.response.status_code == 429
    async with listening(sim):
        assert sim.stream_connected()


async def test_two_accounts_have_a_slot_each() -> None:
    """Events reach their own account only; a second connection of one is told so once it says who it is."""
    async with Simulator(accounts={"a": "empty", "b": "demo"}) as sim:
        key, secret = sim.keys("b")
        async with listening(sim) as first:
            async with connect(sim.stream_url) as second:
                twice = await say(second, {"action": "auth", "key": sim.key, "secret": sim.secret})
                assert twice["data"] == {"error_message": "connection limit exceeded"}
            async with connect(sim.stream_url) as second:
                await say(second, {"action": "auth", "key": key, "secret": secret})
                await say(second, LISTEN)
                sim.do("trade", account="b", symbol="AAPL", side="buy", qty=1)
                assert (await told(second))["data"]["event"] == "new"
                assert await silent(first)


async def test_events_without_a_listener_are_lost(sim: Simulator) -> None:
    """There is no replay, unless the fault `replay` is on."""
    buy(sim)
    async with listening(sim) as socket:
        assert await silent(socket)
    sim.fault("stream", "replay", last=1)
    async with listening(sim) as socket:
        assert (await told(socket))["data"]["event"] == "fill"
        assert await silent(socket)


async def test_events_are_dropped_doubled_and_swapped(sim: Simulator) -> None:
    """Each fault does it to as many events as it counts."""
    async with listening(sim) as socket:
        sim.fault("stream", "drop", count=1)
        buy(sim)
        assert (await told(socket))["data"]["event"] == "fill"
        sim.fault("stream", "duplicate", count=1)
        buy(sim)
        assert [(await told(socket))["data"]["event"] for _ in range(3)] == ["new", "new", "fill"]
        sim.fault("stream", "reorder", count=1)
        buy(sim)
        assert [(await told(socket))["data"]["event"] for _ in range(2)] == ["fill", "new"]
        assert await silent(socket)


async def test_a_held_event_comes_after_a_second_without_another(sim: Simulator) -> None:
    """An event that waits to be overtaken is not lost when nothing follows."""
    async with listening(sim) as socket:
        buy(sim)
        assert [(await told(socket))["data"]["event"] for _ in range(2)] == ["new", "fill"]
        sim.fault("stream", "drop", count=1)
        sim.fault("stream", "reorder")
        buy(sim)
        assert (await told(socket, 2))["data"]["event"] == "fill"


async def test_events_are_delayed(sim: Simulator) -> None:
    """The event comes after its delay, with its old timestamp."""
    async with listening(sim) as socket:
        sim.fault("stream", "delay", seconds=0.3)
        start = asyncio.get_running_loop().time()
        buy(sim)
        await told(socket)
        assert asyncio.get_running_loop().time() - start >= 0.29


async def test_half_open_passes_nothing(sim: Simulator) -> None:
    """The socket stays open, pings stay unanswered, events vanish, and the next connection is fine."""
    async with listening(sim, ping_interval=None) as socket:
        assert await asyncio.wait_for(await socket.ping(), 1) is not None
        sim.fault("stream", "half_open", count=1)
        buy(sim)
        assert await silent(socket)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(await socket.ping(), 0.2)
        assert socket.close_code is None
        with pytest.raises(InvalidStatus):
            await connect(sim.stream_url)
        closing = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - closing >= 0.49, "the close frame must stay unanswered"
    await until(lambda: not sim.stream_connected())
    async with listening(sim) as socket:
        buy(sim)
        assert (await told(socket))["data"]["event"] == "new"


async def test_a_connection_can_be_born_half_open(sim: Simulator) -> None:
    """With nobody connected the fault waits for the next one, which is acknowledged and then mute."""
    sim.fault("stream", "half_open", count=1)
    async with listening(sim) as socket:
        await asyncio.sleep(0.1)
        buy(sim)
        assert await silent(socket)


async def test_the_upgrade_and_the_keys_can_be_refused(sim: Simulator) -> None:
    """429 at the upgrade; unauthorized although the keys are right."""
    sim.fault("stream", "refuse", count=1)
    with pytest.raises(InvalidStatus):
        await connect(sim.stream_url)
    sim.fault("stream", "unauthorized", count=1)
    async with connect(sim.stream_url) as socket:
        answer = await say(socket, {"action": "auth", "key": sim.key, "secret": sim.secret})
        assert answer["data"]["status"] == "unauthorized"
        async with listening(sim):
            assert sim.stream_connected()


async def test_acknowledgements_come_late_never_or_empty(sim: Simulator) -> None:
    """Of the authentication and of listen alike."""
    authentication = {"action": "auth", "key": sim.key, "secret": sim.secret}
    async with connect(sim.stream_url) as socket:
        sim.fault("stream", "no_auth", count=1)
        await socket.send(json.dumps(authentication))
        assert await silent(socket)
        sim.fault("stream", "slow_auth", seconds=0.3, count=1)
        await socket.send(json.dumps(authentication))
        assert await silent(socket)
        assert (await told(socket))["data"]["status"] == "authorized"
        sim.fault("stream", "no_ack", count=1)
        await socket.send(json.dumps(LISTEN))
        assert await silent(socket)
        sim.fault("stream", "slow_ack", seconds=0.3, count=1)
        await socket.send(json.dumps(LISTEN))
        assert await silent(socket)
        assert (await told(socket))["stream"] == "listening"
        sim.fault("stream", "ack_without", count=1)
        assert (await say(socket, LISTEN))["data"] == {"streams": []}
        assert not sim.stream_connected()


async def test_a_slot_can_linger(sim: Simulator) -> None:
    """The account's slot stays taken for a while after the client has gone."""
    sim.fault("stream", "linger", seconds=0.3, count=1)
    async with listening(sim):
        pass
    with pytest.raises(InvalidStatus):
        await connect(sim.stream_url)
    await asyncio.sleep(0.35)
    async with listening(sim):
        assert sim.stream_connected()


async def test_odd_frames_are_sent_at_once(sim: Simulator) -> None:
    """Each kind, as often as asked; the connection lives on and real events follow."""
    async with listening(sim, max_size=None) as socket:
        assert sim.fault("stream", "null_data", count=2) == {"connections": 1}
        assert [await told(socket) for _ in range(2)] == [{"stream": "trade_updates", "data": None}] * 2
        sim.fault("stream", "unknown_event")
        assert (await told(socket))["data"]["event"] == "teleported"
        sim.fault("stream", "unknown_stream")
        assert (await told(socket))["stream"] == "weather_updates"
        sim.fault("stream", "garbage")
        with pytest.raises(UnicodeDecodeError):
            await told(socket)
        sim.fault("stream", "huge", size=100_000)
        assert len((await told(socket))["data"]["padding"]) == 100_000
        sim.fault("stream", "flood", count=500)
        ids = {(await told(socket))["data"]["execution_id"] for _ in range(500)}
        assert len(ids) == 500
        buy(sim)
        assert (await told(socket))["data"]["order"]["symbol"] == "AAPL"


@pytest.mark.parametrize(("kind", "code"), [("cut", 1006), ("close", 1000), ("error", 1000)])
async def test_a_connection_can_be_ended(sim: Simulator, kind: str, code: int) -> None:
    """Without a word, with a close frame, or with an error frame and then a close frame."""
    async with listening(sim) as socket:
        sim.fault("stream", kind)
        if kind == "error":
            assert await told(socket) == {"action": "error", "data": {"error_message": "internal server error"}}
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == code


async def test_a_flood_keeps_its_rate(sim: Simulator) -> None:
    """300 frames at 1,000 a second take about 0.3 seconds."""
    async with listening(sim) as socket:
        start = asyncio.get_running_loop().time()
        sim.fault("stream", "flood", count=300, rate=1000)
        for _ in range(300):
            await told(socket)
        assert 0.15 <= asyncio.get_running_loop().time() - start < 2


async def test_the_simulator_ends_with_clients_connected() -> None:
    """A listening client is closed properly, a mute one dropped, and the end takes no time."""
    async with asyncio.timeout(5):
        async with Simulator() as sim:
            socket = await connect(sim.stream_url)
            await say(socket, {"action": "auth", "key": sim.key, "secret": sim.secret})
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 1001


async def test_an_upgrade_may_name_its_account(sim: Simulator) -> None:
    """With the key in a header the slot is known at the upgrade; plain HTTP is no upgrade."""
    async with aiohttp.ClientSession(sim.rest_url) as http, http.get("/stream") as response:
        assert response.status == 400
    async with listening(sim, additional_headers={"APCA-API-KEY-ID": sim.key}):
        with pytest.raises(InvalidStatus):
            await connect(sim.stream_url, additional_headers={"APCA-API-KEY-ID": sim.key})

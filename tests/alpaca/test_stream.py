"""The stream adapter on real sockets: against the simulated Alpaca, and against servers that do what it does not."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from recond.alpaca.stream import AlpacaStream
from recond.ports import BrokerBusy, BrokerRefused, BrokerUnavailable, PortError, StreamEvent
from recond.simulator import Simulator
from tests.alpaca.raw_server import KEY, SECRET

GRANTED = {"stream": "authorization", "data": {"action": "authenticate", "status": "authorized"}}
LISTENING = {"stream": "listening", "data": {"streams": ["trade_updates"]}}
NEW = {"stream": "trade_updates", "data": {"event": "new"}}

Talk = Callable[[ServerConnection], Awaitable[None]]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own proxies are not what is tested."""
    for name in os.environ:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """A simulated Alpaca with one account."""
    async with Simulator(scenario="demo") as running:
        yield running


def stream_of(simulator: Simulator, **timers: float) -> AlpacaStream:
    """The stream of the simulator's account."""
    return AlpacaStream(simulator.key, simulator.secret, url=simulator.stream_url, **timers)


@asynccontextmanager
async def served(talk: Talk, **timers: float) -> AsyncIterator[AlpacaStream]:
    """A stream whose server does what a test says."""
    async with serve(talk, "127.0.0.1", 0, close_timeout=0.1) as server:
        port = server.sockets[0].getsockname()[1]
        yield AlpacaStream(KEY, SECRET, url=f"ws://127.0.0.1:{port}/stream", **timers)


async def confirm(connection: ServerConnection) -> None:
    """Take the keys and the subscription as Alpaca does."""
    for answer in (GRANTED, LISTENING):
        await connection.recv()
        await connection.send(json.dumps(answer))


async def enter(stream: AlpacaStream) -> None:
    """Connect and leave."""
    async with stream.connect():
        pass


async def end_of(events: AsyncIterator[StreamEvent], names: list[str] | None = None) -> PortError:
    """Listen to the end, keeping the names of the events, and return the error that it ends with."""
    try:
        async for event in events:
            if names is not None:
                names.append(event.name)
    except PortError as error:
        return error
    raise AssertionError("the iterator just stopped")


def now_s() -> float:
    """The loop's time, which a test may have made virtual."""
    return asyncio.get_running_loop().time()


# On the way in


async def test_the_frames_that_are_sent() -> None:
    """The keys go in the form that is not deprecated, and one stream is asked for."""
    sent: list[object] = []

    async def talk(connection: ServerConnection) -> None:
        for answer in (GRANTED, LISTENING):
            sent.append(json.loads(await connection.recv()))
            await connection.send(json.dumps(answer).encode())
        await connection.wait_closed()

    async with served(talk) as stream:
        await enter(stream)
    assert sent == [
        {"action": "auth", "key": KEY, "secret": SECRET},
        {"action": "listen", "data": {"streams": ["trade_updates"]}},
    ]


async def test_wrong_keys(simulator: Simulator) -> None:
    """Keys that the broker does not know are refused, which only an operator can help."""
    stream = AlpacaStream(KEY, SECRET, url=simulator.stream_url)
    with pytest.raises(BrokerRefused, match="access key verification failed") as raised:
        await enter(stream)
    assert raised.value.hint


@pytest.mark.parametrize(("kind", "step"), [("no_auth", "auth"), ("no_ack", "listen"), ("slow_ack", "listen")])
async def test_no_answer(simulator: Simulator, kind: str, step: str) -> None:
    """Each answer has its deadline, and the error names the step that was not answered."""
    simulator.fault("stream", kind, count=1)
    began_s = now_s()
    with pytest.raises(BrokerUnavailable, match=f"no answer to '{step}' within 0.2 s"):
        await enter(stream_of(simulator, ack_timeout_s=0.2))
    assert now_s() - began_s < 2.5
    await enter(stream_of(simulator))


async def test_slow_answers(simulator: Simulator) -> None:
    """Answers that come late but in time are waited for, each with a deadline of its own."""
    simulator.fault("stream", "slow_auth", seconds=0.3)
    simulator.fault("stream", "slow_ack", seconds=0.3)
    await enter(stream_of(simulator, ack_timeout_s=0.5))


async def test_the_stream_is_not_granted(simulator: Simulator) -> None:
    """An acknowledgement that does not name the stream is none: such a connection would stay silent for ever."""
    simulator.fault("stream", "ack_without", count=1)
    with pytest.raises(BrokerUnavailable, match="does not grant trade_updates"):
        await enter(stream_of(simulator))


async def test_the_slot_is_taken(simulator: Simulator) -> None:
    """A second connection is refused with HTTP 429 while the first lives, and is possible as soon as that has left."""
    async with stream_of(simulator).connect():
        with pytest.raises(BrokerBusy, match="HTTP 429"):
            await enter(stream_of(simulator))
    await enter(stream_of(simulator))


async def test_the_slot_is_taken_after_the_upgrade() -> None:
    """A connection limit that the server states in an error frame means the same."""

    async def talk(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send('{"action": "error", "data": {"error_message": "connection limit exceeded"}}')

    async with served(talk) as stream:
        with pytest.raises(BrokerBusy, match="connection limit exceeded"):
            await enter(stream)


async def test_events_before_the_acknowledgement(simulator: Simulator) -> None:
    """What the server tells before it confirms is handed over first, not lost."""
    async with stream_of(simulator).connect():
        simulator.do("trade", symbol="AAPL", side="buy", qty=1)
    simulator.fault("stream", "replay", last=2)
    simulator.fault("stream", "slow_ack", seconds=0.2)
    async with stream_of(simulator).connect() as events:
        assert [(await anext(events)).name for _ in range(2)] == ["new", "fill"]


async def test_too_many_events_before_the_acknowledgement() -> None:
    """A server that talks without ever confirming is left, long before it has filled the memory."""

    async def talk(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(json.dumps(GRANTED))
        for _ in range(10_100):
            await connection.send(json.dumps(NEW))
        await connection.wait_closed()

    async with served(talk) as stream:
        with pytest.raises(BrokerUnavailable, match="messages before the answer to 'listen'"):
            await enter(stream)


async def test_a_redirect_gets_no_keys(simulator: Simulator) -> None:
    """A server that sends the client elsewhere does not make it show the keys there."""
    seen: list[object] = []

    async def elsewhere(connection: ServerConnection) -> None:
        async for message in connection:
            seen.append(message)

    async with serve(elsewhere, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]

        def redirect(connection: ServerConnection, request: Request) -> Response:
            response = connection.respond(HTTPStatus.FOUND, "")
            response.headers["Location"] = f"ws://127.0.0.1:{port}/stream"
            return response

        async with serve(elsewhere, "127.0.0.1", 0, process_request=redirect) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/stream"
            with pytest.raises(BrokerUnavailable, match="redirected"):
                await enter(AlpacaStream(KEY, SECRET, url=url))
    assert seen == []


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_a_server_that_is_none(scheme: str) -> None:
    """Silence, rubbish, a closed port and a failed upgrade are all an unavailable broker, within the deadline."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def rubbish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n\r\n<html>nginx")
        writer.close()

    began_s = now_s()
    for behave in (silent, rubbish, None):
        server = await asyncio.start_server(behave or silent, "127.0.0.1", 0)
        url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/stream"
        if behave is None:
            server.close()
        with pytest.raises(BrokerUnavailable) as raised:
            await enter(AlpacaStream(KEY, SECRET, url=url, connect_timeout_s=0.3))
        assert raised.value.message.startswith("stream of 127.0.0.1: ")
        server.close()
    assert now_s() - began_s < 5


# While it is open


async def test_what_a_server_may_send(simulator: Simulator) -> None:
    """Garbage, null, unknown events and unknown streams are events like others, and the connection goes on."""
    async with stream_of(simulator).connect() as events:
        for kind in ("garbage", "null_data", "unknown_event", "unknown_stream"):
            simulator.fault("stream", kind)
        simulator.do("trade", symbol="AAPL", side="sell", qty=1)
        seen = [await anext(events) for _ in range(6)]
    assert [event.name for event in seen] == ["garbage", "null", "teleported", "unknown", "new", "fill"]
    assert [event.movement for event in seen] == [True, True, True, True, False, True]


async def test_a_text_frame_that_is_no_text() -> None:
    """A text frame with broken UTF-8, which the library ends a connection for, is garbage like any other."""

    async def talk(connection: ServerConnection) -> None:
        await confirm(connection)
        await connection.send(b"\xff\xfe", text=True)
        await connection.send(json.dumps(NEW))
        await connection.wait_closed()

    async with served(talk) as stream, stream.connect() as events:
        assert [(await anext(events)).name for _ in range(2)] == ["garbage", "new"]


async def test_a_huge_message(simulator: Simulator) -> None:
    """A message of two megabytes is counted, what came before it is not lost, and the connection ends with a reason."""
    async with stream_of(simulator).connect() as events:
        simulator.fault("stream", "unknown_event")
        simulator.fault("stream", "huge", size=2_000_000)
        names: list[str] = []
        error = await end_of(events, names)
    assert names == ["teleported", "garbage"]
    assert "exceeds limit" in error.message


@pytest.mark.parametrize(
    ("kind", "words"), [("cut", "without a word"), ("close", "with code 1000"), ("error", "'internal server error'")]
)
async def test_the_connection_ends(simulator: Simulator, kind: str, words: str) -> None:
    """However a connection ends, iterating raises and says how; then it can be made again."""
    async with stream_of(simulator).connect() as events:
        simulator.fault("stream", kind)
        error = await end_of(events)
    assert type(error) is BrokerUnavailable
    assert words in error.message
    await enter(stream_of(simulator))


async def test_keys_revoked_meanwhile() -> None:
    """A server that takes the authorization back is heard: these keys need an operator."""

    async def talk(connection: ServerConnection) -> None:
        await confirm(connection)
        await connection.send('{"stream": "authorization", "data": {"status": "unauthorized", "action": "listen"}}')
        await connection.wait_closed()

    async with served(talk) as stream, stream.connect() as events:
        assert type(await end_of(events)) is BrokerRefused


async def test_a_peer_that_is_gone(simulator: Simulator) -> None:
    """A socket on which nothing comes any more is noticed by the pings, and said to be."""
    async with stream_of(simulator, ping_interval_s=0.2, ping_timeout_s=0.2).connect() as events:
        simulator.fault("stream", "half_open", count=1)
        began_s = now_s()
        error = await end_of(events)
    assert now_s() - began_s < 0.2 + 0.2 + 1.5
    assert "ping timeout" in error.message


@pytest.mark.looptime
@pytest.mark.parametrize("gone_after_s", [0.0, 14.9, 15.1, 29.0])
async def test_a_peer_that_is_gone_with_the_defaults(gone_after_s: float) -> None:
    """At whatever moment a socket goes silent, that is noticed within 30 s."""
    async with Simulator() as simulator, stream_of(simulator).connect() as events:
        await asyncio.sleep(gone_after_s)
        simulator.fault("stream", "half_open", count=1)
        began_s = now_s()
        await end_of(events)
        assert 10 <= now_s() - began_s < 30


async def test_a_flood(simulator: Simulator) -> None:
    """Of 10,000 events as fast as they come none is lost."""
    async with stream_of(simulator).connect() as events:
        simulator.fault("stream", "flood", count=10_000)
        assert {(await anext(events)).name for _ in range(10_000)} == {"new"}


async def test_a_flood_lets_others_work() -> None:
    """The loop comes round after 16 events at most, also when thousands came at once."""

    async def talk(connection: ServerConnection) -> None:
        await confirm(connection)
        connection.transport.write(b"\x82\x02{}" * 20_000)
        await connection.wait_closed()

    in_a_row, most = 0, 0

    async def others() -> None:
        nonlocal in_a_row
        while True:
            in_a_row = 0
            await asyncio.sleep(0)

    async with served(talk) as stream, stream.connect() as events:
        task = asyncio.create_task(others())
        for _ in range(20_000):
            await anext(events)
            in_a_row += 1
            most = max(most, in_a_row)
        task.cancel()
    assert most <= 16


async def test_a_flood_waits_at_the_server() -> None:
    """While nobody takes events the server is held up, whatever it has to say: memory stays bounded."""
    sent: list[int] = []

    async def talk(connection: ServerConnection) -> None:
        await confirm(connection)
        for megabyte in range(200):
            await connection.send(b" " * 1_000_000)
            sent.append(megabyte)

    async with served(talk) as stream, stream.connect() as events:
        before = -1
        while len(sent) > before:  # how much fits into the buffers of both systems is not known
            before = len(sent)
            await asyncio.sleep(0.3)
        assert before < 100
        assert {(await anext(events)).name for _ in range(before + 1)} == {"garbage"}


# On the way out


async def test_leaving_a_dead_connection(simulator: Simulator) -> None:
    """Leaving takes two seconds at most though the peer answers nothing."""
    async with stream_of(simulator).connect():
        simulator.fault("stream", "half_open", count=1)
        began_s = now_s()
    assert now_s() - began_s < 2


async def test_leaving_while_the_server_talks_on() -> None:
    """Leaving takes two seconds at most though the server does not stop sending and never closes."""

    async def talk(connection: ServerConnection) -> None:
        await confirm(connection)
        while True:
            connection.transport.write(b"\x82\x02{}")
            await asyncio.sleep(0.001)

    async with served(talk) as stream:
        async with stream.connect() as events:
            await anext(events)
            began_s = now_s()
        assert now_s() - began_s < 2


@pytest.mark.parametrize("answers", [0, 1, 2])
async def test_being_cancelled(answers: int) -> None:
    """Whoever is cancelled while waiting for an answer or for an event leaves at once, with the connection closed."""
    waiting, closed = asyncio.Event(), asyncio.Event()

    async def talk(connection: ServerConnection) -> None:
        for answer in (GRANTED, LISTENING)[:answers]:
            await connection.recv()
            await connection.send(json.dumps(answer))
        waiting.set()
        await connection.wait_closed()
        closed.set()

    async def listen(stream: AlpacaStream) -> None:
        async with stream.connect() as events:
            await end_of(events)

    async with served(talk) as stream:
        task = asyncio.create_task(listen(stream))
        await waiting.wait()
        began_s = now_s()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await closed.wait()
        assert now_s() - began_s < 2


# Secrets and proxies


async def test_the_keys_are_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    """A server that echoes the keys, and a log at its most talkative, show neither key nor secret."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="websockets.client")

    async def talk(connection: ServerConnection) -> None:
        echo = await connection.recv()
        await connection.send(json.dumps({"action": "error", "data": {"error_message": f"what is {echo!r}?"}}))

    async with served(talk) as stream:
        with pytest.raises(BrokerUnavailable) as raised:
            await enter(stream)
    assert "what is" in raised.value.message
    ours = "".join(record.getMessage() for record in caplog.records if record.name != "websockets.server")
    for text in (str(raised.value), raised.value.hint, repr(stream), repr(vars(raised.value)), ours):
        assert KEY not in text
        assert SECRET not in text
    assert raised.value.__suppress_context__


async def test_a_proxy_is_used(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy that the environment names is asked for a tunnel, and the stream goes through it."""
    asked: list[str] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode().splitlines()[0])
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        there = await asyncio.open_connection("127.0.0.1", int(simulator.stream_url.split(":")[2].split("/")[0]))

        async def pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                sink.write(data)
            sink.close()

        await asyncio.gather(pipe(reader, there[1]), pipe(there[0], writer))

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with server, stream_of(simulator).connect() as events:
        simulator.fault("stream", "null_data")
        assert (await anext(events)).name == "null"
    assert asked == [f"CONNECT {simulator.stream_url.split('/')[2]} HTTP/1.1"]


@pytest.mark.parametrize(
    "proxy", ["socks5h://user:pa55word@127.0.0.1:1", "ftp://user:pa55word@127.0.0.1", "http://user:pa55word"]
)
async def test_a_proxy_that_cannot_be_used(simulator: Simulator, monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """A proxy of a kind that is not supported is an unavailable broker, and its password stays unsaid."""
    monkeypatch.setenv("ws_proxy", proxy)
    with pytest.raises(BrokerUnavailable) as raised:
        await enter(stream_of(simulator, connect_timeout_s=2))
    assert "pa55word" not in raised.value.message

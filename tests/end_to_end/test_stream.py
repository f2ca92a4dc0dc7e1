"""The account's stream as the real daemon lives with it: noticed at once, taken, refused, silent, back again."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

from alpaca.trading.stream import TradingStream

from recond.simulator import Simulator
from tests.end_to_end.conftest import Start
from tests.end_to_end.process import book, bot, held, until
from tests.end_to_end.streaming import Streaming, account, eventually, executions, settled

SILENCE_MAX_S = 30.0


@asynccontextmanager
async def platform_stream(simulator: Simulator) -> AsyncIterator[None]:
    """Alpaca's own client, as a platform has it, which holds the account's one connection."""

    async def handle(_update: object) -> None:
        pass

    stream = TradingStream(simulator.key, simulator.secret, paper=True, url_override=simulator.stream_url)
    stream.subscribe_trade_updates(handle)
    running = asyncio.create_task(stream._run_forever())
    try:
        await until(simulator.stream_connected)
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await stream.close()


async def test_a_trade_from_elsewhere_is_noticed_at_once(simulator: Simulator, start: Start, tmp_path: Path) -> None:
    """The stream makes recond look within two seconds of a trade, though the interval is an hour, and then judge it."""
    daemon = await start(Streaming(tmp_path, simulator, daemon={"settle": "2s"}))
    await settled(daemon)

    simulator.do("trade", symbol="AAPL", side="buy", qty=3)
    seen = await eventually(lambda seen: seen["pending"], daemon, 2.0)

    assert [pending["symbol"] for pending in seen["pending"]] == ["AAPL"]
    await until(lambda: book(daemon.ledger) == held(simulator))
    assert {run["trigger"].split("+")[0] for run in daemon.runs()} <= {
        "start",
        "http",
        "reconnect",
        "stream",
        "recheck",
    }


async def test_a_taken_slot_leaves_rest(simulator: Simulator, start: Start, tmp_path: Path) -> None:
    """While the platform's own stream has the one connection the status says so, and drifts are still found."""
    async with platform_stream(simulator):
        daemon = await start(Streaming(tmp_path, simulator, daemon={"interval": "1s"}))
        await eventually(lambda seen: seen["stream"].startswith("busy: "), daemon)
        await until(lambda: book(daemon.ledger) == held(simulator))

        simulator.do("trade", symbol="AAPL", side="buy", qty=3)
        await until(lambda: book(daemon.ledger) == held(simulator))

        assert simulator.stream_connected()
        assert (await account(daemon))["stream"].startswith("busy: ")
        assert 'recond_stream_connected{account="default"} 0.0' in await daemon.metrics()


async def test_refused_keys_are_reported_once(simulator: Simulator, start: Start, tmp_path: Path) -> None:
    """A stream that refuses the keys is reported once, with a hint, and the passes go on."""
    simulator.fault("stream", "unauthorized")
    daemon = await start(Streaming(tmp_path, simulator))
    await eventually(lambda seen: seen["stream"].startswith("refused: "), daemon)
    for _ in range(3):
        assert (await daemon.reconcile())["error"] is None

    [line] = [line for line in daemon.lines() if "stream refused" in line["event"]]
    assert line["hint"]
    assert simulator.secret not in daemon.text


async def test_silence_is_noticed_and_the_gap_closed(simulator: Simulator, start: Start, tmp_path: Path) -> None:
    """A socket on which nothing comes any more is reported within 30 s; what happened meanwhile is found and stored.

    From the loss until REST has told what the stream may have lost, the gate is unknown and says why.
    """
    daemon = await start(Streaming(tmp_path, simulator))
    await settled(daemon)
    simulator.fault("stream", "half_open", count=1)
    simulator.fault("activities", "delay", seconds=1.0)
    began_s = time.monotonic()
    order = simulator.do("trade", symbol="AAPL", side="buy", qty=3)["order"]

    lost = await eventually(lambda seen: seen["stream"] != "connected", daemon, SILENCE_MAX_S)

    assert time.monotonic() - began_s < SILENCE_MAX_S
    assert "ping timeout" in lost["stream"]
    assert "evidence_gap" in [reason["code"] for reason in lost["gate"]["reasons"]]
    await until(lambda: book(daemon.ledger) == held(simulator))
    await settled(daemon)
    metrics = await daemon.metrics()
    assert 'recond_stream_reconnects_total{account="default"} 1.0' in metrics
    assert 'recond_missed_events_total{account="default"} 0.0' in metrics, "nobody listened, so nothing was missed"
    await until(lambda: order["id"] in executions(daemon))


async def test_a_connection_that_ends_is_made_again(simulator: Simulator, start: Start, tmp_path: Path) -> None:
    """Cut off again and again, recond is back each time, and a trade in the gap is found without anybody asking."""
    daemon = await start(Streaming(tmp_path, simulator))
    await settled(daemon)
    for kind in ("cut", "error"):
        simulator.fault("stream", kind)
        simulator.do("trade", symbol="AAPL", side="buy", qty=1)
        await until(lambda: not simulator.stream_connected())
        simulator.do("trade", symbol="MSFT", side="buy", qty=1)
        await until(lambda: book(daemon.ledger) == held(simulator))
        await settled(daemon)


async def test_after_being_stopped_it_raises_nothing(simulator: Simulator, start: Start, tmp_path: Path) -> None:
    """Stopped for longer than `settle` amid constant trading, it is told all that happened meanwhile at once."""
    daemon = await start(Streaming(tmp_path, simulator, daemon={"settle": "2s", "interval": "1s"}))
    await settled(daemon)
    random, bookings, seen = Random(7), set[asyncio.Task[None]](), list[dict[str, Any]]()

    async def book_late(quantity: int) -> None:
        await asyncio.sleep(random.uniform(0, 1.2))
        with bot(daemon.ledger) as platform:
            platform.execute("UPDATE positions SET quantity = quantity + ? WHERE symbol = 'AAPL'", (quantity,))

    for step in range(120):
        quantity = random.randint(1, 3)
        simulator.do("trade", symbol="AAPL", side="buy", qty=quantity)
        bookings.add(asyncio.create_task(book_late(quantity)))
        if step == 30:
            with bot(daemon.ledger) as platform:
                platform.execute("BEGIN IMMEDIATE")  # it must not be stopped while it keeps the platform waiting
                daemon.signal(signal.SIGSTOP)
                platform.execute("COMMIT")
        elif step == 80:
            daemon.signal(signal.SIGCONT)
        if not 30 <= step < 80:
            seen.append(await account(daemon))
        await asyncio.sleep(0.1)
    await asyncio.gather(*bookings)
    await until(lambda: book(daemon.ledger) == held(simulator))
    await settled(daemon)

    assert not [pending for each in seen for pending in each["pending"] if pending["inMotion"]]
    assert [each["openConflicts"] for each in seen if each["openConflicts"]] == []
    with bot(daemon.ledger) as platform:
        assert platform.execute("SELECT cause FROM drifts WHERE symbol = 'AAPL'").fetchall() == [("adoption",)]

"""alpaca-py's own stream and recond's, one after the other against the same simulated account: they see the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from alpaca.trading.stream import TradingStream

from recond.alpaca.stream import AlpacaStream
from recond.ports import StreamEvent
from recond.simulator import OrderRequest, Simulator
from tests.simulator.asking import until

NOW = datetime(2026, 3, 2, 15, 30, tzinfo=UTC)
Seen = tuple[str, tuple[object, ...]]
"""The word for an event and, of a fill or what amends one, what moved."""
AMENDMENTS = "trade_correct", "trade_bust"


def script(simulator: Simulator) -> None:
    """A day: fills whole, in parts, of coins, short; orders replaced, canceled, rejected; a correction and a bust."""
    exchange = simulator.exchange()
    simulator.do("trade", symbol="AAPL", side="buy", qty=3)
    simulator.do("trade", symbol="MSFT", side="sell", qty="50.0")
    simulator.do("trade", symbol="BTC/USD", side="buy", qty="0.25", price="64000.5")
    simulator.do("fills", parts=3)
    exchange.submit(OrderRequest("TSLA", "sell", Decimal(10), client_order_id="momentum-1"))
    resting = exchange.submit(OrderRequest("NVDA", "buy", Decimal(4), type="limit", limit_price=Decimal(100)))
    replaced = exchange.replace_order(resting.id, {"limit_price": Decimal(101)})
    exchange.account.fill(replaced.id, Decimal(1), Decimal(101))
    exchange.account.cancel(replaced.id)
    simulator.do("fills", reject=1)
    exchange.submit(OrderRequest("AMZN", "buy", Decimal(1)))
    simulator.do("trade", symbol="AAPL271217C00250000", side="sell", qty=1)
    simulator.do("correct", price="31.5")
    simulator.do("bust")
    simulator.fault("stream", "unknown_event")


async def with_alpaca_py(simulator: Simulator, act: Callable[[], None]) -> list[Seen]:
    """What TradingStream hands over, as the broker wrote it."""
    updates: list[dict[str, Any]] = []

    async def handle(frame: Any) -> None:
        updates.append(frame["data"])

    stream = TradingStream(
        simulator.key, simulator.secret, paper=True, raw_data=True, url_override=simulator.stream_url
    )
    stream.subscribe_trade_updates(handle)
    running = asyncio.create_task(stream._run_forever())
    await until(simulator.stream_connected)
    act()
    await until(lambda: bool(updates) and updates[-1]["event"] == "teleported")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await stream.close()
    return [(update["event"], _fill(update)) for update in updates]


def _fill(update: dict[str, Any]) -> tuple[object, ...]:
    event, order = update["event"], update["order"]
    if event not in ("fill", "partial_fill", *AMENDMENTS):
        return ()
    sign = 1 if order["side"] == "buy" else -1
    at = datetime.fromisoformat(update["timestamp"])
    told = (order["symbol"].replace("/", ""), order["id"], update["execution_id"], at)
    if event in AMENDMENTS:
        right = 0 if event == "trade_bust" else sign * Decimal(update["qty"])
        return (*told, right, update["previous_execution_id"])
    numbers = (sign * Decimal(update["qty"]), update["price"], order["filled_qty"], update["position_qty"])
    return (*told, *map(Decimal, numbers))


async def with_recond(simulator: Simulator, act: Callable[[], None]) -> list[Seen]:
    """What recond's client hands over."""
    events: list[StreamEvent] = []
    async with AlpacaStream(simulator.key, simulator.secret, url=simulator.stream_url).connect() as told:
        act()
        async for event in told:
            events.append(event)
            if event.name == "teleported":
                break
    return [(event.name, _execution(event)) for event in events]


def _execution(event: StreamEvent) -> tuple[object, ...]:
    if not event.executions:
        return ()
    [one] = event.executions[:1]
    told = (one.symbol, one.order_id, one.execution_id, one.at, one.quantity)
    if event.name in AMENDMENTS:
        return (*told, one.previous_id)
    return (*told, one.price, one.cum_quantity, one.position_quantity)


async def test_alpaca_py_and_recond_see_the_same_events() -> None:
    """Every event of a day, in order, and of each fill or what amends it the order, execution, time and quantities."""
    seen = []
    client: Callable[[Simulator, Callable[[], None]], Awaitable[list[Seen]]]
    for client in (with_alpaca_py, with_recond):
        async with Simulator(scenario="demo", seed=7, now=lambda: NOW) as simulator:
            seen.append(await client(simulator, lambda: script(simulator)))
    assert seen[0] == seen[1]
    assert {name for name, _ in seen[0]} == {
        "new", "fill", "partial_fill", "replaced", "canceled", "rejected", "trade_correct", "trade_bust", "teleported",
    }  # fmt: skip
    assert sum(name in ("fill", "partial_fill") for name, _ in seen[0]) == 8

"""When orders fill, and what happens later."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from random import Random

import pytest

from recond.simulator.exchange import Exchange, FillRule, Timers
from recond.simulator.records import Booking, OrderRequest, TradeUpdate
from recond.simulator.scenarios import SCENARIOS

D = Decimal


def opened(updates: list[TradeUpdate]) -> Exchange:
    """An exchange with an empty account that keeps its updates in `updates`."""
    return Exchange(
        "main",
        SCENARIOS["empty"],
        key="k",
        secret="s",
        now=lambda: datetime(2026, 1, 1, tzinfo=UTC),
        rng=Random(1),
        timers=Timers(),
        rate_limit=200,
        listen=updates.append,
    )


@pytest.mark.looptime
async def test_fills_follow_the_rule() -> None:
    """After the delay, in equal whole parts with the rest at the end, a gap apart."""
    updates: list[TradeUpdate] = []
    exchange = opened(updates)
    exchange.rule = FillRule(delay=5, parts=3, gap=2)
    exchange.submit(OrderRequest("AAPL", "buy", D(10)))
    await asyncio.sleep(4.9)
    assert [u.event for u in updates] == ["new"]
    await asyncio.sleep(4.2)
    assert [(u.event, u.qty) for u in updates[1:]] == [("partial_fill", 3), ("partial_fill", 3), ("fill", 4)]


@pytest.mark.looptime
async def test_a_canceled_order_fills_no_further() -> None:
    """A cancel between two parts ends it."""
    updates: list[TradeUpdate] = []
    exchange = opened(updates)
    exchange.rule = FillRule(delay=1, parts=2, gap=10)
    order = exchange.submit(OrderRequest("AAPL", "buy", D(10)))
    await asyncio.sleep(2)
    exchange.account.cancel(order.id)
    await asyncio.sleep(20)
    assert [u.event for u in updates] == ["new", "partial_fill", "canceled"]
    assert exchange.account.positions["AAPL"].qty == 5


async def test_a_limit_order_rests_until_the_price_comes() -> None:
    """It fills when the price reaches its limit, at that price; ioc does not wait."""
    updates: list[TradeUpdate] = []
    exchange = opened(updates)
    exchange.submit(OrderRequest("AAPL", "buy", D(1), type="limit", limit_price=D(200)))
    exchange.submit(OrderRequest("AAPL", "buy", D(1), type="limit", limit_price=D(200), time_in_force="ioc"))
    assert [u.event for u in updates] == ["new", "new", "canceled"]
    exchange.set_price("AAPL", D("200.01"))
    assert exchange.account.positions == {}
    exchange.set_price("AAPL", D("199.5"))
    assert (updates[-1].event, updates[-1].price) == ("fill", D("199.5"))


async def test_orders_can_be_rejected_after_they_were_accepted() -> None:
    """The next one is; the one after it fills."""
    updates: list[TradeUpdate] = []
    exchange = opened(updates)
    exchange.rule = FillRule(reject=1)
    exchange.submit(OrderRequest("AAPL", "buy", D(1)))
    exchange.submit(OrderRequest("AAPL", "buy", D(1)))
    assert [u.event for u in updates] == ["new", "rejected", "new", "fill"]
    assert exchange.account.positions["AAPL"].qty == 1


@pytest.mark.looptime
async def test_activities_come_now_later_or_never() -> None:
    """A late booking is dated when it is booked, and is dropped when its account is gone by then."""
    exchange = opened([])
    for activity in ("now", "never", 10.0, 20.0):
        exchange.book((Booking("SPLIT"),), activity)
    assert len(exchange.account.activities) == 1
    await asyncio.sleep(11)
    assert len(exchange.account.activities) == 2
    exchange.reset(D(0), keep_keys=True)
    await asyncio.sleep(11)
    assert exchange.account.activities == {}


@pytest.mark.looptime
async def test_the_budget_renews_every_minute() -> None:
    """When it is spent it stays spent until the window's end."""
    exchange = opened([])
    exchange.rate_limit = 2
    assert [exchange.spend()[0] for _ in range(3)] == [True, True, False]
    await asyncio.sleep(59)
    assert not exchange.spend()[0]
    await asyncio.sleep(1.1)
    assert exchange.spend()[0]


@pytest.mark.looptime
async def test_the_past_can_be_seen() -> None:
    """Positions and cash as they were seconds ago agree with each other."""
    exchange = opened([])
    exchange.submit(OrderRequest("AAPL", "buy", D(1)))
    await asyncio.sleep(5)
    exchange.submit(OrderRequest("AAPL", "buy", D(1)))
    positions, cash = exchange.seen(3)
    assert (positions["AAPL"].qty, cash) == (1, D("99769.9"))
    assert exchange.seen(0)[0]["AAPL"].qty == 2


async def test_a_reset_can_change_the_keys() -> None:
    """As Alpaca does; by default they stay."""
    exchange = opened([])
    exchange.reset(D(1), keep_keys=True)
    assert exchange.key == "k"
    exchange.reset(D(1), keep_keys=False)
    assert exchange.key != "k"
    assert exchange.secret != "s"

"""When orders fill, and what happens later."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from random import Random

import pytest

from recond.simulator.exchange import Exchange, FillRule, Timers
from recond.simulator.records import Booking, OrderRequest, RefusedError, TradeUpdate
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
        exchange.carry_out((Booking("SPLIT"),), activity)
    assert len(exchange.account.activities) == 1
    await asyncio.sleep(11)
    assert len(exchange.account.activities) == 2
    exchange.reset(D(0), keep_keys=True)
    await asyncio.sleep(11)
    assert exchange.account.activities == {}


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("apart", "held"), [(False, [{"NEW": 5}, {"NEW": 5}, {"NEW": 5}]), (True, [{}, {"NEW": 5}, {"NEW": 5}])]
)
async def test_legs_are_booked_apart_and_can_move_apart(apart: bool, held: list[dict[str, int]]) -> None:
    """The second activity comes a gap after the first; in between the account is whole, or shows what was booked."""
    exchange = opened([])
    account = exchange.account
    account.set_price("OLD", D(10))
    account.set_price("NEW", D(10))
    account.move("OLD", D(5), D(10))
    legs = (
        Booking("NC", symbol="OLD", qty=D(-5), cost=D(-50)),
        Booking("NC", symbol="NEW", qty=D(5), cost=D(50)),
    )
    exchange.carry_out(legs, 30.0, gap=60.0, apart=apart)
    seen = []
    for _ in range(3):
        await asyncio.sleep(40)
        positions = {symbol: position.qty for symbol, position in account.positions.items()}
        seen.append((positions, len(account.activities)))
    assert seen == list(zip(held, (1, 1, 2), strict=True))


async def test_a_liquidation_is_an_order_of_nobodys() -> None:
    """It closes a long or a short, or a part of it and never more, with a foreign order's events."""
    updates: list[TradeUpdate] = []
    exchange = opened(updates)
    exchange.account.move("AAPL", D(5), D(100))
    exchange.account.move("TSLA", D(-3), D(100))
    exchange.liquidate("AAPL", D(2), None)
    exchange.liquidate("TSLA", D(9), D(90))
    assert [(u.event, u.order.side, u.qty) for u in updates] == [
        ("new", "sell", None), ("fill", "sell", 2), ("new", "buy", None), ("fill", "buy", 3),
    ]  # fmt: skip
    assert {symbol: held.qty for symbol, held in exchange.account.positions.items()} == {"AAPL": 3}
    assert len(updates[0].order.client_order_id) == 36
    with pytest.raises(RefusedError):
        exchange.liquidate("TSLA", None, None)


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

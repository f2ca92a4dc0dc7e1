"""The contract of the broker port, asked of every adapter: the value, or a port error in bounded time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from recond.alpaca.broker import AlpacaBroker
from recond.core.evidence import executions_of
from recond.core.model import Instrument
from recond.ports import Broker, BrokerRefused, BrokerUnavailable, PortError
from recond.simulator import Simulator

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
CALLS: dict[str, Callable[[Broker], Awaitable[object]]] = {
    "positions": lambda broker: broker.positions(),
    "account": lambda broker: broker.account(),
    "orders": lambda broker: broker.orders([], LONG_AGO, 50),
    "activities": lambda broker: broker.activities(LONG_AGO, 100),
}
FAULTS: dict[str, dict[str, object]] = {
    "status": {"status": 500},
    "html": {"status": 502},
    "hang": {},
    "drip": {"seconds": 60},
    "cut": {},
    "empty_body": {},
    "redirect": {},
    "null": {},
}


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """A simulated Alpaca with one account that holds of everything."""
    async with Simulator(scenario="demo") as running:
        yield running


def connect(simulator: Simulator, secret: str | None = None) -> AlpacaBroker:
    """The adapter under test, with deadlines that a test can wait for."""
    return AlpacaBroker(
        simulator.key,
        secret or simulator.secret,
        base_url=simulator.rest_url,
        read_timeout_s=0.4,
        overall_timeout_s=0.8,
    )


@pytest.fixture
async def broker(simulator: Simulator) -> AsyncIterator[Broker]:
    """The port, connected."""
    async with connect(simulator) as connected:
        yield connected


async def test_positions(broker: Broker) -> None:
    """Every holding is shown once under its canonical symbol, shorts negative, coins as coins, options by contract."""
    holdings = await broker.positions()
    assert {position.instrument: position.quantity for position in holdings.positions} == {
        Instrument("us_equity", "AAPL"): Decimal(100),
        Instrument("us_equity", "MSFT"): Decimal(50),
        Instrument("us_equity", "NVDA"): Decimal(120),
        Instrument("us_equity", "TSLA"): Decimal(-20),
        Instrument("crypto", "BTCUSD"): Decimal("0.4995"),
        Instrument("us_option", "AAPL271217C00250000"): Decimal(2),
    }
    assert holdings.unreadable == ()
    assert all(position.asset_id and position.price and position.cost_basis for position in holdings.positions)


async def test_no_positions() -> None:
    """An account without positions is empty, which only a whole answer says."""
    async with Simulator(scenario="empty") as simulator, connect(simulator) as broker:
        holdings = await broker.positions()
        assert (holdings.positions, holdings.unreadable) == ((), ())


async def test_account_proves_the_positions(broker: Broker) -> None:
    """The account has an identity that stays, and market values to which the positions add up."""
    account, again, holdings = await broker.account(), await broker.account(), await broker.positions()
    assert (account.id, account.status, account.trading_blocked) == (again.id, "ACTIVE", False)
    assert account.long_market_value is not None
    assert account.short_market_value is not None
    shown = sum(position.market_value or Decimal(0) for position in holdings.positions)
    assert abs(shown - account.long_market_value - account.short_market_value) < 1


@pytest.mark.parametrize(("symbol", "position"), [("AAPL", "AAPL"), ("ETH/USD", "ETHUSD")])
async def test_a_trade_is_seen_everywhere(simulator: Simulator, broker: Broker, symbol: str, position: str) -> None:
    """A trade shows as its order, found by the position's symbol, and as a fill dated after the moment asked for."""
    before = datetime.now(UTC) - timedelta(seconds=1)
    simulator.do("trade", symbol=symbol, side="sell" if symbol == "AAPL" else "buy", qty=2)
    (order,) = await broker.orders([position], before, 50)
    found = await broker.activities(before, 100)
    (execution,) = [moved for entry in found.entries for moved in executions_of(entry)]
    assert found.complete
    assert (order.status, order.filled_quantity) == ("filled", Decimal(2))
    assert (execution.symbol, execution.order_id, execution.cum_quantity) == (position, order.id, Decimal(2))
    assert execution.quantity == (-2 if symbol == "AAPL" else 2)
    assert await broker.orders(["MSFT"], before, 50) == ()
    assert (await broker.activities(datetime.now(UTC) + timedelta(minutes=1), 100)).entries == ()


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("call", CALLS)
async def test_faults(simulator: Simulator, broker: Broker, call: str, kind: str) -> None:
    """A fault is unavailable in bounded time with a hint, never an empty answer, and leaves nothing behind."""
    whole = await CALLS[call](broker)
    simulator.fault(call, kind, **FAULTS[kind])
    async with asyncio.timeout(5):
        with pytest.raises(BrokerUnavailable) as caught:
            await CALLS[call](broker)
    assert f"/v2/{'account/' if call == 'activities' else ''}{call}" in caught.value.message
    assert caught.value.hint
    simulator.clear()
    assert type(await CALLS[call](broker)) is type(whole)


@pytest.mark.parametrize("call", ["positions", "orders", "activities"])
async def test_object_in_place_of_a_list(simulator: Simulator, broker: Broker, call: str) -> None:
    """An object where a list belongs is unavailable."""
    simulator.fault(call, "object")
    with pytest.raises(BrokerUnavailable):
        await CALLS[call](broker)


async def test_rate_limit(simulator: Simulator, broker: Broker) -> None:
    """After 429 the port says so, and does not ask again before the limit is reset."""
    simulator.fault("positions", "status", status=429)
    sent: list[int] = []
    for _ in range(2):
        with pytest.raises(BrokerUnavailable):
            await broker.positions()
        sent.append(broker.usage().sent)
    assert sent == [1, 1]
    assert broker.usage().paused_until_s is not None


@pytest.mark.parametrize("call", CALLS)
async def test_wrong_keys(simulator: Simulator, call: str) -> None:
    """Keys that the broker does not know are refused, with a hint for the operator and without the keys."""
    async with connect(simulator, secret="wrong-secret") as broker:
        with pytest.raises(BrokerRefused) as caught:
            await CALLS[call](broker)
        assert caught.value.hint
        assert "wrong-secret" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("how", ["missing", "null", "garbage_symbol"])
async def test_one_bad_row(simulator: Simulator, broker: Broker, how: str) -> None:
    """A row that cannot be read is reported, and costs no other row."""
    simulator.fault("positions", "break_rows", how=how, symbols=("MSFT",))
    holdings = await broker.positions()
    assert len(holdings.positions) == 5
    (unreadable,) = holdings.unreadable
    assert unreadable.symbol in ("MSFT", None)


async def test_an_unknown_word_is_no_bad_row(simulator: Simulator, broker: Broker) -> None:
    """A word never seen before in every row makes no row unreadable."""
    simulator.fault("positions", "break_rows", how="enum", field="exchange")
    holdings = await broker.positions()
    assert (len(holdings.positions), holdings.unreadable) == (6, ())


async def test_cancelled_at_any_moment(simulator: Simulator, broker: Broker) -> None:
    """A call can be cancelled at any moment, and the next one is answered with its own answer."""
    rng = random.Random(7)
    for _ in range(40):
        call = asyncio.ensure_future(CALLS[rng.choice(sorted(CALLS))](broker))
        await asyncio.wait([call], timeout=rng.uniform(0, 0.015))
        call.cancel()
        (outcome,) = await asyncio.gather(call, return_exceptions=True)
        assert not isinstance(outcome, BaseException) or isinstance(outcome, asyncio.CancelledError | PortError)
        assert len((await broker.positions()).positions) == 6
        assert (await broker.account()).status == "ACTIVE"


async def test_usage_and_time(broker: Broker) -> None:
    """Requests are counted, the limit is told, and the broker's time is unknown before the first answer only."""
    assert (broker.usage().sent, broker.usage().limit_remaining, broker.broker_time()) == (0, None, None)
    await broker.positions()
    usage, shown = broker.usage(), broker.broker_time()
    assert usage.sent == 1
    assert usage.limit_remaining is not None
    assert shown is not None
    assert abs(shown - datetime.now(UTC)) < timedelta(seconds=2)
    assert usage.clock_offset_s is not None
    assert abs(usage.clock_offset_s) < 2


def test_nothing_trades() -> None:
    """The port has no method that could place, change or cancel anything."""
    methods = {name for name in dir(AlpacaBroker) if not name.startswith("_")}
    assert methods == {"positions", "account", "orders", "order", "activities", "usage", "broker_time"}

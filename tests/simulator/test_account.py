"""The books of an account under orders."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recond.simulator.account import Account
from recond.simulator.records import Fill, OrderRequest, RefusedError, TradeUpdate

D = Decimal
NOON = datetime(2026, 1, 15, 17, 0, 0, 123456, tzinfo=UTC)

equities = st.sampled_from(["AAPL", "MSFT", "BRK.B"])
trades = st.tuples(
    equities, st.sampled_from(["buy", "sell"]), st.integers(1, 200), st.decimals("0.01", "900", places=2)
)


class Told:
    """A watcher that keeps what it was told."""

    def __init__(self) -> None:
        self.updates: list[TradeUpdate] = []

    def changed(self, kind: str, key: str, before: object) -> None:
        """Not of interest."""

    def traded(self, update: TradeUpdate) -> None:
        """Keep it."""
        self.updates.append(update)


def opened(**prices: str) -> tuple[Account, Told]:
    """An account with these prices, at noon in New York in winter."""
    told = Told()
    account = Account(D(100_000), now=lambda: NOON, rng=random.Random(1), watcher=told)
    for symbol, price in prices.items():
        account.set_price(symbol, D(price))
    return account, told


def trade(account: Account, symbol: str, side: str, qty: str | int, price: str | Decimal | None = None) -> str:
    """Submit and fill; returns the order's id."""
    order = account.submit(OrderRequest(symbol, side, D(qty)))
    account.fill(order.id, price=None if price is None else D(price))
    return order.id


@given(st.lists(trades, max_size=40))
def test_equity_trades_conserve_cash_and_quantity(moves: list[tuple[str, str, int, Decimal]]) -> None:
    """Cash is the start minus what was paid, and each position is the sum of its fills, from the activities."""
    account, _ = opened()
    for symbol in ("AAPL", "MSFT", "BRK.B"):
        account.set_price(symbol, D(100))
    for symbol, side, qty, price in moves:
        trade(account, symbol, side, qty, price)
    fills = [fill for fill in account.activities.values() if isinstance(fill, Fill)]
    signed = [(fill.symbol, fill.qty if fill.side == "buy" else -fill.qty, fill.price) for fill in fills]
    assert account.cash == 100_000 - sum(qty * price for _, qty, price in signed)
    for symbol in ("AAPL", "MSFT", "BRK.B"):
        held = account.positions[symbol].qty if symbol in account.positions else 0
        assert held == sum(qty for of, qty, _ in signed if of == symbol)
        assert symbol not in account.positions or account.positions[symbol].entry_price > 0


@given(st.lists(st.tuples(equities, st.sampled_from(["buy", "sell"]), st.integers(1, 200)), max_size=30))
def test_trading_at_the_market_price_leaves_equity_alone(moves: list[tuple[str, str, int]]) -> None:
    """Without a price change or a fee, cash plus market value stays what it was."""
    account, _ = opened()
    for symbol in ("AAPL", "MSFT", "BRK.B"):
        account.set_price(symbol, D("123.45"))
    for symbol, side, qty in moves:
        trade(account, symbol, side, qty)
    assert account.equity() == 100_000


def test_the_fee_of_a_coin_comes_out_of_the_coin() -> None:
    """0.1 BTC bought at 25 basis points are 0.09975 held, while the fill stays gross and the CFEE comes later."""
    account, told = opened(BTCUSD="64000")
    order_id = trade(account, "BTC/USD", "buy", "0.1")
    assert account.positions["BTCUSD"].qty == D("0.09975")
    assert account.orders[order_id].filled_qty == D("0.1")
    assert account.cash == 100_000 - 6400
    assert told.updates[-1].position_qty == D("0.09975")
    assert account.orders[order_id].asset_id != account.positions["BTCUSD"].asset_id
    account.book_fees()
    assert [activity.activity_type for activity in account.activities.values()] == ["FILL", "CFEE"]


def test_position_qty_can_be_gross_of_the_fee() -> None:
    """Whether the stream's position_qty is net is unknown, so both can be simulated."""
    account, told = opened(BTCUSD="64000")
    account.gross_position_qty = True
    trade(account, "BTC/USD", "buy", "0.1")
    assert (told.updates[-1].position_qty, account.positions["BTCUSD"].qty) == (D("0.1"), D("0.09975"))


def test_a_pair_of_coins_moves_both() -> None:
    """Buying ETH/BTC adds to ETHUSD and takes from BTCUSD; dollars stay."""
    account, _ = opened(BTCUSD="60000", ETHUSD="3000")
    trade(account, "BTC/USD", "buy", "1")
    cash = account.cash
    trade(account, "ETH/BTC", "buy", "2")
    assert account.positions["ETHUSD"].qty == D("1.995")
    assert account.positions["BTCUSD"].qty == D("0.8975")
    assert account.cash == cash


def test_an_option_costs_a_hundred_times_its_price() -> None:
    """Contracts count, dollars are times the multiplier."""
    account, _ = opened(AAPL271217C00250000="31.45")
    trade(account, "AAPL271217C00250000", "buy", 2)
    assert account.cash == 100_000 - 6290
    assert account.positions["AAPL271217C00250000"].cost == 6290
    assert account.positions["AAPL271217C00250000"].entry_price == D("31.45")


def test_fill_activities_carry_eastern_time_and_their_own_id() -> None:
    """17:00Z in January is 12:00 in New York; the activity's uuid is not the execution's."""
    account, told = opened(AAPL="100")
    trade(account, "AAPL", "buy", 1)
    (activity,) = account.activities.values()
    assert activity.id.startswith("20260115120000123::")
    assert told.updates[-1].execution_id not in activity.id


def test_partial_fills_add_up() -> None:
    """Each execution reports its own quantity, the order the sum, the event the position after it."""
    account, told = opened(AAPL="100")
    order = account.submit(OrderRequest("AAPL", "buy", D(10)))
    account.fill(order.id, D(4), D(100))
    assert account.orders[order.id].status == "partially_filled"
    account.fill(order.id, None, D(110))
    assert [(u.event, u.qty, u.position_qty) for u in told.updates] == [
        ("new", None, None),
        ("partial_fill", 4, 4),
        ("fill", 6, 10),
    ]
    assert [(f.cum_qty, f.leaves_qty) for f in account.activities.values() if isinstance(f, Fill)] == [(4, 6), (10, 0)]


def test_a_short_sale_is_told_as_sell_short() -> None:
    """The FILL that opens a short carries `sell_short`, the order stays a `sell`."""
    account, _ = opened(TSLA="300")
    order_id = trade(account, "TSLA", "sell", 5)
    (fill,) = account.activities.values()
    assert isinstance(fill, Fill)
    assert (fill.side, account.orders[order_id].side) == ("sell_short", "sell")


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (OrderRequest("NOPE", "buy", D(1)), 42210000),
        (OrderRequest("AAPL", "buy"), 42210000),
        (OrderRequest("AAPL", "buy", D(0)), 42210000),
        (OrderRequest("AAPL", "buy", D(1), type="limit"), 42210000),
        (OrderRequest("AAPL", "buy", D(1), type="trailing_stop"), 42210000),
        (OrderRequest("AAPL", "sell", D("0.5")), 40310000),
        (OrderRequest("BTC/USD", "sell", D(1)), 40310000),
    ],
)
def test_refused_orders_leave_nothing(request_: OrderRequest, code: int) -> None:
    """What Alpaca refuses is refused with its code, and no order or event comes of it."""
    account, told = opened(AAPL="100", BTCUSD="60000")
    with pytest.raises(RefusedError) as refused:
        account.submit(request_)
    assert refused.value.code == code
    assert (account.orders, told.updates) == ({}, [])


def test_cancel_reject_and_replace_end_an_order() -> None:
    """Each ends the order with its event; a replacement has a new id and what was left."""
    account, told = opened(AAPL="100")
    orders = [account.submit(OrderRequest("AAPL", "buy", D(10), type="limit", limit_price=D(1))) for _ in range(3)]
    account.cancel(orders[0].id)
    account.reject(orders[1].id)
    account.fill(orders[2].id, D(4))
    new = account.replace_order(orders[2].id, {"limit_price": D(2)})
    assert [account.orders[order.id].status for order in orders] == ["canceled", "rejected", "replaced"]
    assert (new.replaces, account.orders[orders[2].id].replaced_by) == (orders[2].id, new.id)
    assert account.orders[new.id].qty == 6
    assert {"canceled", "rejected", "replaced"} <= {update.event for update in told.updates}
    assert list(account.open_orders) == [new.id]
    with pytest.raises(RefusedError, match="already"):
        account.cancel(orders[0].id)


def test_available_is_what_no_open_order_reserves() -> None:
    """An open sell reserves shares of a long position."""
    account, _ = opened(AAPL="100")
    trade(account, "AAPL", "buy", 5)
    account.submit(OrderRequest("AAPL", "sell", D(2), type="limit", limit_price=D(200)))
    assert account.available("AAPL") == 3


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("held", [0, 100, -100])
def test_a_bust_takes_the_trade_back_once(side: str, held: int) -> None:
    """Position and cash return, the event names what it undoes, and a second bust is refused."""
    account, told = opened(AAPL="100")
    if held:
        account.move("AAPL", D(held), D(80))
    trade(account, "AAPL", side, 5, "101")
    execution_id = told.updates[-1].execution_id
    account.bust()
    assert (account.positions["AAPL"].qty if held else account.positions, account.cash) == (held or {}, 100_000)
    if (side == "buy") is (held > 0):  # it added to the position, so its cost is known
        assert not held or account.positions["AAPL"].cost == held * 80
    update = told.updates[-1]
    assert (update.event, update.qty, update.previous_execution_id) == ("trade_bust", -5, execution_id)
    assert update.execution_id not in (None, execution_id)
    assert (update.order.filled_qty, len(account.activities)) == (5, 1)
    with pytest.raises(RefusedError):
        account.bust(execution_id)


@pytest.mark.parametrize("restate", [True, False])
def test_a_corrected_trade_counts_as_if_it_had_been_so(restate: bool) -> None:
    """Position, cost and cash are those of the right trade; its new id can be busted and the old one cannot."""
    account, told = opened(AAPL="100")
    account.move("AAPL", D(10), D(80))
    trade(account, "AAPL", "buy", 5, "101")
    wrong = told.updates[-1].execution_id
    right = account.correct(qty=D(4), price=D("99.5"), restate=restate)
    assert (account.positions["AAPL"].qty, account.positions["AAPL"].cost) == (14, 800 + 398)
    assert account.cash == 100_000 - 398
    update = told.updates[-1]
    assert (update.event, update.qty, update.execution_id, update.previous_execution_id) == (
        "trade_correct", 4, right.id, wrong,
    )  # fmt: skip
    assert (update.order.filled_qty, update.order.filled_value) == ((4, 398) if restate else (5, 505))
    with pytest.raises(RefusedError):
        account.correct(wrong, qty=D(1))
    account.bust(right.id)
    assert (account.positions["AAPL"].qty, account.positions["AAPL"].cost, account.cash) == (10, 800, 100_000)


def test_a_correction_after_most_is_sold_leaves_the_rest_at_its_cost() -> None:
    """The sold shares took the wrong price along; the cash is put right all the same."""
    account, told = opened(AAPL="100")
    trade(account, "AAPL", "buy", 5, "101")
    bought = told.updates[-1].execution_id
    trade(account, "AAPL", "sell", 4, "110")
    account.correct(bought, price=D(150))
    assert (account.positions["AAPL"].qty, account.positions["AAPL"].cost) == (1, 101)
    assert account.cash == 100_000 + 440 - 750


def test_the_trade_of_a_coin_is_not_corrected() -> None:
    """What happens to its fee is not known."""
    account, _ = opened(BTCUSD="64000")
    trade(account, "BTC/USD", "buy", "0.1")
    with pytest.raises(RefusedError):
        account.correct(qty=D(1))
    assert account.positions["BTCUSD"].qty == D("0.09975")

"""Alpaca's JSON, checked with alpaca-py's models where it has them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from alpaca.trading.models import Asset, Clock, NonTradeActivity, Order, Position, TradeAccount, TradeActivity
from hypothesis import given
from hypothesis import strategies as st

from recond.simulator import corporate, mergers, options, transfers, wire
from recond.simulator.account import Account
from recond.simulator.assets import asset_of
from recond.simulator.records import Booking, OrderRequest, TradeUpdate

D = Decimal
AT = datetime(2026, 1, 15, 17, 0, 0, 123450, tzinfo=UTC)


class Last:
    """A watcher that keeps the last update."""

    update: TradeUpdate

    def changed(self, kind: str, key: str, before: object) -> None:
        """Not of interest."""

    def traded(self, update: TradeUpdate) -> None:
        """Keep it."""
        self.update = update


def trading() -> tuple[Account, Last]:
    """An account with a long, a short, a coin and an option."""
    last = Last()
    account = Account(D(100_000), now=lambda: AT, watcher=last)
    for symbol, qty, price in (
        ("AAPL", D(5), D(100)),
        ("XLK", D(-24), D("82.69")),
        ("BTCUSD", D("0.3"), D(64000)),
        ("PTON280126C00000500", D(2), D("6.05")),
    ):
        account.set_price(symbol, price)
        account.move(symbol, qty, price)
    return account, last


@given(st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**12), max_value=10**12))
def test_decimal_text_is_plain_and_exact(value: Decimal) -> None:
    """No exponent, no trailing zeros, no minus zero, and the same number when read again."""
    text = wire.text(value)
    assert D(text) == value
    assert "E" not in text
    assert text != "-0"
    assert not ("." in text and text.endswith(("0", ".")))


def test_times_are_written_as_go_writes_them() -> None:
    """`Z`, trailing zeros cut, nanoseconds where Alpaca has them, and the same time gives the same text."""
    assert wire.moment(AT) == "2026-01-15T17:00:00.12345Z"
    assert wire.moment(AT.replace(microsecond=0)) == "2026-01-15T17:00:00Z"
    assert wire.moment(AT, nanos=True) == "2026-01-15T17:00:00.123450819Z"


def test_position_rows_are_as_documented() -> None:
    """A short is negative in quantity, value and cost; an option has no exchange; a coin loses its slash."""
    account, _ = trading()
    account.set_price("XLK", D("83.81"))
    rows = {row["symbol"]: row for row in wire.positions_json(account, account.positions.values())}
    for row in rows.values():
        Position(**row)
    short = rows["XLK"]
    assert (short["qty"], short["side"], short["market_value"]) == ("-24", "short", "-2011.44")
    assert (short["cost_basis"], short["unrealized_pl"], short["qty_available"]) == ("-1984.56", "-26.88", "-24")
    assert short["unrealized_plpc"] == "-0.0135445640343451"
    assert (rows["PTON280126C00000500"]["exchange"], rows["PTON280126C00000500"]["cost_basis"]) == ("", "1210")
    assert rows["BTCUSD"]["asset_class"] == "crypto"


def test_a_row_without_a_price_has_nulls() -> None:
    """What needs a price is null, the rest stays."""
    account, _ = trading()
    account.set_price("AAPL", None)
    row = next(row for row in wire.positions_json(account, account.positions.values()) if row["symbol"] == "AAPL")
    assert {name for name, value in row.items() if value is None} == {
        "market_value",
        "unrealized_pl",
        "unrealized_plpc",
        "unrealized_intraday_pl",
        "unrealized_intraday_plpc",
        "current_price",
        "change_today",
    }


def test_account_figures_agree_with_each_other() -> None:
    """Equity is cash plus long plus short market value, and those are the positions' sums; money is text."""
    account, _ = trading()
    row = wire.account_json(account, account.positions, account.cash)
    TradeAccount(**row)
    assert D(row["equity"]) == D(row["cash"]) + D(row["long_market_value"]) + D(row["short_market_value"])
    assert D(row["short_market_value"]) == D("-1984.56")
    assert D(row["position_market_value"]) == D(row["long_market_value"]) + D(row["short_market_value"])


def test_orders_and_updates_are_whole() -> None:
    """The stream's order is the REST order, and a fill carries quantity, price and position."""
    account, last = trading()
    order = account.submit(OrderRequest("BTC/USD", "buy", D("0.1")))
    first = wire.order_json(order)
    Order(**first)
    assert (first["qty"], first["filled_qty"], first["filled_avg_price"], first["legs"]) == ("0.1", "0", None, None)
    account.fill(order.id)
    frame = wire.update_json(last.update)
    assert frame["stream"] == "trade_updates"
    assert frame["data"]["order"] == wire.order_json(account.orders[order.id])
    assert (frame["data"]["qty"], frame["data"]["price"]) == ("0.1", "64000")
    assert frame["data"]["position_qty"] == "0.39975"
    assert len(frame["data"]["event_id"]) == 26


def test_a_notional_order_has_no_quantity() -> None:
    """Alpaca answers null for qty when dollars were ordered."""
    account, _ = trading()
    row = wire.order_json(account.submit(OrderRequest("AAPL", "buy", notional=D(250))))
    assert (row["qty"], row["notional"]) == (None, "250")


def test_activities_are_as_documented() -> None:
    """A fill has its order's sums; a non-trade row has a date and leaves out what it lacks."""
    account, _ = trading()
    order = account.submit(OrderRequest("AAPL", "buy", D(3)))
    account.fill(order.id, D(1))
    account.book(options.expire(account, "PTON280126C00000500"))
    fill, expiry = (wire.activity_json(activity) for activity in account.activities.values())
    TradeActivity(account_id=account.id, **fill)  # the Broker API has it, the Trading API has not
    NonTradeActivity(account_id=account.id, **expiry)
    assert (fill["type"], fill["cum_qty"], fill["leaves_qty"]) == ("partial_fill", "1", "2")
    assert (expiry["date"], expiry["qty"]) == ("2026-01-15", "-2")
    assert "price" not in expiry


PTON = "PTON280126C00000500"
COMMON = {"id", "activity_type", "date", "created_at", "net_amount", "currency", "description", "status"}


@pytest.mark.parametrize(
    ("legs", "rows"),
    [
        (
            lambda account: mergers.merge(account, "AAPL", to="NEW", cash=D(20)),
            [
                {"activity_sub_type": "SCMA", "symbol": "AAPL", "qty": "0", "price": "0", "net_amount": "100"},
                {"activity_sub_type": "SCMA", "symbol": "AAPL", "qty": "-5", "price": "100", "net_amount": "0"},
                {"activity_sub_type": "SCMA", "symbol": "NEW", "qty": "5", "price": "0", "net_amount": "0"},
            ],
        ),
        (
            lambda account: corporate.cash_dividend(account, "AAPL", D("0.51"), None),
            [{"symbol": "AAPL", "qty": "5", "per_share_amount": "0.51", "net_amount": "2.55", "currency": "USD"}],
        ),
        (
            lambda account: corporate.substitute_payment(account, "XLK", D("0.51")),
            [{
                "activity_sub_type": "SPD", "symbol": "XLK", "qty": "0", "price": "0", "net_amount": "-12.24",
                "currency": "", "date": "2026-01-15T00:00:00Z",
            }],
        ),
        (
            lambda account: options.exercise(account, PTON, nameless=True),
            [
                {"activity_type": "OPEXC", "qty": "-2", "net_amount": "0"},
                {"activity_type": "OPTRD", "symbol": "PTON", "qty": "200", "price": "0.5", "net_amount": "-100"},
            ],
        ),
        (
            lambda account: transfers.coin_fee(account, "BTCUSD", D("0.000195")),
            [{"activity_type": "CFEE", "symbol": "BTCUSD", "qty": "-0.000195", "price": "64000", "net_amount": "0"}],
        ),
    ],
)  # fmt: skip
def test_non_trade_rows_have_what_theirs_have(
    legs: Callable[[Account], tuple[Booking, ...]], rows: list[dict[str, str]]
) -> None:
    """Beside the fields of every row just the named ones, and the group that joins the legs."""
    account, _ = trading()
    account.book(legs(account))
    written = [wire.activity_json(activity) for activity in account.activities.values()]
    for row, expected in zip(written, rows, strict=True):
        NonTradeActivity(account_id=account.id, **row | {"date": row["date"][:10]})  # its model refuses a time
        assert row | expected == row
        assert row.keys() - COMMON - expected.keys() <= {"group_id"}
    assert len({row.get("group_id") for row in written}) == 1
    assert len(rows) == 1 or "group_id" in written[0]


def test_a_revised_row_says_so() -> None:
    """The status of a row is the activity's."""
    account, _ = trading()
    account.book(corporate.worthless(account, "AAPL"))
    assert wire.activity_json(account.revise("AAPL", "canceled"))["status"] == "canceled"


def test_busts_and_corrections_carry_a_quantity_and_what_they_undo() -> None:
    """No price and no position, as Alpaca's schema has them; a bust is negative."""
    account, last = trading()
    order = account.submit(OrderRequest("AAPL", "buy", D(3)))
    account.fill(order.id)
    fill = wire.update_json(last.update)["data"]
    account.correct(price=D(99))
    correction = wire.update_json(last.update)["data"]
    account.bust()
    bust = wire.update_json(last.update)["data"]
    assert (correction["event"], correction["qty"]) == ("trade_correct", "3")
    assert (bust["event"], bust["qty"]) == ("trade_bust", "-3")
    assert correction["previous_execution_id"] == fill["execution_id"]
    assert bust["previous_execution_id"] == correction["execution_id"]
    assert "previous_execution_id" not in fill
    for data in (correction, bust):
        assert fill.keys() - data.keys() == {"price", "position_qty", "swap_rate", "settle_date"}


@pytest.mark.parametrize("symbol", ["AAPL", "BTC/USD", "PTON280126C00000500"])
def test_assets_are_as_documented(symbol: str) -> None:
    """Each class of asset is understood by alpaca-py."""
    account, _ = trading()
    asset = asset_of(symbol)
    assert asset is not None
    assert Asset(**wire.asset_json(account, asset)).symbol == symbol


def test_the_clock_knows_weekends() -> None:
    """On a Saturday the market is closed until Monday 09:30 in New York."""
    clock = Clock(**wire.clock_json(datetime(2026, 1, 17, 17, 0, tzinfo=UTC)))
    assert not clock.is_open
    assert clock.next_open.isoformat() == "2026-01-19T09:30:00-05:00"
    assert Clock(**wire.clock_json(AT)).is_open

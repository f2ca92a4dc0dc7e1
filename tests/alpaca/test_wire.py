"""Their JSON as core values."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recond.alpaca import wire
from recond.core.evidence import executions_of
from recond.core.model import Instrument

POSITION: dict[str, Any] = {
    "asset_id": "904837e3-3b76-47ec-b432-046db621571b",
    "symbol": "AAPL",
    "exchange": "NASDAQ",
    "asset_class": "us_equity",
    "qty": "5",
    "side": "long",
    "avg_entry_price": "100.0000000000000001",
    "cost_basis": "500",
    "market_value": "600",
    "current_price": "120",
    "unrealized_pl": "100",
    "unrealized_plpc": "0.2",
}
FILL: dict[str, Any] = {
    "id": "20260504113406977::8efc7b9a",
    "activity_type": "FILL",
    "transaction_time": "2026-05-04T15:34:06.977123456Z",
    "type": "fill",
    "price": "10.5",
    "qty": "4",
    "side": "buy",
    "symbol": "AAPL",
    "cum_qty": "6",
    "leaves_qty": "0",
    "order_id": "order-1",
}
ORDER: dict[str, Any] = {
    "id": "order-1",
    "client_order_id": "momentum-7",
    "symbol": "BTC/USD",
    "side": "buy",
    "status": "filled",
    "filled_qty": "0.1",
    "filled_avg_price": None,
    "submitted_at": "2021-03-16T18:38:01.942282-04:00",
    "legs": None,
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NASTY = JSON | st.sampled_from(["NaN", "-0", "1e400", "1_0", " 1", "\ud800", "A\0", "0001-01-01", "٣", "AAPL", "short"])


def test_position() -> None:
    """A whole row becomes one position, with every digit it had."""
    read = wire.holdings([POSITION])
    assert read.unreadable == ()
    (position,) = read.positions
    assert (position.instrument, position.quantity) == (Instrument("us_equity", "AAPL"), Decimal(5))
    assert position.entry_price == Decimal("100.0000000000000001")
    assert position.unrealized_plpc == Decimal("0.2")


@pytest.mark.parametrize(
    ("change", "symbol", "problem"),
    [
        ({"qty": None}, "BAD", "qty is nothing"),
        ({"qty": "garbage"}, "BAD", "garbage"),
        ({"qty": "NaN"}, "BAD", "NaN"),
        ({"qty": Decimal("Infinity")}, "BAD", "Infinity"),
        ({"qty": ""}, "BAD", "qty"),
        ({"qty": "1_000"}, "BAD", "1_000"),
        ({"qty": "1e999"}, "BAD", "1e999"),
        ({"qty": 1.5}, "BAD", "exact"),
        ({"qty": True}, "BAD", "True"),
        ({"qty": "0.000"}, "BAD", "zero"),
        ({"qty": "-1"}, "BAD", "side is long"),
        ({"side": "short"}, "BAD", "side is short"),
        ({"asset_id": None}, "BAD", "asset_id"),
        ({"symbol": None}, None, "symbol"),
        ({"symbol": "A B"}, None, "symbol"),
        ({"symbol": "A\x00"}, None, "symbol"),
        ({"symbol": "NEWCÖ"}, None, "NEWC"),
        ({"symbol": "straße"}, None, "symbol"),
        ({"symbol": "É/USD"}, None, "symbol"),
    ],
)
def test_one_bad_row(change: dict[str, object], symbol: str | None, problem: str) -> None:
    """A row that cannot be trusted is reported with its symbol, and the rows around it stay."""
    bad = {**POSITION, "symbol": "BAD", **change}
    read = wire.holdings([POSITION, bad, {**POSITION, "symbol": "MSFT"}])
    assert [position.instrument.symbol for position in read.positions] == ["AAPL", "MSFT"]
    (unreadable,) = read.unreadable
    assert unreadable.symbol == symbol
    assert problem in unreadable.problem


def test_row_that_is_no_object() -> None:
    """Even a row that is no object at all costs only itself."""
    read = wire.holdings([None, POSITION, "AAPL"])
    assert (len(read.positions), [each.symbol for each in read.unreadable]) == (1, [None, None])


@pytest.mark.parametrize("second", [POSITION, {**POSITION, "symbol": "aapl", "qty": "7"}, {**POSITION, "qty": None}])
def test_symbol_twice(second: dict[str, object]) -> None:
    """A symbol in two rows is unreadable once, whether they agree or not and whichever comes first."""
    for rows in ([POSITION, second], [second, POSITION], [second, POSITION, second]):
        read = wire.holdings(rows)
        assert (read.positions, [each.symbol for each in read.unreadable]) == ((), ["AAPL"])


def test_open_words_and_nulls() -> None:
    """Words never seen before are kept, null prices are unknown, and neither makes a row unreadable."""
    row = {**POSITION, "asset_class": "ipo", "exchange": "MARS", "side": "sideways", "current_price": None}
    del row["cost_basis"]
    (position,) = wire.holdings([row]).positions
    assert position.instrument.asset_class == "ipo"
    assert (position.price, position.cost_basis) == (None, None)


def test_coin_and_short() -> None:
    """A short is negative, and a coin is known by its coin even where a pair is shown."""
    rows = [{**POSITION, "qty": "-24", "side": "short"}, {**POSITION, "symbol": "BTC/USD", "asset_class": "crypto"}]
    short, coin = wire.holdings(rows).positions
    assert (short.quantity, coin.instrument) == (Decimal(-24), Instrument("crypto", "BTCUSD"))


@pytest.mark.parametrize("body", [None, {}, {"message": "forbidden."}, "", Decimal(0), False])
def test_no_list(body: object) -> None:
    """What is no list is never taken for an empty one."""
    for read in (wire.holdings, wire.orders, wire.activities):
        with pytest.raises(wire.Unusable, match="expected a list"):
            read(body)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("201.9617035750071243", Decimal("201.9617035750071243")),
        ("1e-9", Decimal("0.000000001")),
        ("-0.0", Decimal(0)),
        (7, Decimal(7)),
        (Decimal("0.10"), Decimal("0.10")),
        ("+1", None),
        (".5", None),
        ("٣", None),
        ("-" + "9" * 28, Decimal("-" + "9" * 28)),
        ("9" * 31, None),
        pytest.param(10**5000, None, id="huge"),
        (Decimal("0.00000000000001"), Decimal("1e-14")),
        (0.5, None),
    ],
)
def test_amount(value: object, number: Decimal | None) -> None:
    """A number is exact or unknown."""
    assert wire.amount(value) == number


def test_account() -> None:
    """Only id and status must be there; numbers may be text or numbers; absent flags are unknown, not false."""
    bare = wire.account({"id": "a1", "status": "SOMETHING_NEW"})
    assert (bare.status, bare.equity, bare.trading_blocked) == ("SOMETHING_NEW", None, None)
    full = wire.account(
        {"id": "a1", "status": "ACTIVE", "cash": "-12.50", "equity": Decimal("99.1"), "trading_blocked": False}
        | {"account_blocked": "true", "account_number": "PA1", "short_market_value": "-3", "currency": "USD"}
    )
    assert (full.cash, full.equity, full.short_market_value) == (Decimal("-12.50"), Decimal("99.1"), Decimal(-3))
    assert (full.trading_blocked, full.account_blocked, full.number) == (False, True, "PA1")


@pytest.mark.parametrize("body", [[], None, {}, {"id": "a"}, {"status": "ACTIVE"}, {"id": 1, "status": "ACTIVE"}])
def test_account_without_identity(body: object) -> None:
    """An account that does not say which it is, is no answer."""
    with pytest.raises(wire.Unusable):
        wire.account(body)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-05-04T15:34:06.977123456Z", datetime(2026, 5, 4, 15, 34, 6, 977123, UTC)),
        ("2021-03-16T18:38:01.942282-04:00", datetime(2021, 3, 16, 22, 38, 1, 942282, UTC)),
        ("2022-02-03T00:00:00Z", datetime(2022, 2, 3, tzinfo=UTC)),
        ("2022-02-03", datetime(2022, 2, 3, tzinfo=UTC)),
        ("0001-01-01T00:00:00+23:00", None),
        ("0001-01-01T00:00:00Z", None),
        ("9999-12-31", None),
        ("2000-12-31T23:59:59Z", None),
        ("2001-01-01", datetime(2001, 1, 1, tzinfo=UTC)),
        ("2199-12-31T23:59:59Z", datetime(2199, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("2199-12-31T23:59:59-01:00", None),
        ("", None),
        (None, None),
        (1651678446, None),
    ],
)
def test_moment(text: object, at: datetime | None) -> None:
    """Every form of time they send is read as UTC, and what is none is unknown."""
    assert wire.moment(text) == at


def test_activities() -> None:
    """Fills and bookings are read, unknown types kept, unreadable rows counted so that nobody thinks them absent."""
    booking = {"id": "n1", "activity_type": "NEWS", "date": "2026-05-04", "qty": "-0.000195", "group_id": "g"}
    late = {"id": "n2", "activity_type": "SPLIT", "date": "2026-05-04", "created_at": "2026-05-05T07:00:00Z"}
    page = wire.activities([FILL, booking, late, {"id": "n3"}, None])
    assert (page.rows, [entry.id for entry in page.entries]) == (5, [FILL["id"], "n1", "n2"])
    fill, new, split = page.entries
    assert (fill.quantity, fill.cum_quantity, fill.side) == (Decimal(4), Decimal(6), "buy")
    assert (new.type, new.quantity, new.at) == ("NEWS", Decimal("-0.000195"), datetime(2026, 5, 4, tzinfo=UTC))
    assert split.at == datetime(2026, 5, 5, 7, tzinfo=UTC)


@pytest.mark.parametrize("symbol", ["NEWCÖ", "A B", "A\0", "straße"])
def test_an_activity_of_no_symbol(symbol: str) -> None:
    """It moves something that cannot be named, so it counts as unreadable; one without symbol is about cash."""
    page = wire.activities([{**FILL, "symbol": symbol}, {**FILL, "symbol": ""}, {**FILL, "symbol": None}])
    assert (page.rows, [entry.symbol for entry in page.entries]) == (3, [None, None])


def test_a_senseless_time_gives_way_to_a_good_one() -> None:
    """The trade's time, the booking's and the day are tried in turn."""
    entry = {**FILL, "transaction_time": "9999-12-31T00:00:00Z", "created_at": "0001-01-01", "date": "2026-05-04"}
    (read,) = wire.activities([entry]).entries
    assert read.at == datetime(2026, 5, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("change", "moved"),
    [
        ({}, [("AAPL", Decimal(4))]),
        ({"side": "sell"}, [("AAPL", Decimal(-4))]),
        ({"side": "sell_short"}, [("AAPL", Decimal(-4))]),
        ({"symbol": "BTC/USD"}, [("BTCUSD", Decimal(4))]),
        ({"symbol": "ETH/BTC", "price": "0.05"}, [("ETHUSD", Decimal(4)), ("BTCUSD", Decimal("-0.20"))]),
        ({"symbol": "ETH/BTC", "price": None}, [("ETHUSD", Decimal(4))]),
        ({"side": "sideways"}, []),
        ({"qty": "some"}, []),
        ({"activity_type": "JNLS"}, []),
    ],
)
def test_executions(change: dict[str, object], moved: list[tuple[str, Decimal]]) -> None:
    """A fill moves its position by its signed quantity, a pair of coins both coins, anything else nothing."""
    (entry,) = wire.activities([{**FILL, **change}]).entries
    executions = executions_of(entry)
    assert [(each.symbol, each.quantity) for each in executions] == moved
    assert all((each.order_id, each.cum_quantity) == ("order-1", Decimal(6)) for each in executions)


def test_orders() -> None:
    """Orders keep their own symbol, and the legs of one stand beside it."""
    leg = {**ORDER, "id": "leg-1", "symbol": "PTON240126C00000500", "legs": None}
    page = wire.orders([ORDER, {**ORDER, "id": "parent", "symbol": "", "side": "", "legs": [leg]}])
    assert page.rows == 2
    assert [(order.id, order.symbol) for order in page.orders] == [
        ("order-1", "BTC/USD"),
        ("parent", ""),
        ("leg-1", "PTON240126C00000500"),
    ]
    assert page.orders[0].submitted_at == datetime(2021, 3, 16, 22, 38, 1, 942282, UTC)
    assert (page.orders[0].filled_quantity, page.orders[0].filled_price) == (Decimal("0.1"), None)


@pytest.mark.parametrize("row", [None, {}, {**ORDER, "id": None}, {**ORDER, "legs": [{}]}])
def test_order_without_id(row: object) -> None:
    """An order that cannot be told from others makes the answer unusable, since it may be the one that matters."""
    with pytest.raises(wire.Unusable):
        wire.orders([ORDER, row])


@given(st.data())
def test_no_answer_breaks_it(data: st.DataObject) -> None:
    """Whatever stands in a field or in place of a row, it is read, unknown or `Unusable`; nothing else is raised."""
    base = data.draw(st.sampled_from([POSITION, FILL, ORDER, {"id": "a", "status": "ACTIVE"}]))
    changes = data.draw(st.dictionaries(st.sampled_from(sorted(base)), NASTY, max_size=4))
    row = data.draw(st.sampled_from([{**base, **changes}]) | JSON)
    for read in (wire.holdings, wire.orders, wire.activities, wire.account):
        try:
            result = read(row if read is wire.account else [row])
        except wire.Unusable:
            continue
        str(result).encode()
        if isinstance(result, wire.ActivityPage):
            for entry in result.entries:
                executions_of(entry)
    for position in wire.holdings([row]).positions:
        assert position.quantity.is_finite()
        assert position.quantity != 0

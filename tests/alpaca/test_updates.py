"""Frames of the account's stream, in the shapes that Alpaca documents and in those that it does not."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recond.alpaca.updates import Authorization, Failure, Listening, message_of
from recond.core.model import Execution
from recond.ports import StreamEvent

ORDER = "7b1c0f6e-52a3-4c0e-9a0f-0d7f4a1c2b3d"
EXECUTION = "0c9c0a52-6d2b-4f39-8f5a-2a1d9d1b7e11"
AT = datetime(2026, 3, 4, 15, 30, 0, 123456, tzinfo=UTC)

# Any JSON that a server could put anywhere.
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("fill"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def update(**changes: Any) -> dict[str, Any]:
    """The data of a partial fill: 3 of 10 AAPL bought at 221.5, 8 held after it."""
    order = {"id": ORDER, "symbol": "AAPL", "asset_class": "us_equity", "side": "buy", "qty": "10", "filled_qty": "5"}
    data = {
        "at": "2026-03-04T15:30:00.2Z",
        "event_id": "01JNGQ2V7J21FPR8S4CRBQHCK5",
        "event": "partial_fill",
        "timestamp": "2026-03-04T15:30:00.123456789Z",
        "order": order | {"status": "partially_filled", "legs": None} | changes.pop("order", {}),
        "execution_id": EXECUTION,
        "price": "221.5",
        "qty": "3",
        "position_qty": "8",
    }
    return {name: value for name, value in (data | changes).items() if value is not ...}


def read(data: object) -> StreamEvent:
    """The event of a trade update with this data."""
    message = message_of(json.dumps({"stream": "trade_updates", "data": data}))
    assert isinstance(message, StreamEvent)
    return message


def moved(event: StreamEvent) -> dict[str, Decimal]:
    """What an event moves, by symbol."""
    return {execution.symbol: execution.quantity for execution in event.executions}


def test_a_fill_is_an_execution() -> None:
    """All that a fill tells is kept exactly; its time is the trade's, cut to microseconds."""
    expected = Execution(
        symbol="AAPL",
        at=AT,
        quantity=Decimal(3),
        order_id=ORDER,
        cum_quantity=Decimal(5),
        price=Decimal("221.5"),
        execution_id=EXECUTION,
        position_quantity=Decimal(8),
    )
    assert read(update()) == StreamEvent("partial_fill", (expected,), movement=True)


@pytest.mark.parametrize("symbol", ["NEWCÖ", "A B", "ETH/ß"])
def test_a_fill_of_no_symbol_is_a_movement(symbol: str) -> None:
    """What the ledger could not name is never an execution, yet something has moved."""
    assert read(update(order={"symbol": symbol})) == StreamEvent("unknown", movement=True)


@pytest.mark.parametrize("senseless", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"])
def test_a_senseless_time_gives_way_to_a_good_one(senseless: str) -> None:
    """The event's own time stands in for the trade's; without either there is a movement, and no execution."""
    told_at = AT.replace(microsecond=200_000)
    amended = {"event": "trade_correct", "previous_execution_id": "e0"}
    for changes in ({}, amended):
        (execution,) = read(update(timestamp=senseless, **changes)).executions
        assert execution.at == told_at
        event = read(update(timestamp=senseless, at=senseless, **changes))
        assert (event.executions, event.movement) == ((), True)


@pytest.mark.parametrize("frame_type", [str, bytes])
def test_text_and_binary(frame_type: type) -> None:
    """Paper accounts get JSON in binary frames, live ones in text frames."""
    text = json.dumps({"stream": "trade_updates", "data": update()})
    assert message_of(text if frame_type is str else text.encode()) == read(update())


@pytest.mark.parametrize("side", ["sell", "sell_short"])
def test_a_sale_is_negative(side: str) -> None:
    """Quantities are signed by the side, and a short position stays negative."""
    event = read(update(order={"side": side}, position_qty="-2"))
    assert moved(event) == {"AAPL": Decimal(-3)}
    assert event.executions[0].position_quantity == Decimal(-2)


def test_nothing_held_is_not_unknown() -> None:
    """A position quantity of zero is kept as zero; one that is absent is unknown."""
    assert read(update(position_qty="0")).executions[0].position_quantity == Decimal(0)
    assert read(update(position_qty=...)).executions[0].position_quantity is None


@pytest.mark.parametrize(
    "text", ["2026-03-04T15:30:00.123456Z", "2026-03-04T10:30:00.123456999-05:00", "2026-03-04T15:30:00.123456+00:00"]
)
def test_the_time_in_all_its_forms(text: str) -> None:
    """Nanoseconds, `Z` and offsets all give the same moment."""
    assert read(update(timestamp=text)).executions[0].at == AT


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("BTC/USD", {"BTCUSD": "0.5"}),
        ("BTCUSD", {"BTCUSD": "0.5"}),
        ("ETH/BTC", {"ETHUSD": "0.5", "BTCUSD": "-0.01875"}),
        ("BRK.B", {"BRK.B": "0.5"}),
    ],
)
def test_symbols_are_those_of_positions(symbol: str, expected: dict[str, str]) -> None:
    """A pair moves its coins, the quote coin by the price the other way, and each is named as its position is."""
    event = read(update(order={"symbol": symbol, "asset_class": "crypto"}, qty="0.5", price="0.0375"))
    assert moved(event) == {coin: Decimal(quantity) for coin, quantity in expected.items()}
    assert [execution.position_quantity for execution in event.executions[:2]] == [Decimal(8), None][: len(expected)]
    assert {(execution.order_id, execution.cum_quantity) for execution in event.executions} == {(ORDER, Decimal(5))}


def leg(number: int, symbol: str) -> dict[str, Any]:
    """A leg's fill of 2 contracts."""
    return {
        "execution_id": f"execution-{number}",
        "qty": "2",
        "price": f"1.{number}",
        "order_id": f"order-{number}",
        "symbol": symbol,
        "timestamp": f"2026-03-04T15:30:00.00000{number}5Z",
    }


def multi_leg(**changes: Any) -> dict[str, Any]:
    """A fill of a spread: a put bought, a call sold; the parent has no symbol and no execution id."""
    legs = [
        {"id": "order-1", "symbol": "AAPL260918P00200000", "side": "buy", "filled_qty": "2"},
        {"id": "order-2", "symbol": "AAPL260918C00380000", "side": "sell", "filled_qty": "4"},
    ]
    return (
        update(
            event="fill",
            order={"symbol": "", "asset_class": "", "legs": legs},
            execution_id=...,
            position_qty=...,
            position_qtys={"AAPL260918P00200000": "2", "AAPL260918C00380000": "-4"},
            legs=[leg(1, "AAPL260918P00200000"), leg(2, "AAPL260918C00380000")],
        )
        | changes
    )


def test_each_leg_is_an_execution() -> None:
    """The legs of a spread are told apart: own side, order, execution, price, time and position."""
    event = read(multi_leg())
    assert (event.name, event.movement) == ("fill", True)
    put, call = event.executions
    assert (put.symbol, put.quantity, put.cum_quantity) == ("AAPL260918P00200000", Decimal(2), Decimal(2))
    assert (call.symbol, call.quantity, call.cum_quantity) == ("AAPL260918C00380000", Decimal(-2), Decimal(4))
    assert (put.order_id, put.execution_id, put.price) == ("order-1", "execution-1", Decimal("1.1"))
    assert (call.position_quantity, call.at.microsecond) == (Decimal(-4), 2)


def test_a_leg_of_unknown_side_is_not_guessed() -> None:
    """Of a spread, what can be read is evidence; that there is more which cannot be shows in the name."""
    event = read(multi_leg(legs=[leg(1, "AAPL260918P00200000"), leg(7, "AAPL260918C00380000")]))
    assert (event.name, event.movement) == ("unknown", True)
    assert moved(event) == {"AAPL260918P00200000": Decimal(2)}


def test_orders_tied_to_a_fill_are_no_legs() -> None:
    """A bracket order nests its stop and its limit as legs, and a fill of it is one execution."""
    bracket = update(order={"legs": [{"id": "stop", "symbol": "AAPL", "side": "sell"}]})
    assert moved(read(bracket)) == {"AAPL": Decimal(3)}


@pytest.mark.parametrize(
    "name", ["new", "accepted", "pending_new", "replaced", "pending_replace", "canceled", "expired", "rejected"]
)
def test_what_moves_nothing(name: str) -> None:
    """Events that change no position ask for no pass, though they may carry the fields of a fill."""
    assert read(update(event=name)) == StreamEvent(name)


@pytest.mark.parametrize("name", ["restated", "teleported"])
def test_what_may_have_moved_something(name: str) -> None:
    """A word never heard before asks for a pass, without evidence."""
    assert read(update(event=name, qty="-3", previous_execution_id=EXECUTION)) == StreamEvent(name, movement=True)


def test_a_bust_leaves_nothing_of_an_execution_and_a_correction_another_quantity() -> None:
    """Both are executions of their own that name the one they are about."""
    bust = read(update(event="trade_bust", qty="-3", execution_id="new", previous_execution_id=EXECUTION))
    right = read(update(event="trade_correct", qty="2", execution_id="new", previous_execution_id=EXECUTION))
    for event, name, quantity in ((bust, "trade_bust", 0), (right, "trade_correct", 2)):
        assert (event.name, event.movement) == (name, True)
        (told,) = event.executions
        assert (told.symbol, told.quantity, told.execution_id, told.previous_id) == ("AAPL", quantity, "new", EXECUTION)
        assert (told.cum_quantity, told.position_quantity) == (None, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"previous_execution_id": None}, {"execution_id": None}, {"qty": None}, {"qty": "-2"}, {"order": {"id": None}},
        {"order": {"symbol": ""}}, {"timestamp": "yesterday", "at": 7}, {"order": {"side": "hold"}},
    ],
)  # fmt: skip
def test_a_correction_that_cannot_be_read_is_a_movement_all_the_same(changes: dict[str, Any]) -> None:
    """Without the execution that it is about, or what is true instead, it asks for a pass and is no evidence."""
    event = update(event="trade_correct", qty="2", execution_id="new", previous_execution_id=EXECUTION)
    order = {**event["order"], **changes.pop("order", {})}
    assert read(event | changes | {"order": order}) == StreamEvent("trade_correct", movement=True)


def test_a_fill_tells_whose_order_it_was() -> None:
    """The client_order_id of its own order, or of the order that it is a leg of."""
    (told,) = read(update(order={"client_order_id": "mean-7"})).executions
    assert told.client_order_id == "mean-7"
    spread = multi_leg()
    spread["order"]["client_order_id"] = "pair-1"
    assert {told.client_order_id for told in read(spread).executions} == {"pair-1"}


@pytest.mark.parametrize(
    "changes",
    [
        {"qty": ...}, {"qty": None}, {"qty": "0"}, {"qty": "-3"}, {"qty": "NaN"}, {"qty": "three"}, {"qty": []},
        {"timestamp": "yesterday", "at": 7}, {"order": {"id": None}}, {"order": {"symbol": ""}},
        {"order": {"symbol": "A APL"}}, {"order": {"id": "\ud800"}}, {"order": {"side": "hold"}},
        {"order": {"side": None}},
    ],
)  # fmt: skip
def test_a_fill_that_cannot_be_read(changes: dict[str, Any]) -> None:
    """A fill that lacks something an execution needs is no evidence, and is counted as what it is: not understood."""
    assert read(update(**changes)) == StreamEvent("unknown", movement=True)


@pytest.mark.parametrize("changes", [{"price": None}, {"execution_id": ...}, {"order": {"filled_qty": None}}])
def test_a_fill_that_lacks_little(changes: dict[str, Any]) -> None:
    """A fill without price, execution id or cumulated quantity is still an execution."""
    assert moved(read(update(**changes))) == {"AAPL": Decimal(3)}


def test_numbers_keep_their_digits() -> None:
    """JSON numbers, where text is documented, are read by their digits, never as binary floats."""
    frame = json.dumps({"stream": "trade_updates", "data": update(qty="QTY")})
    message = message_of(frame.replace('"QTY"', "0.10000000000000000001"))
    assert isinstance(message, StreamEvent)
    assert moved(message) == {"AAPL": Decimal("0.10000000000000000001")}


@pytest.mark.parametrize(
    ("frame", "name"),
    [
        ('{"stream": "trade_updates", "data": null}', "null"),
        ('{"stream": "trade_updates"}', "null"),
        ('{"stream": "trade_updates", "data": []}', "unknown"),
        ('{"stream": "trade_updates", "data": {"event": true}}', "unknown"),
        (json.dumps({"stream": "trade_updates", "data": {"event": "x" * 41}}), "unknown"),
        ('{"stream": "weather_updates", "data": {"event": "rain"}}', "unknown"),
        ('{"stream": "authorization", "data": {"status": "thinking"}}', "unknown"),
        ('{"stream": ["trade_updates"]}', "unknown"),
        ("7", "unknown"),
        ("", "garbage"),
        ('{"stream": "trade_updates", "data": {', "garbage"),
        (b"\xff\xfe\x00", "garbage"),
        ("[" * 100_000, "garbage"),
    ],
)
def test_what_cannot_be_understood(frame: str | bytes, name: str) -> None:
    """Nothing raises: what cannot be understood is counted under a name and may have been a movement."""
    assert message_of(frame) == StreamEvent(name, movement=True)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            {"stream": "authorization", "data": {"action": "auth", "status": "authorized"}},
            Authorization(granted=True, text=""),
        ),
        (
            {"stream": "authorization", "data": {"status": "authorized", "action": "authenticate", "message": "old"}},
            Authorization(granted=True, text="old"),
        ),
        (
            {"stream": "authorization", "data": {"status": "unauthorized", "action": "listen"}},
            Authorization(granted=False, text=""),
        ),
        ({"stream": "listening", "data": {"streams": ["trade_updates"]}}, Listening(granted=True)),
        ({"stream": "listening", "data": {"streams": []}}, Listening(granted=False)),
        ({"stream": "listening", "data": {"streams": "trade_updates"}}, Listening(granted=False)),
        ({"stream": "listening", "data": None}, Listening(granted=False)),
        ({"action": "error", "data": {"error_message": "internal server error"}}, Failure("internal server error")),
        ({"action": "error"}, Failure("")),
    ],
)
def test_control_messages(frame: object, message: object) -> None:
    """Both answers to the keys, the answer to listening, and the error frame, which has no stream, are told apart."""
    assert message_of(json.dumps(frame)) == message


@given(JSON, st.sampled_from([None, "event", "timestamp", "order", "qty", "price", "legs", "position_qtys"]))
def test_no_json_raises(value: object, where: str | None) -> None:
    """Any JSON in any place of a fill, the whole included, is an event or a control message."""
    data = value if where is None else update() | {where: value}
    for whole in ({"stream": "trade_updates", "data": data}, multi_leg(legs=[value, leg(1, "A")]), data):
        message_of(json.dumps(whole))


@given(st.binary(max_size=64) | st.text(max_size=64))
def test_no_frame_raises(frame: str | bytes) -> None:
    """Any bytes and any text are an event."""
    assert isinstance(message_of(frame), StreamEvent)

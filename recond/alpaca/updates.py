"""A message of Alpaca's account stream, turned into what it tells.

Owns the stream's frames: which event is a movement, which fields a fill needs, how a fill with legs is taken apart.
May not do I/O, or raise for anything a server sends: what cannot be understood is an event too, since it may have
been a fill.

Facts: docs.alpaca.markets "Websocket Streaming" and captured sessions. Events and statuses are open sets. There is no
replay and no sequence, so nothing here may depend on an earlier message.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from recond.alpaca.wire import Row, amount, moment
from recond.core.evidence import moved_by
from recond.core.model import Execution
from recond.ports import StreamEvent

TRADE_UPDATES = "trade_updates"

_NOTHING: Row = MappingProxyType({})
_NULL = StreamEvent("null", movement=True)
_GARBAGE = StreamEvent("garbage", movement=True)
_UNKNOWN = StreamEvent("unknown", movement=True)
_FILLS = frozenset({"fill", "partial_fill"})
_AMENDMENTS = frozenset({"trade_bust", "trade_correct"})
# An event that is none of these (a new word) is a movement without evidence.
_QUIET = frozenset(
    {
        "accepted", "calculated", "canceled", "done_for_day", "expired", "held", "new", "order_cancel_rejected",
        "order_replace_rejected", "pending_cancel", "pending_new", "pending_replace", "pending_review", "rejected",
        "replaced", "stopped", "suspended",
    }
)  # fmt: skip
_NAME_LENGTH_MAX = 40  # names become labels of metrics
_BYTE_ORDER_MARK = "\ufeff"
# Numbers stay text: `amount` reads their digits, and no size of number can make the decoder fail.
_DECODER = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str, strict=False)


@dataclass(frozen=True, slots=True)
class Authorization:
    """The answer to the keys, or to listening without them."""

    granted: bool
    text: str


@dataclass(frozen=True, slots=True)
class Listening:
    """Whether the connection listens to `trade_updates` from now on; a stream that was refused is just not named."""

    granted: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """An error of the server's; it ends the connection next."""

    text: str


Message = StreamEvent | Authorization | Listening | Failure


def message_of(frame: str | bytes) -> Message:
    """What a text or binary frame tells; never raises."""
    try:
        text = frame if isinstance(frame, str) else str(frame, "utf-8").removeprefix(_BYTE_ORDER_MARK)
        body = _row(_DECODER.decode(text))
    except (ValueError, RecursionError):
        return _GARBAGE
    data = _row(body.get("data"))
    stream = body.get("stream")
    if stream == TRADE_UPDATES:
        return _NULL if body.get("data") is None else _update(data)
    if stream == "authorization" and data.get("status") in ("authorized", "unauthorized"):
        return Authorization(data.get("status") == "authorized", _text(data, "message") or "")
    if stream == "listening":
        streams = data.get("streams")
        return Listening(isinstance(streams, list) and TRADE_UPDATES in streams)
    if body.get("action") == "error":
        return Failure(_text(data, "error_message") or "")
    return _UNKNOWN


def _update(data: Row) -> StreamEvent:
    name = _text(data, "event")
    if name is None or len(name) > _NAME_LENGTH_MAX:
        return _UNKNOWN
    if name in _AMENDMENTS:
        return StreamEvent(name, _amended(data, busted=name == "trade_bust"), movement=True)
    if name not in _FILLS:
        return StreamEvent(name, movement=name not in _QUIET)
    fills = [_executions(fill, order, data) for fill, order in _fills(data)]
    executions = tuple(execution for fill in fills for execution in fill)
    return StreamEvent(name if all(fills) else "unknown", executions, movement=True)


def _fills(data: Row) -> Sequence[tuple[Row, Row]]:
    """Each fill of an update with its order: the update itself, or its legs, whose side only their orders know."""
    order, legs = _row(data.get("order")), _rows(data.get("legs"))
    if not legs:
        return [(data, order)]
    orders = {_text(each, "id"): each for each in _rows(order.get("legs"))}
    return [(leg, orders.get(_text(leg, "order_id"), _NOTHING)) for leg in legs]


def _executions(fill: Row, order: Row, update: Row) -> tuple[Execution, ...]:
    """The fill as it moves positions; empty when it lacks something that an execution needs.

    `qty` is this execution's own, `filled_qty` what the order has been filled by so far.
    """
    traded = _text(fill, "symbol") or _text(order, "symbol") or ""
    quantity, price = amount(fill.get("qty")), amount(fill.get("price"))
    at = moment(fill.get("timestamp")) or moment(update.get("timestamp")) or moment(update.get("at"))
    order_id = _text(fill, "order_id") or _text(order, "id")
    if quantity is None or quantity <= 0 or at is None or order_id is None:
        return ()
    try:
        moved = moved_by(traded, _text(order, "side") or _text(order, "position_intent"), quantity, price)
    except ValueError:  # no symbol
        return ()
    execution_id, cum_quantity = _text(fill, "execution_id"), amount(order.get("filled_qty"))
    client_id = _text(order, "client_order_id") or _text(_row(update.get("order")), "client_order_id")
    held = amount(fill.get("position_qty", _row(update.get("position_qtys")).get(traded)))
    return tuple(
        # What is held after the fill is told of the coin that was bought or sold, not of the one that paid for it.
        Execution(
            symbol, at, change, order_id, cum_quantity, price, execution_id, None if number else held, None, client_id
        )
        for number, (symbol, change) in enumerate(moved)
    )  # fmt: skip


def _amended(update: Row, *, busted: bool) -> tuple[Execution, ...]:
    """What is true instead of an execution that was taken back (nothing) or corrected; empty when that is not told."""
    order = _row(update.get("order"))
    traded, order_id = _text(order, "symbol"), _text(order, "id")
    execution_id, previous_id = _text(update, "execution_id"), _text(update, "previous_execution_id")
    at = moment(update.get("timestamp")) or moment(update.get("at"))
    quantity = Decimal(0) if busted else amount(update.get("qty"))
    if not (traded and order_id and execution_id and previous_id) or at is None or quantity is None or quantity < 0:
        return ()
    try:
        moved = moved_by(traded, _text(order, "side"), quantity, amount(update.get("price")))
    except ValueError:  # no symbol
        return ()
    return tuple(
        Execution(
            symbol,
            at,
            change,
            order_id,
            execution_id=execution_id,
            client_order_id=_text(order, "client_order_id"),
            previous_id=previous_id,
        )
        for symbol, change in moved
    )


def _row(value: object) -> Row:
    return value if isinstance(value, dict) else _NOTHING


def _rows(value: object) -> list[Row]:
    return [_row(each) for each in value] if isinstance(value, list) else []


def _text(row: Row, name: str) -> str | None:
    value = row.get(name)
    # Half a surrogate pair or a NUL, both possible in JSON, would break the ledger and the log.
    return value if isinstance(value, str) and value and value.isprintable() else None

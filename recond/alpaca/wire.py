"""Alpaca's JSON, as it came, turned into core values.

Owns the reading of their fields: what is required, what may be absent, what makes a row unreadable.
May not do I/O or import alpaca-py, whose own models reject a whole list for one unknown word in one row.

Words are open sets: an exchange, status or activity type never seen before is kept as it is. Numbers come as text,
or as JSON numbers read by their exact digits; a binary `float` has lost those and counts as unreadable. What is
absent, null or unreadable is None; where that may not be, the row is `Unreadable` or the answer `Unusable`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType

from recond.core.model import AccountState, Activity, BrokerPosition, Holdings, Instrument, Order, Unreadable
from recond.core.symbols import asset_class_of, canonical_symbol

Row = Mapping[str, object]

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?", re.ASCII)
# Alpaca shows up to 16 decimals. Beyond 28 digits sums are rounded, and far beyond printing one fills the memory.
_LENGTH_MAX = 30
_MAGNITUDE_MAX = 30
_SIDE_SIGN = MappingProxyType({"long": 1, "short": -1})


class Unusable(ValueError):
    """An answer that is not what its endpoint promises; nothing may be concluded from it."""


@dataclass(frozen=True, slots=True)
class ActivityPage:
    """One page of activities; `rows` counts those that could not be read too."""

    entries: tuple[Activity, ...]
    rows: int


@dataclass(frozen=True, slots=True)
class OrderPage:
    """One page of orders, legs beside their parents; `rows` counts the page's own rows."""

    orders: tuple[Order, ...]
    rows: int


def holdings(body: object) -> Holdings:
    """The answer of `/v2/positions`. One bad row makes its symbol unreadable and leaves the others.

    A symbol shown twice, or once well and once badly, is unreadable: which one counts is not known.
    Raises `Unusable` when the answer is not a list.
    """
    good: dict[str, BrokerPosition] = {}
    bad: dict[str, Unreadable] = {}
    nameless: list[Unreadable] = []
    for row in _rows(body):
        read = _position(row)
        symbol = read.instrument.symbol if isinstance(read, BrokerPosition) else read.symbol
        if symbol is None:
            nameless.append(Unreadable(None, read.problem if isinstance(read, Unreadable) else ""))
        elif symbol in good or symbol in bad:
            bad[symbol] = Unreadable(symbol, "more than one row has this symbol")
        elif isinstance(read, Unreadable):
            bad[symbol] = read
        else:
            good[symbol] = read
    return Holdings(
        positions=tuple(position for symbol, position in good.items() if symbol not in bad),
        unreadable=(*bad.values(), *nameless),
    )


def account(body: object) -> AccountState:
    """The answer of `/v2/account`. Raises `Unusable` without the two fields it promises, id and status."""
    row = _object(body)
    if row is None:
        raise Unusable(f"expected an object, got {_shown(body)}")
    identity, status = _text(row, "id"), _text(row, "status")
    if identity is None or status is None:
        raise Unusable(f"expected id and status, got {_shown(row.get('id'))} and {_shown(row.get('status'))}")
    return AccountState(
        id=identity,
        status=status,
        number=_text(row, "account_number"),
        currency=_text(row, "currency"),
        equity=amount(row.get("equity")),
        cash=amount(row.get("cash")),
        long_market_value=amount(row.get("long_market_value")),
        short_market_value=amount(row.get("short_market_value")),
        trading_blocked=_flag(row, "trading_blocked"),
        account_blocked=_flag(row, "account_blocked"),
    )


def orders(body: object) -> OrderPage:
    """One page of `/v2/orders`. `symbol` is the order's own (`BTC/USD`), empty on the parent of several legs.

    Raises `Unusable` when the answer is not a list, or a row has no id: an order may not get lost unseen.
    """
    rows = _rows(body)
    return OrderPage(tuple(order for row in rows for order in _order_and_legs(row)), len(rows))


def order(body: object) -> Order:
    """The answer of `/v2/orders/{id}`. Raises `Unusable` when it is no order with an id."""
    return _order_and_legs(body)[0]


def activities(body: object) -> ActivityPage:
    """One page of `/v2/account/activities`. `symbol` is the entry's own: pairs stay pairs, so that both coins show.

    `at` is the time of the trade, else of the booking, else midnight UTC of the booked day. Raises `Unusable`
    when the answer is not a list.
    """
    rows = _rows(body)
    return ActivityPage(tuple(entry for row in rows if (entry := _activity(row)) is not None), len(rows))


def amount(value: object) -> Decimal | None:
    """An exact number from text, `Decimal` or int; None for everything else (NaN, blanks, `1_000`, float, bool)."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, Decimal | int) and not isinstance(value, bool):
        text = str(Decimal(value))
    else:
        return None
    if len(text) > _LENGTH_MAX or _NUMBER.fullmatch(text) is None:
        return None
    number = Decimal(text)
    if not number:
        return Decimal(0)
    return number if abs(number.adjusted()) <= _MAGNITUDE_MAX else None


def moment(value: object) -> datetime | None:
    """A UTC time from their text: nanoseconds (cut to micro), `Z` or an offset, or a plain date (its midnight).

    None as well for what is centuries away: days are added to it and taken from it.
    """
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return at if 2000 < at.year < 2200 else None


def _position(row: object) -> BrokerPosition | Unreadable:
    fields = _object(row)
    if fields is None:
        return Unreadable(None, f"expected an object, got {_shown(row)}")
    symbol = _symbol(fields)
    if symbol is None:
        return Unreadable(None, f"symbol is {_shown(fields.get('symbol'))}")
    symbol = canonical_symbol(symbol)
    quantity, side, asset_id = amount(fields.get("qty")), _text(fields, "side"), _text(fields, "asset_id")
    if quantity is None:
        return Unreadable(symbol, f"qty is {_shown(fields.get('qty'))}, not an exact number")
    if quantity == 0:
        return Unreadable(symbol, "qty is zero, though a closed position is not listed")
    if quantity * _SIDE_SIGN.get(side or "", quantity) < 0:
        return Unreadable(symbol, f"qty is {quantity} but side is {side}")
    if asset_id is None:
        return Unreadable(symbol, f"asset_id is {_shown(fields.get('asset_id'))}")
    return BrokerPosition(
        instrument=Instrument(_text(fields, "asset_class") or asset_class_of(symbol), symbol),
        asset_id=asset_id,
        quantity=quantity,
        entry_price=amount(fields.get("avg_entry_price")),
        cost_basis=amount(fields.get("cost_basis")),
        price=amount(fields.get("current_price")),
        market_value=amount(fields.get("market_value")),
        unrealized_pl=amount(fields.get("unrealized_pl")),
        unrealized_plpc=amount(fields.get("unrealized_plpc")),
    )


def _order_and_legs(row: object) -> tuple[Order, ...]:
    fields = _object(row)
    identity = _text(fields, "id") if fields is not None else None
    if fields is None or identity is None:
        raise Unusable(f"expected an order with an id, got {_shown(row)}")
    order = Order(
        id=identity,
        client_order_id=_text(fields, "client_order_id") or "",
        symbol=_symbol(fields) or "",
        side=_text(fields, "side") or "",
        status=_text(fields, "status") or "",
        filled_quantity=amount(fields.get("filled_qty")),
        filled_price=amount(fields.get("filled_avg_price")),
        submitted_at=moment(fields.get("submitted_at")),
        updated_at=moment(fields.get("updated_at")),
    )
    legs = fields.get("legs")
    return (order, *(leg for each in legs for leg in _order_and_legs(each))) if isinstance(legs, list) else (order,)


def _activity(row: object) -> Activity | None:
    fields = _object(row)
    if fields is None:
        return None
    identity, kind, symbol = _text(fields, "id"), _text(fields, "activity_type"), _symbol(fields)
    if identity is None or kind is None or (fields.get("symbol") and symbol is None):
        return None
    return Activity(
        id=identity,
        type=kind,
        sub_type=_text(fields, "activity_sub_type"),
        symbol=symbol,
        quantity=amount(fields.get("qty")),
        price=amount(fields.get("price")),
        at=moment(fields.get("transaction_time")) or moment(fields.get("created_at")) or moment(fields.get("date")),
        order_id=_text(fields, "order_id"),
        side=_text(fields, "side"),
        cum_quantity=amount(fields.get("cum_qty")),
        group_id=_text(fields, "group_id"),
        net_amount=amount(fields.get("net_amount")),
        status=_text(fields, "status"),
    )


def _rows(body: object) -> list[object]:
    if not isinstance(body, list):
        raise Unusable(f"expected a list, got {_shown(body)}")
    return body


def _object(value: object) -> Row | None:
    return value if isinstance(value, dict) else None


def _text(row: Row, name: str) -> str | None:
    value = row.get(name)
    # Half a surrogate pair or a NUL, both possible in JSON, would break the ledger and the log.
    return value if isinstance(value, str) and value and value.isprintable() else None


def _symbol(row: Row) -> str | None:
    text = _text(row, "symbol")
    try:
        canonical_symbol(text or "")
    except ValueError:
        return None
    return (text or "").strip().upper()


def _flag(row: Row, name: str) -> bool | None:
    value = row.get(name)
    return value if isinstance(value, bool) else {"true": True, "false": False}.get(str(value).lower())


def _shown(value: object) -> str:
    text = "nothing (missing or null)" if value is None else ascii(value)
    return text if len(text) <= 60 else f"{text[:60]}…"

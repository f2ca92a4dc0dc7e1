"""The values an account is made of: positions, orders, executions, activities and what it tells about them.

Owns their shapes, all frozen, so that an earlier state can be kept by keeping the value. May not change any
state or know how a value looks on the wire.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

OPEN_STATUSES = frozenset({"new", "accepted", "pending_new", "partially_filled"})
ZERO = Decimal(0)


class RefusedError(Exception):
    """A request that Alpaca would refuse. `code` is its error code, which begins with the HTTP status."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Position:
    """A holding. `qty` is signed (short is negative); `cost` is signed dollars, multiplier included."""

    symbol: str
    asset_id: str
    asset_class: str
    exchange: str
    multiplier: int
    qty: Decimal
    cost: Decimal

    @property
    def entry_price(self) -> Decimal:
        """Average entry price of one share, coin or contract's share, positive for shorts too."""
        return self.cost / (self.qty * self.multiplier)


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """What a client asks for. Exactly one of `qty` and `notional` (dollars) is given."""

    symbol: str
    side: str
    qty: Decimal | None = None
    notional: Decimal | None = None
    type: str = "market"
    time_in_force: str = "day"
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    client_order_id: str | None = None
    extended_hours: bool = False
    position_intent: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """One order as it stands; `filled_value` is the sum of quantity times price, without the multiplier."""

    id: str
    client_order_id: str
    symbol: str
    asset_id: str
    asset_class: str
    request: OrderRequest
    status: str
    qty: Decimal
    created_at: datetime
    updated_at: datetime
    filled_qty: Decimal = ZERO
    filled_value: Decimal = ZERO
    filled_at: datetime | None = None
    canceled_at: datetime | None = None
    failed_at: datetime | None = None
    replaced_at: datetime | None = None
    replaced_by: str | None = None
    replaces: str | None = None

    @property
    def side(self) -> str:
        """`buy` or `sell`."""
        return self.request.side

    @property
    def is_open(self) -> bool:
        """Whether it can still be filled or canceled."""
        return self.status in OPEN_STATUSES

    @property
    def leaves(self) -> Decimal:
        """What is not filled yet."""
        return self.qty - self.filled_qty


@dataclass(frozen=True, slots=True)
class Execution:
    """One fill. `moved` is the signed change of the position, after a fee that was taken in the coin."""

    id: str
    order_id: str
    symbol: str
    side: str
    qty: Decimal
    price: Decimal
    moved: Decimal
    cash: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class Fill:
    """A FILL activity. `side` is `buy`, `sell` or `sell_short`; `cum_qty` and `leaves_qty` are the order's."""

    id: str
    created_at: datetime
    order_id: str
    symbol: str
    side: str
    qty: Decimal
    price: Decimal
    cum_qty: Decimal
    leaves_qty: Decimal
    order_status: str
    activity_type: str = "FILL"


@dataclass(frozen=True, slots=True)
class Booking:
    """One leg of what happens without an order: what it moves, and the activity that is booked for it.

    It moves `net_amount` dollars and `qty` of `symbol` with `cost` dollars of cost basis (both signed alike);
    `entitled` says that the quantity was only counted. `nameless` keeps the symbol off the wire, `timed` writes
    the date as a timestamp. None is what Alpaca leaves out.
    """

    activity_type: str
    symbol: str | None = None
    qty: Decimal | None = None
    price: Decimal | None = None
    net_amount: Decimal = ZERO
    sub_type: str | None = None
    description: str = ""
    group_id: str | None = None
    per_share: Decimal | None = None
    currency: str = "USD"
    status: str = "executed"
    cost: Decimal = ZERO
    entitled: bool = False
    nameless: bool = False
    timed: bool = False


@dataclass(frozen=True, slots=True)
class NonTrade:
    """A booked non-trade activity."""

    id: str
    created_at: datetime
    booking: Booking

    @property
    def activity_type(self) -> str:
        """Alpaca's type, such as SPLIT or OPEXP."""
        return self.booking.activity_type


Activity = Fill | NonTrade


@dataclass(frozen=True, slots=True)
class TradeUpdate:
    """What the account stream tells; a fill has a price, a quantity and the position after it, a bust a quantity."""

    event: str
    at: datetime
    order: Order
    event_id: str
    execution_id: str | None = None
    price: Decimal | None = None
    qty: Decimal | None = None
    position_qty: Decimal | None = None
    previous_execution_id: str | None = None


class Watcher(Protocol):
    """Who is told what an account does."""

    def changed(self, kind: str, key: str, before: object) -> None:
        """`positions`, `orders`, `activities` or `cash` changed at `key`; `before` is None for something new."""

    def traded(self, update: TradeUpdate) -> None:
        """An order event happened."""


class Nobody:
    """A watcher that is not interested."""

    def changed(self, kind: str, key: str, before: object) -> None:
        """Ignore it."""

    def traded(self, update: TradeUpdate) -> None:
        """Ignore it."""

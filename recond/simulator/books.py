"""What one account owns: its identity, cash, prices, positions with their cost basis, and activities.

Owns how a quantity, cash and cost basis move and how an activity is booked. May not know orders (`account`
adds them), the network or timers. Activities are kept for the account's life.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from recond.simulator.assets import Asset, asset_of, default_asset_id
from recond.simulator.records import (
    ZERO,
    Activity,
    Booking,
    Nobody,
    NonTrade,
    Position,
    RefusedError,
    Watcher,
)

EASTERN = ZoneInfo("America/New_York")
GRAIN = Decimal("1E-9")  # smallest quantity, in every asset class
CRYPTO_FEE = Decimal("0.0025")
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def utc_now() -> datetime:
    """The wall clock, in UTC."""
    return datetime.now(UTC)


class Books:
    """An account without its orders. Prices are its own, so that one account's split leaves the others alone.

    `crypto_fee` is the fraction taken from what a coin trade credits (alpaca-py #374: the coin on a buy).
    `gross_position_qty` makes the stream's `position_qty` ignore that fee; which of the two Alpaca sends is
    not known. Buying power is reported but not enforced.
    """

    def __init__(
        self,
        cash: Decimal,
        *,
        now: Callable[[], datetime] = utc_now,
        rng: random.Random | None = None,
        watcher: Watcher | None = None,
        crypto_fee: Decimal = CRYPTO_FEE,
        gross_position_qty: bool = False,
    ) -> None:
        self.now = now
        self.rng = rng or random.Random(0)  # noqa: S311  ids must be repeatable, not secret
        self.watcher: Watcher = watcher or Nobody()
        self.crypto_fee = crypto_fee
        self.gross_position_qty = gross_position_qty
        self._open(cash)

    def _open(self, cash: Decimal) -> None:
        self.id = self.new_id()
        self.number = "PA" + "".join(self.rng.choice(_CROCKFORD) for _ in range(10))
        self.status = "ACTIVE"
        self.trading_blocked = False
        self.account_blocked = False
        self.created_at = self.now()
        self.cash = cash
        self.last_equity: Decimal | None = None
        self.positions: dict[str, Position] = {}
        self.activities: dict[str, Activity] = {}
        self.accrued_fees: list[Booking] = []
        self.prices: dict[str, Decimal | None] = {}
        self.closes: dict[str, Decimal] = {}
        self.asset_ids: dict[str, str] = {}

    def reset(self, cash: Decimal) -> None:
        """Start over as Alpaca's paper reset does: a new id and number, nothing held, no history, prices kept."""
        prices, closes = self.prices, self.closes
        for symbol, position in self.positions.items():
            self.watcher.changed("positions", symbol, position)
        self.watcher.changed("cash", "cash", self.cash)
        self._open(cash)
        self.prices, self.closes = prices, closes

    # Identity

    def new_id(self) -> str:
        """A random uuid from the account's own seed."""
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    def new_event_id(self) -> str:
        """A ULID: the time in its first ten characters, then chance."""
        number = (int(self.now().timestamp() * 1000) << 80) | self.rng.getrandbits(80)
        return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))

    def asset_id(self, symbol: str) -> str:
        """The asset id of a spelling, which follows a rename."""
        return self.asset_ids.get(symbol) or default_asset_id(symbol)

    def asset(self, symbol: str) -> Asset:
        """The asset of a symbol. Raises RefusedError when nothing of that name has a price here."""
        asset = asset_of(symbol)
        if asset is None or asset.held_as not in self.prices:
            raise RefusedError(42210000, f'asset "{symbol}" not found')
        return asset

    def holding(self, symbol: str, asset_class: str | None = None) -> Position:
        """What is held under any spelling of a symbol. Raises RefusedError when nothing is, or not of that class."""
        asset = asset_of(symbol)
        position = self.positions.get(asset.held_as if asset else symbol)
        if position is None:
            raise RefusedError(40410000, f"position does not exist: {symbol}")
        if asset_class not in (None, position.asset_class):
            raise RefusedError(42210000, f"{symbol} is no {asset_class} but {position.asset_class}")
        return position

    # Prices and figures

    def introduce(self, symbol: str, asset_class: str, price: Decimal | None) -> Decimal | None:
        """List a symbol unless it is, and give it the price if there is one. Returns its price. Raises RefusedError."""
        asset = asset_of(symbol)
        if asset is None or asset.asset_class != asset_class:
            raise RefusedError(42210000, f"{symbol} is no symbol of {asset_class}")
        if price is not None or symbol not in self.prices:
            self.set_price(symbol, price)
        return self.prices[symbol]

    def rescale(self, symbol: str, times: Decimal, by: Decimal) -> Decimal | None:
        """Make the price and the last close of a symbol `times`/`by` of what they were. Returns the price."""
        price = self.prices.get(symbol)
        self.prices[symbol] = after = None if price is None else price * times / by
        if symbol in self.closes:
            self.closes[symbol] = self.closes[symbol] * times / by
        return after

    def set_price(self, symbol: str, price: Decimal | None) -> str:
        """Set the price of one share, coin or contract's share; None makes it unknown. Returns the held symbol."""
        asset = asset_of(symbol)
        if asset is None:
            raise RefusedError(42210000, f'asset "{symbol}" not found')
        self.prices[asset.held_as] = price
        if price is not None:
            self.closes.setdefault(asset.held_as, price)
        return asset.held_as

    def price_of(self, asset: Asset) -> Decimal | None:
        """The price in which an order of this asset is quoted, or None when it is unknown."""
        price = self.prices.get(asset.held_as)
        quote = Decimal(1) if asset.quote == "USD" else self.prices.get(asset.quote + "USD")
        return None if price is None or not quote else price / quote

    def market_value(self, position: Position) -> Decimal | None:
        """Signed dollars, or None without a price."""
        price = self.prices.get(position.symbol)
        return None if price is None else position.qty * position.multiplier * price

    def equity(self, positions: Iterable[Position] | None = None, cash: Decimal | None = None) -> Decimal:
        """Cash plus the market value of what is held; what has no price counts as nothing."""
        held = self.positions.values() if positions is None else positions
        return sum((self.market_value(position) or ZERO for position in held), self.cash if cash is None else cash)

    # Moving the books

    def move_cash(self, amount: Decimal) -> None:
        """Add a signed amount of dollars."""
        self.watcher.changed("cash", "cash", self.cash)
        self.cash += amount

    def move(self, symbol: str, qty: Decimal, price: Decimal) -> None:
        """Add a signed quantity at a price to the holding of `symbol`; cash is not touched."""
        asset = asset_of(symbol)
        assert asset is not None, symbol
        self.carry(symbol, qty, qty * price * asset.multiplier)

    def carry(self, symbol: str, qty: Decimal, cost: Decimal) -> None:
        """Add a signed quantity with its cost basis to the holding of `symbol`; cash is not touched.

        A decrease takes its share of the cost that was there; what goes through zero starts again at the new cost.
        """
        before = self.positions.get(symbol)
        held, paid = (before.qty, before.cost) if before else (ZERO, ZERO)
        after = held + qty
        if held * qty >= 0:
            paid += cost
        elif held * after > 0:
            paid = paid * after / held
        else:
            paid = cost * after / qty
        self.put(symbol, after, paid)

    def put(self, symbol: str, qty: Decimal, cost: Decimal) -> None:
        """Make the holding of `symbol` exactly this; zero removes it."""
        asset = asset_of(symbol)
        assert asset is not None, symbol
        self.watcher.changed("positions", symbol, self.positions.get(symbol))
        if qty == 0:
            self.positions.pop(symbol, None)
            return
        self.positions[symbol] = Position(
            symbol, self.asset_id(symbol), asset.asset_class, asset.exchange, asset.multiplier, qty, cost
        )

    def silent(self, symbol: str, qty: Decimal, price: Decimal | None = None) -> None:
        """Move a position and its cash with no order, no event and no activity."""
        asset = self.asset(symbol)
        at = price or self.prices[asset.held_as]
        if at is None:
            raise RefusedError(42210000, f"{symbol} has no price")
        self.move(asset.held_as, qty, at)
        self.move_cash(-qty * at * asset.multiplier)

    def apply(self, leg: Booking) -> None:
        """Move what a leg says: its quantity with its cost, and its cash."""
        if leg.symbol and leg.qty and not leg.entitled:
            self.carry(leg.symbol, leg.qty, leg.cost)
        if leg.net_amount:
            self.move_cash(leg.net_amount)

    # Activities

    def book(self, bookings: Iterable[Booking]) -> list[NonTrade]:
        """Make activities of them, dated today with a midnight id, as Alpaca does; they move nothing."""
        now = self.now()
        booked = [
            NonTrade(f"{eastern_date(now):%Y%m%d}000000000::{self.new_id()}", now, booking) for booking in bookings
        ]
        for activity in booked:
            self.watcher.changed("activities", activity.id, None)
            self.activities[activity.id] = activity
        return booked

    def revise(
        self,
        symbol: str,
        status: str,
        *,
        activity_type: str | None = None,
        qty: Decimal | None = None,
        net_amount: Decimal | None = None,
        moves: bool = True,
        new_row: bool = False,
    ) -> NonTrade:
        """Mark the newest activity of a symbol `canceled` or `correct`, the latter with what is right instead.

        What it moved is moved back or put right too, unless `moves` is off. `new_row` books a row of its own for
        it and leaves the old one as it was. Raises RefusedError when no such activity stands.
        """
        activity = self._newest(symbol, activity_type)
        was = activity.booking
        revised = replace(was, status=status, net_amount=was.net_amount if net_amount is None else net_amount)
        if qty is not None:
            revised = replace(revised, qty=qty, cost=was.cost * qty / was.qty if was.qty else ZERO)
        if moves:
            self.apply(replace(was, qty=-(was.qty or ZERO), cost=-was.cost, net_amount=-was.net_amount))
            if status != "canceled":
                self.apply(revised)
        if new_row:
            return self.book((revised,))[0]
        self.watcher.changed("activities", activity.id, activity)
        self.activities[activity.id] = again = replace(activity, booking=revised)
        return again

    def _newest(self, symbol: str, activity_type: str | None) -> NonTrade:
        for activity in reversed(self.activities.values()):
            if (
                isinstance(activity, NonTrade)
                and activity.booking.symbol == symbol
                and activity.booking.status != "canceled"
                and activity_type in (None, activity.activity_type)
            ):
                return activity
        raise RefusedError(40410000, f"no {activity_type or 'non-trade'} activity of {symbol} stands")

    def book_fees(self) -> None:
        """Book what coin trades were charged since the last time, as Alpaca does at the end of a day."""
        fees, self.accrued_fees = self.accrued_fees, []
        self.book(fees)


def eastern_date(moment: datetime) -> date:
    """The day in New York."""
    return moment.astimezone(EASTERN).date()

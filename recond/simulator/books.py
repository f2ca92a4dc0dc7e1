"""What one account owns: its identity, cash, prices, positions with their cost basis, and activities.

Owns how a quantity, cash and cost basis move and how an activity is booked. May not know orders (`account`
adds them), the network or timers. Activities are kept for the account's life.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterable
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
_TYPES = ("market", "limit", "stop", "stop_limit")
_TIMES = ("day", "gtc", "ioc", "fok")
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

    # Prices and figures

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
        """Add a signed quantity at a price to the holding of `symbol`; cash is not touched.

        A decrease takes its share of the cost basis; what goes through zero starts again at `price`.
        """
        before = self.positions.get(symbol)
        held, cost = (before.qty, before.cost) if before else (ZERO, ZERO)
        asset = asset_of(symbol)
        assert asset is not None, symbol
        after = held + qty
        added = qty * price * asset.multiplier
        if held * qty >= 0:
            cost += added
        elif held * after > 0:
            cost = cost * after / held
        else:
            cost = after * price * asset.multiplier
        self.put(symbol, after, cost)

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

    def transfer(self, symbol: str, qty: Decimal, price: Decimal | None, activity_type: str) -> tuple[Booking, ...]:
        """Shares or coins come in or leave (ACATS, JNLS, OCT, ...) without cash; its booking is returned."""
        asset = self.asset(symbol)
        at = price or self.prices[asset.held_as] or ZERO
        self.move(asset.held_as, qty, at)
        return (Booking(activity_type, symbol=asset.held_as, qty=qty, price=at),)

    # Activities

    def book(self, bookings: Iterable[Booking]) -> None:
        """Make activities of them, dated today with a midnight id, as Alpaca does."""
        now = self.now()
        for booking in bookings:
            activity_id = f"{eastern_date(now):%Y%m%d}000000000::{self.new_id()}"
            self.watcher.changed("activities", activity_id, None)
            self.activities[activity_id] = NonTrade(activity_id, now, booking)

    def book_fees(self) -> None:
        """Book what coin trades were charged since the last time, as Alpaca does at the end of a day."""
        fees, self.accrued_fees = self.accrued_fees, []
        self.book(fees)


def eastern_date(moment: datetime) -> date:
    """The day in New York."""
    return moment.astimezone(EASTERN).date()

"""What comes into an account or leaves it without a trade: shares, coins, and the fee that is taken in a coin.

Owns the legs of transfers, journals and fees. The caller moves and books them. May not know the network or timers.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from recond.simulator.account import Account
from recond.simulator.records import ZERO, Booking, RefusedError

_COINS_ONLY = ("OCT", "TRANS")


def transfer(account: Account, symbol: str, qty: Decimal, price: Decimal | None, kind: str) -> tuple[Booking, ...]:
    """Shares or coins come in (positive) or leave without cash, at a price or the market's; `kind` is the activity."""
    asset = account.asset(symbol)
    coin = asset.asset_class == "crypto"
    held = account.positions.get(asset.held_as)
    if kind in _COINS_ONLY and not coin:
        raise RefusedError(42210000, f"{kind} is for coins, and {symbol} is none")
    if coin and qty < 0 and (held is None or held.qty < -qty):
        raise RefusedError(40310000, f"insufficient balance for {asset.held_as[:-3]}")
    at = price or account.prices[asset.held_as] or ZERO
    return (Booking(kind, symbol=asset.held_as, qty=qty, price=at, cost=qty * at * asset.multiplier),)


def acats(account: Account, positions: Mapping[str, Decimal], cash: Decimal) -> tuple[Booking, ...]:
    """An account elsewhere moves here: a leg for each of its positions, and one for its cash."""
    legs = tuple(leg for symbol, qty in positions.items() for leg in transfer(account, symbol, qty, None, "ACATS"))
    return (*legs, Booking("ACATC", net_amount=cash)) if cash else legs


def coin_fee(account: Account, symbol: str, qty: Decimal) -> tuple[Booking, ...]:
    """Take a positive quantity of a coin as a fee."""
    before = account.holding(symbol, "crypto")
    if not 0 < qty <= before.qty:
        raise RefusedError(42210000, f"{symbol}: a fee is a positive quantity of a coin that is held")
    price = account.prices[before.symbol]
    text = "Coin Pair Transaction Fee (Non USD)"
    cost = -before.cost * qty / before.qty
    return (Booking("CFEE", symbol=before.symbol, qty=-qty, cost=cost, price=price, description=text),)

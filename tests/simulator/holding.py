"""An account with one position, and what its events do to it."""

from __future__ import annotations

from decimal import Decimal

from recond.simulator.account import Account
from recond.simulator.records import Booking

D = Decimal


def holding(symbol: str, qty: Decimal, price: Decimal) -> Account:
    """An account that holds just this, at that price."""
    account = Account(D(100_000))
    account.set_price(symbol, price)
    account.move(symbol, qty, price)
    return account


def done(account: Account, legs: tuple[Booking, ...]) -> tuple[Booking, ...]:
    """The legs, once they have moved the account."""
    for leg in legs:
        account.apply(leg)
    return legs


def held(account: Account) -> dict[str, Decimal]:
    """What the account holds."""
    return {symbol: position.qty for symbol, position in account.positions.items()}

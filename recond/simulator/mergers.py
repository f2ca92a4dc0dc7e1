"""A company that is taken over: its shares become another's, cash, or both.

Owns the rates, the cash in lieu and the legs of each form. Prices change at once; the caller moves and books the
legs. May not know the network or timers.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from recond.simulator.account import Account
from recond.simulator.corporate import EQUITY, cents, shares
from recond.simulator.records import ZERO, Booking, Position, RefusedError


def merge(
    account: Account,
    symbol: str,
    *,
    to: str | None = None,
    rate: Decimal = Decimal(1),
    cash: Decimal = ZERO,
    whole: bool = False,
    price: Decimal | None = None,
) -> tuple[Booking, ...]:
    """Each share of `symbol` becomes `rate` shares of `to`, `cash` dollars, or both (SMA, CMA, SCMA).

    The cost basis goes over to the acquirer's shares. `whole` pays a fraction of a share in cash, with its part of
    the cost. `price` is the acquirer's; without one that has none yet, it is what keeps the value.
    """
    before = account.holding(symbol, EQUITY)
    if symbol == to or not (to or cash):
        raise RefusedError(42210000, f"a merger turns {symbol} into another symbol's shares, cash, or both")
    sub_type = "SCMA" if to and cash else "SMA" if to else "CMA"
    worth = account.prices.get(symbol)
    leg = Booking("MA", symbol=symbol, sub_type=sub_type, price=ZERO, group_id=account.new_id())
    gone = replace(leg, qty=-before.qty, cost=-before.cost, price=worth if to else ZERO)
    paid = (replace(leg, qty=ZERO, net_amount=cents(before.qty * cash)),) if cash else ()
    if not to:
        return (*paid, gone)
    if price is None and worth is not None and worth > cash and to not in account.prices:
        price = (worth - cash) / rate
    worth = account.introduce(to, EQUITY, price)
    come = _acquired(before, replace(leg, symbol=to, price=ZERO if cash else worth), rate, worth, whole)
    return (*paid, gone, *come)


def _acquired(before: Position, leg: Booking, rate: Decimal, price: Decimal | None, whole: bool) -> tuple[Booking, ...]:
    """The acquirer's shares, and cash in lieu."""
    qty = shares(before.qty * rate)
    if not qty:
        raise RefusedError(42210000, f"nothing would come of {before.qty} {before.symbol}")
    kept = Decimal(int(qty)) if whole else qty
    in_lieu = cents((qty - kept) * (price or ZERO))
    come = replace(leg, qty=kept, cost=before.cost * kept / qty)
    if not in_lieu:
        return (come,)
    return (come, replace(leg, qty=ZERO, price=ZERO, net_amount=in_lieu, description="Cash in lieu"))

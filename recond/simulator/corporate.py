"""What an issuer does to its shares: splits, new names and numbers, spin-offs, dividends, the end of a company.

Owns the arithmetic of each and the legs that Alpaca books for it. Prices and asset ids change at once; what the
legs say is moved and booked by the caller, so that he decides when. May not know the network or timers.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

from recond.simulator.account import Account
from recond.simulator.books import GRAIN
from recond.simulator.records import ZERO, Booking, RefusedError

EQUITY = "us_equity"
_CENT = Decimal("0.01")


def shares(qty: Decimal) -> Decimal:
    """A quantity cut to the nine places that Alpaca keeps."""
    return qty.quantize(GRAIN, ROUND_DOWN)


def cents(dollars: Decimal) -> Decimal:
    """Dollars as they are paid out."""
    return dollars.quantize(_CENT, ROUND_HALF_UP)


def split(account: Account, symbol: str, new: Decimal, old: Decimal, *, whole: bool = False) -> tuple[Booking, ...]:
    """`new` shares for `old`: quantity and price scale, the cost basis stays.

    With `whole` the count is cut to whole shares and the rest is paid as cash in lieu, with its part of the
    cost. A result finer than nine places is cut to nine.
    """
    before = account.holding(symbol, EQUITY)
    qty = shares(before.qty * new / old)
    if not qty:
        raise RefusedError(42210000, f"nothing would be left of {before.qty} {symbol}")
    kept = Decimal(int(qty)) if whole else qty
    price = account.prices.get(symbol)
    after = account.rescale(symbol, old, new)
    in_lieu = (qty - kept) * (after or ZERO)
    sub_type = "FSPLIT" if new > old else "RSPLIT"
    leg = Booking("SPLIT", symbol=symbol, sub_type=sub_type, group_id=account.new_id())
    legs = (
        replace(leg, qty=-before.qty, cost=-before.cost, price=price),
        replace(leg, qty=kept, cost=before.cost * kept / qty, price=after),
    )
    if not in_lieu:
        return legs
    return (*legs, replace(leg, sub_type=None, net_amount=in_lieu, description="Cash in lieu"))


def unit_split(
    account: Account,
    symbol: str,
    to: str,
    other: str,
    *,
    rate: Decimal,
    other_rate: Decimal,
    other_price: Decimal | None = None,
) -> tuple[Booking, ...]:
    """A unit falls apart into `rate` shares of `to` and `other_rate` of `other`; all of its cost goes to `to`."""
    before = account.holding(symbol, EQUITY)
    price = account.prices.get(symbol)
    if len({symbol, to, other}) < 3:
        raise RefusedError(42210000, "a unit, its share and its other part are three symbols")
    account.introduce(to, EQUITY, None if to in account.prices or price is None else price / rate)
    account.introduce(other, EQUITY, other_price)
    leg = Booking("SPLIT", sub_type="USPLIT", price=price, group_id=account.new_id())
    return (
        replace(leg, symbol=symbol, qty=-before.qty, cost=-before.cost),
        replace(leg, symbol=to, qty=shares(before.qty * rate), cost=before.cost),
        replace(leg, symbol=other, qty=shares(before.qty * other_rate), price=ZERO),
    )


def rename(account: Account, symbol: str, to: str, *, cusip: bool = False) -> tuple[Booking, ...]:
    """The holding goes on under another symbol with its asset id; with `cusip` that is new too, and `to` comes first.

    The old symbol is free for another company, which then has another asset id.
    """
    before = account.holding(symbol, EQUITY)
    if to in account.prices:
        raise RefusedError(42210000, f"{to} exists already")
    price = account.introduce(to, EQUITY, account.prices.get(symbol))
    account.closes[to] = account.closes.pop(symbol, account.closes.get(to, ZERO))
    del account.prices[symbol]
    account.asset_ids[to] = account.new_id() if cusip else before.asset_id
    account.asset_ids[symbol] = account.new_id()
    leg = Booking("NC", sub_type="SCNC" if cusip else "SNC", price=price, group_id=account.new_id())
    gone = replace(leg, symbol=symbol, qty=-before.qty, cost=-before.cost)
    come = replace(leg, symbol=to, qty=before.qty, cost=before.cost)
    return (come, gone) if cusip else (gone, come)


def new_cusip(account: Account, symbol: str, *, new_id: bool = True) -> tuple[Booking, ...]:
    """Only the CUSIP changes: both legs are of the same symbol. Whether Alpaca's asset id follows is not known."""
    before = account.holding(symbol, EQUITY)
    if new_id:
        account.asset_ids[symbol] = account.new_id()
    price = account.prices.get(symbol)
    leg = Booking("NC", symbol=symbol, sub_type="CNC", price=price, group_id=account.new_id())
    return (
        replace(leg, qty=-before.qty, cost=-before.cost),
        replace(leg, qty=before.qty, cost=before.cost),
    )


def spin_off(
    account: Account, symbol: str, to: str, rate: Decimal, price: Decimal | None = None
) -> tuple[Booking, ...]:
    """`rate` shares of another company for each share held, which stays; they come without cost."""
    before = account.holding(symbol, EQUITY)
    if to == symbol:
        raise RefusedError(42210000, f"{symbol} cannot be spun off from itself")
    account.introduce(to, EQUITY, price)
    qty = shares(before.qty * rate)
    return (Booking("SPIN", symbol=to, qty=qty, price=ZERO, group_id=account.new_id()),)


def stock_dividend(account: Account, symbol: str, rate: Decimal) -> tuple[Booking, ...]:
    """`rate` new shares for each share held; the cost basis stays and the price gives way."""
    before = account.holding(symbol, EQUITY)
    account.rescale(symbol, Decimal(1), 1 + rate)
    qty = shares(before.qty * rate)
    return (Booking("DIV", symbol=symbol, sub_type="SDIV", qty=qty, price=ZERO, group_id=account.new_id()),)


def cash_dividend(account: Account, symbol: str, per_share: Decimal, sub_type: str | None) -> tuple[Booking, ...]:
    """Dollars for each share held. The activity's quantity is the count that earned them: nothing moves.

    Its sub type is CDIV, though Alpaca's own example says SDIV, and older rows have none.
    """
    before = account.holding(symbol, EQUITY)
    paid = cents(before.qty * per_share)
    leg = Booking("DIV", symbol=symbol, sub_type=sub_type, net_amount=paid, per_share=per_share, description="DIV")
    return (replace(leg, qty=before.qty, entitled=True),)


def substitute_payment(account: Account, symbol: str, per_share: Decimal) -> tuple[Booking, ...]:
    """What is paid in place of a dividend, by who is short; without currency and quantity, its date a timestamp."""
    before = account.holding(symbol, EQUITY)
    paid = cents(before.qty * per_share)
    leg = Booking("DIV", symbol=symbol, sub_type="SPD", net_amount=paid, currency="", timed=True)
    return (replace(leg, qty=ZERO, price=ZERO, group_id=account.new_id()),)


def worthless(account: Account, symbol: str) -> tuple[Booking, ...]:
    """The holding is removed for nothing."""
    before = account.holding(symbol, EQUITY)
    leg = Booking("REORG", symbol=symbol, sub_type="WRM", price=ZERO, group_id=account.new_id())
    return (replace(leg, qty=-before.qty, cost=-before.cost),)

"""What moves a position without an order: splits, renames, option events and coin fees.

Owns the arithmetic of each and the activities that Alpaca books for it, returned unbooked, so that the caller
decides when they appear (at once, later, never). May not know the network or timers.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_DOWN, Decimal

from recond.simulator.account import Account
from recond.simulator.assets import asset_of, contract_of
from recond.simulator.books import GRAIN
from recond.simulator.records import ZERO, Booking, Position, RefusedError


def _held(account: Account, symbol: str) -> Position:
    asset = asset_of(symbol)
    position = account.positions.get(asset.held_as if asset else symbol)
    if position is None:
        raise RefusedError(40410000, f"position does not exist: {symbol}")
    return position


def split(account: Account, symbol: str, new: Decimal, old: Decimal, *, whole: bool = False) -> tuple[Booking, ...]:
    """`new` shares for `old`: quantity and price scale, the cost basis stays.

    With `whole` the count is cut to whole shares and the rest is paid as cash in lieu, with its part of the
    cost. A result finer than nine places is cut to nine.
    """
    before = _held(account, symbol)
    qty = (before.qty * new / old).quantize(GRAIN, ROUND_DOWN)
    kept = Decimal(int(qty)) if whole else qty
    price = account.prices.get(symbol)
    after = None if price is None else price * old / new
    account.put(symbol, kept, before.cost * kept / qty)
    account.set_price(symbol, after)
    if symbol in account.closes:
        account.closes[symbol] = account.closes[symbol] * old / new
    in_lieu = (qty - kept) * (after or ZERO)
    if in_lieu:
        account.move_cash(in_lieu)
    sub_type = "FSPLIT" if new > old else "RSPLIT"
    leg = Booking("SPLIT", symbol=symbol, sub_type=sub_type, group_id=account.new_id())
    legs = (replace(leg, qty=-before.qty, price=price), replace(leg, qty=kept, price=after))
    if not in_lieu:
        return legs
    return (*legs, replace(leg, sub_type=None, net_amount=in_lieu, description="Cash in lieu"))


def rename(account: Account, symbol: str, to: str) -> tuple[Booking, ...]:
    """The holding goes on under another symbol, with its asset id."""
    before = _held(account, symbol)
    target = asset_of(to)
    if before.asset_class != "us_equity" or target is None or target.asset_class != "us_equity":
        raise RefusedError(42210000, "only an equity can be renamed, and only to an equity's symbol")
    if to in account.prices:
        raise RefusedError(42210000, f"{to} exists already")
    account.put(symbol, ZERO, ZERO)
    account.asset_ids[to] = before.asset_id
    account.set_price(to, account.prices.pop(symbol))
    account.closes[to] = account.closes.pop(symbol, account.closes.get(to, ZERO))
    account.put(to, before.qty, before.cost)
    leg = Booking("NC", sub_type="SNC", price=account.prices[to], group_id=account.new_id())
    return (replace(leg, symbol=symbol, qty=-before.qty), replace(leg, symbol=to, qty=before.qty))


def expire(account: Account, symbol: str) -> tuple[Booking, ...]:
    """A contract ends worthless."""
    before = _held(account, symbol)
    if contract_of(symbol) is None:
        raise RefusedError(42210000, f"{symbol} is no option contract")
    account.put(symbol, ZERO, ZERO)
    return (Booking("OPEXP", symbol=symbol, qty=-before.qty, description="Option Expiry"),)


def exercise(account: Account, symbol: str, contracts: Decimal | None = None) -> tuple[Booking, ...]:
    """The holder's long contracts become shares, bought (call) or sold (put) at the strike."""
    return _deliver(account, symbol, contracts, held=1, activity="OPEXC", description="Option Exercise")


def assign(account: Account, symbol: str, contracts: Decimal | None = None) -> tuple[Booking, ...]:
    """The writer's short contracts are assigned: shares are sold (call) or bought (put) at the strike."""
    return _deliver(account, symbol, contracts, held=-1, activity="OPASN", description="Option Assignment")


def _deliver(
    account: Account, symbol: str, contracts: Decimal | None, *, held: int, activity: str, description: str
) -> tuple[Booking, ...]:
    before = _held(account, symbol)
    contract = contract_of(symbol)
    if contract is None or before.qty * held <= 0:
        raise RefusedError(42210000, f"{symbol} is no {'long' if held > 0 else 'short'} option position")
    moved = min(abs(before.qty), contracts or abs(before.qty)) * held
    shares = moved * before.multiplier * (1 if contract.call else -1)
    left = before.qty - moved
    account.put(symbol, left, before.cost * left / before.qty)
    if contract.underlying not in account.prices:
        account.set_price(contract.underlying, contract.strike)
    account.move(contract.underlying, shares, contract.strike)
    account.move_cash(-shares * contract.strike)
    group = account.new_id()
    return (
        Booking(activity, symbol=symbol, qty=-moved, description=description, group_id=group),
        Booking(
            "OPTRD",
            symbol=contract.underlying,
            qty=shares,
            price=contract.strike,
            net_amount=-shares * contract.strike,
            description="Option Trade",
            group_id=group,
        ),
    )


def coin_fee(account: Account, symbol: str, qty: Decimal) -> tuple[Booking, ...]:
    """Take a positive quantity of a coin as a fee."""
    before = _held(account, symbol)
    if before.asset_class != "crypto" or not 0 < qty <= before.qty:
        raise RefusedError(42210000, f"{symbol}: a fee is a positive quantity of a coin that is held")
    left = before.qty - qty
    account.put(before.symbol, left, before.cost * left / before.qty)
    price = account.prices[before.symbol]
    text = "Coin Pair Transaction Fee (Non USD)"
    return (Booking("CFEE", symbol=before.symbol, qty=-qty, price=price, description=text),)

"""What happens to option contracts without an order: expiry, exercise, assignment, adjustment.

Owns their arithmetic and the legs that Alpaca books. The caller moves and books the legs. May not know the network
or timers, or liquidate: that is an order.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Literal

from recond.simulator.account import Account
from recond.simulator.assets import contract_of
from recond.simulator.records import ZERO, Booking, RefusedError

OPTION = "us_option"
SubType = Literal[
    "CADJ", "DIV.CDIV", "DIV.SDIV", "MA.CMA", "MA.SMA", "MA.SCMA", "NC.CNC", "NC.SNC", "NC.SCNC",
    "SPIN", "SPLIT.FSPLIT", "SPLIT.RSPLIT", "SPLIT.USPLIT",
]  # fmt: skip


def expire(account: Account, symbol: str) -> tuple[Booking, ...]:
    """A contract, long or short, ends worthless."""
    before = account.holding(symbol, OPTION)
    return (Booking("OPEXP", symbol=symbol, qty=-before.qty, cost=-before.cost, description="Option Expiry"),)


def exercise(
    account: Account, symbol: str, contracts: Decimal | None = None, *, nameless: bool = False
) -> tuple[Booking, ...]:
    """The holder's long contracts become shares, bought (call) or sold (put) at the strike."""
    return _deliver(account, symbol, contracts, 1, Booking("OPEXC", description="Option Exercise", nameless=nameless))


def assign(
    account: Account, symbol: str, contracts: Decimal | None = None, *, nameless: bool = False
) -> tuple[Booking, ...]:
    """The writer's short contracts are assigned: shares are sold (call) or bought (put) at the strike."""
    leg = Booking("OPASN", description="Option Assignment", nameless=nameless)
    return _deliver(account, symbol, contracts, -1, leg)


def _deliver(account: Account, symbol: str, contracts: Decimal | None, held: int, leg: Booking) -> tuple[Booking, ...]:
    before = account.holding(symbol, OPTION)
    contract = contract_of(symbol)
    if contract is None or before.qty * held <= 0:
        raise RefusedError(42210000, f"{symbol} is no {'long' if held > 0 else 'short'} option position")
    moved = min(abs(before.qty), contracts or abs(before.qty)) * held
    qty = moved * before.multiplier * (1 if contract.call else -1)
    if contract.underlying not in account.prices:
        account.set_price(contract.underlying, contract.strike)
    group = account.new_id()
    return (
        replace(leg, symbol=symbol, qty=-moved, cost=-before.cost * moved / before.qty, group_id=group),
        Booking(
            "OPTRD",
            symbol=contract.underlying,
            qty=qty,
            cost=qty * contract.strike,
            price=contract.strike,
            net_amount=-qty * contract.strike,
            description="Option Trade",
            group_id=group,
        ),
    )


def adjust(
    account: Account, symbol: str, to: str, new: Decimal, old: Decimal, sub_type: SubType | None = None
) -> tuple[Booking, ...]:
    """`new` contracts of another symbol for `old`, as after a split or merger of the underlying (OPCA).

    The legs carry the price of each as their net amount, and the cost basis goes over. Without a `sub_type` it is
    a forward or a reverse split by the ratio, or CADJ.
    """
    before = account.holding(symbol, OPTION)
    qty = before.qty * new / old
    if to == symbol or qty != qty.to_integral_value():
        raise RefusedError(42210000, f"{before.qty} {symbol} cannot become {qty} {to}")
    price = account.prices.get(symbol)
    after = account.introduce(to, OPTION, None if price is None or to in account.prices else price * old / new)
    ratio = "CADJ" if new == old else "SPLIT.FSPLIT" if new > old else "SPLIT.RSPLIT"
    leg = Booking("OPCA", sub_type=sub_type or ratio, group_id=account.new_id())
    value = before.qty * before.multiplier * (price or ZERO)
    return (
        replace(leg, symbol=symbol, qty=-before.qty, cost=-before.cost, price=price, net_amount=value),
        replace(leg, symbol=to, qty=qty, cost=before.cost, price=after, net_amount=-value),
    )

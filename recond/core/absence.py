"""Is a position that is not shown really gone? Absence must be proven, for one as for fifty.

Owns the proof by the account's own figures: `/v2/account` is another read than `/v2/positions`, so an answer
that left rows out does not agree with it.
May not close anything, or take an unknown figure for zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from decimal import Decimal

from recond.core.exact import exactly
from recond.core.model import AccountState, Baseline, Drift, Holdings, Instrument

AGREEMENT = Decimal("0.01")
"""The values of the shown positions must lie within 1 % of the account's market value."""


@dataclass(frozen=True, slots=True)
class Guards:
    """From so many vanished positions, and such a share of the open ones, equity must prove it too."""

    vanish_min: int
    vanish_fraction: Decimal


@exactly
def unproven(
    vanished: Sequence[Drift],
    holdings: Holdings,
    account: AccountState | None,
    open_positions: int,
    baselines: Mapping[Instrument, Baseline],
    equity_before: Decimal | None,
    guards: Guards,
) -> dict[Instrument, str]:
    """The instruments whose absence is not proven, with the reason why.

    Within the 1 % that the account's value may differ by, what differs must still be less than half of what the
    position was worth; when its worth is unknown, nothing may differ. `account` was read in the same pass after
    `holdings`; `open_positions` counts the ledger's open instruments; `equity_before` is the account's equity at the
    last agreement.
    """
    values = {drift.instrument: _value(drift, baselines.get(drift.instrument)) for drift in vanished}
    gap, doubt = _gap(holdings, account)
    if (
        doubt is None
        and len(vanished) >= guards.vanish_min
        and len(vanished) >= guards.vanish_fraction * open_positions
    ):
        doubt = _equity_doubt(list(values.values()), account, equity_before)
    reasons = {}
    for drift in vanished:
        value = values[drift.instrument]
        if doubt is not None:
            reasons[drift.instrument] = f"not shown by the broker, but {doubt}"
        elif value is None and gap > 0:
            text = f"the account's value differs by {gap:.2f} from what is shown, and what this was worth is not known"
            reasons[drift.instrument] = f"not shown by the broker, but {text}"
        elif value and gap * 2 >= value:
            text = f"the account's value differs by {gap:.2f} from what is shown, about what this one was worth"
            reasons[drift.instrument] = f"not shown by the broker, but {text} ({value:.2f})"
    return reasons


@exactly
def unborne(
    gone: Iterable[Instrument],
    holdings: Holdings,
    account: AccountState | None,
    baselines: Mapping[Instrument, Baseline],
    long: Set[Instrument] = frozenset(),
) -> frozenset[str]:
    """The symbols of these, which neither side shows, that the account's figures do not bear out to be gone.

    What was worth less than the 1 % by which those may differ is believed to be. Where nothing can be told, since what
    another position is worth is not known, so is what neither has shown for `long`: that may stay unknown for ever.
    """
    gap, doubt = _gap(holdings, account)
    if doubt is not None or account is None:
        believed = long if account is not None and _unvalued(holdings) else frozenset()
        return frozenset(each.symbol for each in gone if each not in believed)
    values = account.long_market_value, account.short_market_value
    grain = AGREEMENT * sum((abs(value) for value in values if value is not None), Decimal(0))
    costs = {each: baselines[each].cost_basis for each in gone if each in baselines}
    return frozenset(each.symbol for each, cost in costs.items() if cost and gap * 2 >= abs(cost) > grain)


def _value(drift: Drift, baseline: Baseline | None) -> Decimal | None:
    """What the vanished position was last known to be worth, unsigned, or else had cost; None when unknown.

    The multiplier of a contract is left out of what it cost: worth less, it takes more to prove its absence.
    """
    values = [row.market_value for row in drift.rows]
    costs = [None if row.entry_price is None else row.entry_price * row.quantity for row in drift.rows]
    for figures in (values, costs):
        known = [figure for figure in figures if figure is not None]
        if len(known) == len(figures):
            return abs(sum(known, Decimal(0)))
    return None if baseline is None or baseline.cost_basis is None else abs(baseline.cost_basis)


def _gap(holdings: Holdings, account: AccountState | None) -> tuple[Decimal, str | None]:
    """How far the account's market value is from that of the shown positions, and why that proves nothing."""
    nothing = Decimal(0)
    if account is None:
        return nothing, "the account could not be read to prove it"
    if account.long_market_value is None or account.short_market_value is None:
        return nothing, "the account does not tell its market value"
    unvalued = _unvalued(holdings)
    if unvalued is not None:
        return nothing, unvalued
    shown = sum((abs(p.market_value) for p in holdings.positions if p.market_value is not None), nothing)
    held = abs(account.long_market_value) + abs(account.short_market_value)
    if abs(held - shown) > AGREEMENT * held:
        return nothing, f"the account says {held:.2f} is held while positions worth {shown:.2f} are shown"
    return abs(held - shown), None


def _unvalued(holdings: Holdings) -> str | None:
    """Why it is not known what all that is shown is worth; None when it is."""
    if holdings.unreadable:
        return "other positions were not readable"
    unknown = (p.instrument.symbol for p in holdings.positions if p.market_value is None)
    return next((f"the value of {symbol} is not known" for symbol in unknown), None)


def _equity_doubt(
    values: Sequence[Decimal | None], account: AccountState | None, equity_before: Decimal | None
) -> str | None:
    """Why so many cannot be believed to be gone at once; None when equity bears it out."""
    many = f"{len(values)} positions are gone at once"
    if equity_before is None or account is None or account.equity is None:
        return f"{many} and no equity is known from before to compare with"
    if any(value is None for value in values):
        return f"{many} and it is not known what they were worth"
    total = sum((value for value in values if value is not None), Decimal(0))
    fallen = equity_before - account.equity
    if fallen > 0 and fallen * 2 >= total:
        return f"{many}, and equity fell by {fallen:.2f} with them"
    return None

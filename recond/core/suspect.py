"""What a drift looks like while no activity proves it: a split, an expired or delivered contract, a new name.

Owns the looks that are telling enough to name a cause on suspicion.
May not take a look for a proof: what it finds is only acted on as far as absence is proven and the policy allows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, time
from decimal import ROUND_DOWN, Decimal
from fractions import Fraction

from recond.core.effects import Effect
from recond.core.model import Baseline, BrokerPosition, Cause, Drift, Instrument, Kind
from recond.core.run import Explanation, Part, Ratio
from recond.core.symbols import is_call, option_expiry, option_underlying

RATIO_MAX = 100
COST_GRAIN = Decimal("0.01")
ENTRY_SAME = Decimal("0.0005")
"""How far two entry prices may be apart, relatively, and still tell a ratio: Alpaca rounds them."""
CLOSED_UTC = time(20, 0)
"""By then the New York exchanges have closed, whatever the season, or close within the hour."""
SHARES = 100


def suspicion(drift: Drift, base: Baseline, now: datetime) -> Effect | None:
    """What the broker's own move since the baseline looks like."""
    move = drift.broker - base.broker_quantity
    if not base.broker_quantity or not move:
        return None
    expiry = option_expiry(drift.instrument.symbol)
    if expiry is not None and drift.broker == 0:
        over = expiry < now.date() or (expiry == now.date() and now.timetz().replace(tzinfo=None) >= CLOSED_UTC)
        label = f"{move:f} since the contract has expired on {expiry}"
        return Effect(Cause.OPTION_EXPIRY, move, now, label) if over else None
    ratio = _split_ratio(base, drift.position)
    if ratio is None:
        return None
    return Effect(Cause.SPLIT, move, now, f"{move:f} by a split {ratio}, the cost basis being the same")


def ratio_of(base: Baseline, held: Decimal, part: Part, position: BrokerPosition | None) -> Ratio:
    """By what a split has scaled what was `held`: by its legs, and as the prices tell when fractions were paid out."""
    before, after = held, held + part.quantity
    if part.legs is not None:
        added, taken = part.legs
        before, after = (taken, added) if before > 0 else (added, taken)
    exact, told = Fraction(after) / Fraction(before), _entry_ratio(base, position)
    if told is not None and _whole(before, told) == after:
        exact = told
    return Ratio(Decimal(exact.numerator), Decimal(exact.denominator))


def deliveries(
    drifts: Sequence[Drift], baselines: Mapping[Instrument, Baseline | None], now: datetime
) -> dict[str, tuple[Effect, ...]]:
    """By underlying, the shares that contracts which are gone would have brought or taken."""
    found: dict[str, tuple[Effect, ...]] = {}
    for drift in drifts:
        base, contract = baselines.get(drift.instrument), drift.instrument.symbol
        underlying = option_underlying(contract)
        if base is None or underlying is None or drift.broker != 0 or not base.broker_quantity:
            continue
        held = base.broker_quantity
        shares = held * SHARES * (1 if is_call(contract) else -1)
        cause = Cause.OPTION_EXERCISE if held > 0 else Cause.OPTION_ASSIGNMENT
        label = f"{shares:f} for {abs(held):f} contracts {contract} that are gone"
        effect = Effect(cause, shares, now, label, delivered_by=contract)
        found[underlying] = (*found.get(underlying, ()), effect)
    return found


def pair_renames(
    drifts: Sequence[Drift], explained: dict[Instrument, Explanation], others: Sequence[Drift], tolerance: Decimal
) -> dict[Instrument, Explanation]:
    """Equities that are gone under one name and there under another, as one: by the legs' group, or by asset id.

    Both are as much, within the tolerance of equities. A leg whose other one is not seen yet, or is among the `others`
    that are not confirmed, is waited for.
    """
    paired = dict(explained)
    unconfirmed = _named(others, {})
    for drift in drifts:
        alike = (each for name in _names(drift, {}) for each in unconfirmed.get(name, ()))
        unsure = next(
            (d for d in alike if _is_same(drift, d, {}, tolerance) or _is_same(d, drift, {}, tolerance)), None
        )
        if unsure is not None and _may_be_named(explained[drift.instrument]):
            wait = f"{unsure.instrument.symbol} may be its other name: it is waited for"
            paired[drift.instrument] = replace(explained[drift.instrument], cause=Cause.SYMBOL_CHANGE, wait=wait)
    gone = [d for d in drifts if d.kind is Kind.MISSING_AT_BROKER and _may_be_named(explained[d.instrument])]
    new = [d for d in drifts if d.kind is Kind.MISSING_IN_LEDGER and _may_be_named(explained[d.instrument])]
    called, taken = _named(new, explained), set[Instrument]()
    for old in gone:
        alike = (each for name in _names(old, explained) for each in called.get(name, ()))
        free = (each for each in alike if each.instrument not in taken)
        match = next((each for each in free if _is_same(old, each, explained, tolerance)), None)
        if match is None:
            continue
        taken.add(match.instrument)
        told, shown = explained[old.instrument], explained[match.instrument]
        proven = told.evident and shown.evident
        text = f"{old.instrument.symbol} is called {match.instrument.symbol} now"
        text += "" if proven else ", by its asset id; suspected until an activity proves it"
        leaves, comes = _leg(told, old), _leg(shown, match)
        paired[old.instrument] = Explanation(
            Cause.SYMBOL_CHANGE,
            text,
            (replace(leaves, cause=Cause.SYMBOL_CHANGE, goes_to=match.instrument),),
            proven=proven,
        )
        paired[match.instrument] = Explanation(
            Cause.SYMBOL_CHANGE,
            text,
            (replace(comes, cause=Cause.SYMBOL_CHANGE, comes_from=old.instrument),),
            proven=proven,
        )
    for drift in drifts:
        explanation = paired[drift.instrument]
        legs = [part for part in explanation.parts if part.cause is Cause.SYMBOL_CHANGE]
        if any(part.goes_to is None and part.comes_from is None for part in legs) and explanation.wait is None:
            wait = f"{drift.instrument.symbol} changes its name: the other one is waited for"
            paired[drift.instrument] = replace(explanation, wait=wait)
    return paired


def _names(drift: Drift, explained: Mapping[Instrument, Explanation]) -> tuple[str, ...]:
    """By what it could be known under another name: its asset ids, and the groups of its legs."""
    ids = [row.asset_id for row in drift.rows] + ([] if drift.position is None else [drift.position.asset_id])
    parts = explained[drift.instrument].parts if drift.instrument in explained else ()
    return tuple(dict.fromkeys(name for name in (*ids, *(part.group for part in parts)) if name is not None))


def _named(drifts: Sequence[Drift], explained: Mapping[Instrument, Explanation]) -> dict[str, list[Drift]]:
    """The drifts by each of these."""
    named: dict[str, list[Drift]] = {}
    for drift in drifts:
        for name in _names(drift, explained):
            named.setdefault(name, []).append(drift)
    return named


def _may_be_named(explanation: Explanation) -> bool:
    return explanation.cause in (Cause.UNEXPLAINED, Cause.SYMBOL_CHANGE) and len(explanation.parts) <= 1


def _is_same(old: Drift, new: Drift, explained: Mapping[Instrument, Explanation], tolerance: Decimal) -> bool:
    if old.instrument.asset_class != "us_equity" or new.position is None or old.broker:
        return False
    if abs(old.ledger - new.broker) > tolerance:
        return False
    parts = [explained[d.instrument].parts if d.instrument in explained else () for d in (old, new)]
    groups = [{part.group for part in its if part.group is not None} for its in parts]
    return bool(groups[0] & groups[1]) or {row.asset_id for row in old.rows} == {new.position.asset_id}


def _leg(explanation: Explanation, drift: Drift) -> Part:
    return explanation.parts[0] if explanation.parts else Part(Cause.SYMBOL_CHANGE, drift.difference)


def _split_ratio(base: Baseline, position: BrokerPosition | None) -> Ratio | None:
    """The ratio of what looks like a split: exact with the cost basis unchanged, or cut to whole shares."""
    if position is None or not position.cost_basis or not base.cost_basis:
        return None
    exact = Fraction(position.quantity) / Fraction(base.broker_quantity)
    small = exact > 0 and max(exact.numerator, exact.denominator) <= RATIO_MAX
    if small and abs(position.cost_basis - base.cost_basis) <= COST_GRAIN:
        return Ratio(Decimal(exact.numerator), Decimal(exact.denominator))
    told = _entry_ratio(base, position)
    if told is None or told == 1 or _whole(base.broker_quantity, told) != position.quantity:
        return None
    return Ratio(Decimal(told.numerator), Decimal(told.denominator))


def _entry_ratio(base: Baseline, position: BrokerPosition | None) -> Fraction | None:
    """The ratio that the entry prices tell: a share costs as much less as there are more of them."""
    if position is None or not position.cost_basis or not base.cost_basis:
        return None
    before, after = base.cost_basis / base.broker_quantity, position.cost_basis / position.quantity
    exact = Fraction(before) / Fraction(after)
    told = exact.limit_denominator(RATIO_MAX)
    if told.numerator > RATIO_MAX or abs(told - exact) > Fraction(ENTRY_SAME) * exact:
        return None
    return told


def _whole(quantity: Decimal, ratio: Fraction) -> Decimal:
    """The scaled quantity without fractions of a share, which are paid in cash."""
    return (quantity * ratio.numerator / ratio.denominator).quantize(Decimal(1), ROUND_DOWN)

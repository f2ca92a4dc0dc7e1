"""Evidence that comes after a correction was made without it.

Owns the linking of late fills and activities to the correction that they explain.
May not change a quantity, or let one piece of evidence explain two things.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from datetime import timedelta
from decimal import Decimal

from recond.core.effects import Effect, bookings, by_root, by_symbol, fills, root
from recond.core.exact import exactly
from recond.core.history import Change, PastCorrection
from recond.core.model import Activity, Cause, Execution, Instrument
from recond.core.ownership import match, sums_of
from recond.core.run import LateLink

LATE_MAX = timedelta(days=4)
"""Alpaca books what is no trade by the next day; this spans a weekend and a holiday."""
FILL_BEFORE = timedelta(hours=1)


@exactly
def late_links(
    corrections: Sequence[PastCorrection],
    executions: Sequence[Execution],
    activities: Sequence[Activity],
    consumed: Set[str],
    strategies: Mapping[str, str],
    tolerance: Mapping[str, Decimal],
    changes: Sequence[Change] = (),
) -> tuple[LateLink, ...]:
    """What explains earlier corrections that nothing has proven: at most one explanation for each run and instrument.

    `consumed` are the ids of activities that have explained something. The oldest corrections come first. What others'
    `changes` have booked explains none.
    """
    links: list[LateLink] = []
    used: set[object] = set(consumed)
    booked, filled, journal = by_root(activities), by_symbol(executions), by_symbol(changes)
    unproven = sorted((c for c in corrections if not c.proven and not c.reversed), key=lambda c: c.id)
    runs: dict[tuple[int, Instrument], list[PastCorrection]] = {}
    for correction in unproven:
        runs.setdefault((correction.run_id, correction.instrument), []).append(correction)
    for (_run, instrument), made in runs.items():
        allowed = tolerance.get(instrument.asset_class, Decimal(0))
        near = bookings(booked.get(root(instrument.symbol), ()), instrument)
        traded = fills(filled.get(instrument.symbol, ()), instrument.symbol, strategies)
        free = [effect for effect in near if not used.intersection(effect.activities)]
        left = match(traded, journal.get(instrument.symbol, ())).lack if traded else ()
        trades = [effect for effect in left if not used.intersection(effect.executions)]
        found = _explaining(made, free, trades, allowed)
        if found:
            used.update(key for effect in found for key in (*effect.activities, *effect.executions))
            text = "; ".join(f"{effect.label} ({effect.at:%Y-%m-%d %H:%M:%S})" for effect in found)
            links.append(
                LateLink(
                    correction_id=made[0].id,
                    cause=max(found, key=lambda effect: abs(effect.quantity)).cause,
                    text=f"explained later: {text}",
                    executions=tuple(key for effect in found for key in effect.executions),
                    activities=tuple(id_ for effect in found for id_ in effect.activities),
                )
            )
    return tuple(links)


def _explaining(
    made: Sequence[PastCorrection], booked: Sequence[Effect], trades: Sequence[Effect], tolerance: Decimal
) -> tuple[Effect, ...]:
    """The effects that add up to what these corrections of one instrument changed."""
    change, at = sum((c.quantity for c in made), Decimal(0)), made[0].at
    for effect in booked:
        near = abs(effect.at - at) <= LATE_MAX
        renamed = made[0].cause is Cause.SYMBOL_CHANGE and effect.cause is Cause.SYMBOL_CHANGE
        if near and (renamed or abs(effect.quantity - change) <= tolerance):
            return (effect,)
    before = [effect for effect in trades if at - FILL_BEFORE <= effect.at <= at]
    return next(sums_of(before, change, tolerance), ()) if change else ()

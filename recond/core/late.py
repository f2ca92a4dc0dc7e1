"""Evidence that comes after a correction was made without it.

Owns the linking of late fills and activities to the correction that they explain.
May not change a quantity, or let one piece of evidence explain two things.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from recond.core.effects import Effect, bookings, by_root, by_symbol, fills, in_lots, root
from recond.core.evidence import key
from recond.core.exact import exactly
from recond.core.explain import Known, Patience, explain
from recond.core.history import Change, PastCorrection
from recond.core.model import Activity, Baseline, Cause, Drift, Execution, Instrument
from recond.core.ownership import MATCHED_MAX, SLACK, match, sums_of
from recond.core.run import Explanation, LateLink

LATE_MAX = timedelta(days=4)
"""Alpaca books what is no trade by the next day; this spans a weekend and a holiday."""
FILL_BEFORE, EDGE = timedelta(hours=1), timedelta(minutes=10)


def explain_with_late(
    drifts: Sequence[Drift],
    baselines: Mapping[Instrument, Baseline | None],
    ages: Mapping[Instrument, timedelta],
    known: Known,
    patience: Patience,
    tolerance: Mapping[str, Decimal],
    others: Sequence[Drift] = (),
) -> tuple[dict[Instrument, Explanation], tuple[LateLink, ...]]:
    """As `explain`, and what explains earlier corrections: what explains one of these explains no drift.

    Unless it came after both sides had agreed, and explains what drifts since then.
    """
    explanations = explain(drifts, baselines, ages, known, patience, tolerance, others)
    booked = {entry.id: entry.at for entry in known.activities}
    filled = {key(each): each.at for each in known.executions}
    claimed: set[object] = set()
    for instrument, explanation in explanations.items():
        base = baselines.get(instrument)
        if base is None:
            continue
        for part in explanation.parts:
            claimed |= {id_ for id_ in part.activities if (at := booked[id_]) and at > base.at - SLACK}
            claimed |= {k for k in part.executions if filled[k] > base.at + SLACK}
    free = [each for each in known.executions if key(each) not in claimed]
    used = known.used | {entry.id for entry in known.activities if entry.id in claimed}
    links = late_links(known.corrections, free, known.activities, used, known.strategies, tolerance, known.changes)
    if links:
        covered = {each for link in links for each in link.executions}
        left = replace(
            known,
            executions=tuple(each for each in known.executions if key(each) not in covered),
            used=known.used | {each for link in links for each in link.activities},
        )
        explanations = explain(drifts, baselines, ages, left, patience, tolerance, others)
    return explanations, links


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
    `changes` have booked explains none. A link is to the first correction of its run and instrument, and is for all.
    """
    links: list[LateLink] = []
    used: set[object] = set(consumed)
    booked, filled, journal = by_root(activities), by_symbol(executions), by_symbol(changes)
    runs: dict[tuple[int, Instrument], list[PastCorrection]] = {}
    for correction in sorted(corrections, key=lambda c: c.id):
        runs.setdefault((correction.run_id, correction.instrument), []).append(correction)
    for (_run, instrument), made in runs.items():
        unproven = [each for each in made if not each.proven and not each.reversed]
        if not unproven:
            continue
        allowed = tolerance.get(instrument.asset_class, Decimal(0))
        near = bookings(booked.get(root(instrument.symbol), ()), instrument)
        traded = fills(filled.get(instrument.symbol, ()), instrument.symbol, strategies)
        free = [effect for effect in near if not used.intersection(effect.activities)]
        left = _left_over(traded, journal.get(instrument.symbol, ()), made[0].at)
        trades = [effect for effect in left if not used.intersection(effect.executions)]
        found = _explaining(unproven, free, trades, allowed)
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


def _left_over(traded: Sequence[Effect], changes: Sequence[Change], at: datetime) -> Sequence[Effect]:
    """The fills of the hour before that others have not booked, not later than an hour after it either."""
    begin = at - FILL_BEFORE - EDGE  # what was booked within the hour may have been filled before it
    fills_before = [effect for effect in traded if begin <= effect.at <= at]
    near = [change for change in changes if begin <= change.at <= at + FILL_BEFORE] if fills_before else []
    left = match(fills_before, near).lack if len(fills_before) + len(near) <= MATCHED_MAX else ()
    return [effect for effect in left if effect.at >= at - FILL_BEFORE]


def _explaining(
    made: Sequence[PastCorrection], booked: Sequence[Effect], trades: Sequence[Effect], tolerance: Decimal
) -> tuple[Effect, ...]:
    """The effects that add up to what these corrections of one instrument changed; none when it may be either of two.

    A booking of lots is one booking.
    """
    change, at = sum((c.quantity for c in made), Decimal(0)), made[0].at
    near = [effect for effect in booked if abs(effect.at - at) <= LATE_MAX]
    if made[0].cause is Cause.SYMBOL_CHANGE:
        renamed = [effect for effect in near if effect.cause is Cause.SYMBOL_CHANGE]
        if renamed:
            return (renamed[0],)
    fitting = [lot for lot in in_lots(near) if abs(sum((e.quantity for e in lot), Decimal(0)) - change) <= tolerance]
    if fitting:
        return fitting[0] if len({effect.cause for lot in fitting for effect in lot}) == 1 else ()
    return next(sums_of(trades, change, tolerance), ()) if change else ()

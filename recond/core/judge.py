"""When a drift is believed: a reading is judged with hindsight.

Owns the verdict rule. Positions carry no timestamp and lag, fills are booked late and in any order: so a
reading is judged once everything that was under way at its time must have shown.
May not ask why there is a drift, or take one reading's word for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from decimal import Decimal

from recond.core.exact import exactly
from recond.core.model import Drift, Instrument, Pending

CLOCK_SLACK_S = 2.0
"""The broker's clock is known to one second only (Date header)."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The platform's worst lateness (`settle_s`), the positions' lag, and the spacing of early readings."""

    settle_s: float
    broker_lag_s: float
    confirm_after_s: float
    pending_max_s: float


@dataclass(frozen=True, slots=True)
class Moment:
    """A reading took place between these two monotonic moments: first request sent, ledger read."""

    began_s: float
    ended_s: float


@dataclass(frozen=True, slots=True)
class Motion:
    """One known execution on the monotonic clock; `position` is the broker's quantity after it, if it said so."""

    at_s: float
    quantity: Decimal
    position: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Sighting:
    """A drift seen and not yet judged: the readings since its quantities last moved, and since when it drifts."""

    broker: Decimal
    ledger: Decimal
    since_s: float
    readings: tuple[Moment, ...]


@dataclass(frozen=True, slots=True)
class Judgement:
    """Each drift is either confirmed or pending; `sightings` are what the next reading is judged against."""

    confirmed: tuple[Drift, ...]
    pending: tuple[Pending, ...]
    sightings: Mapping[Instrument, Sighting]


@exactly
def judge(
    drifts: Sequence[Drift],
    sightings: Mapping[Instrument, Sighting],
    moment: Moment,
    changed: Set[str],
    motions: Mapping[str, Sequence[Motion]],
    timing: Timing,
) -> Judgement:
    """Judge the drifts of the reading taken at `moment` against what was seen before.

    An earlier reading R is confirmed by this one when this one began at least `settle_s` after R ended, no reading
    from R on showed other quantities, `changed` (symbols with a change of the ledger since the last reading) never
    named the symbol meanwhile, and the broker's quantity was fresh at R. `motions` are the known executions by
    symbol. A drift seen first in this reading is pending: the first sighting counts as movement.
    """
    confirmed: list[Drift] = []
    pending: list[Pending] = []
    kept: dict[Instrument, Sighting] = {}
    for drift in drifts:
        symbol = drift.instrument.symbol
        sighting = _seen(drift, sightings.get(drift.instrument), moment, symbol in changed)
        known = motions.get(symbol, ())
        fresh = [reading for reading in sighting.readings if _is_fresh(drift.broker, reading, known, timing)]
        kept[drift.instrument] = replace(sighting, readings=_worth_keeping(sighting, fresh, moment, timing))
        if fresh and fresh[0] is not moment and fresh[0].ended_s + timing.settle_s <= moment.began_s:
            confirmed.append(drift)
            continue
        due_s = _due(sighting, fresh, known, moment, timing)
        pending.append(
            Pending(
                instrument=drift.instrument,
                kind=drift.kind,
                broker=drift.broker,
                ledger=drift.ledger,
                since_s=sighting.since_s,
                due_s=due_s,
                why=f"broker {drift.broker:f}, ledger {drift.ledger:f}, next look in {due_s - moment.ended_s:.0f} s",
            )
        )
    return Judgement(tuple(confirmed), tuple(pending), kept)


def _seen(drift: Drift, before: Sighting | None, moment: Moment, changed: bool) -> Sighting:
    """The sighting with this reading in it; it starts anew when a quantity or the ledger's journal moved."""
    if before is None:
        return Sighting(drift.broker, drift.ledger, moment.ended_s, (moment,))
    if changed or (before.broker, before.ledger) != (drift.broker, drift.ledger):
        return Sighting(drift.broker, drift.ledger, before.since_s, (moment,))
    return Sighting(drift.broker, drift.ledger, before.since_s, (*before.readings, moment))


def _is_fresh(broker: Decimal, reading: Moment, motions: Sequence[Motion], timing: Timing) -> bool:
    """Whether the broker's quantity at that reading cannot have been a lagging one, whenever within it it was read."""
    from_s = reading.began_s - timing.broker_lag_s - CLOCK_SLACK_S
    if not any(from_s <= motion.at_s <= reading.ended_s for motion in motions):
        return True
    told = [motion for motion in motions if motion.position is not None and motion.at_s <= reading.ended_s]
    if not told:
        return False
    newest = max(told, key=lambda motion: motion.at_s)
    if sum(motion.at_s == newest.at_s for motion in motions) > 1:
        return False  # which of the two came last is not known
    after = sum((m.quantity for m in motions if newest.at_s < m.at_s <= reading.ended_s), Decimal(0))
    assert newest.position is not None
    return newest.position + after == broker


def _worth_keeping(sighting: Sighting, fresh: Sequence[Moment], moment: Moment, timing: Timing) -> tuple[Moment, ...]:
    """The oldest reading that can be judged, and those that are still too young: the rest can tell no more."""
    ripe_s = moment.began_s - timing.settle_s
    oldest = (reading for reading in fresh[:1] if reading.ended_s <= ripe_s)
    return (*oldest, *(reading for reading in sighting.readings if reading.ended_s > ripe_s))


def _due(
    sighting: Sighting, fresh: Sequence[Moment], motions: Sequence[Motion], moment: Moment, timing: Timing
) -> float:
    """The next moment at which another reading can tell more."""
    if not fresh:
        newest_s = max(motion.at_s for motion in motions)
        return max(moment.ended_s + timing.confirm_after_s, newest_s + timing.broker_lag_s + CLOCK_SLACK_S)
    verdict_s = fresh[0].ended_s + timing.settle_s
    if len(sighting.readings) == 1:
        return min(verdict_s, moment.ended_s + timing.confirm_after_s)
    return max(verdict_s, moment.ended_s)

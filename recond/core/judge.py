"""When a drift is believed: a reading is judged with hindsight.

Owns the verdict rule. Positions carry no timestamp and lag, fills are booked late and in any order: so a
reading is judged once everything that was under way at its time must have shown.
May not ask why there is a drift, or take one reading's word for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from decimal import Decimal
from math import inf

from recond.core.exact import exactly
from recond.core.model import Drift, Instrument
from recond.core.run import Pending

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
class Reading:
    """What both sides showed of one instrument at one reading."""

    moment: Moment
    broker: Decimal
    ledger: Decimal


@dataclass(frozen=True, slots=True)
class Sighting:
    """A drift seen and not yet judged: since when it drifts, and the readings of it that can still tell something.

    From the moment `rests_s` on neither the quantities nor the ledger's journal moved. `proof` is the reading that a
    verdict was given on since then; it needs no more evidence.
    """

    since_s: float
    rests_s: float
    readings: tuple[Reading, ...]
    proof: Moment | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """Each of the drifts is either confirmed or pending; `sightings` are what the next reading is judged against."""

    drifts: tuple[Drift, ...]
    confirmed: tuple[Drift, ...]
    pending: tuple[Pending, ...]
    sightings: Mapping[Instrument, Sighting]

    def as_if_it_stays(self) -> Judgement:
        """What it comes to when nothing moves any more."""
        return replace(self, confirmed=self.drifts, pending=())


@exactly
def judge(
    drifts: Sequence[Drift],
    sightings: Mapping[Instrument, Sighting],
    moment: Moment,
    changed: Set[str],
    motions: Mapping[str, Sequence[Motion]],
    timing: Timing,
    known_since_s: float = -inf,
    known_until_s: float = inf,
) -> Judgement:
    """Judge the drifts of the reading taken at `moment` against what was seen before.

    At rest an earlier reading R is confirmed by this one when this one began at least `settle_s` after R ended, no
    reading from R on showed other quantities, `changed` (symbols with a change of the ledger since the last reading)
    never named the symbol meanwhile, and the broker's quantity was fresh at R. `motions` are the known executions by
    symbol, complete from `known_since_s` until `known_until_s`: a reading that they do not reach back behind tells
    nothing any more, one that they do not reach up to nothing yet. A drift seen first in this reading is pending: the
    first sighting counts as movement.

    An instrument that does not rest is pending too, but `in_motion` when lateness cannot explain one of its readings
    that are older than `settle_s`: then it is a drift for certain, though nobody knows of how much.
    """
    confirmed: list[Drift] = []
    pending: list[Pending] = []
    kept: dict[Instrument, Sighting] = {}
    oldest_s = known_since_s + max(timing.settle_s, timing.broker_lag_s) + CLOCK_SLACK_S
    for drift in drifts:
        known = motions.get(drift.instrument.symbol, ())
        changes = drift.instrument.symbol in changed
        sighting = _seen(drift, sightings.get(drift.instrument), moment, changes, oldest_s)
        told = [r for r in sighting.readings if r.moment.ended_s <= known_until_s or r.moment == sighting.proof]
        resting = [reading.moment for reading in told if reading.moment.ended_s >= sighting.rests_s]
        fresh = [at for at in resting if at == sighting.proof or _is_fresh(drift.broker, at, known, timing)]
        sighting = replace(sighting, readings=_worth_keeping(sighting, fresh, moment, timing))
        kept[drift.instrument] = sighting
        if fresh and fresh[0] is not moment and fresh[0].ended_s + timing.settle_s <= moment.began_s:
            kept[drift.instrument] = replace(sighting, proof=fresh[0])
            moved_s = max((motion.at_s for motion in known), default=sighting.since_s)
            confirmed.append(replace(drift, moved_ago_s=moment.ended_s - moved_s))
        else:
            due_s = _due(sighting, fresh, known, moment, timing)
            pending.append(_pending(drift, sighting, told, due_s, known, moment, timing))
    return Judgement(tuple(drifts), tuple(confirmed), tuple(pending), kept)


@exactly
def look_again(
    shown: Mapping[str, Decimal], motions: Mapping[str, Sequence[Motion]], moment: Moment, timing: Timing
) -> dict[str, float]:
    """The symbols of which the broker may not have shown yet what moved, and when to look at each again.

    `motions` are those of symbols that did not drift in the reading at `moment`; `shown` has its quantities that are
    not zero. To agree with a quantity that lags is no agreement, and nothing else may ask for another look.
    """
    return {
        symbol: _shown_by(known, moment, timing)
        for symbol, known in motions.items()
        if not _is_fresh(shown.get(symbol, Decimal(0)), moment, known, timing)
    }


def _pending(
    drift: Drift,
    sighting: Sighting,
    told: Sequence[Reading],
    due_s: float,
    known: Sequence[Motion],
    moment: Moment,
    timing: Timing,
) -> Pending:
    """What is said of a drift that cannot be judged yet; `told` are its readings that the evidence reaches up to."""
    ripe = [reading for reading in told if reading.moment.ended_s + timing.settle_s <= moment.began_s]
    certain = any(not _is_lateness(reading, known, timing) for reading in ripe)
    overdue = moment.ended_s - sighting.since_s > timing.pending_max_s
    why = f"broker {drift.broker:f}, ledger {drift.ledger:f}, next look in {due_s - moment.ended_s:.0f} s"
    if certain:
        why += "; more than lateness can explain, while it moves"
    if overdue:
        why += f"; pending for {moment.ended_s - sighting.since_s:.0f} s, since it never rests"
    return Pending(
        instrument=drift.instrument,
        kind=drift.kind,
        broker=drift.broker,
        ledger=drift.ledger,
        since_s=sighting.since_s,
        due_s=due_s,
        why=why,
        in_motion=certain,
        overdue=overdue,
    )


def _seen(drift: Drift, before: Sighting | None, moment: Moment, changed: bool, oldest_s: float) -> Sighting:
    """The sighting with this reading in it; its rest begins anew when a quantity or the ledger's journal moved.

    Readings from before `oldest_s` are dropped, but for one that a verdict was given on.
    """
    reading = Reading(moment, drift.broker, drift.ledger)
    if before is None:
        return Sighting(moment.ended_s, moment.ended_s, (reading,))
    last = before.readings[-1]
    moved = changed or (last.broker, last.ledger) != (drift.broker, drift.ledger)
    rests_s, proof = (moment.ended_s, None) if moved else (before.rests_s, before.proof)
    told = [r for r in before.readings if r.moment.began_s >= oldest_s or r.moment == proof]
    return Sighting(before.since_s, rests_s, (*told, reading), proof)


def _is_lateness(reading: Reading, motions: Sequence[Motion], timing: Timing) -> bool:
    """Whether fills that the platform had not booked yet, or the broker not shown yet, can explain the difference.

    The broker's clock is known to a second or two only, so what lies just outside the windows may have been inside.
    """
    began_s, ended_s = reading.moment.began_s - CLOCK_SLACK_S, reading.moment.ended_s + CLOCK_SLACK_S
    late = [m.quantity for m in motions if began_s - timing.settle_s < m.at_s <= ended_s]
    lag = [m.quantity for m in motions if began_s - timing.broker_lag_s < m.at_s <= ended_s]
    most = sum((q for q in late if q > 0), Decimal(0)) - sum((q for q in lag if q < 0), Decimal(0))
    least = sum((q for q in late if q < 0), Decimal(0)) - sum((q for q in lag if q > 0), Decimal(0))
    return least <= reading.broker - reading.ledger <= most


def _is_fresh(broker: Decimal, reading: Moment, motions: Sequence[Motion], timing: Timing) -> bool:
    """Whether the broker's quantity at that reading cannot have been a lagging one, whenever within it it was read.

    What seems to have moved just after the reading may have moved before it, by the grain of the broker's clock.
    """
    from_s = reading.began_s - timing.broker_lag_s - CLOCK_SLACK_S
    until_s = reading.ended_s + CLOCK_SLACK_S
    if not any(from_s <= motion.at_s <= until_s for motion in motions):
        return True
    told = [motion for motion in motions if motion.position is not None and motion.at_s <= until_s]
    if not told:
        return False
    newest = max(told, key=lambda motion: motion.at_s)
    if sum(motion.at_s == newest.at_s for motion in motions) > 1:
        return False  # which of the two came last is not known
    after = sum((m.quantity for m in motions if newest.at_s < m.at_s <= until_s), Decimal(0))
    assert newest.position is not None
    return newest.position + after == broker


def _worth_keeping(sighting: Sighting, fresh: Sequence[Moment], moment: Moment, timing: Timing) -> tuple[Reading, ...]:
    """The oldest reading that can confirm, those that were ripe for less than `settle_s`, and those still too young."""
    oldest_s = moment.began_s - 2 * timing.settle_s
    return tuple(
        reading
        for reading in sighting.readings
        if reading.moment.ended_s > oldest_s or reading.moment is moment or reading.moment in fresh[:1]
    )


def _due(
    sighting: Sighting, fresh: Sequence[Moment], motions: Sequence[Motion], moment: Moment, timing: Timing
) -> float:
    """The next moment at which another reading can tell more."""
    if not fresh:
        newest_s = max((motion.at_s for motion in motions), default=-inf)
        return max(moment.ended_s + timing.confirm_after_s, newest_s + timing.broker_lag_s + CLOCK_SLACK_S)
    verdict_s = fresh[0].ended_s + timing.settle_s
    if sighting.rests_s == moment.ended_s:
        return min(verdict_s, moment.ended_s + timing.confirm_after_s)
    return max(verdict_s, moment.ended_s)


def _shown_by(motions: Sequence[Motion], moment: Moment, timing: Timing) -> float:
    """The next look at a quantity that lags: soon when it is known what it has to become, else past the lag."""
    soon_s = moment.ended_s + timing.confirm_after_s
    if any(motion.position is not None for motion in motions):
        return soon_s
    return max(soon_s, max(motion.at_s for motion in motions) + timing.broker_lag_s + CLOCK_SLACK_S)

"""Why the two sides differ, relative to the baseline: what moved the broker, and which of that the ledger lacks.

Owns the two steps of an explanation, and how an explanation is put into words. Both steps are bounded and depend on
the evidence alone, not on its order.
May not decide what is done about a drift, or claim an explanation whose effects do not add up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from itertools import islice

from recond.core.effects import Effect, bookings, by_root, by_symbol, fills, in_time, root, waited_for
from recond.core.exact import exactly
from recond.core.fitting import fits, in_order
from recond.core.history import Change, PastCorrection
from recond.core.model import Activity, Baseline, Cause, Drift, Execution, Instrument
from recond.core.ownership import MATCHED_MAX, SLACK, Matched, booked_before, excess_parts, match, parts_of, sums_of
from recond.core.run import Explanation, Part
from recond.core.suspect import deliveries, pair_renames, ratio_of, suspicion
from recond.core.symbols import option_underlying

MADE_UP_MAX = 50
ZERO = Decimal(0)
EVER = datetime.min.replace(tzinfo=UTC)
UNDOING = frozenset({Cause.DOUBLE_BOOKING, Cause.LEDGER_EDIT, Cause.UNEXPLAINED, Cause.AMBIGUOUS})
ADOPTED = "found at the account's first contact"


@dataclass(frozen=True, slots=True)
class Known:
    """All that is known when drifts are explained; `at` is now on the broker's clock, as everything here.

    `used` are the ids of `activities` that have explained something; `complete` is False when there may be more.
    `fills_since` is from when on all fills are known for certain. `changes` are others' entries in the ledger's
    journal. `strategies` maps strategies to client_order_id prefixes.
    """

    at: datetime
    executions: tuple[Execution, ...] = ()
    activities: tuple[Activity, ...] = ()
    used: frozenset[str] = frozenset()
    changes: tuple[Change, ...] = ()
    corrections: tuple[PastCorrection, ...] = ()
    strategies: Mapping[str, str] = field(default_factory=dict)
    complete: bool = True
    fills_since: datetime = EVER


@dataclass(frozen=True, slots=True)
class Patience:
    """How late things may come: fills in either list (`late`), and the legs of a corporate action (`corporate`)."""

    late: timedelta
    corporate: timedelta


@exactly
def explain(
    drifts: Sequence[Drift],
    baselines: Mapping[Instrument, Baseline | None],
    ages: Mapping[Instrument, timedelta],
    known: Known,
    patience: Patience,
    tolerance: Mapping[str, Decimal],
    others: Sequence[Drift] = (),
) -> dict[Instrument, Explanation]:
    """The explanation of each confirmed drift.

    `baselines` has for each what both sides were last known to hold, None at the account's first contact; `ages` how
    long each has been seen. `others` are drifts that are not confirmed yet: what may belong to one of them waits.
    """
    explained: dict[Instrument, Explanation] = {}
    contracts = deliveries((*drifts, *others), baselines, known.at)
    executions, changes = by_symbol(known.executions), by_symbol(known.changes)
    activities, corrections = by_root(known.activities), by_symbol(known.corrections)
    for drift in drifts:
        base, symbol = baselines.get(drift.instrument), drift.instrument.symbol
        if base is None:
            explained[drift.instrument] = Explanation(Cause.ADOPTION, ADOPTED, proven=True)
            continue
        allowed = tolerance.get(drift.instrument.asset_class, Decimal(0))
        own = replace(
            known,
            executions=tuple(executions.get(symbol, ())),
            activities=tuple(activities.get(root(symbol), ())),
            changes=tuple(changes.get(symbol, ())),
            corrections=tuple(corrections.get(symbol, ())),
        )
        explained[drift.instrument] = _explain_one(drift, base, own, patience, allowed, contracts.get(symbol, ()))
    explained = _told_of_one(explained, known.activities, others)
    explained = _delivered(drifts, baselines, explained, others)
    explained = pair_renames(drifts, explained, others, tolerance.get("us_equity", ZERO))
    drifting = {drift.instrument.symbol for drift in (*drifts, *others)}
    explained = _legs_of_open_groups(explained, drifting & waited_for(known.activities))
    explained = {i: _whose_is_unknown(explanation, known.strategies) for i, explanation in explained.items()}
    told = {activity.id: activity.at for activity in known.activities if activity.at is not None}
    waited_since = known.at - patience.corporate
    return {
        instrument: replace(explanation, wait=None)
        if ages.get(instrument, timedelta()) > patience.corporate
        and all(told.get(id_, waited_since) <= waited_since for part in explanation.parts for id_ in part.activities)
        else explanation
        for instrument, explanation in explained.items()
    }


def base_of(
    drift: Drift, baselines: Mapping[Instrument, Baseline], settled_at: datetime | None, settled_seq: int
) -> Baseline | None:
    """What both sides were last known to hold: the baseline, or nothing when all was settled without the instrument."""
    base = baselines.get(drift.instrument)
    flat = base is None or not (base.broker_quantity or base.ledger_quantity)
    if flat and settled_at is not None and (base is None or base.at < settled_at):
        return Baseline(drift.instrument, Decimal(0), Decimal(0), None, settled_at, settled_seq)
    return base


def _explain_one(
    drift: Drift,
    base: Baseline,
    known: Known,
    patience: Patience,
    tolerance: Decimal,
    delivered: Sequence[Effect],
) -> Explanation:
    """One instrument, of which all is that is `known`; shares that contracts `delivered` are on suspicion only."""
    since = base.at - patience.late
    moved, booked = _left_to_explain(drift, base, known, since, patience.late)
    changes = [change for change in known.changes if change.seq > base.seq]
    if len(moved) + len(changes) > MATCHED_MAX:
        return _unexplained(drift, base, known, f"{len(moved)} fills and {len(changes)} bookings are too many to match")
    agreed = base.at + SLACK
    early = [e for e in moved if e.at <= agreed]
    sure = [e for e in moved if e.at > agreed]
    doubted = suspicion(drift, base, known.at)
    split: list[tuple[Effect, ...]] = [(doubted,)] if doubted is not None and doubted.cause is Cause.SPLIT else []
    # What is likeliest first: what was told since the baseline, a look that no trade has, then what may be older.
    fitting = partial(
        fits,
        drift.broker - base.broker_quantity,
        moved=sure,
        shown=known.at - patience.late - SLACK,
        tolerance=tolerance,
        fee=drift.instrument.asset_class == "crypto",
    )
    found = fitting(early=(), booked=booked)
    proven = bool(found)
    found = found or (fitting(early=(), booked=delivered) if delivered else []) or split
    if not found:
        found = fitting(early=early, booked=booked)
        proven = bool(found)
    found = found or ([(doubted,)] if doubted is not None else [])
    if not drift.broker and any(effect.at <= agreed for fit in found for effect in fit):
        proven = False  # what may have been booked before both sides agreed does not prove that a position is gone
    explaining = partial(_explanation, changes=changes, drift=drift, base=base, known=known, tolerance=tolerance)
    explanations = [made for fit in found if (made := explaining(fit)) is not None]
    if any(map(_tells_of_edits, explanations)):
        soon = any(change.at <= base.at + patience.late for change in changes)
        explanations = (soon and _made_up(early, found, explaining)) or explanations
    signatures = {tuple(sorted((p.cause, p.quantity, p.strategy_id or "") for p in e.parts)) for e in explanations}
    if not explanations:
        return _unexplained(drift, base, known, "")
    if len(signatures) > 1:
        text = "; or ".join(sorted({made.text for made in explanations}))
        return Explanation(Cause.AMBIGUOUS, f"more than one explanation adds up: {text}")
    made = explanations[0]
    if proven:
        return made
    wait = made.wait
    if any(_is_cut(part, base) for part in made.parts):
        wait = "cash in lieu of fractions would explain the count: its activity is waited for"
    return replace(made, proven=False, text=f"{made.text}; suspected until an activity proves it", wait=wait)


def _left_to_explain(
    drift: Drift, base: Baseline, known: Known, since: datetime, late: timedelta
) -> tuple[list[Effect], list[Effect]]:
    """The fills and bookings that may have moved it since the baseline: what was booked by then has done so before."""
    moved = fills(known.executions, drift.instrument.symbol, known.strategies)
    booked = bookings(known.activities, drift.instrument, known.used)
    before = sorted((e for e in (*moved, *booked) if e.at <= base.at + SLACK), key=in_time)
    changes = [change for change in known.changes if change.seq <= base.seq]
    days = {e.at for e in booked if is_day(e.at) and known.fills_since <= e.at - late}
    # What was booked and has been undone since is in the journal still: it tells nothing of what is left.
    undone = max((c.at for c in known.corrections if c.cause in UNDOING), default=EVER)
    begins = [begin for begin in (since, *days) if begin > undone]
    gone = {id(e) for begin in begins for e in booked_before(before, changes, begin, late)}
    return (
        [e for e in moved if e.at >= since and id(e) not in gone],
        [e for e in booked if _until(e) >= since and id(e) not in gone],
    )


def _made_up(
    early: Sequence[Effect],
    found: Sequence[tuple[Effect, ...]],
    explaining: Callable[[Sequence[Effect]], Explanation | None],
) -> list[Explanation]:
    """The explanation by fills that made up for each other at the baseline, when nothing then is beyond them.

    Both sides may have agreed without them, since the ledger had not booked any of them.
    """
    pairs = ((together, fit) for together in sums_of(early, ZERO) for fit in found)
    for together, fit in islice(pairs, MADE_UP_MAX):
        made = None if {*map(id, together)} & {*map(id, fit)} else explaining((*together, *fit))
        if made is not None and not _tells_of_edits(made):
            return [made]
    return []


def _tells_of_edits(explanation: Explanation) -> bool:
    return any(part.cause is Cause.LEDGER_EDIT for part in explanation.parts)


def _explanation(
    fit: Sequence[Effect],
    changes: Sequence[Change],
    drift: Drift,
    base: Baseline,
    known: Known,
    tolerance: Decimal,
) -> Explanation | None:
    """The explanation by these effects of the broker's move: what of them the ledger lacks, or has beyond them.

    What was booked beyond comes first: it has to go before a split scales what there is.
    """
    lacks, ordered = _lacks(drift, base), in_order(fit, base.broker_quantity)
    matched = match(ordered, changes)
    left = [_with_ratio(part, ordered, matched, base, drift) for part in parts_of(matched.lack)]
    excess = excess_parts(matched.beyond, known.corrections, drift)
    rest = lacks - sum((part.quantity for part in (*excess, *left)), ZERO)
    if not (left or excess) or abs(rest) > tolerance:
        return None
    main = max((*left, *excess), key=lambda part: abs(part.quantity))
    due = drift.target - drift.ledger
    rest += due - lacks if abs(due - lacks) <= tolerance else ZERO
    parts = tuple(replace(p, quantity=p.quantity + rest) if p is main else p for p in (*excess, *left))
    told = [f"the ledger lacks {_effect_text(effect)}" for effect in matched.lack]
    told += [_beyond_text(part) for part in excess]
    waiting = [effect for effect in matched.lack if effect.legs < effect.legs_wanted]
    wait = f"{waiting[0].label} is one leg of several: the others are waited for" if waiting else None
    proven = all(part.cause is not Cause.UNEXPLAINED for part in parts)
    return Explanation(main.cause, "; ".join(told[:20]), parts, proven=proven, wait=wait)


def _lacks(drift: Drift, base: Baseline) -> Decimal:
    """By how much the ledger has come to lack, since the baseline, what the broker holds."""
    return drift.difference - (base.broker_quantity - base.ledger_quantity)


def _effect_text(effect: Effect) -> str:
    return (
        f"{effect.label}{f' of {effect.whose}' if effect.whose else ''} ({effect.cause}, {effect.at:%Y-%m-%d %H:%M:%S})"
    )


def _beyond_text(part: Part) -> str:
    if part.cause is Cause.DOUBLE_BOOKING:
        return f"{-part.quantity:f} was booked that correction {part.reverses} had booked already"
    return f"the ledger was changed by {-part.quantity:f} with no execution behind it"


def _with_ratio(part: Part, ordered: Sequence[Effect], matched: Matched, base: Baseline, drift: Drift) -> Part:
    """A split scales rows, so it has to know by what, and what of them was booked after it."""
    if part.cause is not Cause.SPLIT:
        return part
    number = next(
        n for n, effect in enumerate(ordered) if effect.cause is Cause.SPLIT and effect.activities == part.activities
    )
    held = base.broker_quantity + sum((effect.quantity for effect in ordered[:number]), ZERO)
    later = {id(effect) for effect in ordered[number + 1 :]}
    spared = tuple(
        (change.position_id, change.quantity)
        for change, group in matched.booked
        if all(id(effect) in later for effect in group)
    )
    # A leg that takes all of it, while there is more to come, is not the whole of a split.
    scales = held and (held + part.quantity or not drift.broker)
    return replace(part, ratio=ratio_of(base, held, part, drift.position) if scales else None, spared=spared)


def _is_cut(part: Part, base: Baseline) -> bool:
    """Whether fractions are missing from the exact ratio of a split."""
    held = base.broker_quantity
    return part.ratio is not None and (held + part.quantity) * part.ratio.old != held * part.ratio.new


def _until(effect: Effect) -> datetime:
    """The last moment at which it may have been booked: what only has a day tells no more."""
    return effect.at + timedelta(days=2) if is_day(effect.at) else effect.at


def is_day(at: datetime) -> bool:
    """Whether it is a day and no moment: as Alpaca tells of a booking without a time."""
    return at.time() == time.min


def _told_of_one(
    explained: dict[Instrument, Explanation], activities: Sequence[Activity], others: Sequence[Drift]
) -> dict[Instrument, Explanation]:
    """A leg without a symbol tells of one contract: when it fits several it is not known which.

    While another contract on the same shares is not confirmed yet, it is waited for.
    """
    nameless = {activity.id for activity in activities if activity.symbol is None}
    claims = Counter(id_ for e in explained.values() for part in e.parts for id_ in part.activities)
    unsure = {option_underlying(drift.instrument.symbol): drift.instrument.symbol for drift in others}
    told = dict(explained)
    for instrument, explanation in explained.items():
        legs = nameless.intersection(id_ for part in explanation.parts for id_ in part.activities)
        rival = unsure.get(option_underlying(instrument.symbol))
        if any(claims[id_] > 1 for id_ in legs):
            text = f"more than one contract adds up with a leg that names none: {explanation.text}"
            told[instrument] = Explanation(Cause.AMBIGUOUS, text)
        elif legs and rival is not None:
            told[instrument] = replace(explanation, wait=f"{rival} may be meant by a leg that names none")
    return told


def _delivered(
    drifts: Sequence[Drift],
    baselines: Mapping[Instrument, Baseline | None],
    explained: dict[Instrument, Explanation],
    others: Sequence[Drift],
) -> dict[Instrument, Explanation]:
    """A contract whose shares were taken as delivered was exercised or assigned, and did not just expire.

    While one of the two is not confirmed yet the other one waits for it.
    """
    causes = {
        part.delivered_by: part.cause for e in explained.values() for part in e.parts if part.delivered_by is not None
    }
    unsure = {drift.instrument.symbol for drift in others}
    for drift in drifts:
        before, base = explained[drift.instrument], baselines.get(drift.instrument)
        waits = next((p.delivered_by for p in before.parts if p.delivered_by in unsure), None)
        underlying = option_underlying(drift.instrument.symbol)
        cause = causes.get(drift.instrument.symbol)
        if underlying in unsure and not before.evident:
            waits = underlying
        if waits is not None:
            explained[drift.instrument] = replace(before, wait=f"{waits} may have to do with it: it is waited for")
        elif cause is not None and base is not None and not before.evident:
            text = f"{-base.broker_quantity:f} contracts went as their shares came ({cause}); suspected"
            explained[drift.instrument] = Explanation(cause, text, (Part(cause, _lacks(drift, base)),))
    return explained


def _legs_of_open_groups(explained: dict[Instrument, Explanation], named: Set[str]) -> dict[Instrument, Explanation]:
    """What nothing explains may be the leg that a corporate action of these names still lacks: it waits with them."""
    if not named:
        return explained
    wait = f"it may belong to what is booked for {min(named)}: the other legs are waited for"
    return {
        instrument: replace(explanation, wait=explanation.wait or wait)
        if explanation.cause is Cause.UNEXPLAINED
        else explanation
        for instrument, explanation in explained.items()
    }


def _whose_is_unknown(explanation: Explanation, strategies: Mapping[str, str]) -> Explanation:
    """With strategies a fill is only nobody knows whose while its order was not read: it waits for that."""
    fills_of = [part.quantity for part in explanation.parts if part.cause is Cause.FILL]
    if not (strategies and fills_of):
        return explanation
    wait = f"whose fills of {sum(fills_of, ZERO):f} were is unknown: their orders could not be read yet"
    return replace(explanation, wait=explanation.wait or wait)


def _unexplained(drift: Drift, base: Baseline, known: Known, why: str) -> Explanation:
    since = f"since the last agreement at {base.broker_quantity:f} ({base.at:%Y-%m-%d %H:%M:%S} UTC)"
    moves = (
        f"the broker moved by {drift.broker - base.broker_quantity:f}",
        f"the ledger by {drift.ledger - base.ledger_quantity:f}",
    )
    text = f"{since} {', '.join(moves)}; {why or 'nothing known explains it'}"
    if not known.complete:
        text += "; the list of activities was cut short or not all readable, so there may be more to know"
    return Explanation(Cause.UNEXPLAINED, text)

"""Which of the broker's moves the ledger has booked already, and what it has booked beyond them.

Owns the matching of journal entries with executions, bookings in parts and in lumps included.
May not claim more precision than the figures have: of equal candidates the likeliest in time is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import accumulate, combinations

from recond.core.effects import Effect
from recond.core.history import Change, PastCorrection
from recond.core.model import Cause, Drift
from recond.core.run import Part

OWN = frozenset({Cause.MISSED_FILL, Cause.FILL})
"""What a platform books of its own accord."""
SUBSETS_MAX, RUNS_MAX, TWICE_MAX, PARTS_MAX, TRIED_MAX = 12, 60, 3, 6, 60
MATCHED_MAX = 500
"""How many effects and changes are matched with each other at most."""
SLACK = timedelta(seconds=2)
"""How far the broker's clock and the journal's may be apart."""
ZERO = Decimal(0)
UNDONE = frozenset({Cause.MISSED_FILL, Cause.EXTERNAL_TRADE, Cause.FILL, Cause.UNEXPLAINED, Cause.AMBIGUOUS})
"""Causes of corrections that a platform may book once more, when it learns of the fill at last."""


@dataclass(frozen=True, slots=True)
class Matched:
    """What the ledger's changes have `booked` of the effects, what they `lack`, and what no effect is behind."""

    lack: tuple[Effect, ...]
    beyond: tuple[Change, ...]
    booked: tuple[tuple[Change, tuple[Effect, ...]], ...]


def match(effects: Sequence[Effect], changes: Sequence[Change]) -> Matched:
    """Each change with the effects that it has booked, one by one, and then what is left as one lump.

    What a strategy had been filled by comes first, then what came before the change and nobody knows whose it is, so
    that no other one's late booking takes it from its own.
    """
    left, beyond = list(effects), _without_moves(changes)
    booked: list[tuple[Change, tuple[Effect, ...]]] = []
    for likely in (_is_own, _may_be_own, None):
        changes, beyond = beyond, []
        for change in changes:
            group = _booked_by(change, [e for e in left if likely is None or likely(e, change)])
            if group:
                booked.append((change, group))
                left = _without(left, group)
            else:
                beyond.append(change)
    total = sum((change.quantity for change in beyond), ZERO)
    lump = next(sums_of(left, total), ()) if total else ()
    if lump or not total:
        booked += [(change, lump) for change in beyond if lump]
        return Matched(tuple(_without(left, lump)), (), tuple(booked))
    return Matched(tuple(left), tuple(beyond), tuple(booked))


def booked_before(
    effects: Sequence[Effect], changes: Sequence[Change], begin: datetime, late: timedelta
) -> tuple[Effect, ...]:
    """Which of these effects, from `begin` on, the changes have booked; none when in doubt.

    It is doubted while a change may be that of an effect `late` before, which looks alike in constant trading, when
    none of the effects is behind a change, and above a bound of work. What came after a change it has not booked.
    """
    if any(begin - late <= effect.at < begin for effect in effects):
        return ()
    since = [effect for effect in effects if effect.at >= begin]
    journal = [change for change in changes if change.at >= begin - SLACK]
    if not (since and journal) or len(since) + len(journal) > MATCHED_MAX:
        return ()
    matched = match(since, journal)
    if matched.beyond:
        return ()
    return tuple(e for change, group in matched.booked for e in group if e.at <= change.at + SLACK)


def _without(left: Sequence[Effect], group: Sequence[Effect]) -> list[Effect]:
    gone = {id(effect) for effect in group}
    return [effect for effect in left if id(effect) not in gone]


def _without_moves(changes: Sequence[Change]) -> list[Change]:
    """The changes, each row that went to another strategy as one: its end there and its beginning here book nothing."""
    kept: list[Change] = []
    for change in changes:
        ended = next((each for each in kept if each.position_id == change.position_id and not each.after), None)
        if ended is not None and not change.before:
            kept.remove(ended)
            kept.append(replace(change, before=ended.before))
        else:
            kept.append(change)
    return [change for change in kept if change.quantity]


def parts_of(effects: Sequence[Effect]) -> tuple[Part, ...]:
    """What the ledger lacks, in order: one part for each cause and owner, those before a split before it."""
    groups: dict[tuple[object, ...], list[Effect]] = {}
    splits = 0
    for effect in effects:
        kind = (splits, effect.cause, effect.owned, effect.whose, effect.delivered_by, effect.group)
        groups.setdefault(kind, []).append(effect)
        splits += effect.cause is Cause.SPLIT
    return tuple(_part(same) for same in groups.values())


def _part(same: Sequence[Effect]) -> Part:
    first = same[0]
    return Part(
        cause=first.cause,
        quantity=_sum(same),
        owned=first.owned,
        strategy_id=first.whose,
        price=_price(same),
        executions=tuple(key for effect in same for key in effect.executions),
        activities=tuple(id_ for effect in same for id_ in effect.activities),
        legs=first.ratio,
        delivered_by=first.delivered_by,
        group=first.group,
    )


def excess_parts(beyond: Sequence[Change], corrections: Sequence[PastCorrection], drift: Drift) -> tuple[Part, ...]:
    """What the ledger has beyond the broker's moves: bookings of what was corrected before, or of nothing at all.

    One booking may be that of several corrections, and several of a row that of one.
    """
    undone: set[int] = set()
    parts: list[Part] = []
    open_rows = {row.id: row for row in drift.rows}

    def add(cause: Cause, quantity: Decimal, change: Change, row_id: int, reverses: int | None = None) -> None:
        row = open_rows.get(row_id)
        whose = change.strategy_id if row is None else row.strategy_id
        parts.append(Part(cause, -quantity, owned=True, strategy_id=whose, row_id=row_id, reverses=reverses))

    def undo(changes: Sequence[Change]) -> bool:
        twice = _booked_twice(changes, [c for c in reversed(corrections) if c.id not in undone], drift)
        for correction in twice:
            undone.add(correction.id)
            row_id = correction.position_id if correction.position_id in open_rows else changes[0].position_id
            add(Cause.DOUBLE_BOOKING, correction.quantity, changes[0], row_id, correction.id)
        return bool(twice)

    left: dict[int, list[Change]] = {}
    for change in beyond:
        if not undo([change]):
            left.setdefault(change.position_id, []).append(change)
    tried = iter(range(TRIED_MAX))
    for changes in left.values():
        edits = changes
        for some in _together(changes, tried):
            if all(change in edits for change in some) and undo(some):
                edits = [change for change in edits if change not in some]
        for change in edits:
            add(Cause.LEDGER_EDIT, change.quantity, change, change.position_id)
    return tuple(parts)


def _together(changes: Sequence[Change], tried: Iterator[int]) -> Iterator[Sequence[Change]]:
    """Changes of one row that may have booked one thing in parts: as many as possible first; of many only all.

    Some of them are tried only as often as `tried` has anything left.
    """
    yield changes
    if len(changes) <= PARTS_MAX:
        some = (each for size in range(len(changes) - 1, 1, -1) for each in combinations(changes, size))
        yield from (each for each, _ in zip(some, tried, strict=False))


def _booked_twice(
    changes: Sequence[Change], corrections: Sequence[PastCorrection], drift: Drift
) -> tuple[PastCorrection, ...]:
    """The fewest corrections, of the same row or of nobody's, that had booked before what these changes of it book."""
    total, first = sum((change.quantity for change in changes), ZERO), changes[0]
    may_be = [
        correction
        for correction in corrections
        if correction.instrument.symbol == drift.instrument.symbol
        and correction.cause in UNDONE
        and not correction.reversed
        and correction.quantity * total > 0
        and correction.at <= first.at
        and (correction.position_id == first.position_id or _may_be_whose(first, correction))
    ][:SUBSETS_MAX]
    for size in range(1, TWICE_MAX + 1):
        for group in combinations(may_be, size):
            if sum((correction.quantity for correction in group), ZERO) == total:
                return group
    return ()


def _may_be_whose(change: Change, correction: PastCorrection) -> bool:
    """Whether the correction of another row may have booked this strategy's own: not when it is known as another's."""
    anothers = correction.proven and correction.cause is Cause.EXTERNAL_TRADE
    return correction.strategy_id in (None, change.strategy_id) and not anothers


def _is_own(effect: Effect, change: Change) -> bool:
    """Whether it is a fill of the very strategy that booked it, from before that."""
    return effect.cause in OWN and effect.whose == change.strategy_id and effect.at <= change.at + SLACK


def _may_be_own(effect: Effect, change: Change) -> bool:
    return effect.cause is Cause.FILL and effect.at <= change.at


def _booked_by(change: Change, left: Sequence[Effect]) -> tuple[Effect, ...]:
    """The effects that one entry of the journal has booked, likeliest first; none when it fits no sum of them."""

    def unlikely(group: tuple[Effect, ...]) -> tuple[bool, bool, bool, int, timedelta]:
        strategies = {effect.whose for effect in group}
        return (
            not all(effect.cause in OWN for effect in group),
            strategies != {change.strategy_id},
            any(effect.at > change.at for effect in group),
            len(group),
            abs(change.at - group[-1].at),
        )

    return min(sums_of(left, change.quantity, subsets=False), key=unlikely, default=())


def sums_of(
    left: Sequence[Effect], wanted: Decimal, tolerance: Decimal = ZERO, *, subsets: bool = True
) -> Iterator[tuple[Effect, ...]]:
    """The effects that add up to it and may have been booked at once.

    That is each alone, those of one order, some in a row, all; of few, any.
    """

    def fits(total: Decimal) -> bool:
        return abs(total - wanted) <= tolerance

    orders: dict[str, list[Effect]] = {}
    for effect in left:
        if fits(effect.quantity):
            yield (effect,)
        if effect.order_id is not None:
            orders.setdefault(effect.order_id, []).append(effect)
    yield from (tuple(same) for same in orders.values() if fits(_sum(same)))
    if len(left) <= RUNS_MAX:
        until = list(accumulate((effect.quantity for effect in left), initial=ZERO))
        for begin, end in combinations(range(len(until)), 2):
            if fits(until[end] - until[begin]):
                yield tuple(left[begin:end])
    elif fits(_sum(left)):
        yield tuple(left)
    if subsets and len(left) <= SUBSETS_MAX:
        for size in range(2, len(left)):
            yield from (group for group in combinations(left, size) if fits(_sum(group)))


def _sum(effects: Sequence[Effect]) -> Decimal:
    return sum((effect.quantity for effect in effects), ZERO)


def _price(effects: Sequence[Effect]) -> Decimal | None:
    """The average price, when each has one and all go one way."""
    total = _sum(effects)
    if not total or any(effect.price is None or effect.quantity * total < 0 for effect in effects):
        return None
    return sum((effect.quantity * effect.price for effect in effects if effect.price is not None), ZERO) / total

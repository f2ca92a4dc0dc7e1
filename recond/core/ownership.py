"""Which of the broker's moves the ledger has booked already, and what it has booked beyond them.

Owns the matching of journal entries with executions, bookings in parts and in lumps included.
May not claim more precision than the figures have: of equal candidates the likeliest in time is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import combinations

from recond.core.effects import Effect
from recond.core.model import Cause, Change, Drift, PastCorrection
from recond.core.run import Part

OWN = frozenset({Cause.MISSED_FILL, Cause.FILL})
"""What a platform books of its own accord."""
SUBSETS_MAX, RUNS_MAX = 12, 60
UNDONE = frozenset({Cause.MISSED_FILL, Cause.EXTERNAL_TRADE, Cause.FILL, Cause.UNEXPLAINED, Cause.AMBIGUOUS})
"""Causes of corrections that a platform may book once more, when it learns of the fill at last."""


def lacking(effects: Sequence[Effect], changes: Sequence[Change]) -> tuple[tuple[Effect, ...], tuple[Change, ...]]:
    """The effects that the ledger's changes did not book, and the changes that no effect is behind."""
    left = list(effects)
    beyond: list[Change] = []
    for change in changes:
        booked = _booked_by(change, left)
        if booked:
            left = [effect for effect in left if effect not in booked]
        else:
            beyond.append(change)
    total = sum((change.quantity for change in beyond), Decimal(0))
    if beyond and total == 0:
        return tuple(left), ()
    booked = next((group for group in sums_of(left) if _sum(group) == total), ()) if beyond else ()
    if booked:
        return tuple(effect for effect in left if effect not in booked), ()
    return tuple(left), tuple(beyond)


def parts_of(effects: Sequence[Effect]) -> tuple[Part, ...]:
    """What the ledger lacks: one part for each cause and owner, those before a split before it."""
    ordered = sorted(effects, key=lambda effect: (effect.at, effect.activities, effect.executions))
    groups: dict[tuple[object, ...], list[Effect]] = {}
    splits = 0
    for effect in ordered:
        splits += effect.cause is Cause.SPLIT
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
    """What the ledger has beyond the broker's moves: bookings of what was corrected before, or of nothing at all."""
    undone: set[int] = set()
    parts: list[Part] = []
    open_rows = {row.id: row for row in drift.rows}
    for change in beyond:
        twice = next(
            (c for c in reversed(corrections) if c.id not in undone and _is_twice(change, c, drift)),
            None,
        )
        cause, row_id, reverses = Cause.LEDGER_EDIT, change.position_id, None
        if twice is not None:
            undone.add(twice.id)
            cause, reverses = Cause.DOUBLE_BOOKING, twice.id
            row_id = twice.position_id if twice.position_id in open_rows else change.position_id
        row = open_rows.get(row_id)
        whose = change.strategy_id if row is None else row.strategy_id
        parts.append(Part(cause, -change.quantity, owned=True, strategy_id=whose, row_id=row_id, reverses=reverses))
    return tuple(parts)


def _is_twice(change: Change, correction: PastCorrection, drift: Drift) -> bool:
    """Whether the change books what the correction, of the same row or of nobody's, had booked before."""
    return (
        correction.instrument.symbol == drift.instrument.symbol
        and correction.cause in UNDONE
        and not correction.reversed
        and correction.quantity == change.quantity
        and correction.at <= change.at
        and (correction.position_id == change.position_id or correction.strategy_id in (None, change.strategy_id))
    )


def _booked_by(change: Change, left: Sequence[Effect]) -> tuple[Effect, ...]:
    """The effects that one entry of the journal has booked, likeliest first; none when it fits no sum of them."""

    def unlikely(group: tuple[Effect, ...]) -> tuple[bool, bool, bool, int]:
        strategies = {effect.whose for effect in group}
        return (
            not all(effect.cause in OWN for effect in group),
            strategies != {change.strategy_id},
            any(effect.at > change.at for effect in group),
            len(group),
        )

    fitting = [group for group in sums_of(left, subsets=False) if _sum(group) == change.quantity]
    return min(fitting, key=unlikely, default=())


def sums_of(left: Sequence[Effect], *, subsets: bool = True) -> Iterator[tuple[Effect, ...]]:
    """Effects that may have been booked at once: each, those of one order, some in a row, all; of few, any."""
    yield from ((effect,) for effect in left)
    orders = dict.fromkeys(effect.order_id for effect in left if effect.order_id is not None)
    yield from (tuple(effect for effect in left if effect.order_id == order) for order in orders)
    if len(left) <= RUNS_MAX:
        spans = combinations(range(len(left) + 1), 2)
        yield from (tuple(left[begin:end]) for begin, end in spans if end - begin > 1)
    elif left:
        yield tuple(left)
    if subsets and len(left) <= SUBSETS_MAX:
        for size in range(2, len(left)):
            yield from combinations(left, size)


def _sum(effects: Sequence[Effect]) -> Decimal:
    return sum((effect.quantity for effect in effects), Decimal(0))


def _price(effects: Sequence[Effect]) -> Decimal | None:
    """The average price, when each has one and all go one way."""
    total = _sum(effects)
    if not total or any(effect.price is None or effect.quantity * total < 0 for effect in effects):
        return None
    return sum((effect.quantity * effect.price for effect in effects if effect.price is not None), Decimal(0)) / total

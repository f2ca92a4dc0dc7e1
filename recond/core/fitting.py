"""Which of the broker's moves add up: the sets of fills and bookings that make up what its quantity moved by.

Owns the search, which is bounded, and depends on the evidence alone and not on its order.
May not say what the ledger lacks of them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from itertools import accumulate, combinations

from recond.core.effects import Effect, in_lots, in_time
from recond.core.model import Cause

CRYPTO_FEE_MAX = Decimal("0.0025")
EVENTS_MAX, TOGETHER_MAX, CUTS_MAX = 12, 3, 4000
ZERO = Decimal(0)


def fits(
    move: Decimal,
    early: Sequence[Effect],
    moved: Sequence[Effect],
    booked: Sequence[Effect],
    shown: datetime,
    tolerance: Decimal,
    *,
    fee: bool,
) -> list[tuple[Effect, ...]]:
    """The sets of effects that add up to the broker's own move since the baseline, those of the fewest bookings.

    Fills that `moved` it count from the baseline on. The last ones, after the moment until which the broker has
    `shown` all, may not be shown yet, and the `early` ones, shortly before it, may be in it already: of both a part
    counts that is without gaps in time. Bookings count or not, for they may come before or after the quantity moves; of
    many only all lots of one cause and day. Of bookings that look alike either may be meant. With `fee` a fee in the
    coin of what was bought may be missing.
    """
    last = [e for e in moved if e.at > shown]
    cuts = Cuts(early, [e for e in moved if e.at <= shown], last)
    recent = sorted(booked, key=in_time)[-EVENTS_MAX:]
    many = [lots for lots in in_lots(sorted(booked, key=in_time)) if len(lots) > TOGETHER_MAX]
    for find in (cuts.exact, cuts.with_fee) if fee else (cuts.exact,):
        for choices in (*(combinations(recent, count) for count in range(TOGETHER_MAX + 1)), many):
            found: dict[object, tuple[Effect, ...]] = {}
            for events in choices:
                fit = find(move - sum((e.quantity for e in events), ZERO), tolerance)
                if fit is not None:
                    looks = tuple(sorted((e.cause, e.quantity) for e in events))
                    found.setdefault(looks, (*fit, *events))
            if found:
                return list(found.values())
    return []


def in_order(fit: Sequence[Effect], held: Decimal) -> list[Effect]:
    """The effects one after the other, from so much held.

    Alpaca may date a split later than the fills after it: its legs tell what was held when it came.
    """
    ordered = sorted(fit, key=in_time)
    split = next((effect for effect in ordered if effect.ratio is not None), None)
    if split is None or split.ratio is None:
        return ordered
    number = ordered.index(split)
    others = [*ordered[:number], *ordered[number + 1 :]]
    added, taken = split.ratio
    before = accumulate((effect.quantity for effect in others), initial=held)
    places = [place for place, quantity in enumerate(before) if quantity in (taken, -added)]
    place = min(places, key=lambda each: abs(each - number), default=number)
    return [*others[:place], split, *others[place:]]


class Cuts:
    """The fills that may count: all that are sure, the newest of the early ones, the oldest of the last ones."""

    def __init__(self, early: Sequence[Effect], sure: Sequence[Effect], last: Sequence[Effect]) -> None:
        self._early, self._sure, self._last = early[-(CUTS_MAX // (len(last) + 1)) :], sure, last
        found: dict[Decimal, tuple[int, int, Decimal]] = {}
        most = sum((e.quantity for e in sure if e.quantity > 0), ZERO)
        tails, heads = _sums(self._early[::-1])[::-1], _sums(last)
        rest = sum((e.quantity for e in sure), ZERO)
        for begin in range(len(self._early), -1, -1):
            for end in range(len(last), -1, -1):
                total = tails[begin][0] + rest + heads[end][0]
                found.setdefault(total, (begin, end, tails[begin][1] + most + heads[end][1]))
        # Likeliest first: none of the early ones, all of the last ones.
        self._ranked = {total: rank for rank, total in enumerate(found)}
        self._found, self._totals = found, sorted(found)

    def exact(self, move: Decimal, tolerance: Decimal) -> tuple[Effect, ...] | None:
        """The likeliest that add up to the move."""
        totals = self._between(move - tolerance, move + tolerance)
        return self._chosen(min(totals, key=self._ranked.__getitem__)) if totals else None

    def with_fee(self, move: Decimal, _tolerance: Decimal) -> tuple[Effect, ...] | None:
        """The likeliest that add up to the move with a fee in the coin of what was bought."""
        most = max(bought for _begin, _end, bought in self._found.values())
        totals = [
            total
            for total in self._between(move, move + CRYPTO_FEE_MAX * most)
            if 0 < total - move <= CRYPTO_FEE_MAX * self._found[total][2]
        ]
        if not totals:
            return None
        total = min(totals, key=self._ranked.__getitem__)
        chosen, bought = self._chosen(total), self._found[total][2]
        buys = [e for e in chosen if e.quantity > 0]
        owners = {(e.owned, e.whose) for e in buys}
        owned, whose = owners.pop() if len(owners) == 1 else (False, None)
        label = f"{move - total:f} as a fee in the coin ({(total - move) / bought * 100:.3f} % of what was bought)"
        keys = tuple(k for e in buys for k in e.executions)
        fee = Effect(Cause.CRYPTO_FEE, move - total, chosen[-1].at, label, owned, whose, executions=keys)
        return (*chosen, fee)

    def _between(self, least: Decimal, most: Decimal) -> list[Decimal]:
        return self._totals[bisect_left(self._totals, least) : bisect_right(self._totals, most)]

    def _chosen(self, total: Decimal) -> tuple[Effect, ...]:
        begin, end, _bought = self._found[total]
        return (*self._early[begin:], *self._sure, *self._last[:end])


def _sums(effects: Sequence[Effect]) -> list[tuple[Decimal, Decimal]]:
    """For each beginning of the list what it adds up to, and what of it was bought."""
    totals = accumulate((e.quantity for e in effects), initial=ZERO)
    return list(zip(totals, accumulate((max(e.quantity, ZERO) for e in effects), initial=ZERO), strict=True))

"""Which effects make up what the broker moved by: exactly, without gaps, and the fewest bookings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recond.core.effects import Effect
from recond.core.fitting import CUTS_MAX, EVENTS_MAX, TOGETHER_MAX, Cuts, fits, in_order
from recond.core.model import Cause
from tests.core.stories import BASE_AT

SHOWN = BASE_AT + timedelta(minutes=50)


def fills(*quantities: str | int, minute: float = 1, whose: str | None = "mean") -> list[Effect]:
    """Fills that follow each other by a second."""
    return [
        Effect(
            Cause.MISSED_FILL,
            Decimal(quantity),
            BASE_AT + timedelta(minutes=minute, seconds=n),
            f"{quantity}",
            whose is not None,
            whose,
            executions=(("AAPL", f"{minute}-{n}", Decimal(1)),),
        )
        for n, quantity in enumerate(quantities)
    ]


def booked(*quantities: int, cause: Cause = Cause.TRANSFER) -> list[Effect]:
    """Bookings that follow each other by a minute."""
    return [
        Effect(cause, Decimal(q), BASE_AT + timedelta(minutes=20 + n), f"{q}", activities=(f"a{n}",))
        for n, q in enumerate(quantities)
    ]


def found(
    move: str | int,
    early: Sequence[Effect] = (),
    moved: Sequence[Effect] = (),
    bookings: Sequence[Effect] = (),
    *,
    tolerance: str = "0",
    fee: bool = False,
) -> list[list[Decimal]]:
    """The quantities of each set that fits."""
    sets = fits(Decimal(move), early, moved, bookings, SHOWN, Decimal(tolerance), fee=fee)
    return [[effect.quantity for effect in each] for each in sets]


def test_all_fills_that_are_shown_count() -> None:
    """Nothing moved by nothing; one fill too many or too few fits nothing; within the tolerance all fits."""
    assert found(0) == [[]]
    assert found(7, (), fills(3, 4)) == [[3, 4]]
    assert found(3, (), fills(3, 4)) == []
    assert found("7.01", (), fills(3, 4), tolerance="0.01") == [[3, 4]]
    assert found("6.99", (), fills(3, 4), tolerance="0.01") == [[3, 4]]
    assert found("7.011", (), fills(3, 4), tolerance="0.01") == []


def test_the_newest_of_the_early_and_the_oldest_of_the_last_may_count() -> None:
    """Both without gaps; the fewest early ones, then the most last ones, are likeliest."""
    early, last = fills(1, 2, minute=0), fills(4, 8, minute=50.001)
    sets = [16], [2, 16], [1, 2, 16], [16, 4], [2, 16, 4], [1, 2, 16, 4], [16, 4, 8], [2, 16, 4, 8], [1, 2, 16, 4, 8]
    expected = {sum(each): each for each in sets}
    for move in range(16, 32):
        fit = found(move, early, [*fills(16), *last])
        assert fit == ([expected[move]] if move in expected else []), move
    assert found(16, fills(-4, minute=0), [*fills(16), *fills(4, -4, minute=50.001)]) == [[16, 4, -4]]
    assert found(16, (), [*fills(12), *fills(4, minute=50)]) == [[12, 4]]
    assert found(12, (), [*fills(12), *fills(4, minute=50)]) == []
    assert found(20, (), [*fills(12), *fills(4, minute=50)]) == []
    assert found(12, fills(-4, minute=0), fills(16)) == [[-4, 16]]
    nearly = [*fills(16), *fills("0.005", minute=50.001)]
    assert found(16, (), nearly, tolerance="0.01") == [[16, Decimal("0.005")]]


def test_of_too_many_early_ones_the_oldest_are_in_the_baseline() -> None:
    """The number of ways to cut is bounded."""
    early = fills(*(1,) * 100, minute=0)
    last = fills(*(1000,) * (CUTS_MAX // 50 - 1), minute=50.001)
    assert found(50, early, last) == [[1] * 50]
    assert found(51, early, last) == []
    assert found(100, early) == [[1] * 100]


def test_bookings_count_or_not_and_the_fewest_of_them_fit() -> None:
    """Up to three together; two that look different are two answers, two that look alike are one."""
    assert found(5, (), (), booked(5, 3)) == [[5]]
    assert found(8, (), (), booked(5, 3, 8)) == [[8]]
    assert found(8, (), (), booked(5, 3, 4, 4)) == [[5, 3], [4, 4]]
    assert found(4, (), (), booked(4, 4)) == [[4]]
    assert found(8, (), (), booked(5, 3, 3, 5)) == [[5, 3]]
    assert found(4, (), (), [*booked(4), *booked(4, cause=Cause.SPIN_OFF)]) == [[4], [4]]
    assert found(TOGETHER_MAX, (), (), booked(*(1,) * 9)) == [[1] * TOGETHER_MAX]
    assert found(TOGETHER_MAX + 1, (), (), booked(*(1,) * 9)) == []
    assert found(8, (), fills(3), booked(5)) == [[3, 5]]


def test_all_lots_of_a_day_are_one_booking() -> None:
    """A transfer of many lots, whatever else was booked; of another cause, day or direction they are another's."""
    lots = booked(*(1,) * (EVENTS_MAX + 2))
    others = [*booked(-1, 3), *booked(1, cause=Cause.SPIN_OFF)]
    yesterday = [replace(each, at=each.at - timedelta(days=1)) for each in booked(1)]
    assert found(EVENTS_MAX + 2, (), (), [*yesterday, *lots, *others]) == []
    assert found(EVENTS_MAX + 2, (), (), [*yesterday, *lots, *booked(-1), *others[2:]]) == [[1] * (EVENTS_MAX + 2)]
    assert found(EVENTS_MAX + 3, (), fills(1), lots) == [[1] * (EVENTS_MAX + 3)]
    assert found(TOGETHER_MAX + 1, (), (), booked(*(1,) * (TOGETHER_MAX + 1))) == [[1] * (TOGETHER_MAX + 1)]


def test_of_too_many_bookings_the_newest_are_tried() -> None:
    """In whatever order they are handed over."""
    many = booked(*(2**n for n in range(EVENTS_MAX + 1)))
    for order in (many, many[::-1]):
        assert found(2, (), (), order) == [[2]]
        assert found(1, (), (), order) == []


def test_a_fee_fits_when_nothing_else_does() -> None:
    """Up to a quarter of a percent of what was bought, and only where there are such fees."""
    assert found("99.75", (), fills(100), fee=True) == [[100, Decimal("-0.25")]]
    assert found("99.7499", (), fills(100), fee=True) == []
    assert found("100.1", (), fills(100), fee=True) == []
    assert found("99.75", (), fills(100)) == []
    assert found("0.399", (), fills("0.4"), fee=True) == [[Decimal("0.4"), Decimal("-0.001")]]
    assert found("0.199", (), fills("0.4", "-0.2"), fee=True)[0][2] == Decimal("-0.001")
    assert found("-100.1", (), fills(-100), fee=True) == []
    assert found("49.75", (), fills(100, -50), fee=True) == [[100, -50, Decimal("-0.25")]]
    assert found("100", (), [*fills(100), *fills("0.2", minute=50.001)], fee=True) == [[100]]
    assert found("99.9", (), [*fills(100), *fills("0.05", minute=50.001)], fee=True) == [
        [100, Decimal("0.05"), Decimal("-0.15")]
    ]
    assert found("104.8", (), fills(100), booked(5), fee=True) == [[100, Decimal("-0.2"), 5]]


def test_a_fee_tells_what_it_was_taken_from() -> None:
    """Its time is the last fill's, its evidence what was bought, its owner the buyer if there is one."""
    made = fills("0.4", "-0.2", "0.6")
    (*_, fee) = fits(Decimal("0.799"), (), made, (), SHOWN, Decimal(0), fee=True)[0]
    assert (fee.cause, fee.quantity, fee.owned, fee.whose) == (Cause.CRYPTO_FEE, Decimal("-0.001"), True, "mean")
    assert fee.at == made[2].at
    assert fee.executions == made[0].executions + made[2].executions
    assert fee.label == "-0.001 as a fee in the coin (0.100 % of what was bought)"
    mixed = [made[0], replace(made[2], whose="trend")]
    (*_, fee) = fits(Decimal("0.999"), (), mixed, (), SHOWN, Decimal(0), fee=True)[0]
    assert (fee.owned, fee.whose) == (False, None)
    (*_, fee) = fits(Decimal("99.9"), (), fills(100, whose=None), (), SHOWN, Decimal(0), fee=True)[0]
    assert (fee.owned, fee.whose) == (False, None)


@given(
    st.lists(st.integers(-3, 3).filter(bool), max_size=3),
    st.lists(st.integers(-3, 3).filter(bool), max_size=3),
    st.lists(st.integers(-3, 3).filter(bool), max_size=3),
    st.lists(st.integers(-3, 3).filter(bool), max_size=4),
    st.integers(-9, 9),
)
def test_a_set_is_found_just_when_there_is_one(
    early: list[int], sure: list[int], last: list[int], bookings: list[int], move: int
) -> None:
    """Of all ways to cut and to choose, one that adds up is found with the fewest bookings, or there is none."""
    moved = [*fills(*sure), *fills(*last, minute=50.001)]
    ways = [
        sum(early[begin:]) + sum(sure) + sum(last[:end])
        for begin in range(len(early) + 1)
        for end in range(len(last) + 1)
    ]
    choices = [events for count in range(TOGETHER_MAX + 1) for events in combinations(bookings, count)]
    lots = [tuple(q for q in bookings if q * sign > 0) for sign in (1, -1)]
    choices += [events for events in lots if len(events) > TOGETHER_MAX]
    counts = [len(events) for events in choices if any(way + sum(events) == move for way in ways)]
    sets = fits(Decimal(move), fills(*early, minute=0), moved, booked(*bookings), SHOWN, Decimal(0), fee=False)
    assert bool(sets) == bool(counts)
    for each in sets:
        assert sum(effect.quantity for effect in each) == move
        assert sum(bool(effect.activities) for effect in each) == counts[0]
    looks = [sorted((e.cause, e.quantity) for e in each if e.activities) for each in sets]
    assert all(looks.count(each) == 1 for each in looks)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_split_stands_where_its_legs_say_it_came(sign: int) -> None:
    """Dated before, between or after the fills that it came between; without legs that fit, where it is dated."""
    five, seven = fills(5 * sign, 7 * sign)
    legs = (Decimal(210), Decimal(105)) if sign > 0 else (Decimal(105), Decimal(210))
    split = Effect(Cause.SPLIT, Decimal(105 * sign), five.at - timedelta(minutes=1), "s", activities=("s",), ratio=legs)
    for at in (split.at, five.at + timedelta(milliseconds=1), seven.at + timedelta(days=1)):
        dated = replace(split, at=at)
        assert in_order([five, seven, dated], Decimal(100 * sign)) == [five, dated, seven]
    assert in_order([seven, five], Decimal(100)) == [five, seven]
    assert in_order([seven, five, replace(split, ratio=None)], Decimal(100 * sign))[0].cause is Cause.SPLIT
    assert in_order([seven, five, split], Decimal(90 * sign)) == [split, five, seven]
    there_and_back = fills(5 * sign, -5 * sign, 5 * sign)
    near = replace(split, at=there_and_back[2].at + timedelta(days=1))
    assert in_order([*there_and_back, near], Decimal(100 * sign)) == [*there_and_back, near]
    first = replace(split, at=there_and_back[0].at - timedelta(days=1))
    assert in_order([*there_and_back, first], Decimal(100 * sign)) == [there_and_back[0], first, *there_and_back[1:]]


def test_the_cuts_know_what_each_of_them_has_bought() -> None:
    """The band of a fee is that of the chosen fills alone."""
    cuts = Cuts(fills(40, minute=0), fills(100), fills(60, minute=50.001))
    assert cuts.exact(Decimal(160), Decimal(0)) == (*fills(100), *fills(60, minute=50.001))
    for move, buys in (("159.6", [100, 60]), ("99.75", [100]), ("139.65", [40, 100]), ("199.5", [40, 100, 60])):
        fit = cuts.with_fee(Decimal(move), Decimal(0))
        assert fit is not None
        assert [effect.quantity for effect in fit[:-1]] == buys
    assert cuts.with_fee(Decimal("159.59"), Decimal(0)) is None
    sold = Cuts((), fills(100), fills(60, -60, minute=50.001))
    assert sold.with_fee(Decimal("99.6"), Decimal(0)) is not None
    assert sold.with_fee(Decimal("99.59"), Decimal(0)) is None
    early = Cuts(fills(40, -30, minute=0), fills(100), ())
    assert early.with_fee(Decimal("109.65"), Decimal(0)) is not None
    assert early.with_fee(Decimal("109.64"), Decimal(0)) is None
    assert cuts.with_fee(Decimal(160), Decimal(0)) is None

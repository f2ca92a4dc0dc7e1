"""Which of the broker's moves the ledger has booked: found when there is a match, the likeliest of several."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recond.core.effects import Effect, fills
from recond.core.history import Change
from recond.core.model import Cause, Instrument
from recond.core.ownership import (
    MATCHED_MAX,
    PARTS_MAX,
    RUNS_MAX,
    SLACK,
    SUBSETS_MAX,
    booked_before,
    excess_parts,
    match,
    parts_of,
    sums_of,
)
from tests.core.stories import BASE_AT, NOW, STRATEGIES, change, corrected, fill
from tests.core.strategies import drift_of, row


def effects(*quantities: int, client: str | None = "mean-1", order: str | None = None) -> list[Effect]:
    """Fills a minute apart, each of its own order if none is named."""
    told = [
        fill(q, n + 1, order=order or f"o{n}", client=client, cum=n + 1) for n, q in enumerate(quantities)
    ]  # fmt: skip
    return list(fills(told, "AAPL", STRATEGIES))


def entry(quantity: int, minute: float, before: int = 0, *, strategy: str | None = "mean", row_id: int = 1) -> Change:
    """Somebody changed a row from one quantity to another."""
    at = BASE_AT + timedelta(minutes=minute)
    return Change(9, row_id, "AAPL", strategy, Decimal(before), Decimal(before + quantity), at)


def lacks(made: list[Effect], *changes: Change) -> tuple[list[Decimal], list[Decimal]]:
    """What is left of the effects, and of the changes."""
    matched = match(made, changes)
    return [e.quantity for e in matched.lack], [c.quantity for c in matched.beyond]


def test_what_was_booked_before_is_matched_up_to_a_bound() -> None:
    """Many bookings of many fills are not set against each other: none of them is said to be booked then."""
    made = effects(*[1] * (MATCHED_MAX // 2 + 1))
    booked = [entry(1, n + 1.5) for n in range(len(made))]
    late = timedelta(seconds=25)
    assert {*booked_before(made[1:], booked[1:], BASE_AT, late)} == {*made[1:]}
    assert booked_before(made, booked, BASE_AT, late) == ()
    assert booked_before(made[1:], [], BASE_AT, late) == booked_before([], booked[1:], BASE_AT, late) == ()


def test_what_was_booked_before_begins_at_the_moment_named() -> None:
    """From it on, and with changes a little before it, since the clocks are two; what may be of earlier is doubted."""
    late, second = timedelta(seconds=25), timedelta(seconds=1)
    [made] = effects(5)
    for begin, booked in ((made.at, (made,)), (made.at + second, ()), (made.at + late, ()), (made.at - late, (made,))):
        assert booked_before([made], [entry(5, 1.1)], begin, late) == booked
    older = replace(made, at=made.at - late)
    for ago, booked in ((timedelta(), ()), (second, (made,))):
        assert booked_before([replace(older, at=older.at - ago), made], [entry(5, 1.1)], made.at, late) == booked
    assert booked_before([made], [entry(7, -5), entry(5, 1.1)], made.at, late) == (made,)
    for at, booked in ((made.at - SLACK, (made,)), (made.at - SLACK - second, ())):
        assert booked_before([made], [replace(entry(5, 1), at=at)], made.at - late, late) == booked
        assert booked_before([made], [replace(entry(5, 1), at=at)], made.at, late) == booked


@given(st.lists(st.integers(-9, 9).filter(bool), max_size=7), st.integers(-20, 20))
def test_of_few_effects_any_sum_is_found(quantities: list[int], wanted: int) -> None:
    """A group is found just when there is one, and each that is found adds up and takes none twice."""
    made = effects(*quantities)
    groups = list(sums_of(made, Decimal(wanted)))
    assert all(sum(e.quantity for e in group) == wanted for group in groups)
    assert all(len({e.executions for e in group}) == len(group) > 0 for group in groups)
    there_is = any(sum(some) == wanted for size in range(1, len(made) + 1) for some in combinations(quantities, size))
    assert bool(groups) == there_is


def test_of_many_effects_the_likely_sums_are_found() -> None:
    """Any two of a dozen, neighbours of sixty, one order's or all of more."""
    dozen = effects(*(2**n for n in range(SUBSETS_MAX)))
    assert list(sums_of(dozen, Decimal(1 + 16)))
    assert not list(sums_of(dozen, Decimal(1 + 16), subsets=False))
    assert list(sums_of(dozen, Decimal(2 + 4 + 8), subsets=False)) == [tuple(dozen[1:4])]
    thirteen = effects(*(2**n for n in range(SUBSETS_MAX + 1)))
    assert not list(sums_of(thirteen, Decimal(1 + 16)))
    many = effects(*(2**n for n in range(RUNS_MAX)))
    assert list(sums_of(many, Decimal(2 + 4 + 8))) == [tuple(many[1:4])]
    more = effects(*(2**n for n in range(RUNS_MAX + 1)))
    assert not list(sums_of(more, Decimal(2 + 4 + 8)))
    assert list(sums_of(more, Decimal(2 ** (RUNS_MAX + 1) - 1))) == [tuple(more)]
    nobodys = [replace(each, order_id=None) if n % 2 else each for n, each in enumerate(more)]
    assert not list(sums_of(nobodys, sum((e.quantity for e in nobodys[1::2]), Decimal(0))))
    assert list(sums_of(nobodys, Decimal(8))) == [(nobodys[3],)]
    mixed = [replace(each, order_id="same") if n % 2 else each for n, each in enumerate(more)]
    assert list(sums_of(mixed, sum((e.quantity for e in mixed[1::2]), Decimal(0)))) == [tuple(mixed[1::2])]


def test_sums_may_be_off_by_the_tolerance_and_no_more() -> None:
    """Two fills that were booked rounded."""
    made = effects(3, 4)
    assert list(sums_of(made, Decimal("7.01"), Decimal("0.01")))
    assert list(sums_of(made, Decimal("6.99"), Decimal("0.01")))
    assert not list(sums_of(made, Decimal("7.011"), Decimal("0.01")))


def test_bookings_are_matched_one_by_one_and_then_as_a_lump() -> None:
    """Several entries may have booked several fills together; what fits nothing is beyond."""
    assert lacks(effects(3, 4, 5), entry(4, 4)) == ([3, 5], [])
    assert lacks(effects(3, 4, 5), entry(2, 4), entry(6, 5, row_id=2)) == ([4], [])
    assert lacks(effects(3, 4, 5), entry(11, 4)) == ([3, 4, 5], [11])
    assert lacks(effects(3, 4, 5), entry(11, 4), entry(-11, 5, row_id=2)) == ([3, 4, 5], [])
    assert lacks(effects(3), entry(3, 4), entry(3, 5, row_id=2)) == ([], [3])
    assert lacks([], entry(3, 4)) == ([], [3])
    assert lacks(effects(3, 4, 5), entry(8, 4), entry(11, 5, row_id=2)) == ([3, 4, 5], [8, 11])


def test_what_adds_up_to_nothing_was_booked_by_nobody() -> None:
    """One strategy's purchase and another's sale are both lacked, whatever was booked and undone meanwhile."""
    made = effects(5, -5)
    undone = entry(7, 4), entry(-7, 5, row_id=2)
    moved = entry(-5, 4, 5), entry(5, 4, strategy="trend")
    for changes in ((), undone, moved, (entry(0, 4),)):
        assert lacks(made, *changes) == ([5, -5], [])
        assert match(made, changes).booked == ()


def test_what_was_booked_is_told_with_its_entry() -> None:
    """One by one, and for a lump with each of its entries."""
    made = effects(3, 4, 5)
    single = entry(4, 4)
    assert match(made, [single]).booked == ((single, (made[1],)),)
    lump = [entry(2, 4), entry(6, 5, row_id=2)]
    assert match(made, lump).booked == tuple((each, (made[0], made[2])) for each in lump)


@pytest.mark.parametrize(
    ("likely", "unlikely"),
    [
        ({"client": "mean-1"}, {"client": "app"}),
        ({"client": None}, {"client": "app"}),
        ({"client": "mean-1"}, {"client": "trend-1"}),
        ({"client": "mean-1", "minute": 3.0}, {"client": "mean-1", "minute": 5.0}),
        ({"client": "mean-1", "minute": 3.0}, {"client": "mean-1", "minute": 1.0}),
        ({"client": "mean-1", "minute": 4.0}, {"client": "mean-1", "minute": 3.0}),
        ({"client": "mean-1", "minute": 5.0}, {"client": "mean-1", "minute": 6.0}),
        ({"client": "app", "minute": 3.0}, {"client": "app", "minute": 5.0}),
        ({"client": "mean-1", "minute": 5.0}, {"client": "trend-1", "minute": 3.0}),
        ({"client": "trend-1", "minute": 5.0}, {"client": "app", "minute": 3.0}),
    ],
)
def test_of_two_that_fit_the_likelier_was_booked(likely: dict[str, object], unlikely: dict[str, object]) -> None:
    """A platform's own before anybody's, the row's strategy's before another's, before the entry, near it in time."""
    for order in ((likely, unlikely), (unlikely, likely)):
        told = [fill(5, **{"minute": 2.0, "order": str(n), **each}) for n, each in enumerate(order)]  # type: ignore[arg-type]
        made = fills(told, "AAPL", STRATEGIES)
        (left,) = match(made, [entry(5, 4)]).lack
        assert left.order_id == str(order.index(unlikely))


def test_a_single_fill_is_likelier_than_several() -> None:
    """Five were booked, not two and three."""
    assert lacks(effects(2, 3, 5), entry(5, 4)) == ([2, 3], [])
    assert lacks(effects(5, 2, 3), entry(5, 4)) == ([2, 3], [])


def test_several_are_as_likely_as_the_least_likely_of_them() -> None:
    """One that is not the platform's own, or that came after the entry, counts for all."""
    told = [fill(2, 1, order="a", client="mean-1"), fill(3, 2, order="b", client="app")]
    made = fills([*told, fill(5, 3, order="c", client="app")], "AAPL", STRATEGIES)
    assert lacks(list(made), entry(5, 4)) == ([2, 3], [])
    times = (1.0, 2.0, 2.5, 3.0, 5.0)
    quantities = (2, 3, 9, 2, 3)
    told = [fill(q, at, order=f"o{at}", client="mean-1") for q, at in zip(quantities, times, strict=True)]
    left = match(fills(told, "AAPL", STRATEGIES), [entry(5, 4)]).lack
    assert [e.order_id for e in left] == ["o2.5", "o3.0", "o5.0"]


def test_of_two_orders_that_fit_the_one_that_was_filled_last_was_booked() -> None:
    """When it was filled is when its last fill was."""
    times = {"a": (1.0, 3.5), "b": (2.0, 3.0)}
    told = [fill(n + 1, at, order=order, cum=n + 1) for order in times for n, at in enumerate(times[order])]
    left = match(fills(told, "AAPL", {}), [entry(3, 4)]).lack
    assert [e.order_id for e in left] == ["b", "b"]


def test_a_row_that_goes_to_another_strategy_books_nothing() -> None:
    """Its end and its beginning are no sale and no purchase; what it changed by the way is a booking."""
    moved = [entry(-5, 4, 5), entry(5, 4, strategy="trend")]
    assert lacks(effects(-5, 7), *moved) == ([-5, 7], [])
    assert lacks(effects(-5, 7), *moved, *(replace(each, strategy_id="x") for each in moved)) == ([-5, 7], [])
    grown = [entry(-5, 4, 5), entry(12, 4, strategy="trend")]
    assert lacks(effects(-5, 7), *grown) == ([-5], [])
    (beyond,) = match([], grown).beyond
    assert (beyond.quantity, beyond.before, beyond.strategy_id) == (7, 5, "trend")
    assert lacks(effects(-5, 5), entry(-5, 4, 5), entry(5, 5, row_id=2)) == ([], [])
    assert lacks(effects(-5, 2), entry(-5, 4, 5), entry(2, 5, 1)) == ([], [])


def test_what_is_lacked_is_told_by_cause_and_owner() -> None:
    """Fills of one strategy are one part at their average price; others' are others."""
    told = [
        fill(3, 1, order="a", client="mean-1", price=10),
        fill(1, 2, order="b", client="mean-1", price=14),
        fill(2, 3, order="c", client="trend-1"),
        fill(4, 4, order="d", client="app"),
    ]
    mean, trend, other = parts_of(fills(told, "AAPL", STRATEGIES))
    assert (mean.quantity, mean.owned, mean.strategy_id, mean.price) == (4, True, "mean", 11)
    assert mean.executions == (("AAPL", "a", Decimal(3)), ("AAPL", "b", Decimal(1)))
    assert (trend.quantity, trend.strategy_id) == (2, "trend")
    assert (other.cause, other.owned, other.strategy_id) == (Cause.EXTERNAL_TRADE, False, None)


def test_what_belongs_to_another_instrument_is_told_with_the_part() -> None:
    """The contract that delivered shares, and the group of legs; those of two are two parts."""
    one, two, three = effects(100, 100, 100)
    made = [replace(one, delivered_by="c1"), replace(two, delivered_by="c2"), replace(three, group="g")]
    assert [(part.quantity, part.delivered_by, part.group) for part in parts_of(made)] == [
        (100, "c1", None),
        (100, "c2", None),
        (100, None, "g"),
    ]


def test_without_one_direction_or_a_price_there_is_no_average() -> None:
    """What was bought and sold, or bought at nobody knows what, has no price."""
    for told in (
        [fill(3, 1, order="a"), fill(-1, 2, order="b")],
        [fill(3, 1, order="a"), fill(-3, 2, order="b")],
        [fill(3, 1, order="a"), fill(1, 2, order="b", price=None)],
        [fill("0.5", 1, order="a"), fill("-0.2", 2, order="b")],
    ):
        (part,) = parts_of(fills(told, "AAPL", {}))
        assert part.price is None
    (short,) = parts_of(fills([fill(-3, 1, order="a"), fill(-1, 2, order="b", price=14)], "AAPL", {}))
    assert short.price == 11
    (little,) = parts_of(fills([fill("0.3", 1, order="a"), fill("0.1", 2, order="b", price=14)], "AAPL", {}))
    assert little.price == 11


def test_what_came_before_a_split_stands_before_it() -> None:
    """The same strategy's fills on both sides of it are two parts."""
    split = Effect(Cause.SPLIT, Decimal(105), BASE_AT + timedelta(minutes=2), "split", activities=("s",))
    two, five, seven = effects(2, 5, 7)
    assert [(part.cause, part.quantity) for part in parts_of([two, five, split, seven])] == [
        (Cause.MISSED_FILL, 7),
        (Cause.SPLIT, 105),
        (Cause.MISSED_FILL, 7),
    ]
    again = replace(split, ratio=(Decimal(210), Decimal(105)), activities=("t",))
    assert [(part.quantity, part.legs, part.activities) for part in parts_of([split, again])] == [
        (105, None, ("s",)),
        (105, (210, 105), ("t",)),
    ]


DRIFT = drift_of("AAPL", 15, row("AAPL", 5, None, row_id=1), row("AAPL", 15, "mean", row_id=2))


@pytest.mark.parametrize(
    "other",
    [
        {"quantity": 4},
        {"instrument": Instrument("us_equity", "MSFT")},
        {"cause": Cause.SPLIT},
        {"reversed": True},
        {"at": NOW},
        {"strategy": "trend"},
    ],
)
def test_only_the_same_booking_of_the_same_row_or_of_nobodys_is_a_second_one(other: dict[str, object]) -> None:
    """Everything else is an edit of the row that was changed."""
    known = {"quantity": 5, "row_id": 1, **other}
    (part,) = excess_parts([entry(5, 5, row_id=2)], [corrected(**known)], DRIFT)  # type: ignore[arg-type]
    assert (part.cause, part.row_id, part.reverses, part.quantity) == (Cause.LEDGER_EDIT, 2, None, -5)


def test_each_correction_is_undone_once_the_latest_first() -> None:
    """Two bookings of five and one correction of five: the other one is an edit."""
    bookings = [entry(5, 5, row_id=2), entry(5, 6, 5, row_id=2)]
    one, two = excess_parts(bookings, [corrected(5), corrected(5, id=8)], DRIFT)
    assert [(part.cause, part.reverses, part.row_id, part.strategy_id) for part in (one, two)] == [
        (Cause.DOUBLE_BOOKING, 8, 1, None),
        (Cause.DOUBLE_BOOKING, 7, 1, None),
    ]
    (_, edit) = excess_parts(bookings, [corrected(5)], DRIFT)
    assert (edit.cause, edit.row_id, edit.strategy_id, edit.owned) == (Cause.LEDGER_EDIT, 2, "mean", True)


def test_a_correction_whose_row_is_gone_is_undone_where_it_was_booked_again() -> None:
    """And a row that is closed by now is the strategy's that closed it."""
    (part,) = excess_parts([entry(5, 5, row_id=2)], [corrected(5, row_id=77)], DRIFT)
    assert (part.cause, part.row_id, part.strategy_id) == (Cause.DOUBLE_BOOKING, 2, "mean")
    (closed,) = excess_parts([entry(-5, 5, 5, strategy="trend", row_id=88)], [], DRIFT)
    assert (closed.quantity, closed.row_id, closed.strategy_id) == (5, 88, "trend")
    (at_once,) = excess_parts([entry(5, 4, row_id=2)], [corrected(5)], DRIFT)
    assert at_once.cause is Cause.DOUBLE_BOOKING
    (strategys,) = excess_parts([entry(5, 5, row_id=2)], [corrected(5, row_id=77, strategy="mean")], DRIFT)
    assert strategys.cause is Cause.DOUBLE_BOOKING
    (same_row,) = excess_parts([entry(5, 5, row_id=2)], [corrected(5, row_id=2, strategy="old")], DRIFT)
    assert same_row.cause is Cause.DOUBLE_BOOKING


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("client", ["trend-1", None])
def test_a_late_booking_takes_no_other_strategys_fill(swapped: bool, twice: bool, client: str | None) -> None:
    """One strategy books what was corrected, or was rejected; another one its own fill: which is first is chance.

    Whose fill it was is told by its order, and while that is not known by the time.
    """
    (filled,) = fills([fill(100, 1.1, client=client)], "AAPL", STRATEGIES)
    late, own = entry(100, 1), entry(100, 1.2, strategy="trend", row_id=2)
    matched = match([filled], [own, late] if swapped else [late, own])
    assert (matched.lack, matched.beyond, matched.booked) == ((), (late,), ((own, (filled,)),))
    drift = drift_of("AAPL", 200, row("AAPL", 200, "mean"), row("AAPL", 100, "trend", row_id=2))
    (part,) = excess_parts(matched.beyond, [corrected(100, strategy="mean", at=late.at)] if twice else [], drift)
    assert (part.cause, part.row_id) == (Cause.DOUBLE_BOOKING if twice else Cause.LEDGER_EDIT, 1)


def test_what_is_booked_for_another_strategy_or_before_its_fill_may_be_of_it_all_the_same() -> None:
    """When there is nothing likelier: a platform may name its strategies otherwise, and clocks differ."""
    (filled,) = fills([fill(5, 1, client="trend-1")], "AAPL", STRATEGIES)
    for change_of in (entry(5, 1.1), entry(5, 0.9, strategy="trend")):
        assert match([filled], [change_of]).lack == ()


def test_a_booking_in_parts_beside_an_edit_is_undone_as_what_it_is() -> None:
    """Only of a few changes of a row it is tried which of them belong together."""
    parts = [entry(50, 5, row_id=2), entry(50, 6, 50, row_id=2), entry(30, 7, 100, row_id=2)]
    twice, edit = excess_parts(parts, [corrected(100, row_id=2)], DRIFT)
    assert (twice.cause, twice.quantity, twice.reverses) == (Cause.DOUBLE_BOOKING, -100, 7)
    assert (edit.cause, edit.quantity) == (Cause.LEDGER_EDIT, -30)
    more = [*parts, *(entry(1, 8 + n, row_id=2) for n in range(PARTS_MAX - 2))]
    assert {part.cause for part in excess_parts(more[:-1], [corrected(100, row_id=2)], DRIFT)} == {
        Cause.DOUBLE_BOOKING,
        Cause.LEDGER_EDIT,
    }
    assert {part.cause for part in excess_parts(more, [corrected(100, row_id=2)], DRIFT)} == {Cause.LEDGER_EDIT}


def test_each_booking_undoes_something_once() -> None:
    """One that is a second one beside an edit of its row, and parts of one that could be parts of another as well."""
    twice, edit = excess_parts([entry(5, 5, row_id=2), entry(3, 6, 5, row_id=2)], [corrected(5, row_id=2)], DRIFT)
    assert [(part.cause, part.quantity) for part in (twice, edit)] == [
        (Cause.DOUBLE_BOOKING, -5),
        (Cause.LEDGER_EDIT, -3),
    ]
    shared = [entry(50, 5, row_id=2), entry(50, 6, 50, row_id=2), entry(30, 7, 100, row_id=2)]
    known = [corrected(100, row_id=2), corrected(80, row_id=2, id=8)]
    parts = excess_parts(shared, known, DRIFT)
    assert sum(part.quantity for part in parts) == -130
    assert [part.cause for part in parts] == [Cause.DOUBLE_BOOKING, Cause.LEDGER_EDIT]


def test_what_a_strategy_books_before_its_fill_is_no_booking_of_it() -> None:
    """A booking made twice, and then a fill of as much that is booked well."""
    (filled,) = fills([fill(5, 2, client="mean-1")], "AAPL", STRATEGIES)
    twice, own = entry(5, 1), entry(5, 2.1, 5)
    assert match([filled], [twice, own]).beyond == (twice,)


def test_the_makers_entry_is_a_change() -> None:
    """Both makers of changes agree."""
    assert entry(5, 5.1) == change(5, strategy="mean")


def test_a_proven_trade_of_somebody_else_is_not_undone_by_a_strategys_booking() -> None:
    """What nobody explained may have been the strategy's own; what is known as another's was not."""
    drift = drift_of("AAPL", 15, row("AAPL", 10), row("AAPL", 15, "mean", row_id=2))
    booked = [entry(10, 5, 5, row_id=2)]
    for cause, proven, undone in (
        (Cause.EXTERNAL_TRADE, True, False),
        (Cause.EXTERNAL_TRADE, False, True),
        (Cause.UNEXPLAINED, True, True),
    ):
        (part,) = excess_parts(booked, [corrected(10, cause=cause, proven=proven)], drift)
        assert (part.cause is Cause.DOUBLE_BOOKING) is undone

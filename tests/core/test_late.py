"""Evidence that comes late: each piece explains one correction, and only one that it adds up to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recond.core.explain import Known
from recond.core.history import Change, PastCorrection
from recond.core.late import explain_with_late, late_links
from recond.core.model import Activity, Cause, Execution, Instrument
from recond.core.ownership import MATCHED_MAX, SLACK
from recond.core.run import LateLink
from tests.core.stories import (
    BASE_AT,
    NOW,
    PATIENCE,
    STRATEGIES,
    TOLERANCE,
    base,
    booking,
    change,
    corrected,
    fill,
)
from tests.core.strategies import drift_of, row

AT = BASE_AT + timedelta(minutes=4)
"""When the corrections of `unproven` were made."""


def unproven(quantity: int, number: int = 7, run: int = 3, **more: object) -> PastCorrection:
    """A correction that nothing has explained."""
    return corrected(quantity, **{"id": number, "run_id": run, "proven": False, "cause": Cause.UNEXPLAINED, **more})  # type: ignore[arg-type]


def links(
    corrections: Sequence[PastCorrection],
    executions: Sequence[Execution] = (),
    activities: Sequence[Activity] = (),
    consumed: frozenset[str] = frozenset(),
    changes: Sequence[Change] = (),
) -> tuple[LateLink, ...]:
    """What late evidence says."""
    return late_links(corrections, executions, activities, consumed, STRATEGIES, TOLERANCE, changes)


def test_a_fill_that_comes_late_explains_what_was_corrected_for_it() -> None:
    """With its cause, its key and a sentence."""
    (link,) = links([unproven(5)], [fill(5, 3, client="mean-1")])
    assert (link.correction_id, link.cause, link.activities) == (7, Cause.MISSED_FILL, ())
    assert link.executions == (("AAPL", "o1", Decimal(5)),)
    assert link.text == "explained later: 5 in order o1 (2026-01-02 15:03:00)"


def test_what_the_platform_has_booked_explains_no_correction() -> None:
    """An ordinary trade of the hour before, of the same size; a second one that nobody booked does."""
    traded, other = fill(5, 1, order="a", client="mean-1"), fill(5, 3, order="b", client="mean-2")
    booked = change(5, 1.1, strategy="mean", seq=3)
    assert links([unproven(5)], [traded], changes=[booked]) == ()
    assert links([unproven(5)], [traded], changes=[replace(booked, symbol="MSFT")]) != ()
    (link,) = links([unproven(5)], [traded, other], changes=[booked])
    assert link.executions == (("AAPL", "b", Decimal(5)),)


def test_what_is_too_much_to_match_explains_no_correction() -> None:
    """A symbol that is traded all day: its fills of the hour before are looked at, as far as they can be matched."""
    many = [fill(1, n / 200, order=f"o{n}", client="mean-1") for n in range(MATCHED_MAX)]
    booked = [change(1, n / 200 + 0.001, strategy="mean", seq=n) for n in range(MATCHED_MAX)]
    half = MATCHED_MAX // 2
    (link,) = links([unproven(1)], [*many[:half], fill(1, 3, order="x")], changes=booked[: half - 1])
    assert len(link.executions) == 1
    assert links([unproven(1)], [*many[:half], fill(1, 3, order="x")], changes=booked[:half]) == ()
    minute = timedelta(minutes=1)
    edge = replace(fill(1, order="before"), at=AT - 61 * minute), replace(fill(1, order="x"), at=AT - minute)
    (link,) = links([unproven(1)], edge, changes=[replace(change(1, seq=1), at=AT - timedelta(minutes=59.9))])
    assert link.executions == (("AAPL", "x", Decimal(1)),), "what was booked was filled before the hour"
    old = [replace(each, at=each.at - timedelta(hours=2)) for each in many]
    later = [replace(each, at=each.at + timedelta(hours=2)) for each in booked]
    assert links([unproven(1)], [*old, fill(1, 3, order="x")], changes=later) != ()


def test_lots_explain_it_together_and_two_bookings_that_both_fit_do_not() -> None:
    """A transfer of many lots is one; of a transfer and a dividend of the same size nobody knows which it was."""
    lots = [booking("ACATS", 2, number=n) for n in range(5)]
    (link,) = links([unproven(10)], activities=lots)
    assert (link.cause, len(link.activities)) == (Cause.TRANSFER, 5)
    (one,) = links([unproven(2)], activities=lots)
    assert len(one.activities) == 1
    either = [booking("ACATS", 5), booking("SPIN", 5)]
    assert links([unproven(5)], activities=either) == ()
    assert links([unproven(5)], activities=[booking("ACATS", 5), booking("ACATS", 5, number=2)]) != ()


def test_a_link_is_to_the_first_correction_of_its_run_whatever_became_of_that() -> None:
    """All that is remembered of the run's corrections of this symbol is asked for by it."""
    undone, left = unproven(-10, 1, reversed=True), unproven(-5, 2)
    (link,) = links([undone, left], activities=[booking("ACATS", -5)])
    assert link.correction_id == 1


@pytest.mark.parametrize(
    ("minute", "linked", "cause"),
    [
        (-0.3, True, Cause.UNEXPLAINED),
        (-SLACK.total_seconds() / 60, True, Cause.UNEXPLAINED),
        (0.01 - SLACK.total_seconds() / 60, False, Cause.TRANSFER),
        (5, False, Cause.TRANSFER),
    ],
)
def test_what_came_after_both_sides_agreed_is_the_drifts(minute: float, linked: bool, cause: Cause) -> None:
    """What came before is the old correction's, and explains no drift; what fits only one of them is that one's."""
    drift = drift_of("AAPL", 15, row("AAPL", 10))
    old = unproven(5, at=BASE_AT - timedelta(hours=1))
    known = Known(NOW, activities=(booking("ACATS", 5, minute),), corrections=(old,), strategies=STRATEGIES)

    def found(told: Known) -> tuple[bool, Cause]:
        explanations, links = explain_with_late(
            [drift], {drift.instrument: base(drift, 10)}, {}, told, PATIENCE, TOLERANCE
        )
        return bool(links), explanations[drift.instrument].cause

    assert found(known) == (linked, cause)
    assert found(replace(known, used=frozenset({"ACATS-AAPL-1"}))) == (False, Cause.UNEXPLAINED)
    assert found(replace(known, corrections=(replace(old, after=Decimal(4)),))) == (False, Cause.TRANSFER)
    both = replace(known, activities=(*known.activities, booking("JNLS", 5, -0.3, number=2)))
    explanations, links = explain_with_late([drift], {drift.instrument: None}, {}, both, PATIENCE, TOLERANCE)
    assert (explanations[drift.instrument].cause, len(links)) == (Cause.ADOPTION, 1)


def test_a_late_fill_explains_no_drift_as_well() -> None:
    """It is the correction's; another one of as much, with a transfer that is used already, is the drift's."""
    drift, old = drift_of("AAPL", 15, row("AAPL", 10)), unproven(5, at=BASE_AT + timedelta(seconds=5))
    late, other = fill(5, -0.2, order="late"), fill(5, 3 / 60, order="other")
    for executions, cause in (((late,), Cause.UNEXPLAINED), ((other, late), Cause.FILL)):
        known = Known(NOW, executions, corrections=(old,), strategies=STRATEGIES)
        explanations, (link,) = explain_with_late(
            [drift], {drift.instrument: base(drift, 10)}, {}, known, PATIENCE, TOLERANCE
        )
        assert link.executions == (("AAPL", "late", Decimal(5)),)
        assert explanations[drift.instrument].cause is cause


def test_several_fills_explain_it_together() -> None:
    """The cause is that of the largest."""
    told = [fill(2, 1, order="a", client="app"), fill(9, 2, order="b"), fill(3, 3, order="c", client="mean-1")]
    (link,) = links([unproven(5)], told)
    assert [key[1] for key in link.executions] == ["a", "c"]
    assert link.cause is Cause.MISSED_FILL
    assert link.text.count(";") == 1
    sold = [fill(-9, 1, order="a", client="app"), fill(4, 2, order="b", client="mean-1")]
    (link,) = links([unproven(-5)], sold)
    assert link.cause is Cause.EXTERNAL_TRADE


def test_a_booking_explains_it_before_any_fill_does() -> None:
    """The activity is named, the fill is left for something else."""
    (link,) = links([unproven(5)], [fill(5, 3)], [booking("ACATS", 5, 60)])
    assert (link.cause, link.executions, link.activities) == (Cause.TRANSFER, (), ("ACATS-AAPL-1",))


@pytest.mark.parametrize(
    "correction",
    [
        unproven(5, proven=True),
        unproven(5, reversed=True),
        unproven(4),
        unproven(-5),
        unproven(5, instrument=Instrument("us_equity", "MSFT")),
    ],
)
def test_what_needs_no_explanation_or_another_gets_none(correction: PastCorrection) -> None:
    """Proven, undone, of another quantity or instrument."""
    assert links([correction], [fill(5, 3)], [booking("ACATS", 5)]) == ()


def test_used_evidence_explains_nothing_more() -> None:
    """A consumed activity, and a fill that a correction covers."""
    assert links([unproven(5)], [fill(5, 3, covered_by=2)]) == ()
    assert links([unproven(5)], [], [booking("ACATS", 5)], frozenset({"ACATS-AAPL-1"})) == ()


def test_each_piece_explains_the_oldest_that_it_fits() -> None:
    """Two corrections of five in two runs: the first one gets the first fill, and both never the same."""
    both = [unproven(5, 9, run=4, at=AT + timedelta(minutes=2)), unproven(5)]
    (first,) = links(both, [fill(5, 3)])
    assert first.correction_id == 7
    one, two = links(both, [fill(5, 3), fill(5, 3.5, order="o2")])
    assert (one.correction_id, two.correction_id) == (7, 9)
    assert {*one.executions}.isdisjoint(two.executions)
    (single,) = links(both, [], [booking("ACATS", 5)])
    assert single.correction_id == 7


def test_the_corrections_of_one_run_and_instrument_are_explained_as_one() -> None:
    """A transfer that was taken from two rows."""
    (link,) = links([unproven(3), unproven(2, 8, row_id=2)], [], [booking("ACATS", 5)])
    assert link.correction_id == 7
    other = unproven(2, 8, instrument=Instrument("us_equity", "MSFT"))
    assert links([unproven(3), other], [], [booking("ACATS", 5)]) == ()
    assert links([unproven(3), unproven(2, 8, run=4)], [], [booking("ACATS", 5)]) == ()


def test_evidence_must_be_near_in_time() -> None:
    """A fill from the hour before the correction, a booking within the days that Alpaca takes for one."""
    second = timedelta(seconds=1)
    for at, near in (
        (AT, True),
        (AT + second, False),
        (AT - timedelta(hours=1), True),
        (AT - timedelta(hours=1) - second, False),
    ):
        assert bool(links([unproven(5)], [replace(fill(5), at=at)])) is near, at
    for at, near in (
        (AT + timedelta(days=4), True),
        (AT + timedelta(days=4) + second, False),
        (AT - timedelta(days=4), True),
        (AT - timedelta(days=4) - second, False),
    ):
        assert bool(links([unproven(5)], [], [replace(booking("ACATS", 5), at=at)])) is near, at


def test_the_tolerance_is_that_of_the_class() -> None:
    """To the ten-thousandth of a share, and no further."""
    assert links([unproven(5)], [fill("5.0001", 3)])
    assert not links([unproven(5)], [fill("5.00011", 3)])
    assert links([unproven(5)], [], [booking("ACATS", "5.0001")])
    assert not links([unproven(5)], [], [booking("ACATS", "5.00011")])
    other = unproven(5, instrument=Instrument("treasury", "AAPL"))
    assert links([other], [], [booking("ACATS", 5)])
    assert not links([other], [], [booking("ACATS", "5.0001")])


def test_a_rename_is_explained_by_its_leg_and_by_nothing_else() -> None:
    """It changed no quantity, so fills that cancel each other out say nothing of it."""
    renamed = unproven(0, cause=Cause.SYMBOL_CHANGE, before=Decimal(10), after=Decimal(10))
    (link,) = links([renamed], [], [booking("NC", -10, sub_type="SNC")])
    assert (link.cause, link.activities) == (Cause.SYMBOL_CHANGE, ("NC-AAPL-1",))
    assert links([renamed], [fill(5, 1), fill(-5, 2, order="o2")]) == ()
    assert links([renamed], [], [booking("ACATS", 5)]) == ()
    assert links([unproven(5)], [], [booking("NC", -10, sub_type="SNC")]) == ()


@given(
    st.lists(st.tuples(st.integers(-3, 3).filter(bool), st.integers(3, 4)), max_size=5),
    st.lists(st.integers(-3, 3).filter(bool), max_size=5),
    st.lists(st.integers(-3, 3).filter(bool), max_size=4),
    st.randoms(use_true_random=False),
)
def test_nothing_is_used_twice_and_all_adds_up(
    made: list[tuple[int, int]], filled: list[int], booked: list[int], random: object
) -> None:
    """Whatever there is: links name each correction, execution and activity once, and the order changes nothing."""
    corrections = [unproven(quantity, number, run=run) for number, (quantity, run) in enumerate(made)]
    executions = [fill(q, n / 2, order=f"o{n}") for n, q in enumerate(filled)]
    activities = [booking("ACATS", q, number=n) for n, q in enumerate(booked)]
    found = links(corrections, executions, activities)
    used = [each for link in found for each in (link.correction_id, *link.executions, *link.activities)]
    assert len(used) == len(set(used))
    amounts: dict[object, Decimal] = {("AAPL", e.order_id, e.cum_quantity): e.quantity for e in executions}
    amounts |= {a.id: a.quantity for a in activities if a.quantity is not None}
    for link in found:
        run = next(c.run_id for c in corrections if c.id == link.correction_id)
        changed = sum(c.quantity for c in corrections if c.run_id == run)
        assert sum(amounts[each] for each in (*link.executions, *link.activities)) == changed
    for several in (corrections, executions, activities):
        random.shuffle(several)  # type: ignore[attr-defined]
    assert links(corrections, executions, activities) == found

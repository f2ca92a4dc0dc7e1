"""Causes: no more is claimed than the evidence proves, and what is claimed adds up."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recond.core.evidence import key
from recond.core.explain import Known, base_of, explain
from recond.core.history import Change
from recond.core.model import Activity, Baseline, Cause, Drift, Execution
from tests.core.stories import (
    BASE_AT,
    CALL,
    NOW,
    PATIENCE,
    PUT,
    STRATEGIES,
    TOLERANCE,
    base,
    booking,
    causes,
    change,
    coin,
    corrected,
    equity,
    fill,
    legs,
    option,
    shown,
    split,
    together,
    why,
)
from tests.core.strategies import drift_of, position, row


def test_what_is_found_at_first_contact_is_adopted() -> None:
    """Before the account was ever settled, a position without baseline is no news to anybody."""
    made = why(drift_of("AAPL", 7, row("AAPL", 3)), None)
    assert (made.cause, made.proven) == (Cause.ADOPTION, True)


def test_what_was_never_seen_was_flat_when_all_was_settled() -> None:
    """Without a baseline of its own, or with one that was flat, the last settled run is the baseline."""
    drift = drift_of("AAPL", 7)
    assert base_of(drift, {}, None, 0) is None
    assert base_of(drift, {}, NOW, 4) == Baseline(drift.instrument, Decimal(0), Decimal(0), None, NOW, 4)
    flat, held = base(drift, 0), base(drift, 5)
    assert base_of(drift, {drift.instrument: flat}, NOW, 4) == Baseline(
        drift.instrument, Decimal(0), Decimal(0), None, NOW, 4
    )
    for known in (held, base(drift, 5, 0), base(drift, 0, 5)):
        assert base_of(drift, {drift.instrument: known}, NOW, 4) is known
    assert base_of(drift, {drift.instrument: flat}, BASE_AT - timedelta(hours=1), 4) is flat


def test_without_evidence_it_is_unexplained_and_told_in_figures() -> None:
    """The text says when both agreed on what, and which side has moved by how much since."""
    drift = drift_of("AAPL", 7, row("AAPL", 3))
    explanation = why(drift, base(drift, 2), changes=[change(1)])
    assert (explanation.cause, explanation.parts, explanation.evident) == (Cause.UNEXPLAINED, (), False)
    assert "agreement at 2 (2026-01-02 15:00:00 UTC)" in explanation.text
    assert "broker moved by 5, the ledger by 1" in explanation.text


def test_a_ledger_that_moved_without_a_journal_is_unexplained() -> None:
    """What the journal does not tell of is claimed for nothing, alone or beside a fill that was missed."""
    drift = drift_of("AAPL", 10, row("AAPL", 13))
    assert why(drift, base(drift, 10)).cause is Cause.UNEXPLAINED
    little = drift_of("AAPL", "10.00015", row("AAPL", 10))
    assert why(little, base(little, "10.0001", 10)).cause is Cause.UNEXPLAINED
    beside = drift_of("AAPL", 15, row("AAPL", 13))
    assert why(beside, base(beside, 10), executions=[fill(5)]).cause is Cause.UNEXPLAINED


def test_a_class_without_tolerance_has_none() -> None:
    """What is left over of a fill is explained by nothing."""
    drift, known = drift_of("AAPL", "15.5", row("AAPL", 10)), Known(NOW, (fill(5),))
    for left, cause in (("15.5", Cause.UNEXPLAINED), ("15", Cause.FILL)):
        drift = drift_of("AAPL", left, row("AAPL", 10))
        made = explain([drift], {drift.instrument: base(drift, 10)}, {}, known, PATIENCE, {})
        assert made[drift.instrument].cause is cause


SOON, LONG_AGO = -0.2, -0.6


@pytest.mark.parametrize(
    ("minutes", "booked", "cause"),
    [
        ([SOON], [], Cause.FILL),
        ([SOON], [(5, 5, SOON)], Cause.UNEXPLAINED),
        ([1 / 60], [(5, 5, -0.03)], Cause.UNEXPLAINED),
        ([SOON, SOON], [(5, 6, SOON)], Cause.FILL),
        ([SOON, SOON], [(5, 5, SOON), (5, 6, SOON)], Cause.UNEXPLAINED),
        ([SOON, SOON], [(5, 5, SOON)], Cause.FILL),
        ([SOON, SOON], [(5, 4, SOON), (5, 5, SOON)], Cause.UNEXPLAINED),
        ([SOON, SOON], [(10, 5, SOON)], Cause.UNEXPLAINED),
        ([SOON], [(5, 4, SOON), (1, 5, SOON)], Cause.FILL),
        ([LONG_AGO, SOON], [(5, 5, SOON)], Cause.FILL),
        ([2 * LONG_AGO, SOON], [(5, 5, SOON)], Cause.UNEXPLAINED),
        ([SOON], [(5, 5, 2 * LONG_AGO)], Cause.FILL),
    ],
    ids=[
        "not booked",
        "booked before",
        "just then by another clock",
        "one of two since",
        "one of two before and one since",
        "one of two",
        "both",
        "both at once",
        "beside what nothing explains",
        "may be that of the one before",
        "cannot be that of the one long before",
        "of another before",
    ],
)  # fmt: skip
def test_a_fill_that_was_booked_before_both_agreed_explains_nothing(
    minutes: list[float], booked: list[tuple[int, int, float]], cause: Cause
) -> None:
    """Both sides had it. When it is doubted, it may have come after them still."""
    told = [fill(5, minute, order=f"o{n}") for n, minute in enumerate(minutes)]
    changes = [change(quantity, minute + 0.05, seq=seq) for quantity, seq, minute in booked]
    since = int(sum(each.quantity for each in changes if each.seq > 5))
    drift = drift_of("AAPL", 15 + since, row("AAPL", 10 + since))
    assert why(drift, base(drift, 10), executions=told, changes=changes).cause is cause


@pytest.mark.parametrize(
    ("booked", "cause"),
    [
        ([], Cause.TRANSFER),
        ([-800], Cause.UNEXPLAINED),
        ([-901], Cause.TRANSFER),
        ([-800, -700], Cause.TRANSFER),
    ],
    ids=["not booked", "booked that day", "before that day", "more than is known of"],
)
def test_a_booking_of_a_day_that_was_booked_on_it_explains_nothing(booked: list[float], cause: Cause) -> None:
    """It has only its day, so what explained it is looked for from the day on; a fill of as much is another matter."""
    drift = drift_of("AAPL", 15, row("AAPL", 10))
    changes = [change(5, minute, seq=number) for number, minute in enumerate(booked, start=1)]
    for activities, executions in (([booking("ACATS", 5, -900)], []), ([booking("ACATS", 5, -900)], [fill(5, -60)])):
        also = [change(5, -59, seq=4)] if executions else []
        told = why(drift, base(drift, 10), activities=activities, executions=executions, changes=[*changes, *also])
        assert told.cause is cause


@pytest.mark.parametrize("cause", [Cause.LEDGER_EDIT, Cause.DOUBLE_BOOKING, Cause.UNEXPLAINED, Cause.MISSED_FILL])
def test_a_booking_that_was_undone_since_tells_nothing(cause: Cause) -> None:
    """It is in the journal still, and looks like a booking of a transfer of that day; a missed fill undoes nothing."""
    drift = drift_of("AAPL", 15, row("AAPL", 10))
    told, edit = [booking("ACATS", 5, -900)], change(5, -800, seq=1)
    undoing = corrected(-5, cause=cause, at=BASE_AT - timedelta(minutes=700))
    undone = why(drift, base(drift, 10), activities=told, changes=[edit], corrections=[undoing])
    assert undone.cause is (Cause.UNEXPLAINED if cause is Cause.MISSED_FILL else Cause.TRANSFER)
    before = replace(undoing, at=BASE_AT - timedelta(minutes=901))
    stands = why(drift, base(drift, 10), activities=told, changes=[edit], corrections=[before])
    assert stands.cause is Cause.UNEXPLAINED


def test_what_was_booked_on_a_day_is_told_when_all_fills_of_it_are_known() -> None:
    """Else what was booked may be one that nobody told of: then the booking may have come since."""
    drift, late = drift_of("AAPL", 15, row("AAPL", 10)), PATIENCE.late
    transfer, day = booking("ACATS", 5, -900), BASE_AT - timedelta(minutes=900)
    known = Known(NOW, activities=(transfer,), changes=(change(5, -800, seq=1),), strategies=STRATEGIES)
    for since, cause in ((day - late, Cause.UNEXPLAINED), (day - late + timedelta(seconds=1), Cause.TRANSFER)):
        told = replace(known, fills_since=since)
        made = explain([drift], {drift.instrument: base(drift, 10)}, {}, told, PATIENCE, TOLERANCE)
        assert made[drift.instrument].cause is cause


def test_what_may_be_missing_from_the_evidence_is_said() -> None:
    """A list that was cut short may hold the explanation."""
    drift = drift_of("AAPL", 15, row("AAPL", 10))
    for complete in (True, False):
        known = Known(NOW, complete=complete)
        made = explain([drift], {drift.instrument: base(drift, 10)}, {}, known, PATIENCE, TOLERANCE)
        assert ("there may be more to know" in made[drift.instrument].text) is not complete


def test_what_was_booked_of_another_instrument_books_nothing_here() -> None:
    """Each has its own part of the journal."""
    drift = drift_of("AAPL", 15, row("AAPL", 10))
    anothers = replace(change(5), symbol="MSFT")
    assert causes(why(drift, base(drift, 10), executions=[fill(5)], changes=[anothers])) == [(Cause.FILL, 5, None)]


def test_edits_of_two_rows_by_as_much_are_both_undone() -> None:
    """One of a strategy's row and one of nobody's: each in its own."""
    drift = drift_of("AAPL", 15, row("AAPL", 11), row("AAPL", 6, "mean", row_id=2))
    edits = [change(1), change(1, strategy="mean", seq=10, row_id=2)]
    for order in (edits, edits[::-1]):
        told = why(drift, base(drift, 15), changes=order)
        assert set(causes(told)) == {(Cause.LEDGER_EDIT, -1, None), (Cause.LEDGER_EDIT, -1, "mean")}


def test_what_an_acceptance_without_meaning_leaves_is_nobodys_fill() -> None:
    """Seven were sold of which five had been accepted: the fill is told as it was."""
    drift = replace(drift_of("AAPL", 3, row("AAPL", 5)), accepted=Decimal(5))
    explanation = why(drift, base(drift, 10, 5), executions=[fill(-7, client="mean-1")])
    assert causes(explanation) == [(Cause.MISSED_FILL, Decimal(-7), "mean")]
    short = replace(drift_of("AAPL", -3, row("AAPL", -5)), accepted=Decimal(-5))
    explanation = why(short, base(short, -10, -5), executions=[fill(7, client="mean-1")])
    assert causes(explanation) == [(Cause.MISSED_FILL, Decimal(7), "mean")]


@pytest.mark.parametrize(
    ("client", "strategies", "cause", "whose"),
    [
        ("mean-17", STRATEGIES, Cause.MISSED_FILL, "mean"),
        ("dashboard", STRATEGIES, Cause.EXTERNAL_TRADE, None),
        (None, STRATEGIES, Cause.FILL, None),
        ("mean-17", {}, Cause.FILL, None),
    ],
)
def test_a_fill_that_was_not_booked(
    client: str | None, strategies: Mapping[str, str], cause: Cause, whose: str | None
) -> None:
    """Whose order it was tells what it is called: the platform's own, somebody else's, or nobody knows whose."""
    drift = drift_of("AAPL", 15, row("AAPL", 10))
    explanation = why(drift, base(drift, 10), executions=[fill(5, client=client)], strategies=strategies)
    assert causes(explanation) == [(cause, Decimal(5), whose)]
    assert (explanation.cause, explanation.evident) == (cause, True)
    assert explanation.parts[0].executions == (("AAPL", "o1", Decimal(5)),)


def test_a_fill_whose_order_was_not_read_is_waited_for() -> None:
    """What is unknown is not nobody's, as long as an order can name a strategy; not for ever, and not without any."""
    drift = drift_of("AAPL", 18, row("AAPL", 10))
    unread, read = fill(5, 1, order="a"), fill(3, 2, order="b", client="mean-1")
    waiting = why(drift, base(drift, 10), executions=[unread, read])
    assert set(causes(waiting)) == {(Cause.FILL, 5, None), (Cause.MISSED_FILL, 3, "mean")}
    assert waiting.wait == "whose fills of 5 were is unknown: their orders could not be read yet"
    corporate_s = PATIENCE.corporate.total_seconds()
    assert why(drift, base(drift, 10), executions=[unread, read], age_s=corporate_s).wait is not None
    assert why(drift, base(drift, 10), executions=[unread, read], age_s=corporate_s + 1).wait is None
    assert why(drift, base(drift, 10), executions=[unread, read], strategies={}).wait is None
    for client in ("mean-2", "app", ""):
        named = replace(unread, client_order_id=client)
        assert why(drift, base(drift, 10), executions=[named, read]).wait is None


def test_of_several_fills_the_one_that_was_not_booked_is_named() -> None:
    """Bookings are matched one by one, in parts and in lumps, and what is left is what the ledger lacks."""
    fills = [fill(3, 1, order="a"), fill(4, 2, order="b"), fill(5, 3, order="c"), fill(6, 4, order="d")]
    drift = drift_of("AAPL", 28, row("AAPL", 23))
    for booked in ([3, 4, 6], [7, 6], [1, 2, 4, 6], [13]):
        made = [change(q, 5, seq=10 + n) for n, q in enumerate(booked)]
        explanation = why(drift, base(drift, 10), executions=fills, changes=made)
        assert [part.executions for part in explanation.parts] == [(("AAPL", "c", Decimal(5)),)], booked


def test_part_of_an_order_that_was_not_booked() -> None:
    """Partial fills of one order are executions of their own."""
    fills = [fill(3, 1, cum=3), fill(4, 2, cum=7)]
    drift = drift_of("AAPL", 17, row("AAPL", 13))
    explanation = why(drift, base(drift, 10), executions=fills, changes=[change(3)])
    assert explanation.parts[0].executions == (("AAPL", "o1", Decimal(7)),)


def test_the_platform_books_its_own_fills_first() -> None:
    """Of two fills of one size, own and foreign, a single booking was of the own one."""
    fills = [fill(5, 1, order="hand", client="app"), fill(5, 2, order="own", client="mean-1")]
    drift = drift_of("AAPL", 20, row("AAPL", 15))
    assert causes(why(drift, base(drift, 10), executions=fills, changes=[change(5)])) == [
        (Cause.EXTERNAL_TRADE, Decimal(5), None)
    ]


def test_a_booking_with_nothing_behind_it_is_a_ledger_edit_of_that_row() -> None:
    """A rejected order that was booked: the broker has not moved, and the row that was changed is named."""
    drift = drift_of("AAPL", 10, row("AAPL", 15, "mean", row_id=4))
    explanation = why(drift, base(drift, 10), changes=[change(5, strategy="mean", row_id=4)])
    assert causes(explanation) == [(Cause.LEDGER_EDIT, Decimal(-5), "mean")]
    assert explanation.parts[0].row_id == 4
    assert not explanation.evident
    assert explanation.text == "the ledger was changed by 5 with no execution behind it"


def test_a_mistake_that_the_platform_has_undone_is_none() -> None:
    """Changes that add up to nothing explain nothing: what is left is the missed fill."""
    drift = drift_of("AAPL", 15, row("AAPL", 10))
    made = [change(7, 1, seq=6), change(-7, 2, seq=7)]
    explanation = why(drift, base(drift, 10), executions=[fill(5, client="mean-1")], changes=made)
    assert causes(explanation) == [(Cause.MISSED_FILL, Decimal(5), "mean")]


def test_what_was_corrected_and_then_booked_is_booked_twice() -> None:
    """The correction is undone on its row; one that was undone already, or of another size, is no reason."""
    drift = drift_of("AAPL", 15, row("AAPL", 20, "mean", row_id=1))
    late = [change(5, strategy="mean")]
    explanation = why(drift, base(drift, 15), changes=late, corrections=[corrected(5, strategy="mean")])
    assert causes(explanation) == [(Cause.DOUBLE_BOOKING, Decimal(-5), "mean")]
    assert explanation.parts[0].reverses == 7
    assert explanation.text == "5 was booked that correction 7 had booked already"
    for other in (corrected(4), corrected(5, strategy="mean", reversed=True), corrected(5, at=NOW)):
        assert why(drift, base(drift, 15), changes=late, corrections=[other]).cause is Cause.LEDGER_EDIT


def test_what_was_corrected_is_booked_twice_in_parts_or_at_once_too() -> None:
    """Two bookings of a row for one correction, and one for two; what does not add up is an edit of each row."""
    drift = drift_of("AAPL", 15, row("AAPL", 20, "mean"))
    halves = [change(2, 5, strategy="mean"), change(3, 5.1, strategy="mean", seq=10)]
    told = why(drift, base(drift, 15), changes=halves, corrections=[corrected(5, strategy="mean")])
    assert [(p.cause, p.quantity, p.reverses) for p in told.parts] == [(Cause.DOUBLE_BOOKING, -5, 7)]
    nobodys = drift_of("AAPL", 15, row("AAPL", 15), row("AAPL", 5, "mean", row_id=2))
    late = [replace(each, position_id=2) for each in halves]
    told = why(nobodys, base(nobodys, 15), changes=late, corrections=[corrected(5)])
    assert [(p.cause, p.quantity, p.row_id, p.reverses) for p in told.parts] == [(Cause.DOUBLE_BOOKING, -5, 1, 7)]
    made = [corrected(quantity, strategy="mean", id=n) for n, quantity in ((7, 2), (8, 3), (9, 4), (10, -5))]
    told = why(drift, base(drift, 15), changes=[change(5, strategy="mean")], corrections=made)
    assert {(p.cause, p.quantity, p.reverses) for p in told.parts} == {
        (Cause.DOUBLE_BOOKING, -2, 7),
        (Cause.DOUBLE_BOOKING, -3, 8),
    }
    rows = drift_of("AAPL", 15, row("AAPL", 17, "mean"), row("AAPL", 3, "trend", row_id=2))
    apart = [halves[0], replace(halves[1], position_id=2, strategy_id="trend")]
    told = why(rows, base(rows, 15), changes=apart, corrections=[corrected(5)])
    assert causes(told) == [(Cause.LEDGER_EDIT, -2, "mean"), (Cause.LEDGER_EDIT, -3, "trend")]
    opposite = [corrected(10, strategy="mean"), corrected(-5, strategy="mean", id=8)]
    told = why(drift, base(drift, 15), changes=[change(5, strategy="mean")], corrections=opposite)
    assert causes(told) == [(Cause.LEDGER_EDIT, -5, "mean")], "what was taken away is not booked by what adds"
    part = drift_of("AAPL", 15, row("AAPL", "15.5", "mean"))
    half = replace(corrected(1, strategy="mean"), after=Decimal("0.5"))
    told = why(part, base(part, 15), changes=[change("0.5", strategy="mean")], corrections=[half])
    assert causes(told) == [(Cause.DOUBLE_BOOKING, Decimal("-0.5"), "mean")]
    four = [corrected(1, strategy="mean", id=n) for n in range(7, 12)]
    told = why(drift, base(drift, 15), changes=[change(5, strategy="mean")], corrections=four)
    assert causes(told) == [(Cause.LEDGER_EDIT, -5, "mean")], "so many do not fit by chance only"


def test_what_nobody_owned_and_a_strategy_then_booked_is_undone_where_nobody_owns_it() -> None:
    """The correction opened the unattributed row, the platform booked into its own: the former goes."""
    rows = row("AAPL", 5, None, row_id=1), row("AAPL", 15, "mean", row_id=2)
    drift = drift_of("AAPL", 15, *rows)
    explanation = why(
        drift, base(drift, 15), changes=[change(5, strategy="mean", row_id=2)], corrections=[corrected(5)]
    )
    assert [(part.cause, part.row_id) for part in explanation.parts] == [(Cause.DOUBLE_BOOKING, 1)]


def test_fills_around_the_baseline_count_as_far_as_they_are_not_in_it() -> None:
    """A fill shortly before the baseline may or may not be in it; what the figures say decides."""
    before = [fill(5, -0.2, order="x", client="mean-1"), fill(3, -0.1, order="y", client="mean-1")]
    for held, missing in ((13, 3), (18, 8)):
        drift = drift_of("AAPL", held, row("AAPL", 10))
        assert causes(why(drift, base(drift, 10), executions=before)) == [(Cause.MISSED_FILL, Decimal(missing), "mean")]
    drift = drift_of("AAPL", 15, row("AAPL", 10))
    assert why(drift, base(drift, 10), executions=before).cause is Cause.UNEXPLAINED  # not the older one alone


@pytest.mark.parametrize(("seconds", "optional"), [(-25, True), (1, True), (2, True), (2.001, False)])
def test_a_fill_may_be_in_the_baseline_up_to_the_grain_of_the_clock(seconds: float, optional: bool) -> None:
    """There it explains a move as well as none; what came for certain after it has to have moved the broker."""
    executions = [fill(5, seconds / 60)]
    more = drift_of("AAPL", 15, row("AAPL", 10))
    assert causes(why(more, base(more, 10), executions=executions)) == [(Cause.FILL, 5, None)]
    edited = drift_of("AAPL", 10, row("AAPL", 13))
    told = why(edited, base(edited, 10), executions=executions, changes=[change(3)])
    assert told.cause is (Cause.LEDGER_EDIT if optional else Cause.UNEXPLAINED)


def test_what_was_booked_before_the_baseline_books_nothing_after_it() -> None:
    """The journal counts from the baseline's position on."""
    drift = drift_of("AAPL", 15, row("AAPL", 10))
    old = [change(5, seq=5)]
    assert causes(why(drift, base(drift, 10), executions=[fill(5)], changes=old)) == [(Cause.FILL, Decimal(5), None)]


def test_a_fill_long_before_the_baseline_explains_nothing() -> None:
    """What the baseline has for certain is not counted again."""
    drift = drift_of("AAPL", 15, row("AAPL", 10))
    for seconds in (-300, -25.001):
        assert why(drift, base(drift, 10), executions=[fill(5, seconds / 60)]).cause is Cause.UNEXPLAINED


def test_a_fill_that_a_correction_covers_explains_nothing_more() -> None:
    """Each execution is consumed once."""
    drift = drift_of("AAPL", 15, row("AAPL", 10))
    for mark in ("covered_by", "accepted_in"):
        assert why(drift, base(drift, 10), executions=[fill(5, **{mark: 3})]).cause is Cause.UNEXPLAINED  # type: ignore[arg-type]


def test_what_came_last_may_not_be_shown_yet() -> None:
    """The newest fills count as far as the figures say, without gaps; older ones must all be there."""
    last = [fill(5, 9.8, order="x", client="mean-1"), fill(3, 9.9, order="y", client="mean-1")]
    for held, missing in ((15, 5), (18, 8)):
        drift = drift_of("AAPL", held, row("AAPL", 10))
        assert causes(why(drift, base(drift, 10), executions=last)) == [(Cause.MISSED_FILL, Decimal(missing), "mean")]
    drift = drift_of("AAPL", 13, row("AAPL", 10))
    assert why(drift, base(drift, 10), executions=last).cause is Cause.UNEXPLAINED  # not the newer one alone
    drift = drift_of("AAPL", 15, row("AAPL", 10))
    old = [fill(5, 9.5, order="x"), fill(3, 9.54, order="y")]
    assert why(drift, base(drift, 10), executions=old).cause is Cause.UNEXPLAINED
    edge = [fill(5, 9.5, order="x"), fill(3, 9.56, order="y")]
    assert why(drift, base(drift, 10), executions=edge).cause is Cause.FILL


def test_a_row_that_was_given_away_is_no_booking() -> None:
    """Five that went from one strategy to another are not the five that were sold."""
    drift = drift_of("AAPL", 5, row("AAPL", 5, "mean"), row("AAPL", 5, "trend", row_id=2))
    moved = [
        Change(6, 2, "AAPL", None, Decimal(5), Decimal(0), NOW),
        Change(7, 2, "AAPL", "trend", Decimal(0), Decimal(5), NOW),
    ]
    explanation = why(drift, base(drift, 10), executions=[fill(-5, client="trend-1")], changes=moved)
    assert causes(explanation) == [(Cause.MISSED_FILL, Decimal(-5), "trend")]


@pytest.mark.parametrize("flood", ["edges", "last", "booked", "alike", "coins"])
def test_a_flood_is_matched_in_bounded_time(flood: str) -> None:
    """Five hundred fills and bookings and a dozen activities take no longer than a pass can wait."""
    symbol = "BTCUSD" if flood == "coins" else "AAPL"
    places = Decimal("0.0000001") if flood == "coins" else Decimal(1)
    size = 250 if flood in ("booked", "alike") else 500
    begin = {"edges": -0.4, "coins": -0.4, "last": 9.7}.get(flood, 1.0)
    minutes = [begin + n / 1000 if n < size / 2 else max(begin, 9.7) + n / 2000 for n in range(size)]
    if flood in ("booked", "alike"):
        minutes = [1 + n / 100 for n in range(size)]
    told = [
        fill(str((1 + n * n % 7) * places), at, order=f"o{n}", cum=n + 1, symbol=symbol) for n, at in enumerate(minutes)
    ]
    changes = [change(str(e.quantity), 6, seq=6 + n) for n, e in enumerate(told)] if size == 250 else []
    moved = sum(e.quantity for e in told)
    entries = [booking("ACATS", 7 if flood == "alike" else 1000 + 37 * n, number=n, symbol=symbol) for n in range(12)]
    held, booked = (10 + moved + 21, 10 + moved) if changes else (999_999, 10)
    drift = drift_of(symbol, str(held), row(symbol, str(booked)))
    began_s = time.process_time()
    explanation = why(drift, base(drift, 10), executions=told, activities=entries, changes=changes)
    assert time.process_time() - began_s < 1
    assert explanation.cause is (Cause.TRANSFER if flood == "alike" else Cause.UNEXPLAINED)


def test_more_than_can_be_matched_is_said_to_be() -> None:
    """Five hundred fills and bookings are tried, one more is not."""
    told = [fill(1, 1 + n / 100, order=f"o{n}") for n in range(500)]
    drift = drift_of("AAPL", 510, row("AAPL", 10))
    assert why(drift, base(drift, 10), executions=told).cause is Cause.FILL
    beyond = why(drift, base(drift, 10), executions=told, changes=[change(0)])
    assert "500 fills and 1 bookings are too many to match" in beyond.text


# What moves without an order


@pytest.mark.parametrize(
    ("kind", "sub_type", "cause"),
    [
        ("ACATS", None, Cause.TRANSFER),
        ("JNLS", None, Cause.TRANSFER),
        ("SPIN", None, Cause.SPIN_OFF),
        ("DIV", "SDIV", Cause.STOCK_DIVIDEND),
        ("REORG", "WRM", Cause.REORGANISATION),
        ("OPTRD", None, Cause.OPTION_EXERCISE),
    ],
)
def test_one_leg_that_adds_up_is_the_cause(kind: str, sub_type: str | None, cause: Cause) -> None:
    """Transfers, spin-offs and dividends in shares come as one entry, which proves the drift."""
    drift = drift_of("AAPL", 15, row("AAPL", 10))
    explanation = why(drift, base(drift, 10), activities=[booking(kind, 5, sub_type=sub_type)])
    assert causes(explanation) == [(cause, Decimal(5), None)]
    assert explanation.evident
    assert explanation.parts[0].activities == (f"{kind}-AAPL-1",)


@pytest.mark.parametrize(
    "entry",
    [
        booking("DIV", 5, sub_type="CDIV", net_amount=Decimal("1.2")),
        booking("DIV", 5, sub_type="SDIV", net_amount=Decimal("1.2")),
        booking("INT", 5),
        booking("ACATS", 5, status="canceled"),
        booking("ACATS", 4),
        booking("ACATS", 5, symbol="MSFT"),
        booking("ACATS", None),
        booking("ACATS", 5, minute=-30),
    ],
)
def test_what_moved_nothing_explains_nothing(entry: Activity) -> None:
    """Cash, what was canceled, another size or symbol, and what is older than the baseline."""
    drift = drift_of("AAPL", 15, row("AAPL", 10))
    assert why(drift, base(drift, 10), activities=[entry]).cause is Cause.UNEXPLAINED


def test_a_booking_of_a_kind_nobody_knows_is_named_but_claims_no_cause() -> None:
    """An activity type that recond does not know is told of; the drift stays unexplained."""
    drift = drift_of("AAPL", 15, row("AAPL", 10))
    explanation = why(drift, base(drift, 10), activities=[booking("XYZ", 5)])
    assert (explanation.cause, explanation.evident) == (Cause.UNEXPLAINED, False)
    assert "XYZ, which recond does not know" in explanation.text
    more = drift_of("AAPL", 18, row("AAPL", 10))
    both = why(more, base(more, 10), executions=[fill(3)], activities=[booking("XYZ", 5)])
    assert (both.cause, both.evident, len(both.parts)) == (Cause.UNEXPLAINED, False, 2)


def test_two_that_fit_alike_are_ambiguous_and_both_named() -> None:
    """Either a transfer or a journal explains it: which one is not for recond to guess."""
    drift = drift_of("AAPL", 15, row("AAPL", 10))
    entries = [booking("ACATS", 5), booking("SPIN", 5)]
    explanation = why(drift, base(drift, 10), activities=entries)
    assert (explanation.cause, explanation.parts) == (Cause.AMBIGUOUS, ())
    assert "ACATS" in explanation.text
    assert "SPIN" in explanation.text


def test_two_causes_at_once_are_both_told() -> None:
    """A missed fill and a transfer: parts that add up, the larger first named."""
    drift = drift_of("AAPL", 22, row("AAPL", 10))
    explanation = why(drift, base(drift, 10), executions=[fill(5, client="mean-1")], activities=[booking("ACATS", 7)])
    assert sorted(causes(explanation), key=str) == [
        (Cause.MISSED_FILL, Decimal(5), "mean"),
        (Cause.TRANSFER, Decimal(7), None),
    ]
    assert explanation.cause is Cause.TRANSFER
    assert explanation.causes == (Cause.TRANSFER, Cause.MISSED_FILL)
    sold = drift_of("AAPL", 8, row("AAPL", 10))
    larger = why(sold, base(sold, 10), executions=[fill(-7, client="mean-1")], activities=[booking("ACATS", 5)])
    assert larger.causes == (Cause.MISSED_FILL, Cause.TRANSFER)


def test_a_split_is_proven_by_its_legs() -> None:
    """The ratio is that of the legs, also when a fill came before it."""
    drift = drift_of("AAPL", 200, row("AAPL", 100))
    explanation = why(drift, base(drift, 100), activities=split(100, 200))
    assert (explanation.cause, explanation.evident) == (Cause.SPLIT, True)
    assert str(explanation.parts[0].ratio) == "2:1"
    drift = drift_of("AAPL", 210, row("AAPL", 100))
    both = why(drift, base(drift, 100), executions=[fill(5, 1, client="mean-1")], activities=split(105, 210))
    assert [(part.cause, part.quantity) for part in both.parts] == [
        (Cause.MISSED_FILL, Decimal(5)),
        (Cause.SPLIT, Decimal(105)),
    ]
    assert str(both.parts[1].ratio) == "2:1"


@pytest.mark.parametrize(
    ("before", "after", "ratio"), [(100, 200, "2:1"), (100, 400, "4:1"), (100, 150, "3:2"), (100, 10, "1:10")]
)
def test_a_split_is_suspected_by_its_looks(before: int, after: int, ratio: str) -> None:
    """An exact ratio with the cost basis unchanged; one cent more, and it is none."""
    drift = shown("AAPL", after, before * 8, row("AAPL", before))
    explanation = why(drift, base(drift, before))
    assert (explanation.cause, explanation.proven, explanation.wait) == (Cause.SPLIT, False, None)
    assert str(explanation.parts[0].ratio) == ratio
    assert "suspected" in explanation.text
    other = shown("AAPL", after, before * 8 + 1, row("AAPL", before))
    assert why(other, base(other, before)).cause is Cause.UNEXPLAINED


def test_the_look_of_a_split_goes_before_a_fill_that_may_be_older() -> None:
    """A hundred were bought just before the baseline, and a hundred more for no money are none of that."""
    drift = shown("AAPL", 200, 800, row("AAPL", 100))
    bought = [fill(100, -0.2, client="mean-1")]
    assert why(drift, base(drift, 100), executions=bought).cause is Cause.SPLIT
    paid = shown("AAPL", 200, 1600, row("AAPL", 100))
    assert why(paid, base(paid, 100), executions=bought).cause is Cause.MISSED_FILL


def test_of_two_splits_each_has_its_ratio() -> None:
    """Two for one and then three for one."""
    drift = drift_of("AAPL", 600, row("AAPL", 100))
    second = [replace(leg, id=f"{leg.id}-later", group_id="h") for leg in split(200, 600)]
    explanation = why(drift, base(drift, 100), activities=[*split(100, 200), *second])
    assert [(str(part.ratio), part.quantity) for part in explanation.parts] == [("2:1", 100), ("3:1", 400)]
    between = drift_of("AAPL", 56, row("AAPL", 14))
    first, then = booking("SPLIT", 10, 1), booking("SPLIT", 28, 3, number=2)
    bought, booked = [fill(4, 2), fill(4, 2.5, order="o2")], [change(4, 2.1)]
    told = why(between, base(between, 10), executions=bought, activities=[first, then], changes=booked)
    spared = [part.spared for part in told.parts if part.cause is Cause.SPLIT]
    assert spared == [((1, 4),), ()], "it was booked in shares that only the second one has split"
    lump = drift_of("AAPL", 28, row("AAPL", 16))
    around = [fill(2, 1), fill(4, 3, order="o2")]
    (part,) = why(
        lump, base(lump, 10), executions=around, activities=[booking("SPLIT", 12, 2)], changes=[change(6, 4)]
    ).parts
    assert (part.cause, part.spared) == (Cause.SPLIT, ())
    of_nothing = drift_of("AAPL", 15)
    (part,) = why(of_nothing, base(of_nothing, 0), activities=[booking("SPLIT", 15)]).parts
    assert (part.cause, part.ratio) == (Cause.SPLIT, None)


def test_what_only_has_a_day_may_have_come_at_any_time_of_it() -> None:
    """A transfer of that day counts, though its midnight is before the baseline; one from days ago does not."""
    drift = drift_of("AAPL", 15, row("AAPL", 10))
    for days, cause in ((0, Cause.TRANSFER), (1, Cause.TRANSFER), (2, Cause.UNEXPLAINED)):
        entry = booking("ACATS", 5, -15 * 60 - days * 24 * 60)
        assert why(drift, base(drift, 10), activities=[entry]).cause is cause
    timed = booking("ACATS", 5, -15 * 60 + 1)
    assert why(drift, base(drift, 10), activities=[timed]).cause is Cause.UNEXPLAINED


def test_cash_in_lieu_of_fractions_is_waited_for() -> None:
    """33 shares, one for twenty: 1 share and cash for 0.65. Held until the activity comes, or its time is over."""
    drift = shown("AAPL", 1, 160, row("AAPL", 33))
    early = why(drift, base(drift, 33))
    assert (early.cause, str(early.parts[0].ratio)) == (Cause.SPLIT, "1:20")
    assert early.wait is not None
    assert why(drift, base(drift, 33), age_s=600).wait is not None
    assert why(drift, base(drift, 33), age_s=601).wait is None
    edited = shown("AAPL", 1, 160, row("AAPL", 34))
    both = why(edited, base(edited, 33), changes=[change(1)])
    assert ({part.cause for part in both.parts}, both.wait is None) == ({Cause.SPLIT, Cause.LEDGER_EDIT}, False)
    told = why(drift, base(drift, 33), activities=split(33, 1, lieu=True))
    assert (told.wait, told.evident, str(told.parts[0].ratio)) == (None, True, "1:20")


def test_a_new_name_is_found_by_the_legs_or_by_the_asset_id() -> None:
    """The rows of the old name go to the new one; without activities that is a suspicion."""
    old, new = equity("AAPL", 0, row("AAPL", 10)), equity("MSFT", 10)
    before = [base(old, 10), base(new, 0)]
    for activities, proven in ((legs(), True), ([], False)):
        goes, comes = together([old, new], before, *activities)
        assert (goes.cause, comes.cause, goes.proven) == (Cause.SYMBOL_CHANGE, Cause.SYMBOL_CHANGE, proven)
        assert goes.parts[0].goes_to == new.instrument
        assert comes.parts[0].comes_from == old.instrument
        assert goes.evident is proven
    other = equity("MSFT", 10, asset="id-2")
    assert [e.cause for e in together([old, other], before)] == [Cause.UNEXPLAINED, Cause.UNEXPLAINED]


def test_a_name_whose_other_half_is_not_seen_yet_is_waited_for() -> None:
    """Legs are booked minutes apart, either first."""
    old, new = equity("AAPL", 0, row("AAPL", 10)), equity("MSFT", 10)
    (alone,) = together([old], [base(old, 10)], *legs())
    assert alone.wait is not None
    (half,) = together([new], [base(new, 0)], legs()[1])
    assert half.wait is not None


def test_a_merger_is_held_until_its_legs_are_there() -> None:
    """One leg of a merger for stock is not the whole; after `settle_corporate` it is taken as it is."""
    drift = drift_of("AAPL", 0, row("AAPL", 10))
    leg = booking("MA", -10, sub_type="SMA", group="g")
    explanation = why(drift, base(drift, 10), activities=[leg])
    assert (explanation.cause, explanation.wait is not None) == (Cause.MERGER, True)
    assert why(drift, base(drift, 10), activities=[leg], age_s=601).wait is not None, "this leg has only just come"
    early = replace(leg, at=NOW - PATIENCE.corporate)
    assert why(drift, base(drift, 10), activities=[early], age_s=600).wait is not None
    assert why(drift, base(drift, 10), activities=[early], age_s=601).wait is None
    other = booking("MA", 5, symbol="MSFT", sub_type="SMA", group="g")
    assert why(drift, base(drift, 10), activities=[leg, other]).wait is None
    cash = booking("MA", -10, sub_type="CMA", group="g")
    assert why(drift, base(drift, 10), activities=[cash]).wait is None


def test_what_nothing_explains_waits_for_the_legs_of_an_open_group() -> None:
    """The acquirer's shares came with the acquiree's leg, and their own leg is not booked yet; cash alone tells too."""
    gone, came = drift_of("AAPL", 0, row("AAPL", 10)), drift_of("MSFT", 5)
    explanations = together(
        [gone, came], [base(gone, 10), base(came, 0)], booking("MA", -10, sub_type="SMA", group="g")
    )
    assert [(e.cause, e.wait is not None) for e in explanations] == [(Cause.MERGER, True), (Cause.UNEXPLAINED, True)]
    cash = booking("MA", 0, sub_type="SCMA", group="g", net_amount=Decimal(200))
    for entry, waits in ((cash, True), (replace(cash, symbol="BRK.B"), False), (replace(cash, sub_type="CMA"), False)):
        explanations = together([gone, came], [base(gone, 10), base(came, 0)], entry)
        assert [(e.cause, e.wait is not None) for e in explanations] == [(Cause.UNEXPLAINED, waits)] * 2
    half = [booking("MA", -10, sub_type="SMA", group="g"), booking("ACATS", 5, symbol="MSFT")]
    explanations = together([gone, came], [base(gone, 10), base(came, 0)], *half)
    assert [(e.cause, e.wait is not None) for e in explanations] == [(Cause.MERGER, True), (Cause.TRANSFER, False)]
    whole = [booking("MA", q, symbol=s, sub_type="SMA", group="g") for s, q in (("AAPL", -10), ("BRK.B", 7))]
    explanations = together([gone, came], [base(gone, 10), base(came, 0)], *whole)
    assert [(e.cause, e.wait) for e in explanations] == [(Cause.MERGER, None), (Cause.UNEXPLAINED, None)]


def test_a_contract_past_its_expiry_is_suspected_to_have_expired() -> None:
    """Gone after its last day's close: expired, as it seems; before, nobody knows why."""
    drift = option(PUT, 0, row(PUT, 2, asset_class="us_option"))
    after = datetime(2026, 1, 2, 21, 0, tzinfo=UTC)
    explanation = why(drift, base(drift, 2), now=after)
    assert (explanation.cause, explanation.proven, explanation.evident) == (Cause.OPTION_EXPIRY, False, False)
    assert why(drift, base(drift, 2), now=after - timedelta(hours=2)).cause is Cause.UNEXPLAINED
    sold = replace(fill(-2, -0.2), symbol=PUT)
    assert why(drift, base(drift, 2), executions=[sold], now=after).cause is Cause.FILL
    told = why(drift, base(drift, 2), activities=[booking("OPEXP", -2, symbol=PUT)])
    assert (told.cause, told.evident) == (Cause.OPTION_EXPIRY, True)


@pytest.mark.parametrize(
    ("contract", "held", "shares", "cause"),
    [
        (CALL, 2, 200, Cause.OPTION_EXERCISE),
        (PUT, 2, -200, Cause.OPTION_EXERCISE),
        (CALL, -1, -100, Cause.OPTION_ASSIGNMENT),
        (PUT, -1, 100, Cause.OPTION_ASSIGNMENT),
    ],
)
def test_a_contract_that_went_as_its_shares_came_was_delivered(
    contract: str, held: int, shares: int, cause: Cause
) -> None:
    """Both legs of an exercise or assignment, on suspicion and by their activities; other shares are another matter."""
    gone = option(contract, 0, row(contract, held, asset_class="us_option"))
    came = drift_of("AAPL", 300 + shares, row("AAPL", 300))
    before = [base(gone, held), base(came, 300)]
    assert [(e.cause, e.proven, e.wait) for e in together([gone, came], before)] == [(cause, False, None)] * 2
    kind = "OPEXC" if cause is Cause.OPTION_EXERCISE else "OPASN"
    entries = booking(kind, -held, symbol=contract), booking("OPTRD", shares, symbol="AAPL")
    assert [(e.cause, e.evident) for e in together([gone, came], before, *entries)] == [(cause, True), (cause, True)]
    expired = booking("OPEXP", -held, symbol=contract)
    assert [e.cause for e in together([gone, came], before, expired)] == [Cause.OPTION_EXPIRY, cause]
    more = drift_of("AAPL", 301 + shares, row("AAPL", 300))
    assert [e.cause for e in together([gone, more], before)] == [Cause.UNEXPLAINED, Cause.UNEXPLAINED]


@pytest.mark.parametrize("told", [False, True])
def test_a_contract_and_its_shares_wait_for_each_other(told: bool) -> None:
    """While one of the two is not confirmed, unless the account's activities say what the other one was."""
    gone, came = option(CALL, 0, row(CALL, 2, asset_class="us_option")), drift_of("AAPL", 500, row("AAPL", 300))
    bases = {gone.instrument: base(gone, 2), came.instrument: base(came, 300)}
    entries = (booking("OPEXC", -2, symbol=CALL), booking("OPTRD", 200)) if told else ()
    known = Known(NOW, activities=entries)
    for drift, other in ((gone, came), (came, gone)):
        made = explain([drift], bases, {}, known, PATIENCE, TOLERANCE, [other])[drift.instrument]
        waits = f"{other.instrument.symbol} may have to do with it: it is waited for"
        assert made.wait == (None if told else waits)


def test_a_leg_without_symbol_is_found_by_its_group() -> None:
    """The contract's leg names only the group, in which the shares are."""
    gone = option(CALL, 0, row(CALL, -1, asset_class="us_option"))
    entries = booking("OPASN", 1, symbol=None, group="g"), booking("OPTRD", -100, symbol="AAPL", group="g")
    (explanation,) = together([gone], [base(gone, -1)], *entries)
    assert (explanation.cause, explanation.evident) == (Cause.OPTION_ASSIGNMENT, True)


def test_a_leg_without_symbol_tells_of_one_contract_only() -> None:
    """When it fits two it is not known which went; one that drifts and is not confirmed yet is waited for."""
    other = "AAPL260116C00160000"
    here, there = (option(c, 0, row(c, -1, asset_class="us_option")) for c in (CALL, other))
    shares = drift_of("AAPL", 0, row("AAPL", 100))
    entries = booking("OPASN", 1, symbol=None, group="g"), booking("OPTRD", -100, symbol="AAPL", group="g")
    bases = [base(here, -1), base(there, -1), base(shares, 100)]
    *both, delivered = together([here, there, shares], bases, *entries)
    assert [made.cause for made in both] == [Cause.AMBIGUOUS, Cause.AMBIGUOUS]
    assert not any(made.parts for made in both)
    assert (delivered.cause, delivered.evident) == (Cause.OPTION_ASSIGNMENT, True)
    known, found = Known(NOW, activities=entries), {each.instrument: each for each in bases}
    for others, wait in (((there,), f"{other} may be meant by a leg that names none"), ((shares,), None)):
        made = explain([here], found, {}, known, PATIENCE, TOLERANCE, others)[here.instrument]
        assert made.cause is Cause.OPTION_ASSIGNMENT
        assert (made.wait == wait) if wait else "names none" not in (made.wait or "")
    named = Known(NOW, activities=(booking("OPASN", 1, symbol=CALL, group="g"), entries[1]))
    assert explain([here], found, {}, named, PATIENCE, TOLERANCE, (there,))[here.instrument].wait is None


# Coins


def test_a_fee_taken_in_the_coin_is_found_in_the_band_of_what_was_bought() -> None:
    """0.1 bought and booked, 0.09975 held: the rest is the fee. More than the band is no fee."""
    bought = [fill("0.1", symbol="BTCUSD", client="mean-1")]
    booked = [replace(change("0.1"), symbol="BTCUSD")]
    drift = coin("1.09975", "1.1")
    explanation = why(drift, base(drift, 1), executions=bought, changes=booked)
    assert [(part.cause, part.quantity) for part in explanation.parts] == [(Cause.CRYPTO_FEE, Decimal("-0.00025"))]
    more = coin("1.0997", "1.1")
    assert why(more, base(more, 1), executions=bought, changes=booked).cause is Cause.UNEXPLAINED
    missed = coin("1.09975", "1")
    parts = why(missed, base(missed, 1), executions=bought).parts
    assert [(part.cause, part.quantity) for part in parts] == [
        (Cause.MISSED_FILL, Decimal("0.1")),
        (Cause.CRYPTO_FEE, Decimal("-0.00025")),
    ]


def test_a_fee_is_taken_from_whoever_bought() -> None:
    """When all was bought by one strategy the fee is that one's; of several nobody knows how much of it."""
    drift = drift_of("BTCUSD", "1.0998", row("BTCUSD", 1, "mean"))
    buys = [
        fill("0.06", 4, symbol="BTCUSD", client="mean-1"),
        fill("0.04", symbol="BTCUSD", client="mean-2", order="b"),
    ]
    explanation = why(drift, base(drift, 1), executions=buys)
    assert causes(explanation) == [
        (Cause.MISSED_FILL, Decimal("0.1"), "mean"),
        (Cause.CRYPTO_FEE, Decimal("-0.0002"), "mean"),
    ]
    assert explanation.evident
    assert "0.200 % of what was bought" in explanation.text
    buys[1] = replace(buys[1], client_order_id="trend-1")
    assert (Cause.CRYPTO_FEE, Decimal("-0.0002"), None) in causes(why(drift, base(drift, 1), executions=buys))
    sold = [buys[0], replace(buys[1], quantity=Decimal("-0.04"))]
    less = drift_of("BTCUSD", "1.01985", row("BTCUSD", 1, "mean"))
    parts = why(less, base(less, 1), executions=sold).parts
    assert [part.quantity for part in parts if part.cause is Cause.CRYPTO_FEE] == [Decimal("-0.00015")]
    assert [part.strategy_id for part in parts if part.cause is Cause.CRYPTO_FEE] == ["mean"]


def test_figures_that_add_up_go_before_a_fee() -> None:
    """What was bought last is not shown yet: it is no fee of what was bought before, and stays unconsumed."""
    buys = [fill(100, symbol="BTCUSD", order="a"), fill("0.2", 9.9, symbol="BTCUSD", order="b")]
    drift = coin("101", "1")
    explanation = why(drift, base(drift, 1), executions=buys)
    assert [part.executions for part in explanation.parts] == [(("BTCUSD", "a", Decimal(100)),)]
    booked = [booking("CFEE", "-0.1", symbol="BTCUSD")]
    drift = coin("100.9", "1")
    told = why(drift, base(drift, 1), executions=buys[:1], activities=booked)
    assert [part.activities for part in told.parts] == [(), ("CFEE-BTCUSD-1",)]
    share = drift_of("AAPL", "109.9", row("AAPL", 10))
    assert why(share, base(share, 10), executions=[fill(100)]).cause is Cause.UNEXPLAINED


def test_a_fee_that_is_booked_later_explains_itself() -> None:
    """The position shrinks with the CFEE at the end of the day."""
    drift = coin("0.99975", "1")
    explanation = why(drift, base(drift, 1), activities=[booking("CFEE", "-0.00025", symbol="BTCUSD")])
    assert (explanation.cause, explanation.evident) == (Cause.CRYPTO_FEE, True)


def test_what_a_bust_takes_back_is_no_price_that_was_paid() -> None:
    """A sell that is taken back leaves the shares what they cost."""
    drift = drift_of("AAPL", 25, row("AAPL", 20, "mean"))
    sold = fill(-5, -60, client="mean-1", price=20, execution_id="x1", cum=5)
    bust = fill(0, 5, client="mean-1", price=20, execution_id="x2", previous_id="x1", cum=1)
    (part,) = why(drift, base(drift, 20), executions=[sold, bust]).parts
    assert (part.cause, part.quantity, part.price) == (Cause.BUST_OR_CORRECT, 5, None)


def test_a_bust_takes_back_the_execution_that_it_names() -> None:
    """The platform booked the fill and not its bust; a correction counts by what it changes."""
    bought = fill(5, 1, client="mean-1", execution_id="x1")
    drift = drift_of("AAPL", 10, row("AAPL", 15))
    bust = fill(0, 2, cum=None, execution_id="x2", previous_id="x1", client="mean-1")
    bust = replace(bust, cum_quantity=None)
    explanation = why(drift, base(drift, 10), executions=[bought, bust], changes=[change(5)])
    assert causes(explanation) == [(Cause.BUST_OR_CORRECT, Decimal(-5), "mean")]
    drift = drift_of("AAPL", 13, row("AAPL", 15))
    corrected_fill = replace(bust, quantity=Decimal(3))
    explanation = why(drift, base(drift, 10), executions=[bought, corrected_fill], changes=[change(5)])
    assert causes(explanation) == [(Cause.BUST_OR_CORRECT, Decimal(-2), "mean")]


def test_a_bust_of_what_was_filled_long_before_the_baseline_counts_alone() -> None:
    """The old fill, and what had been made of it by then, tell how much it takes back, and move nothing again."""
    bought = fill(5, -60 * 24 * 9, client="mean-1", execution_id="x1", covered_by=3)
    made = fill(4, -60 * 24 * 8, execution_id="x2", previous_id="x1", client="mean-1")
    bust = fill(0, 2, execution_id="x3", previous_id="x1", client="mean-1")
    made, bust = (replace(each, cum_quantity=None) for each in (made, bust))
    drift = drift_of("AAPL", 6, row("AAPL", 10))
    explanation = why(drift, base(drift, 10), executions=[bought, made, bust])
    assert causes(explanation) == [(Cause.BUST_OR_CORRECT, Decimal(-4), "mean")]
    assert explanation.parts[0].executions == (("AAPL", "o1", "x3"),)
    for broker in (15, 14, 9):
        other = drift_of("AAPL", broker, row("AAPL", 10))
        assert why(other, base(other, 10), executions=[bought, made, bust]).cause is Cause.UNEXPLAINED


# For any evidence


@st.composite
def evidence(draw: st.DrawFn) -> tuple[Drift, Baseline, list[Execution], list[Activity], list[Change]]:
    """A story: what moved the broker, what of it was booked, and what was booked beyond it."""
    small = st.integers(-6, 6).filter(bool)
    moved = draw(st.lists(small, max_size=5))
    clients = st.sampled_from(("mean-1", "trend-1", "app", None))
    fills = [fill(q, n / 2, order=f"o{n}", client=draw(clients)) for n, q in enumerate(moved)]
    before = draw(st.lists(small, max_size=2))
    fills += [fill(q, -0.3 + n / 9, order=f"e{n}", client=draw(clients)) for n, q in enumerate(before)]
    kinds = st.sampled_from(("ACATS", "JNLS", "SPIN", "REORG"))
    entries = [booking(draw(kinds), draw(small), number=n) for n in range(draw(st.integers(0, 3)))]
    applied = [entry for entry in entries if draw(st.booleans())]
    booked = [q for q in moved if draw(st.booleans())] + draw(st.lists(small, max_size=2))
    changes = [change(q, 6, seq=6 + n) for n, q in enumerate(draw(st.permutations(booked)))]
    changes += [change(q, -0.1, seq=n) for n, q in enumerate(before) if draw(st.booleans())]
    start = 50
    held = start + sum(moved) + sum(int(e.quantity or 0) for e in applied)
    ledger = start + sum(booked)
    drift = drift_of("AAPL", held if held != ledger else held + 1, row("AAPL", ledger))
    return drift, base(drift, start), fills, entries, changes


@given(evidence(), st.randoms(use_true_random=False))
def test_what_is_claimed_adds_up_whatever_the_order(
    story: tuple[Drift, Baseline, list[Execution], list[Activity], list[Change]], random: object
) -> None:
    """The parts are what the ledger lacks, evidence is named once, and its order changes nothing."""
    drift, before, fills, entries, changes = story
    explanation = why(drift, before, executions=fills, activities=entries, changes=changes)
    if explanation.parts:
        assert sum(part.quantity for part in explanation.parts) == drift.difference
        named = [key for part in explanation.parts for key in (*part.executions, *part.activities)]
        assert len(named) == len(set(named))
    assert explanation.cause not in (Cause.UNEXPLAINED, Cause.AMBIGUOUS) or not explanation.evident
    shuffled_fills, shuffled_entries = list(fills), list(entries)
    random.shuffle(shuffled_fills)  # type: ignore[attr-defined]
    random.shuffle(shuffled_entries)  # type: ignore[attr-defined]
    again = why(drift, before, executions=shuffled_fills, activities=shuffled_entries, changes=changes)
    assert again == explanation


@given(st.lists(st.tuples(st.integers(-6, 6).filter(bool), st.booleans()), max_size=4, unique_by=lambda each: each[0]))
def test_what_both_sides_had_is_never_named(early: list[tuple[int, bool]]) -> None:
    """Of the fills shortly before they agreed just those that the ledger had not booked then may have come since."""
    fills = [fill(q, -0.3 + n / 99, order=f"e{n}") for n, (q, _) in enumerate(early)]
    changes = [change(q, -0.1, seq=n) for n, (q, booked) in enumerate(early) if booked]
    left = {key(each) for each, (_, booked) in zip(fills, early, strict=True) if not booked}
    for moved in {sum(q for q, _ in early[n:]) for n in range(len(early))} - {0}:
        drift = drift_of("AAPL", 50 + moved, row("AAPL", 50))
        explanation = why(drift, base(drift, 50), executions=fills, changes=changes)
        assert {k for part in explanation.parts for k in part.executions} <= left


def test_positions_are_made_as_expected() -> None:
    """The maker of drifts gives what these tests rely on: a cost basis of 8 a share."""
    assert position("AAPL", 3).cost_basis == 24


def test_a_fill_from_before_the_agreement_does_not_prove_that_a_position_is_gone() -> None:
    """Half was sold and booked, and then an answer leaves out the rest: the sale explains it once only, if at all."""
    gone = drift_of("AAPL", 0, row("AAPL", 10))
    sold = fill(-10, -0.2)
    assert not why(gone, base(gone, 10), executions=[sold]).evident
    less = drift_of("AAPL", 5, row("AAPL", 10))
    assert why(less, base(less, 10), executions=[fill(-5, -0.2)]).evident
    both = [fill(-4, -0.2), fill(-6, 1, order="o2")]
    told = why(gone, base(gone, 10), executions=both)
    assert (told.cause, told.evident) == (Cause.FILL, False), "one of the two may be in what both sides had"


def test_fills_that_made_up_for_each_other_at_the_agreement_are_told_when_one_of_them_is_booked() -> None:
    """Both sides agreed without either; the booking that comes late is right, and what is not booked is missing."""
    drift = drift_of("AAPL", 100, row("AAPL", 110))
    bought, sold = fill(10, -0.2, order="o1", client="mean-1"), fill(-10, -0.1, order="o2", client="app")
    other = fill(3, -0.3, order="o3", client="trend-1")
    late = change(10, 0.1, strategy="mean")
    for executions in ([bought, sold], [other, bought, sold]):
        told = why(drift, base(drift, 100), executions=executions, changes=[late])
        assert causes(told) == [(Cause.EXTERNAL_TRADE, Decimal(-10), None)]
        assert told.parts[0].executions == (("AAPL", "o2", Decimal(10)),)
        assert told.evident
    more, booked = fill(5, 1, order="o3", client="mean-2"), change(5, 1.1, strategy="mean", seq=10)
    both = drift_of("AAPL", 105, row("AAPL", 115))
    told = why(both, base(both, 100), executions=[bought, sold, more], changes=[late, booked])
    assert causes(told) == [(Cause.EXTERNAL_TRADE, Decimal(-10), None)]
    after = drift_of("AAPL", 105, row("AAPL", 110))
    told = why(after, base(after, 100), executions=[bought, sold, fill(5, 1, order="o4", client="app")], changes=[late])
    assert causes(told) == [(Cause.EXTERNAL_TRADE, Decimal(-5), None)]


def test_what_recond_has_booked_before_is_booked_twice_even_so() -> None:
    """Fills that would make up for each other are no better reason."""
    drift = drift_of("AAPL", 100, row("AAPL", 110))
    fills = [fill(10, -0.2, order="o1"), fill(-10, -0.1, order="o2")]
    earlier = corrected(10, at=BASE_AT - timedelta(seconds=5))
    told = why(drift, base(drift, 100), executions=fills, changes=[change(10, 0.1)], corrections=[earlier])
    assert causes(told) == [(Cause.DOUBLE_BOOKING, -10, None)]


@pytest.mark.parametrize(
    ("executions", "booked", "minute"),
    [
        ([fill(10, -0.2)], 10, 0.1),
        ([fill(10, -0.2, order="o1"), fill(-9, -0.1, order="o2")], 10, 0.1),
        ([fill(10, -0.2, order="o1"), fill(-10, -0.1, order="o2")], 9, 0.1),
        ([fill(10, -0.2, order="o1"), fill(-10, -0.1, order="o2")], 10, 25 / 60 + 0.01),
        ([fill(10, -0.6, order="o1"), fill(-10, -0.5, order="o2")], 10, 0.1),
    ],
)
def test_a_booking_that_no_made_up_fill_explains_stays_a_ledger_edit(
    executions: list[Execution], booked: int, minute: float
) -> None:
    """Fills that do not make up for each other, another quantity, and what is booked or was filled too far away."""
    drift = drift_of("AAPL", 100, row("AAPL", 100 + booked))
    told = why(drift, base(drift, 100), executions=executions, changes=[change(booked, minute)])
    assert causes(told) == [(Cause.LEDGER_EDIT, Decimal(-booked), None)]


def test_a_booking_that_only_has_a_day_does_not_prove_either_that_a_position_is_gone() -> None:
    """Half was transferred, which both sides know, and then an answer leaves out the rest."""
    gone = drift_of("AAPL", 0, row("AAPL", 10))
    today = booking("ACATS", -10, -15 * 60)
    made = why(gone, base(gone, 10), activities=[today])
    assert (made.cause, made.evident) == (Cause.TRANSFER, False)
    assert why(gone, base(gone, 10), activities=[booking("ACATS", -10)]).evident


def test_a_fill_is_named_once_only() -> None:
    """What the broker has moved by cannot make up for something else as well."""
    drift = drift_of("AAPL", 95, row("AAPL", 105))
    fills = [fill(5, -0.3, order="o1", client="mean-1"), fill(-5, -0.2, order="o2", client="mean-2")]
    made = why(drift, base(drift, 100), executions=fills, changes=[change(5, 0.1, strategy="mean")])
    named = [key for part in made.parts for key in part.executions]
    assert len(named) == len(set(named))


def test_a_leg_of_a_split_without_its_group_scales_nothing_to_zero() -> None:
    """What it takes away is not what a row becomes: the other leg brings the new shares."""
    drift = drift_of("AAPL", 200, row("AAPL", 100))
    made = why(drift, base(drift, 100), activities=[booking("SPLIT", -100), booking("SPLIT", 200, number=2)])
    assert sum(part.quantity for part in made.parts) == 100
    assert all(part.ratio is None or part.ratio.new for part in made.parts)
    nothing = drift_of("AAPL", 0, row("AAPL", 33))
    (part,) = why(nothing, base(nothing, 33), activities=[booking("SPLIT", -33)]).parts
    assert part.ratio is not None, "cash was paid for all of it, also for what an operator has accepted"
    assert part.ratio.new == 0

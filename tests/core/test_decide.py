"""What is done about a drift: whose row, never unproven, never a wrong sum or two signs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recond.core.correct import correct
from recond.core.decide import QUANTITY_LENGTH_MAX, Matters, Policy, decide
from recond.core.diff import diff
from recond.core.model import Cause, Conflict, Decision, Drift, Hold, Kind, LedgerRow, Resolution
from recond.core.run import Action, Correction, Explanation, Outcome
from tests.core.strategies import (
    NOW,
    TOLERANCE,
    Books,
    books,
    broker_quantities,
    drift_of,
    exact_sum,
    owned_rows,
    position,
    row,
)

USE_BROKER = Policy(Resolution.USE_BROKER, {})
MANUAL = Policy(Resolution.MANUAL, {})
WHY = Explanation(Cause.UNEXPLAINED, "nothing known")
LATER = NOW + timedelta(minutes=5)


def applied(rows: tuple[LedgerRow, ...], corrections: tuple[Correction, ...]) -> tuple[LedgerRow, ...]:
    """The open rows after the corrections, by the ledger's own rules: one open row per symbol and strategy."""
    book = {(r.symbol, r.strategy_id): r for r in rows}
    for number, correction in enumerate(corrections, start=1000):
        key = (correction.instrument.symbol, correction.strategy_id)
        assert book.get(key) == correction.row
        assert correction.before == (Decimal(0) if correction.row is None else correction.row.quantity)
        assert correction.before != correction.after
        assert (correction.action is Action.OPEN) == (correction.row is None)
        assert (correction.action is Action.CLOSE) == (correction.after == 0)
        opened = row(key[0], correction.after, key[1], row_id=number, asset_class=correction.instrument.asset_class)
        book[key] = replace(correction.row or opened, quantity=correction.after)
    return tuple(r for r in book.values() if r.quantity != 0)


def drifts_of(both: Books, rows: tuple[LedgerRow, ...]) -> tuple[Drift, ...]:
    """The drifts between the broker's side of the books and these rows."""
    return diff(both.holdings, rows, (), TOLERANCE, frozenset()).drifts


@st.composite
def drifts(draw: st.DrawFn) -> Drift:
    """Any drift of one instrument, with up to four strategies' rows of any sign."""
    rows = draw(owned_rows("AAPL", 1))
    held = draw(broker_quantities(rows))
    drift = drift_of("AAPL", held, *rows)
    return replace(drift, ledger=exact_sum(rows)) if held != exact_sum(rows) else drift_of("AAPL", held or 1)


@given(drifts())
def test_correction_never_leaves_a_wrong_sum_or_two_signs(drift: Drift) -> None:
    """After `correct` the rows sum up to the broker's quantity, to the last digit, and all have its sign."""
    corrections = correct(drift, WHY)
    if corrections is None:
        assert len(drift.rows) > 1
        return
    rows = applied(drift.rows, corrections)
    assert exact_sum(rows) == drift.broker
    assert all((r.quantity > 0) == (drift.broker > 0) for r in rows)


@given(drifts())
def test_rows_that_need_no_change_get_none(drift: Drift) -> None:
    """A correction touches at most the unattributed row and one strategy's, unless the position is gone."""
    corrections = correct(drift, WHY) or ()
    if drift.broker != 0:
        assert len({c.strategy_id for c in corrections} - {None}) <= 1
        assert len(corrections) <= 2


@given(books(readable=True))
def test_case_16_second_pass_finds_nothing(both: Books) -> None:
    """After a pass with `use_broker` all agree but what several own or is too long, and that stays as it was."""
    outcomes = [decide(drift, WHY, USE_BROKER, Matters(), NOW) for drift in drifts_of(both, both.rows)]
    rows = applied(both.rows, tuple(c for outcome in outcomes for c in outcome.corrections))
    left = [outcome.drift for outcome in outcomes if outcome.resolution is Resolution.MANUAL]
    assert {d.instrument: (d.broker, d.ledger) for d in drifts_of(both, rows)} == {
        d.instrument: (d.broker, d.ledger) for d in left
    }
    assert all(len(d.rows) > 1 or len(f"{d.broker:f}") > QUANTITY_LENGTH_MAX for d in left)


@given(drifts(), st.sampled_from(list(Resolution)), st.booleans())
def test_case_4_unproven_is_never_touched(drift: Drift, resolution: Resolution, held: bool) -> None:
    """With a doubt, whatever the policy: no correction, no new conflict, one hold with today's reason and figures."""
    before = Hold(7, drift.instrument, "yesterday's", Decimal(1), Decimal(2), opened_at=NOW) if held else None
    outcome = decide(drift, WHY, Policy(resolution, {}), Matters("not shown", None, before), LATER)
    assert (outcome.corrections, outcome.conflict, outcome.resolution) == ((), None, Resolution.MANUAL)
    assert outcome.hold == Hold(
        7 if held else None, drift.instrument, "not shown", drift.broker, drift.ledger, NOW if held else LATER
    )


def test_more_digits_than_the_ledger_takes_are_an_operators_matter() -> None:
    """A row that would get a text the ledger refuses is left alone and in conflict: the others' corrections go on."""
    rows = row("AAPL", 120), row("AAPL", "1e-38", "bot", row_id=2)
    drift = replace(drift_of("AAPL", 127, *rows), ledger=exact_sum(rows))
    outcome = decide(drift, WHY, USE_BROKER, Matters(), NOW)
    assert (outcome.resolution, outcome.corrections) == (Resolution.MANUAL, ())
    assert outcome.conflict is not None
    assert not outcome.conflict.resolved
    assert "more digits than the ledger takes" in outcome.explanation.text


@given(drifts(), st.sampled_from(list(Resolution)))
def test_what_every_outcome_is(drift: Drift, default: Resolution) -> None:
    """Only `use_broker` corrects; a conflict exists just for kind `quantity` and for what stays unresolved."""
    outcome = decide(drift, WHY, Policy(default, {}), Matters(), NOW)
    assert bool(outcome.corrections) == (outcome.resolution is Resolution.USE_BROKER)
    assert outcome.hold is None
    assert (outcome.conflict is None) == (
        outcome.resolution is Resolution.USE_BROKER and drift.kind is not Kind.QUANTITY
    )
    if outcome.conflict is not None:
        assert outcome.conflict.resolved == (outcome.resolution is Resolution.USE_BROKER)
        assert outcome.conflict.resolution is outcome.resolution
    if default is not Resolution.USE_BROKER:
        assert outcome.resolution is default


@pytest.mark.parametrize(
    ("rows", "broker", "after"),
    [
        ({}, 5, {None: 5}),
        ({"alpha": 5}, 7, {"alpha": 7}),
        ({"alpha": 5}, 3, {"alpha": 3}),
        ({"alpha": 5}, -3, {"alpha": -3}),
        ({None: 5}, -3, {None: -3}),
        ({"alpha": 5, "beta": 5}, 0, {}),
        ({"alpha": 5, "beta": -3}, 0, {}),
        ({"alpha": 5, "beta": 5}, 12, {"alpha": 5, "beta": 5, None: 2}),
        ({"alpha": -5, "beta": -5}, -12, {"alpha": -5, "beta": -5, None: -2}),
        ({"alpha": 5, None: 2}, 9, {"alpha": 5, None: 4}),
        ({"alpha": 5, "beta": 5, None: 4}, 12, {"alpha": 5, "beta": 5, None: 2}),
        ({"alpha": -5, "beta": -5, None: -4}, -12, {"alpha": -5, "beta": -5, None: -2}),
        ({"alpha": 5, "beta": 5, None: 1}, "10.25", {"alpha": 5, "beta": 5, None: Decimal("0.25")}),
        ({"alpha": 5, "beta": 5, None: 4}, 10, {"alpha": 5, "beta": 5}),
        ({"alpha": 5, "beta": 5, None: 1}, 10, {"alpha": 5, "beta": 5}),
        ({"alpha": 5, "beta": 5, None: 4}, 9, None),
        ({"alpha": 5, "beta": 5}, 9, None),
        ({"alpha": 5, "beta": 5}, -3, None),
        ({"alpha": 5, None: 2}, 4, {"alpha": 4}),
        ({"alpha": -5, None: -2}, -4, {"alpha": -4}),
        ({"alpha": 6, None: 4}, -3, {"alpha": -3}),
        ({"alpha": 10, "beta": -5}, 7, None),
        ({"alpha": 5, "beta": -5}, 3, None),
        ({"alpha": 15, None: -5}, 15, {"alpha": 15}),
        ({"alpha": 15, None: -5}, 20, {"alpha": 15, None: 5}),
        ({"alpha": 15, None: -5}, 4, None),
    ],
)
def test_whose_row(
    rows: Mapping[str | None, int], broker: int | str, after: Mapping[str | None, int | Decimal] | None
) -> None:
    """One row is set; more goes to the unattributed row, less comes from it and then from the only strategy."""
    book = tuple(row("AAPL", quantity, owner, row_id=n) for n, (owner, quantity) in enumerate(rows.items()))
    corrections = correct(drift_of("AAPL", broker, *book), Explanation(Cause.UNEXPLAINED))
    if after is None:
        assert corrections is None
    else:
        assert corrections is not None
        assert {r.strategy_id: r.quantity for r in applied(book, corrections)} == after


def test_nobody_knows_whose_it_is() -> None:
    """When several strategies hold it the policy gives way: manual, unchanged, and the text says what to do."""
    drift = drift_of("AAPL", 9, row("AAPL", 5, "alpha"), row("AAPL", 5, "beta"))
    outcome = decide(drift, WHY, USE_BROKER, Matters(), NOW)
    assert (outcome.resolution, outcome.corrections) == (Resolution.MANUAL, ())
    assert outcome.conflict is not None
    assert not outcome.conflict.resolved
    assert outcome.conflict.explanation == outcome.explanation.text
    assert outcome.explanation.text.startswith("nothing known; several strategies")
    silent = decide(drift, Explanation(Cause.UNEXPLAINED), USE_BROKER, Matters(), NOW)
    assert silent.explanation.text.startswith("several strategies")


@pytest.mark.parametrize(
    ("rows", "broker", "entries"),
    [
        ({}, 5, {None: 8}),
        ({"alpha": 5}, 7, {"alpha": 8}),
        ({"alpha": 5}, -7, {"alpha": 8}),
        ({"alpha": 5}, 0, {"alpha": 7}),
        ({"alpha": 5, None: 2}, 9, {None: 7}),
        ({"alpha": 5, "beta": 5}, 12, {None: 8}),
        ({"alpha": 5, None: 2}, 4, {"alpha": 8, None: 7}),
        ({"alpha": 15, None: -5}, 20, {None: 8}),
    ],
)
def test_entry_price_follows_the_broker(
    rows: Mapping[str | None, int], broker: int, entries: Mapping[str | None, int]
) -> None:
    """The broker's average (8) for a new row, one that is the whole position, or one that flips; else the row's (7)."""
    book = tuple(row("AAPL", quantity, owner) for owner, quantity in rows.items())
    drift = drift_of("AAPL", broker, *book)
    corrections = correct(drift, Explanation(Cause.EXTERNAL_TRADE))
    assert corrections is not None
    assert {c.strategy_id: c.entry_price for c in corrections} == entries
    assert {c.cause for c in corrections} == {Cause.EXTERNAL_TRADE}
    assert {c.instrument for c in corrections} == {drift.instrument}
    assert {c.asset_id for c in corrections} == {"id-AAPL" if broker else None}


def test_unknown_entry_price_keeps_the_rows() -> None:
    """A broker's row without entry price, or with none shown, overwrites nothing."""
    drift = drift_of("AAPL", 7, row("AAPL", 5))
    assert drift.position is not None
    drift = replace(drift, position=replace(drift.position, entry_price=None))
    corrections = correct(drift, Explanation(Cause.FILL))
    assert corrections is not None
    assert corrections[0].entry_price == 7


def test_policy_is_by_cause() -> None:
    """A cause that is named has its own resolution, every other the default."""
    policy = Policy(Resolution.USE_BROKER, {Cause.LEDGER_EDIT: Resolution.MANUAL})
    drift = drift_of("AAPL", 7, row("AAPL", 5))
    for cause, resolution in ((Cause.LEDGER_EDIT, Resolution.MANUAL), (Cause.FILL, Resolution.USE_BROKER)):
        outcome = decide(drift, Explanation(cause, "text"), policy, Matters(), NOW)
        assert outcome.resolution is resolution
        assert outcome.explanation.cause is cause


def conflict_of(outcome: Outcome) -> Conflict:
    """The outcome's conflict, which must exist."""
    assert outcome.conflict is not None
    return outcome.conflict


def test_new_conflict_says_all_that_is_known() -> None:
    """A conflict has both quantities and their values, the cause, and when it was opened and seen."""
    drift = drift_of("AAPL", 7, row("AAPL", 5))
    opened = conflict_of(decide(drift, WHY, MANUAL, Matters(), NOW))
    assert opened == Conflict(
        id=None,
        instrument=drift.instrument,
        kind=Kind.QUANTITY,
        cause=Cause.UNEXPLAINED,
        broker_quantity=Decimal(7),
        ledger_quantity=Decimal(5),
        resolution=Resolution.MANUAL,
        opened_at=NOW,
        last_seen_at=NOW,
        sightings=1,
        explanation="nothing known",
        broker_value=Decimal(70),
        ledger_value=Decimal(50),
    )
    settled = conflict_of(decide(drift, WHY, USE_BROKER, Matters(), NOW))
    assert (settled.resolved_at, settled.resolved_by) == (NOW, "policy")


def test_unknown_price_gives_an_unknown_value() -> None:
    """Where the broker does not tell a price the conflict's values are unknown, not zero."""
    drift = replace(drift_of("AAPL", 7, row("AAPL", 5)), position=position("AAPL", 7, price=None))
    unpriced = conflict_of(decide(drift, WHY, MANUAL, Matters(), NOW))
    assert (unpriced.broker_value, unpriced.ledger_value) == (None, None)
    unseen = conflict_of(decide(drift_of("AAPL", 0, row("AAPL", 5)), WHY, MANUAL, Matters(), NOW))
    assert (unseen.broker_value, unseen.ledger_value) == (None, None)


def test_open_conflict_is_seen_again_and_not_opened_twice() -> None:
    """The same kind again keeps id, opening time and note, and counts; its figures are today's."""
    known = replace(
        conflict_of(decide(drift_of("AAPL", 7, row("AAPL", 5)), WHY, MANUAL, Matters(), NOW)), id=3, note="call"
    )
    again = conflict_of(decide(drift_of("AAPL", 9, row("AAPL", 5)), WHY, MANUAL, Matters(None, known, None), LATER))
    assert (again.id, again.opened_at, again.note, again.sightings) == (3, NOW, "call", 2)
    assert (again.last_seen_at, again.broker_quantity) == (LATER, 9)
    settled = conflict_of(
        decide(drift_of("AAPL", 9, row("AAPL", 5)), WHY, USE_BROKER, Matters(None, known, None), LATER)
    )
    assert (settled.id, settled.sightings, settled.resolved_at) == (3, 2, LATER)
    other = conflict_of(decide(drift_of("AAPL", 0, row("AAPL", 5)), WHY, MANUAL, Matters(None, known, None), LATER))
    assert (other.id, other.sightings, other.opened_at) == (None, 1, LATER)


def test_case_31_doubt_does_not_end_an_open_conflict() -> None:
    """An account that cannot be read for one pass makes a hold, and the conflict goes on instead of opening anew."""
    drift = drift_of("AAPL", 0, row("AAPL", 5))
    known = replace(conflict_of(decide(drift, WHY, MANUAL, Matters(), NOW)), id=3)
    doubted = decide(drift, WHY, USE_BROKER, Matters("no account", known, None), LATER)
    assert (conflict_of(doubted).id, conflict_of(doubted).sightings, conflict_of(doubted).resolved) == (3, 2, False)
    assert doubted.hold is not None
    assert doubted.corrections == ()
    other_kind = decide(drift, WHY, MANUAL, Matters("no account", replace(known, kind=Kind.QUANTITY), None), LATER)
    assert other_kind.conflict is None


def test_an_operator_who_takes_the_brokers_quantity_gets_it() -> None:
    """What was accepted before is over then; by policy it is kept."""
    drift = replace(drift_of("AAPL", 120, row("AAPL", 131)), accepted=Decimal(-10))
    conflict = decide(drift, WHY, MANUAL, Matters(), NOW).conflict
    decision = Decision(1, drift.instrument, Resolution.USE_BROKER, drift.broker, drift.ledger, "ann", NOW, 5)
    outcome = decide(drift, WHY, MANUAL, Matters(conflict=conflict, decision=decision), LATER)
    assert [correction.after for correction in outcome.corrections] == [120]
    assert outcome.drift.target == 120
    kept = decide(drift, WHY, USE_BROKER, Matters(), NOW)
    assert [correction.after for correction in kept.corrections] == [130]

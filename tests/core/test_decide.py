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
from recond.core.decide import QUANTITY_LENGTH_MAX, SEVERAL_OWNERS, Matters, Policy, decide, stranded
from recond.core.diff import diff
from recond.core.model import Accepted, Cause, Conflict, Decision, Drift, Hold, Instrument, Kind, LedgerRow, Resolution
from recond.core.run import AcceptedNow, Explanation, Outcome, Part, Ratio
from tests.core.strategies import (
    NOW,
    TOLERANCE,
    Books,
    applied,
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
    two = row("AAPL", 100, "a"), row("AAPL", 5, "b", row_id=2)
    drift = replace(drift_of("AAPL", "107.00000000000000000000000000000000000001", *two))
    quantities = (("a", Decimal("1e-38")), ("b", Decimal(2)))
    parts = tuple(Part(Cause.MISSED_FILL, q, owned=True, strategy_id=whose) for whose, q in quantities)
    assert decide(drift, Explanation(Cause.MISSED_FILL, "", parts), USE_BROKER, Matters(), NOW).corrections == ()
    longest = drift_of("AAPL", "1" * QUANTITY_LENGTH_MAX, row("AAPL", 5))
    assert decide(longest, WHY, USE_BROKER, Matters(), NOW).corrections


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
        ({"alpha": "0.5", None: "0.1"}, "-0.9", {"alpha": Decimal("-0.9")}),
        ({"alpha": 10, "beta": -5}, 7, None),
        ({"alpha": 5, "beta": -5}, 3, None),
        ({"alpha": 15, None: -5}, 15, {"alpha": 15}),
        ({"alpha": 15, None: -5}, 20, {"alpha": 15, None: 5}),
        ({"alpha": 15, None: -5}, 4, None),
    ],
)
def test_whose_row(
    rows: Mapping[str | None, int | str], broker: int | str, after: Mapping[str | None, int | Decimal] | None
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
    assert other_kind.conflict is None, "it is carried on unseen"


def test_what_is_an_operators_stays_so_while_its_quantities_stay() -> None:
    """A better explanation, or another policy, changes what is told of it; other quantities are another matter."""
    drift = drift_of("AAPL", 7, row("AAPL", 5))
    known = replace(conflict_of(decide(drift, WHY, MANUAL, Matters(), NOW)), id=3)
    better = Explanation(Cause.MISSED_FILL, "a fill", (Part(Cause.MISSED_FILL, Decimal(2)),), proven=True)
    again = decide(drift, better, USE_BROKER, Matters(conflict=known), LATER)
    assert (again.corrections, again.resolution) == ((), Resolution.MANUAL)
    assert (conflict_of(again).id, conflict_of(again).cause, conflict_of(again).resolved) == (3, better.cause, False)
    for other in ({"broker_quantity": Decimal(8)}, {"ledger_quantity": Decimal(4)}, {"kind": Kind.MISSING_IN_LEDGER}):
        assert decide(drift, better, USE_BROKER, Matters(conflict=replace(known, **other)), LATER).corrections


def test_a_decision_waits_while_an_answer_is_not_believed() -> None:
    """What it is about is not there in that answer, which is no reason to refuse it; one about a hold is another."""
    shown, gone = drift_of("AAPL", 7, row("AAPL", 5)), drift_of("AAPL", 0, row("AAPL", 5))
    made = decision(shown)
    known = replace(conflict_of(decide(shown, WHY, MANUAL, Matters(), NOW)), id=5)
    waits = decide(gone, WHY, USE_BROKER, Matters("no account", known, decision=made), LATER)
    assert (waits.decision, waits.conflict, waits.hold is None) == (None, None, False)
    moved = decide(gone, WHY, USE_BROKER, Matters(None, known, decision=made), LATER)
    assert moved.decision is not None
    assert moved.decision.outcome == "refused: the quantities are others now"
    of_hold = replace(made, conflict_id=None, hold_id=4)
    assert decide(gone, WHY, USE_BROKER, Matters("no account", known, decision=of_hold), LATER).decision is not None


# Operators


def decision(drift: Drift, resolution: Resolution = Resolution.USE_BROKER, **more: object) -> Decision:
    """What an operator has decided about these quantities."""
    made = Decision(3, drift.instrument, resolution, drift.broker, drift.ledger, "ann", NOW, conflict_id=5)
    return replace(made, **more)  # type: ignore[arg-type]


SEVERAL = drift_of("AAPL", 9, row("AAPL", 5, "alpha", row_id=1), row("AAPL", 5, "beta", row_id=2))
OPEN = replace(conflict_of(decide(SEVERAL, WHY, MANUAL, Matters(), NOW)), id=5, note="seen")


def decided(drift: Drift, made: Decision, *, policy: Policy = MANUAL, **more: object) -> Outcome:
    """The outcome of a decision about the open conflict."""
    return decide(drift, WHY, policy, Matters(conflict=OPEN, decision=made, **more), LATER)  # type: ignore[arg-type]


def test_an_operator_goes_before_the_policy() -> None:
    """What was decided about these very quantities is done, on the row that was named, and ends the conflict."""
    outcome = decided(SEVERAL, decision(SEVERAL, names_row=True, strategy_id="beta", note="mine"))
    assert [(c.strategy_id, c.after) for c in outcome.corrections] == [("beta", 4)]
    assert outcome.resolution is Resolution.USE_BROKER
    ended = conflict_of(outcome)
    assert (ended.id, ended.sightings, ended.resolved_at, ended.resolved_by) == (5, 2, LATER, "ann")
    assert ended.note == "mine"
    assert outcome.decision == decision(SEVERAL, names_row=True, strategy_id="beta", note="mine", outcome="done")
    silent = conflict_of(decided(SEVERAL, decision(SEVERAL, names_row=True, strategy_id="beta")))
    assert silent.note == "seen"


@pytest.mark.parametrize("other", [{"broker_quantity": Decimal(8)}, {"ledger_quantity": Decimal(11)}])
def test_a_decision_about_other_quantities_is_refused(other: dict[str, Decimal]) -> None:
    """The operator saw something else: the policy stands, and the decision says why nothing came of it."""
    for resolution in (Resolution.USE_BROKER, Resolution.USE_DB):
        made = decision(SEVERAL, resolution, names_row=True, strategy_id="beta", **other)
        outcome = decided(SEVERAL, made)
        assert (outcome.corrections, outcome.accepted, outcome.resolution) == ((), None, Resolution.MANUAL)
        assert conflict_of(outcome) == replace(OPEN, sightings=2, last_seen_at=LATER)
        assert outcome.decision == replace(made, outcome="refused: the quantities are others now")


def test_a_decision_about_what_is_in_doubt_is_refused() -> None:
    """Nobody may act on what is not proven, or is waited for; accepting the hold is another decision."""
    for matters, why in (({"doubt": "not shown"}, WHY), ({}, replace(WHY, wait="for its other leg"))):
        made = decision(SEVERAL, names_row=True, strategy_id="beta")
        matter = Matters(conflict=OPEN, decision=made, **matters)  # type: ignore[arg-type]
        outcome = decide(SEVERAL, why, USE_BROKER, matter, LATER)
        assert (outcome.corrections, outcome.accepted) == ((), None)
        assert outcome.hold is not None
        assert outcome.hold.reason == matters.get("doubt", "for its other leg")
        assert outcome.decision == replace(made, outcome="refused: it is on hold")


def test_accepting_a_hold_does_what_the_policy_says() -> None:
    """That set, once: the doubt is set aside, and with the policy `manual` it becomes a conflict."""
    gone = drift_of("AAPL", 0, row("AAPL", 5))
    held = Hold(7, gone.instrument, "not shown", gone.broker, gone.ledger, NOW)
    made = decision(gone, conflict_id=None, hold_id=7)
    for policy, closed in ((USE_BROKER, 1), (MANUAL, 0)):
        outcome = decide(gone, WHY, policy, Matters("not shown", None, held, made), LATER)
        assert (len(outcome.corrections), outcome.hold) == (closed, None)
        assert (outcome.conflict is None) == bool(closed)
        assert outcome.decision == replace(made, outcome="done")
    more = drift_of("AAPL", 0, row("AAPL", 6))
    refused = decide(more, WHY, USE_BROKER, Matters("not shown", None, held, made), LATER)
    assert refused.corrections == ()
    assert refused.hold is not None
    assert (refused.hold.id, refused.hold.ledger_quantity) == (7, 6)
    assert refused.decision is not None
    assert refused.decision.outcome == "refused: the quantities are others now"


def test_the_ledger_stands_when_the_operator_says_so() -> None:
    """`use_db` writes no row: the signed difference is accepted, by whom, and the conflict has ended."""
    outcome = decided(SEVERAL, decision(SEVERAL, Resolution.USE_DB, note="a loan"))
    assert (outcome.corrections, outcome.resolution) == ((), Resolution.USE_DB)
    assert outcome.accepted == Accepted(SEVERAL.instrument, Decimal(-1), LATER, "ann", "a loan")
    assert (conflict_of(outcome).resolved_by, conflict_of(outcome).resolved_at) == ("ann", LATER)
    assert outcome.settled
    assert outcome.decision is not None
    assert outcome.decision.outcome == "done"
    made = decision(SEVERAL)
    assert stranded(made, {"OTHER"}).outcome == "it ended by itself"
    assert stranded(made, {made.instrument.symbol}).outcome == "refused: its symbol is ignored now"


def test_an_operator_who_names_no_row_among_several_is_told_to() -> None:
    """Without a row, or with one that would get the other sign, the conflict stays open and says so."""
    unnamed = decided(SEVERAL, decision(SEVERAL))
    assert unnamed.decision is not None
    assert unnamed.decision.outcome is not None
    assert unnamed.decision.outcome.startswith("refused: several strategies")
    flipped = drift_of("AAPL", 3, row("AAPL", 5, "alpha", row_id=1), row("AAPL", 5, "beta", row_id=2))
    wrong = decided(flipped, decision(flipped, names_row=True, strategy_id="beta"))
    assert wrong.decision is not None
    assert wrong.decision.outcome is not None
    assert "other sign" in wrong.decision.outcome
    for outcome in (unnamed, wrong):
        assert (outcome.corrections, outcome.resolution) == ((), Resolution.MANUAL)
        assert not conflict_of(outcome).resolved


def test_of_several_causes_the_strictest_decides_and_is_told() -> None:
    """A later pass knows the open conflict by its cause alone, so it is the one that an operator decides about."""
    policy = Policy(Resolution.USE_BROKER, {Cause.LEDGER_EDIT: Resolution.MANUAL})
    parts = (Part(Cause.TRANSFER, Decimal(4)), Part(Cause.LEDGER_EDIT, Decimal(-2)))
    drift = drift_of("AAPL", 7, row("AAPL", 5))
    outcome = decide(drift, Explanation(Cause.TRANSFER, "both", parts), policy, Matters(), NOW)
    assert (outcome.resolution, outcome.corrections) == (Resolution.MANUAL, ())
    known = replace(conflict_of(outcome), id=5)
    assert known.cause is Cause.LEDGER_EDIT
    moved = drift_of("AAPL", 8, row("AAPL", 5))
    after = decide(moved, Explanation(known.cause, known.explanation), policy, Matters(conflict=known), LATER)
    assert (after.resolution, after.corrections) == (Resolution.MANUAL, ())
    again = decide(drift, Explanation(known.cause, known.explanation), policy, Matters(conflict=known), LATER)
    assert (again.resolution, again.corrections, conflict_of(again).sightings) == (Resolution.MANUAL, (), 2)
    open_to_all = decide(drift, Explanation(Cause.TRANSFER, "both", parts), USE_BROKER, Matters(), NOW)
    assert conflict_of(open_to_all).cause is Cause.TRANSFER


def test_what_cannot_be_told_is_said_once() -> None:
    """A conflict that is seen again does not grow a sentence with each pass."""
    first = decide(SEVERAL, WHY, USE_BROKER, Matters(), NOW)
    again = decide(SEVERAL, first.explanation, USE_BROKER, Matters(conflict=OPEN), LATER)
    assert again.explanation.text == first.explanation.text


def test_both_names_are_done_at_once() -> None:
    """The old name's rows are renamed by its outcome, and the new one's has nothing to add."""
    old, new = drift_of("AAPL", 0, row("AAPL", 5, "alpha")), drift_of("MSFT", 5)
    goes = Explanation(Cause.SYMBOL_CHANGE, "t", (Part(Cause.SYMBOL_CHANGE, Decimal(-5), goes_to=new.instrument),))
    comes = Explanation(Cause.SYMBOL_CHANGE, "t", (Part(Cause.SYMBOL_CHANGE, Decimal(5), comes_from=old.instrument),))
    renamed = decide(old, goes, USE_BROKER, Matters(partner=new), NOW)
    assert [(c.instrument, c.strategy_id, c.after) for c in renamed.corrections] == [(new.instrument, "alpha", 5)]
    taken_in = decide(new, comes, USE_BROKER, Matters(partner=old), NOW)
    assert (taken_in.corrections, taken_in.settled, taken_in.conflict) == ((), True, None)
    closed = decide(old, goes, USE_BROKER, Matters(partner=new, decision=decision(old)), NOW)
    assert [(c.instrument, c.after) for c in closed.corrections] == [(old.instrument, 0)]


@pytest.mark.parametrize(
    ("broker", "ledger", "more"),
    [(5, 4, False), (5, 5, False), (5, 6, True), (-5, -6, True), (-5, -4, False), (0, 1, True), (5, -1, True),
     (5, 0, False), (0, 0, False)],
)  # fmt: skip
def test_a_ledger_that_claims_more_than_there_is(broker: int, ledger: int, more: bool) -> None:
    """More of the same sign, the other sign, or something where the broker has nothing."""
    accepted = Accepted(Instrument("us_equity", "AAPL"), Decimal(broker - ledger), NOW, "me")
    standing = AcceptedNow(accepted, Decimal(broker), Decimal(ledger))
    assert standing.claims_more is more


@given(drifts(), st.sampled_from(list(Resolution)), st.booleans())
def test_deciding_twice_is_deciding_once(drift: Drift, default: Resolution, doubted: bool) -> None:
    """The same input gives the same outcome, and a held instrument has no correction and accepts nothing."""
    made = decision(drift, Resolution.USE_DB)
    for matters in (
        Matters("not shown" if doubted else None),
        Matters("not shown" if doubted else None, decision=made),
    ):
        outcome = decide(drift, WHY, Policy(default, {}), matters, NOW)
        assert decide(drift, WHY, Policy(default, {}), matters, NOW) == outcome
        if doubted:
            assert (outcome.corrections, outcome.accepted) == ((), None)
            assert outcome.hold is not None
            assert not outcome.settled


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


def test_a_split_scales_an_accepted_difference_and_makes_none() -> None:
    """Two shares that the ledger is known to lack are four; where nothing is accepted nothing is."""
    part = Part(Cause.SPLIT, Decimal(10), ratio=Ratio(Decimal(2), Decimal(1)))
    explained = Explanation(Cause.SPLIT, "two for one", (part,), proven=True)
    drift = drift_of("AAPL", 24, row("AAPL", 10))
    scaled = decide(replace(drift, accepted=Decimal(2)), explained, USE_BROKER, Matters(), NOW).accepted
    assert scaled is not None
    assert scaled.difference == 4
    plain = decide(drift_of("AAPL", 20, row("AAPL", 10)), explained, USE_BROKER, Matters(), NOW)
    assert (plain.accepted, [c.after for c in plain.corrections]) == (None, [20])


def test_what_named_nobody_at_first_names_nobody_at_the_next_sighting() -> None:
    """A later pass knows the conflict without its parts: the rule for what nobody explains must not step in then."""
    drift = drift_of("AAPL", 80, row("AAPL", 50, "mean"))
    known = Explanation(Cause.SPLIT, f"a split and a sale; {SEVERAL_OWNERS}")
    again = decide(drift, known, USE_BROKER, Matters(), NOW)
    assert (again.resolution, again.corrections) == (Resolution.MANUAL, ())
    assert again.explanation.text == known.text, "it does not grow with each sighting"
    flat = decide(drift_of("AAPL", 0, row("AAPL", 50, "mean")), known, USE_BROKER, Matters(), NOW)
    assert [c.after for c in flat.corrections] == [0], "nothing is left to be somebody's"
    named = Decision(1, drift.instrument, Resolution.USE_BROKER, drift.broker, drift.ledger, "ann", NOW, conflict_id=5)
    named = replace(named, names_row=True, strategy_id="mean")
    conflict = replace(conflict_of(again), id=5)
    done = decide(drift, known, USE_BROKER, Matters(conflict=conflict, decision=named), LATER)
    assert [c.after for c in done.corrections] == [80]

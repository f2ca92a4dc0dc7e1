"""What a pass adds up to, and what is withheld when the ledger changed meanwhile."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recond.core.conclude import conclude, emptied, failed, numbered, tally, withhold
from recond.core.decide import Matters, Policy, decide
from recond.core.diff import Comparison, diff
from recond.core.model import (
    Accepted,
    AccountState,
    Baseline,
    BrokerPosition,
    Cause,
    Conflict,
    Decision,
    Drift,
    Hold,
    Holdings,
    Instrument,
    Kind,
    LedgerReading,
    LedgerRow,
    Resolution,
    Unreadable,
)
from recond.core.run import Explanation, Outcome, Part, Pending, Problem, Reason, Record, Refresh, Run, RunStatus
from tests.core.strategies import CLASSES, NOW, TOLERANCE, Books, books, drift_of, position, row

USE_BROKER = Policy(Resolution.USE_BROKER, {})
MANUAL = Policy(Resolution.MANUAL, {})
WHY = Explanation(Cause.UNEXPLAINED, "why")
THEN = NOW - timedelta(hours=1)
STATE = AccountState("id", "ACTIVE", equity=Decimal(5000))
HEADER = Run(
    id=1,
    account="default",
    user_id=1,
    sequence=4,
    reasons=(Reason.TIMER,),
    started_at=NOW,
    finished_at=NOW,
    duration_s=0.5,
    status=RunStatus.FAILED,
    account_state=STATE,
)


def conflict(symbol: str, conflict_id: int | None = 5, kind: Kind = Kind.QUANTITY) -> Conflict:
    """An open conflict from an hour ago."""
    instrument = Instrument(CLASSES[symbol], symbol)
    one, manual = Decimal(1), Resolution.MANUAL
    return Conflict(conflict_id, instrument, kind, Cause.UNEXPLAINED, one, one, manual, THEN, THEN, sightings=3)


def hold(symbol: str, hold_id: int | None = 6) -> Hold:
    """An open hold from an hour ago."""
    return Hold(hold_id, Instrument(CLASSES[symbol], symbol), "not shown", Decimal(0), Decimal(1), THEN)


def baseline(symbol: str, broker: int, ledger: int) -> Baseline:
    """A baseline from an hour ago."""
    return Baseline(Instrument(CLASSES[symbol], symbol), Decimal(broker), Decimal(ledger), Decimal(9), THEN)


def pending_of(drift: Drift) -> Pending:
    """The drift, waiting to be judged."""
    return Pending(drift.instrument, drift.kind, drift.broker, drift.ledger, since_s=1.0, due_s=2.0, why="young")


def concluded(
    held: Holdings,
    rows: tuple[LedgerRow, ...],
    *,
    policy: Policy = USE_BROKER,
    waiting: frozenset[str] = frozenset(),
    doubted: frozenset[str] = frozenset(),
    ignore: frozenset[str] = frozenset(),
    bad_rows: tuple[Unreadable, ...] = (),
    conflicts: tuple[Conflict, ...] = (),
    holds: tuple[Hold, ...] = (),
    baselines: tuple[Baseline, ...] = (),
    header: Run = HEADER,
) -> Record:
    """A whole pass over both sides: drifts of `waiting` symbols are pending, those of `doubted` ones unproven."""
    reading = LedgerReading(
        rows,
        seq=9,
        unreadable=bad_rows,
        conflicts=conflicts,
        holds=holds,
        baselines={b.instrument: b for b in baselines},
    )
    comparison: Comparison = diff(held, rows, bad_rows, TOLERANCE, ignore)
    open_conflicts = {c.instrument.symbol: c for c in conflicts}
    open_holds = {h.instrument.symbol: h for h in holds}
    outcomes: list[Outcome] = []
    pending: list[Pending] = []
    for drift in comparison.drifts:
        symbol = drift.instrument.symbol
        if symbol in waiting:
            pending.append(pending_of(drift))
        else:
            doubt = "not shown" if symbol in doubted else None
            outcomes.append(
                decide(drift, WHY, policy, Matters(doubt, open_conflicts.get(symbol), open_holds.get(symbol)), NOW)
            )
    return conclude(header, held, reading, comparison, outcomes, pending, 77.0, ignore, NOW)


def test_case_16_clean_state_writes_nothing_but_prices() -> None:
    """Reconciling what agrees is a success without outcomes; prices, baselines and equity are all there is to write."""
    record = concluded(Holdings((position("AAPL", 5),)), (row("AAPL", 5),))
    run = record.run
    assert (run.status, run.synced, run.added, run.removed) == (RunStatus.SUCCESS, 1, 0, 0)
    assert (run.outcomes, run.conflicts, run.corrections, run.open_holds, run.pending) == ((), (), (), (), ())
    assert (record.settled, record.equity, record.seq, record.again_s) == (True, 5000, 9, 77.0)
    assert record.baselines == (Baseline(Instrument("us_equity", "AAPL"), Decimal(5), Decimal(5), Decimal(40), NOW, 9),)


def test_figures_of_a_run() -> None:
    """Positions are counted on both sides, agreements as synced, whole positions as added or removed."""
    held = Holdings(
        (position("AAPL", 5), position("MSFT", -2), position("BRK.B", 3)), (Unreadable("BTCUSD", "qty is None"),)
    )
    rows = (row("AAPL", 4, "alpha"), row("AAPL", 1, "beta"), row("BRK.B", 4), row("PTON240126C00000500", 1))
    run = concluded(held, rows, bad_rows=(Unreadable(None, "?"),), waiting=frozenset({"BRK.B"})).run
    assert (run.broker_positions, run.db_positions) == (4, 4)
    assert (run.synced, run.total_value) == (1, None)
    record = concluded(replace(held, unreadable=()), rows)
    assert (record.run.added, record.run.removed) == (1, 1)
    assert record.run.total_value == 60
    assert (record.run.id, record.run.sequence, record.run.reasons) == (1, 4, (Reason.TIMER,))
    assert {b.instrument.symbol: (b.broker_quantity, b.ledger_quantity) for b in record.baselines} == {
        "AAPL": (5, 5),
        "MSFT": (-2, -2),
        "BRK.B": (3, 3),
        "PTON240126C00000500": (0, 0),
    }


def test_total_value_is_unknown_as_soon_as_one_is() -> None:
    """A position without a value makes the sum unknown, not smaller."""
    held = Holdings((position("AAPL", 5), position("MSFT", 5, price=None)))
    assert concluded(held, (row("AAPL", 5), row("MSFT", 5))).run.total_value is None


def test_a_corrected_quantity_is_neither_added_nor_removed() -> None:
    """Setting a row, or closing one strategy's, does not count as a position that came or went."""
    rows = (row("AAPL", 5, "alpha"), row("AAPL", 2), row("MSFT", 1))
    run = concluded(Holdings((position("AAPL", 5), position("MSFT", 2))), rows).run
    assert len(run.corrections) == 2
    assert (run.added, run.removed) == (0, 0)


@pytest.mark.parametrize(
    ("changes", "status", "settled", "equity"),
    [
        ({}, RunStatus.SUCCESS, True, Decimal(5000)),
        ({"waiting": frozenset({"AAPL"})}, RunStatus.PARTIAL, False, None),
        ({"doubted": frozenset({"AAPL"})}, RunStatus.PARTIAL, True, None),
        ({"policy": MANUAL}, RunStatus.PARTIAL, True, None),
        ({"bad_rows": (Unreadable("MSFT", "?"),)}, RunStatus.PARTIAL, False, None),
    ],
)
def test_status_of_a_run(changes: dict[str, object], status: RunStatus, settled: bool, equity: Decimal | None) -> None:
    """A position that is merely opened is success; pending, hold, conflict or unknown is partial and no agreement."""
    record = concluded(Holdings((position("AAPL", 5),)), (), **changes)  # type: ignore[arg-type]
    assert (record.run.status, record.settled, record.equity) == (status, settled, equity)


def test_resolved_conflict_is_partial_too() -> None:
    """A quantity that had to be corrected is a conflict, even when it was resolved at once."""
    record = concluded(Holdings((position("AAPL", 5),)), (row("AAPL", 4),))
    assert record.run.status is RunStatus.PARTIAL
    assert record.run.open_conflicts == ()


def test_no_equity_without_an_account() -> None:
    """What the account did not tell is not written down as equity."""
    held = Holdings((position("AAPL", 5),))
    assert concluded(held, (row("AAPL", 5),), header=replace(HEADER, account_state=None)).equity is None


def test_a_run_that_came_to_nothing_has_concluded_nothing() -> None:
    """What it would have found, ended or counted is left out; what was open and what it saw of the account stay."""
    rows = row("AAPL", 4), row("MSFT", 1)
    held = Holdings((position("AAPL", 5), position("BRK.B", 1)), (Unreadable("BTCUSD", "?"),))
    record = concluded(held, rows, waiting=frozenset({"BRK.B"}), conflicts=(conflict("MSFT"),), holds=(hold("AAPL"),))
    run, problem = record.run, Problem("locked")
    run = replace(run, ended_holds=(hold("MSFT"),), synced=3)
    assert all((run.outcomes, run.pending, run.unknown, run.ended_conflicts))
    blank = emptied(run, problem)
    assert (blank.outcomes, blank.pending, blank.unknown, blank.synced) == ((), (), (), 0)
    assert (blank.ended_conflicts, blank.ended_holds, blank.error) == ((), (), problem)
    assert (blank.account_state, blank.carried_conflicts, blank.reasons) == (STATE, run.carried_conflicts, run.reasons)


def test_failed_run_keeps_what_was_open() -> None:
    """A pass that could not be made ends nothing: its conflicts and holds are those from before."""
    run = failed(replace(HEADER, error=Problem("down")), [conflict("AAPL")], [hold("MSFT")])
    assert run.status is RunStatus.FAILED
    assert (run.open_conflicts, run.open_holds) == ((conflict("AAPL"),), (hold("MSFT"),))


@pytest.mark.parametrize(
    ("held", "rows", "changes", "ended_by"),
    [
        ((), (), {}, "agreement"),
        ((position("AAPL", 5),), (row("AAPL", 5),), {}, "agreement"),
        ((position("AAPL", 5),), (), {}, "superseded"),
        ((), (row("AAPL", 5),), {"doubted": frozenset({"AAPL"})}, None),
        ((), (row("AAPL", 5),), {}, "superseded"),
        ((position("AAPL", 5),), (row("AAPL", 3),), {"ignore": frozenset({"AAPL"})}, "ignored"),
        ((position("AAPL", 5),), (row("AAPL", 3),), {"waiting": frozenset({"AAPL"})}, None),
        ((), (), {"bad_rows": (Unreadable("AAPL", "?"),)}, None),
        ((), (), {"bad_rows": (Unreadable(None, "?"),)}, None),
    ],
)
def test_conflict_not_seen_again_has_ended_unless_undecided(
    held: tuple[object, ...], rows: tuple[LedgerRow, ...], changes: dict[str, object], ended_by: str | None
) -> None:
    """An open conflict ends by agreement, another kind of drift or being ignored; what is in doubt keeps it."""
    run = concluded(Holdings(held), rows, conflicts=(conflict("AAPL"),), **changes).run  # type: ignore[arg-type]
    if ended_by is None:
        assert (run.carried_conflicts, run.ended_conflicts) == ((conflict("AAPL"),), ())
    else:
        ended = replace(conflict("AAPL"), resolved_at=NOW, resolved_by=ended_by)
        assert (run.carried_conflicts, run.ended_conflicts) == ((), (ended,))


def test_conflict_seen_again_is_neither_carried_nor_ended() -> None:
    """The same conflict again is the outcome's, once."""
    known = conflict("AAPL")
    run = concluded(Holdings((position("AAPL", 5),)), (row("AAPL", 3),), policy=MANUAL, conflicts=(known,)).run
    assert (run.carried_conflicts, run.ended_conflicts) == ((), ())
    assert [(c.id, c.sightings) for c in run.open_conflicts] == [(5, 4)]


def test_conflict_of_another_kind_takes_its_place() -> None:
    """The one that was open has ended, and the new one is not it."""
    before = conflict("AAPL", kind=Kind.MISSING_AT_BROKER)
    run = concluded(Holdings((position("AAPL", 5),)), (row("AAPL", 3),), policy=MANUAL, conflicts=(before,)).run
    assert [(c.id, c.resolved_by) for c in run.ended_conflicts] == [(5, "superseded")]
    assert [(c.id, c.kind) for c in run.open_conflicts] == [(None, Kind.QUANTITY)]


@pytest.mark.parametrize(
    ("held", "rows", "changes", "ended_by"),
    [
        ((), (), {}, "agreement"),
        ((), (row("AAPL", 5),), {}, "proven"),
        ((position("AAPL", 5),), (row("AAPL", 5),), {}, "shown again"),
        ((position("AAPL", 4),), (row("AAPL", 5),), {}, "shown again"),
        ((position("AAPL", 5),), (), {"ignore": frozenset({"AAPL"})}, "ignored"),
        ((), (row("AAPL", 5),), {"waiting": frozenset({"AAPL"})}, None),
        ((), (), {"bad_rows": (Unreadable("AAPL", "?"),)}, None),
        ((), (), {"bad_rows": (Unreadable(None, "?"),)}, None),
    ],
)
def test_hold_ends_only_for_a_reason(
    held: tuple[object, ...], rows: tuple[LedgerRow, ...], changes: dict[str, object], ended_by: str | None
) -> None:
    """A hold ends when it is shown again, proven, gone on both sides or ignored; pending and unknown keep it."""
    run = concluded(Holdings(held), rows, holds=(hold("AAPL"),), **changes).run  # type: ignore[arg-type]
    if ended_by is None:
        assert (run.carried_holds, run.ended_holds) == ((hold("AAPL"),), ())
    else:
        assert (run.carried_holds, run.ended_holds) == ((), (replace(hold("AAPL"), ended_at=NOW, ended_by=ended_by),))


def test_hold_that_stands_is_the_outcomes() -> None:
    """What is still unproven keeps its hold, once."""
    run = concluded(Holdings(()), (row("AAPL", 5),), doubted=frozenset({"AAPL"}), holds=(hold("AAPL"),)).run
    assert [h.id for h in run.open_holds] == [6]
    assert (run.carried_holds, run.ended_holds, run.removed) == ((), (), 0)


def test_only_agreement_moves_a_baseline() -> None:
    """What is left open keeps the baseline it had; what agrees gets one, and not a flat one besides."""
    held = Holdings((position("AAPL", 5), position("MSFT", 5)))
    rows = (row("AAPL", 5), row("MSFT", 4), row("BRK.B", 4))
    known = (baseline("AAPL", 3, 3), baseline("MSFT", 4, 4), baseline("BRK.B", 4, 4))
    record = concluded(held, rows, policy=MANUAL, doubted=frozenset({"BRK.B"}), baselines=known)
    assert [(b.instrument.symbol, b.broker_quantity) for b in record.baselines] == [("AAPL", 5)]


def test_what_neither_side_has_any_more_agrees_at_zero() -> None:
    """An instrument that both sides closed gets a flat baseline, once, and not while its symbol is in doubt."""
    known = (baseline("AAPL", 5, 5), baseline("MSFT", 0, 0), baseline("BRK.B", 0, 2), baseline("BTCUSD", 1, 1))
    clean = concluded(Holdings(()), (row("BTCUSD", 1),), baselines=known, waiting=frozenset({"BTCUSD"}))
    assert {b.instrument.symbol: (b.broker_quantity, b.ledger_quantity, b.at) for b in clean.baselines} == {
        "AAPL": (0, 0, NOW),
        "BRK.B": (0, 0, NOW),
    }
    assert not concluded(Holdings(()), (), baselines=known, bad_rows=(Unreadable(None, "?"),)).baselines
    ignored = concluded(Holdings(()), (), baselines=known, ignore=frozenset(CLASSES))
    assert ignored.baselines == ()


def test_accepted_differences_of_a_run_have_their_quantities() -> None:
    """Those that stand, drift, or were accepted just now have them; what cannot be seen has none, and stays."""
    held = Holdings((position("AAPL", 3), position("MSFT", 9), position("BRK.B", 7)))
    rows = (row("AAPL", 5), row("MSFT", 4), row("BRK.B", 2))
    before = {
        symbol: Accepted(Instrument(CLASSES[symbol], symbol), Decimal(difference), THEN, "ann")
        for symbol, difference in (("AAPL", -2), ("MSFT", 1), ("BTCUSD", 1), ("PTON240126C00000500", 1))
    }
    accepted = {each.instrument: each for each in before.values()}
    reading = LedgerReading(rows, seq=9, accepted=accepted)
    comparison = diff(held, rows, (Unreadable("BTCUSD", "odd"),), TOLERANCE, frozenset(), accepted)
    [msft, brk] = comparison.drifts
    decision = Decision(1, brk.instrument, Resolution.USE_DB, brk.broker, brk.ledger, "bob", NOW, conflict_id=5)
    outcome = decide(brk, WHY, MANUAL, Matters(conflict=conflict("BRK.B"), decision=decision), NOW)
    record = conclude(HEADER, held, reading, comparison, [outcome], [pending_of(msft)], 1.0, frozenset(), read_at=NOW)
    told = {a.accepted.instrument.symbol: (a.broker, a.ledger, a.accepted.by) for a in record.run.accepted}
    assert told == {
        "AAPL": (3, 5, "ann"),
        "MSFT": (9, 4, "ann"),
        "BTCUSD": (None, None, "ann"),
        "BRK.B": (7, 2, "bob"),
    }
    assert [a.instrument.symbol for a in record.ended_accepted] == ["PTON240126C00000500"]
    kept = withhold(record, frozenset({"BRK.B", "PTON240126C00000500"})).run
    assert {a.accepted.instrument.symbol for a in kept.accepted} == {"AAPL", "MSFT", "BTCUSD", "PTON240126C00000500"}


def refreshes_of(held: Holdings, *rows: LedgerRow) -> tuple[Refresh, ...]:
    """The price refreshes of a pass."""
    return concluded(held, rows).refreshes


def test_prices_of_an_only_row_are_the_brokers() -> None:
    """The only row of an agreeing instrument gets the broker's figures as they are."""
    held = replace(position("AAPL", 5), unrealized_pl=Decimal(11), unrealized_plpc=Decimal("0.3"))
    (refresh,) = refreshes_of(Holdings((held,)), row("AAPL", 5))
    assert refresh == Refresh(
        row_id=1,
        version=3,
        asset_class="us_equity",
        asset_id="id-AAPL",
        entry_price=Decimal(8),
        price=Decimal(10),
        market_value=Decimal(50),
        unrealized_pl=Decimal(11),
        unrealized_plpc=Decimal("0.3"),
    )


def test_prices_of_several_rows_are_shared_out() -> None:
    """Each strategy's row keeps its entry price and gets its share of the value, and profit from both; shorts too."""
    first = row("AAPL", -4, "alpha", row_id=1)
    second = row("AAPL", -1, "beta", row_id=2, entry_price=None)
    one, two = refreshes_of(Holdings((position("AAPL", -5),)), first, second)
    assert (one.row_id, one.entry_price, one.market_value, one.unrealized_pl) == (1, 7, -40, -12)
    assert one.unrealized_plpc == Decimal("-0.428571429")
    assert (two.row_id, two.entry_price, two.market_value, two.unrealized_pl) == (2, 8, -10, -2)


def test_what_cost_nothing_has_a_profit_and_no_rate() -> None:
    """Shares of a spin-off may have no cost: there is nothing to divide by."""
    rows = tuple(row("AAPL", 2, owner, row_id=n, entry_price=0) for n, owner in enumerate(("alpha", "beta")))
    assert [(r.unrealized_pl, r.unrealized_plpc) for r in refreshes_of(Holdings((position("AAPL", 4),)), *rows)] == [
        (20, None)
    ] * 2


def test_contract_size_is_in_the_profit_of_shared_rows() -> None:
    """A position worth a hundred times quantity and price cost a hundred times quantity and entry price."""
    option = replace(position("PTON240126C00000500", 3), market_value=Decimal(3000))
    rows = (row("PTON240126C00000500", 1, "alpha"), row("PTON240126C00000500", 2, "beta"))
    assert [r.unrealized_pl for r in refreshes_of(Holdings((option,)), *rows)] == [300, 600]


@pytest.mark.parametrize(("price", "value"), [(None, None), (None, 50), (0, 0), (10, None), (10, Decimal("0.001"))])
def test_unknown_prices_give_no_profit(price: int | None, value: Decimal | int | None) -> None:
    """What the broker does not tell, or tells as zero, is left as it is in the rows and breaks nothing."""
    held = replace(position("AAPL", 5, price=price), market_value=None if value is None else Decimal(value))
    rows = (row("AAPL", 4, "alpha", row_id=1), row("AAPL", 1, "beta", row_id=2))
    for refresh in refreshes_of(Holdings((held,)), *rows):
        assert (refresh.unrealized_pl, refresh.unrealized_plpc) == (None, None)
        assert (refresh.market_value is None) == (value is None)


def test_nothing_is_refreshed_where_the_broker_is_flat_or_differs() -> None:
    """Only agreeing instruments that the broker holds have prices to take over."""
    rows = (row("AAPL", 5, "alpha"), row("AAPL", -5, "beta"), row("MSFT", 5))
    assert refreshes_of(Holdings((position("MSFT", 4),)), *rows) == ()


@given(*(st.builds(lambda d, e: Decimal(d).scaleb(e), st.integers(1, 10**9), st.integers(-30, 21)) for _ in range(4)))
def test_no_figure_of_the_broker_breaks_a_pass(
    price: Decimal, value: Decimal, quantity: Decimal, entry: Decimal
) -> None:
    """However large or small the numbers that a broker or a bot writes: the pass ends with a record."""
    held = replace(position("AAPL", quantity), market_value=value, price=price)
    more = (held.quantity / 4).quantize(held.quantity)
    rows = tuple(
        replace(row("AAPL", part, owner), entry_price=entry) for part, owner in ((more, "a"), (quantity - more, "b"))
    )
    for refresh in concluded(Holdings((held,)), tuple(r for r in rows if r.quantity)).refreshes:
        assert refresh.market_value is not None


@st.composite
def passes(draw: st.DrawFn) -> tuple[Record, frozenset[str]]:
    """The record of any pass, and symbols that changed while it was judged."""
    both: Books = draw(books())
    symbols = st.frozensets(st.sampled_from(sorted(CLASSES)))
    kinds = st.sampled_from(list(Kind))
    before = [replace(conflict(s, n), kind=draw(kinds)) for n, s in enumerate(sorted(draw(symbols)))]
    record = concluded(
        both.holdings,
        both.rows,
        policy=draw(st.sampled_from((USE_BROKER, MANUAL))),
        waiting=draw(symbols),
        doubted=draw(symbols),
        ignore=both.ignore,
        bad_rows=both.unreadable_rows,
        conflicts=tuple(before),
        holds=tuple(hold(s, n) for n, s in enumerate(sorted(draw(symbols)))),
    )
    return record, draw(symbols)


@given(passes())
def test_withholding_removes_just_the_changed_symbols(made: tuple[Record, frozenset[str]]) -> None:
    """Outcomes and baselines of changed symbols go, their drifts are pending, all else stays as it was."""
    record, changed = made
    kept = withhold(record, changed)
    assert kept.run.outcomes == tuple(o for o in record.run.outcomes if o.drift.instrument.symbol not in changed)
    assert kept.baselines == tuple(b for b in record.baselines if b.instrument.symbol not in changed)
    again = kept.run.pending[len(record.run.pending) :]
    assert kept.run.pending[: len(record.run.pending)] == record.run.pending
    withheld = [o.drift for o in record.run.outcomes if o.drift.instrument.symbol in changed]
    assert [(p.instrument, p.kind, p.broker, p.ledger, p.due_s, p.in_motion) for p in again] == [
        (d.instrument, d.kind, d.broker, d.ledger, 77.0, False) for d in withheld
    ]
    assert kept.refreshes == record.refreshes
    assert (kept.seq, kept.run.unknown, kept.run.synced) == (record.seq, record.run.unknown, record.run.synced)
    assert withhold(record, frozenset()) == record


@given(passes())
def test_what_was_open_stays_open_when_withheld(made: tuple[Record, frozenset[str]]) -> None:
    """Conflicts and holds of changed symbols neither open, end nor count a sighting; the others do as decided."""
    record, changed = made
    run = withhold(record, changed).run
    known = {c.id: c for c in (*record.run.conflicts, *record.run.carried_conflicts, *record.run.ended_conflicts)}
    known.pop(None, None)
    for before in known.values():
        assert before.id is not None
        (now_open,) = [c for c in run.open_conflicts if c.id == before.id] or [None]
        if before.instrument.symbol in changed:
            assert now_open is not None
            assert (now_open.resolved, now_open.resolved_by, now_open.sightings) == (False, None, 3)
            assert now_open in run.carried_conflicts
        else:
            assert (now_open is None) == before.resolved
    assert not any(c.instrument.symbol in changed for c in (*run.conflicts, *run.ended_conflicts))
    held = {h.id for h in (*record.run.open_holds, *record.run.ended_holds) if h.instrument.symbol in changed}
    assert {h.id for h in run.open_holds if h.instrument.symbol in changed} == held - {None}
    assert all(h.ended_at is None and h.ended_by is None for h in run.open_holds)
    assert not any(h.instrument.symbol in changed for h in run.ended_holds)


@given(passes())
def test_status_and_figures_follow_what_is_withheld(made: tuple[Record, frozenset[str]]) -> None:
    """After withholding, status, counts and equity are those of what is left; nothing withheld counts as settled."""
    record, changed = made
    kept = withhold(record, changed)
    run = kept.run
    assert tally(run) == run
    unsettled = any((run.pending, run.unknown, run.conflicts, run.open_conflicts, run.open_holds))
    assert run.status is (RunStatus.PARTIAL if unsettled else RunStatus.SUCCESS)
    assert kept.settled <= (not (run.pending or run.unknown))
    assert (kept.equity is None) or run.status is RunStatus.SUCCESS
    assert run.added == sum(o.drift.kind is Kind.MISSING_IN_LEDGER and bool(o.corrections) for o in run.outcomes)
    assert run.removed == sum(o.drift.kind is Kind.MISSING_AT_BROKER and bool(o.corrections) for o in run.outcomes)


def test_withheld_conflict_and_hold_are_as_they_were() -> None:
    """What this run saw again, or would have settled, is carried as unseen, open and under its own number."""
    held, rows = Holdings((position("AAPL", 5),)), (row("AAPL", 4), row("MSFT", 4), row("BRK.B", 4))
    known = {"conflicts": (conflict("AAPL", 5),), "holds": (hold("MSFT", 6), hold("BRK.B", 7))}
    for policy in (MANUAL, USE_BROKER):
        record = concluded(held, rows, policy=policy, doubted=frozenset({"MSFT"}), **known)  # type: ignore[arg-type]
        kept = withhold(record, frozenset({"AAPL", "MSFT", "BRK.B"})).run
        assert [(c.id, c.sightings, c.resolved) for c in kept.carried_conflicts] == [(5, 3, False)]
        assert {(h.id, h.ended_at) for h in kept.carried_holds} == {(6, None), (7, None)}
        assert (kept.outcomes, kept.ended_conflicts, kept.ended_holds) == ((), (), ())


def test_pass_that_withheld_something_is_no_agreement() -> None:
    """Equity and the settled state are written for what was recorded, not for what was meant to be."""
    record = concluded(Holdings((position("AAPL", 5),)), ())
    assert (record.settled, record.equity, record.run.added) == (True, 5000, 1)
    kept = withhold(record, frozenset({"AAPL"}))
    assert (kept.settled, kept.equity, kept.run.added, kept.run.status) == (False, None, 0, RunStatus.PARTIAL)


def test_rows_are_not_given_up_where_somebody_has_changed_something() -> None:
    """What was agreed on may be another thing by now."""
    record = replace(concluded(Holdings(()), ()), given_up=frozenset({"AAPL", "MSFT"}))
    assert withhold(record, frozenset({"AAPL"})).given_up == {"MSFT"}


def test_settled_survives_a_change_that_withholds_nothing() -> None:
    """A bot's change to what agreed does not undo that every instrument was judged."""
    record = concluded(Holdings((position("AAPL", 5),)), (row("AAPL", 5),))
    kept = withhold(record, frozenset({"AAPL", "MSFT"}))
    assert (kept.settled, kept.equity, kept.baselines) == (True, 5000, ())


def test_numbers_of_the_ledger_reach_the_run() -> None:
    """New conflicts and holds get the ledger's ids; those that have one keep it."""
    held = Holdings((position("AAPL", 5), position("MSFT", 5)))
    rows = (row("AAPL", 4), row("MSFT", 4), row("BRK.B", 4), row("BTCUSD", 1))
    doubted = frozenset({"BRK.B", "BTCUSD"})
    record = concluded(held, rows, doubted=doubted, conflicts=(conflict("MSFT", 5),), holds=(hold("BTCUSD", 6),))
    run = numbered(
        record.run,
        {(Instrument("us_equity", "AAPL"), Kind.QUANTITY): 50},
        {Instrument("us_equity", "BRK.B"): 60},
    )
    assert {c.instrument.symbol: c.id for c in run.conflicts} == {"AAPL": 50, "MSFT": 5}
    assert {h.instrument.symbol: h.id for h in run.open_holds} == {"BRK.B": 60, "BTCUSD": 6}
    assert {o.drift for o in run.outcomes} == {o.drift for o in record.run.outcomes}


def test_drift_of_the_helpers_is_what_diff_makes() -> None:
    """The drifts that tests make by hand are those that the comparison of the same rows gives."""
    made = diff(Holdings((position("AAPL", 5),)), (row("AAPL", 3),), (), TOLERANCE, frozenset()).drifts
    assert made == (drift_of("AAPL", 5, row("AAPL", 3)),)


# What an operator has accepted or decided, and whether all was quiet


def acceptance(symbol: str, difference: int) -> Accepted:
    """What an operator has accepted an hour ago."""
    return Accepted(Instrument(CLASSES[symbol], symbol), Decimal(difference), THEN, "ann")


def order(symbol: str, **more: object) -> Decision:
    """What an operator has decided, about a conflict unless a hold is named."""
    made = Decision(1, Instrument(CLASSES[symbol], symbol), Resolution.USE_DB, Decimal(5), Decimal(3), "ann", NOW)
    return replace(made, **{"conflict_id": 5, **more})  # type: ignore[arg-type]


def ended_pass(
    held: tuple[BrokerPosition, ...],
    rows: tuple[LedgerRow, ...],
    *,
    policy: Policy = USE_BROKER,
    why: Explanation = WHY,
    waiting: str = "",
    doubted: str = "",
    ignore: frozenset[str] = frozenset(),
    **known: object,
) -> Record:
    """A pass over both sides with what is known of before; operators' decisions are acted on."""
    reading = LedgerReading(rows, seq=9, **known)  # type: ignore[arg-type]
    comparison = diff(Holdings(held), rows, reading.unreadable, TOLERANCE, ignore, reading.accepted)
    decisions = {decision.instrument: decision for decision in reading.decisions}
    holds = {hold.instrument: hold for hold in reading.holds}
    outcomes = []
    for drift in comparison.drifts:
        symbol, each = drift.instrument.symbol, drift.instrument
        doubt = "not shown" if symbol == doubted else None
        if symbol != waiting:
            matters = Matters(doubt, hold=holds.get(each), decision=decisions.get(each))
            outcomes.append(decide(drift, why, policy, matters, NOW))
    pending = [pending_of(d) for d in comparison.drifts if d.instrument.symbol == waiting]
    return conclude(HEADER, Holdings(held), reading, comparison, outcomes, pending, 77.0, ignore, NOW)


@pytest.mark.parametrize(
    ("held", "ledger", "changes", "stays"),
    [
        (15, 10, {}, True),
        (10, 10, {}, False),
        (18, 10, {}, True),
        (18, 10, {"policy": MANUAL}, True),
        (3, 5, {}, False),
        (3, 5, {"policy": MANUAL}, True),
        (3, 5, {"doubted": "AAPL"}, True),
        (3, 5, {"waiting": "AAPL"}, True),
        (0, 0, {}, False),
        (0, 0, {"ignore": frozenset({"AAPL"})}, True),
        (0, 0, {"unreadable": (Unreadable("AAPL", "?"),)}, True),
        (0, 0, {"unreadable": (Unreadable(None, "?"),)}, True),
    ],
)
def test_an_accepted_difference_lasts_while_it_has_a_meaning(
    held: int, ledger: int, changes: dict[str, object], stays: bool
) -> None:
    """Agreement ends it, and a correction that had to go past it; what is undecided, unread or ignored does not."""
    accepted = acceptance("AAPL", 5)
    shown = (position("AAPL", held),) if held else ()
    rows = (row("AAPL", ledger),) if ledger else ()
    record = ended_pass(shown, rows, accepted={accepted.instrument: accepted}, **changes)  # type: ignore[arg-type]
    assert record.ended_accepted == (() if stays else (accepted,))
    assert len(record.run.accepted) == stays


def test_a_difference_about_what_only_the_ledger_has_is_told_with_no_quantity_at_the_broker() -> None:
    """Five that the broker never had were accepted; the reading's count of repins goes with the record."""
    accepted = acceptance("AAPL", -5)
    record = ended_pass((), (row("AAPL", 5),), accepted={accepted.instrument: accepted}, repins=2)
    assert [(a.broker, a.ledger) for a in record.run.accepted] == [(0, 5)]
    assert record.repins == 2


def test_a_difference_that_is_accepted_anew_is_there_once() -> None:
    """The newer word counts; the ledger's quantity stands and is what both are known to hold."""
    accepted = acceptance("AAPL", 1)
    record = ended_pass(
        (position("AAPL", 5),),
        (row("AAPL", 3),),
        policy=MANUAL,
        accepted={accepted.instrument: accepted},
        decisions=(order("AAPL"),),
    )
    assert (len(record.run.accepted), record.ended_accepted, record.run.corrections) == (1, (), ())
    assert [outcome.accepted.difference for outcome in record.run.outcomes if outcome.accepted is not None] == [2]
    assert [(b.broker_quantity, b.ledger_quantity) for b in record.baselines] == [(5, 3)]


def test_shares_of_what_is_accepted_are_not_the_rows() -> None:
    """An only row beside an accepted difference has its share of the value, and keeps its own entry price."""
    accepted = acceptance("AAPL", 5)
    (refresh,) = ended_pass(
        (position("AAPL", 15),), (row("AAPL", 10),), accepted={accepted.instrument: accepted}
    ).refreshes
    assert (refresh.entry_price, refresh.market_value, refresh.unrealized_pl) == (7, 100, 30)


def test_a_decision_about_what_has_ended_by_itself_comes_to_nothing() -> None:
    """But not while its instrument, or any, is undecided."""
    agreed, undecided = order("AAPL"), order("MSFT")
    record = ended_pass((position("MSFT", 5),), (row("MSFT", 3),), waiting="MSFT", decisions=(agreed, undecided))
    assert record.ended_decisions == (replace(agreed, outcome="it ended by itself"),)
    ignored = ended_pass((), (), decisions=(agreed,), ignore=frozenset({"AAPL"}))
    assert [each.outcome for each in ignored.ended_decisions] == ["refused: its symbol is ignored now"]
    unread = ended_pass((), (), unreadable=(Unreadable(None, "?"),), decisions=(agreed,))
    assert unread.ended_decisions == ()
    judged = ended_pass((position("AAPL", 5),), (row("AAPL", 3),), decisions=(agreed,))
    assert judged.ended_decisions == ()


@pytest.mark.parametrize(
    ("changes", "quiet"),
    [
        ({}, True),
        ({"policy": MANUAL}, False),
        ({"doubted": "AAPL"}, False),
        ({"waiting": "AAPL"}, False),
        ({"unreadable": (Unreadable("MSFT", "?"),)}, False),
    ],
)
def test_all_is_quiet_when_nothing_is_left_open(changes: dict[str, object], quiet: bool) -> None:
    """An open conflict or hold, something pending or unread: then what neither side has need not have been flat."""
    record = ended_pass((position("AAPL", 5),), (row("AAPL", 3),), **changes)  # type: ignore[arg-type]
    assert (record.quiet, record.read_at) == (quiet, NOW)


def test_a_hold_says_what_has_ended_it() -> None:
    """Evidence, an operator who accepted just that hold, or proof."""
    gone, rows = hold("AAPL"), (row("AAPL", 1),)
    part = Part(Cause.TRANSFER, Decimal(-1), activities=("a",))
    told = Explanation(Cause.TRANSFER, "t", (part,), proven=True)
    word = order("AAPL", broker_quantity=Decimal(0), ledger_quantity=Decimal(1), hold_id=6)
    for record, ended_by in (
        (ended_pass((), rows, holds=(gone,), why=told), "explained"),
        (ended_pass((), rows, holds=(gone,)), "proven"),
        (ended_pass((), rows, holds=(gone,), doubted="AAPL", decisions=(word,)), "accepted by ann"),
        (ended_pass((), rows, holds=(gone,), decisions=(replace(word, hold_id=None),)), "proven"),
    ):
        assert [ended.ended_by for ended in record.run.ended_holds] == [ended_by]
    lost = replace(gone, broker_quantity=Decimal(5))
    (back,) = ended_pass((position("AAPL", 5),), (row("AAPL", 5),), holds=(lost,)).run.ended_holds
    assert back.ended_by == "agreement"


def test_what_was_accepted_decided_or_released_is_withheld_with_its_symbol() -> None:
    """Nothing of a changed symbol ends, and the pass was neither settled nor quiet; other symbols' changes are free."""
    accepted, decided = acceptance("AAPL", 5), order("AAPL")
    record = ended_pass(
        (position("AAPL", 10),), (row("AAPL", 10),), accepted={accepted.instrument: accepted}, decisions=(decided,)
    )
    assert (len(record.ended_accepted), len(record.ended_decisions)) == (1, 1)
    assert withhold(record, frozenset({"MSFT"})) == record
    kept = withhold(record, frozenset({"AAPL"}))
    assert (kept.ended_accepted, kept.ended_decisions) == ((), ())
    for open_before in ({"holds": (hold("AAPL"),)}, {"conflicts": (conflict("AAPL"),)}):
        record = ended_pass((position("AAPL", 10),), (row("AAPL", 10),), **open_before)  # type: ignore[arg-type]
        assert (record.quiet, record.equity) == (True, 5000)
        kept = withhold(record, frozenset({"AAPL"}))
        assert (kept.quiet, kept.equity) == (False, None)
        assert kept.settled is ("conflicts" in open_before)
        assert (kept.run.ended_conflicts, kept.run.ended_holds) == ((), ())
        assert withhold(record, frozenset({"MSFT"})).quiet
    opened = withhold(ended_pass((), (row("AAPL", 5),), doubted="AAPL"), frozenset({"AAPL"}))
    assert opened.run.open_holds == ()
    drifting = ended_pass((position("AAPL", 5),), (), policy=USE_BROKER)
    assert (drifting.quiet, withhold(drifting, frozenset({"AAPL"})).quiet) == (True, False)

"""How several passes add up to one answer, and several gates to one."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from recond.core.gate import Gate, GateReason, GateState
from recond.core.model import Kind
from recond.core.run import RunStatus
from recond.ports import Page
from recond.web import views
from tests.web.house import COIN, NOW, a_conflict, a_pending, a_run


def test_a_conflict_is_told_once_as_it_was_left() -> None:
    """The same instrument and kind in several passes is one conflict; one that only ended here is not told."""
    seen = a_conflict()
    ended = replace(seen, resolved_at=NOW, resolved_by="agreement", sightings=2)
    other_kind = a_conflict(kind=Kind.MISSING_AT_BROKER, id=8)
    long_open = a_conflict(COIN, id=9, resolved_at=NOW)
    runs = [
        a_run(1, status=RunStatus.PARTIAL, carried_conflicts=(seen, other_kind)),
        a_run(2, ended_conflicts=(ended, long_open)),
    ]
    answer = views.reconciliation(runs, 0.0)
    assert [(c.id, c.sightings, c.resolved) for c in answer.conflicts] == [(7, 2, True), (8, 1, False)]


def test_an_answer_with_a_conflict_is_no_plain_success() -> None:
    """Though the last pass found nothing, the answer that shows a conflict is partial; a failure stays one."""
    first = a_run(1, status=RunStatus.PARTIAL, carried_conflicts=(a_conflict(),))
    assert views.reconciliation([first, a_run(2)], 0.0).status is RunStatus.PARTIAL
    assert views.reconciliation([a_run(2)], 0.0).status is RunStatus.SUCCESS
    assert views.reconciliation([first, a_run(2, status=RunStatus.FAILED)], 0.0).status is RunStatus.FAILED


def test_moments_become_distances() -> None:
    """A pending difference shows how old it is and when it is due, never a negative time."""
    shown = views.pending(a_pending(since_s=100.0, due_s=112.5), now_s=110.0)
    assert (shown.age_ms, shown.recheck_in_ms) == (10_000, 2_500)
    assert views.pending(a_pending(since_s=100.0, due_s=105.0), now_s=110.0).recheck_in_ms == 0


def test_the_worst_gate_counts() -> None:
    """Blocked is worse than unknown, unknown than clear, and no gate at all is not clear."""
    unknown = Gate(GateState.UNKNOWN, (GateReason(GateState.UNKNOWN, "stale", "old"),))
    blocked = Gate(GateState.BLOCKED, (GateReason(GateState.BLOCKED, "hold", "held", "AAPL"),))
    clear = Gate(GateState.CLEAR)
    for gates, worst in (
        ({"a": [clear], "b": [clear]}, GateState.CLEAR),
        ({"a": [clear], "b": [clear, unknown]}, GateState.UNKNOWN),
        ({"a": [blocked], "b": [unknown]}, GateState.BLOCKED),
        ({}, GateState.UNKNOWN),
    ):
        assert views.gate(gates, NOW, account=None, symbol=None).state is worst
    both = views.gate({"a": [unknown, unknown], "b": [blocked]}, NOW, account=None, symbol=None)
    assert [(reason.account, reason.code) for reason in both.reasons] == [("a", "stale"), ("b", "hold")]


def test_rows_keep_their_digits() -> None:
    """Column names become camelCase; a float is taken by its shortest digits, not by its binary value."""
    page = Page(({"run_id": 1, "duration_s": 0.1, "quantity": Decimal("1E-9"), "note": None},), 1)
    assert views.rows(page) == [{"runId": 1, "durationS": Decimal("0.1"), "quantity": Decimal("1E-9"), "note": None}]

"""The gate: clear only when everything that counts is known and good."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recond.core.gate import Gate, GateState, account_gate, symbol_gate
from recond.core.model import Accepted, AccountState, Cause, Conflict, Hold, Instrument, Kind, Resolution, Unreadable
from recond.core.run import AcceptedNow, Pending, Problem, Reason, Run, RunStatus
from tests.core.strategies import NOW

GOOD = AccountState("id", "ACTIVE", trading_blocked=False, account_blocked=False)
CLEAN = Run(
    id=1,
    account="default",
    user_id=1,
    sequence=1,
    reasons=(Reason.TIMER,),
    started_at=NOW,
    finished_at=NOW,
    duration_s=0.1,
    status=RunStatus.SUCCESS,
    account_state=GOOD,
)
AAPL, MSFT = Instrument("us_equity", "AAPL"), Instrument("us_equity", "MSFT")
ONE, TWO = Decimal(1), Decimal(2)
CONFLICT = Conflict(1, AAPL, Kind.QUANTITY, Cause.UNEXPLAINED, ONE, TWO, Resolution.MANUAL, NOW, NOW)
HOLD = Hold(1, AAPL, "not shown", ONE, TWO, NOW)
PENDING = Pending(AAPL, Kind.QUANTITY, ONE, TWO, 0.0, 1.0, "young")
IN_MOTION = replace(PENDING, in_motion=True, why="never rests")
OVERDUE = replace(PENDING, overdue=True, why="old")


def gates(run: Run | None, age_s: float | None = 1.0, max_age_s: float = 600.0) -> tuple[Gate, Gate, Gate]:
    """The gate of the account, of AAPL and of MSFT."""
    return (
        account_gate(run, age_s, max_age_s),
        symbol_gate(run, "AAPL", age_s, max_age_s),
        symbol_gate(run, "MSFT", age_s, max_age_s),
    )


def states(run: Run | None, age_s: float | None = 1.0, max_age_s: float = 600.0) -> list[str]:
    """The three states."""
    return [gate.state.value for gate in gates(run, age_s, max_age_s)]


def test_clean_and_recent_is_clear() -> None:
    """A recent pass with nothing open lets everybody trade, up to and with the greatest age asked for."""
    assert gates(CLEAN, 600.0) == (Gate(GateState.CLEAR),) * 3
    assert states(CLEAN, 600.1) == ["unknown"] * 3


@pytest.mark.parametrize(
    ("run", "age_s", "code"),
    [
        (None, None, "no_success_yet"),
        (None, 1.0, "no_success_yet"),
        (CLEAN, None, "no_success_yet"),
        (replace(CLEAN, status=RunStatus.FAILED, error=Problem("broker down")), 1.0, "last_pass_failed"),
        (replace(CLEAN, status=RunStatus.FAILED), 1.0, "last_pass_failed"),
        (replace(CLEAN, status=RunStatus.FAILED, account_state=None), 1.0, "last_pass_failed"),
        (CLEAN, 601.0, "stale"),
        (replace(CLEAN, account_state=replace(GOOD, account_blocked=True)), 1.0, "account_blocked"),
        (replace(CLEAN, account_state=replace(GOOD, trading_blocked=True)), 1.0, "trading_blocked"),
        (replace(CLEAN, account_state=replace(GOOD, account_blocked=None)), 1.0, "account_blocked"),
        (replace(CLEAN, account_state=replace(GOOD, trading_blocked=None)), 1.0, "trading_blocked"),
        (replace(CLEAN, account_state=replace(GOOD, status="ACCOUNT_CLOSED")), 1.0, "account_status"),
    ],
)
def test_unknown_never_reads_as_clear(run: Run | None, age_s: float | None, code: str) -> None:
    """Nothing known, a failed or old pass, an account that is blocked or does not say: unknown for every question."""
    for gate in gates(run, age_s):
        assert gate.state is GateState.UNKNOWN
        assert [(reason.code, reason.state, reason.symbol) for reason in gate.reasons] == [
            (code, GateState.UNKNOWN, None)
        ]


def test_first_failure_is_told() -> None:
    """Before any success the reason of the failure is part of the answer."""
    failed = replace(CLEAN, status=RunStatus.FAILED, error=Problem("broker down"))
    assert "broker down" in account_gate(failed, None, 600.0).reasons[0].text
    assert "broker down" in account_gate(failed, 1.0, 600.0).reasons[0].text


@pytest.mark.parametrize(
    ("changes", "expected", "code", "word"),
    [
        ({"carried_conflicts": (CONFLICT,)}, ["blocked", "blocked", "clear"], "conflict", "broker 1, ledger 2"),
        ({"carried_holds": (HOLD,)}, ["blocked", "blocked", "clear"], "hold", "not shown"),
        ({"pending": (IN_MOTION,)}, ["blocked", "blocked", "clear"], "drift_in_motion", "never rests"),
        ({"pending": (PENDING,)}, ["clear", "unknown", "clear"], "pending", "young"),
        ({"pending": (OVERDUE,)}, ["clear", "unknown", "clear"], "pending_too_long", "old"),
        ({"unknown": (Unreadable("AAPL", "qty is None"),)}, ["clear", "unknown", "clear"], "unreadable", "qty is None"),
        ({"unknown": (Unreadable(None, "no name"),)}, ["clear", "unknown", "unknown"], "unreadable", "no name"),
    ],
)
def test_what_concerns_whom(changes: dict[str, object], expected: list[str], code: str, word: str) -> None:
    """Conflicts, holds and drifts in motion block their symbol and the account; pending and unreadable the symbol."""
    run = replace(CLEAN, status=RunStatus.PARTIAL, **changes)  # type: ignore[arg-type]
    assert states(run) == expected
    (reason,) = gates(run)[1].reasons
    assert reason.code == code
    assert word in reason.text
    assert reason.state.value == expected[1]


def test_worst_answer_wins_and_every_reason_is_told() -> None:
    """Blocked before unknown: an open conflict is not hidden by a stale pass, and both are said."""
    run = replace(CLEAN, carried_conflicts=(CONFLICT,), pending=(PENDING,))
    gate = symbol_gate(run, "AAPL", 601.0, 600.0)
    assert gate.state is GateState.BLOCKED
    assert [reason.code for reason in gate.reasons] == ["stale", "conflict", "pending"]
    assert symbol_gate(run, "MSFT", 601.0, 600.0).state is GateState.UNKNOWN


@given(
    st.sampled_from((None, *RunStatus)),
    st.one_of(st.none(), st.floats(0, 2000)),
    st.sampled_from((None, GOOD, replace(GOOD, account_blocked=None), replace(GOOD, status="SUBMITTED"))),
    st.sampled_from(((), (CONFLICT,))),
    st.sampled_from(((), (HOLD,))),
    st.sampled_from(((), (PENDING,), (IN_MOTION,))),
    st.sampled_from(((), (Unreadable("AAPL", "?"),), (Unreadable(None, "?"),))),
)
def test_clear_means_that_no_reason_is_left(
    status: RunStatus | None,
    age_s: float | None,
    account: AccountState | None,
    conflicts: tuple[Conflict, ...],
    holds: tuple[Hold, ...],
    pending: tuple[Pending, ...],
    unknown: tuple[Unreadable, ...],
) -> None:
    """In every combination, a symbol is clear only with a recent pass that did not fail and nothing open about it."""
    run = status and replace(
        CLEAN,
        status=status,
        account_state=account,
        carried_conflicts=conflicts,
        carried_holds=holds,
        pending=pending,
        unknown=unknown,
    )
    good = status not in (None, RunStatus.FAILED) and age_s is not None and age_s <= 600 and account in (None, GOOD)
    whole, aapl, _ = gates(run, age_s)
    assert (aapl.state is GateState.CLEAR) == (good and not (conflicts or holds or pending or unknown))
    assert (whole.state is GateState.CLEAR) == (good and not (conflicts or holds or IN_MOTION in pending))
    assert all((gate.reasons == ()) == (gate.state is GateState.CLEAR) for gate in (whole, aapl))


@pytest.mark.parametrize(
    ("broker", "ledger", "expected"),
    [
        (Decimal(8), Decimal(10), ["clear", "blocked", "clear"]),
        (Decimal(-8), Decimal(-10), ["clear", "blocked", "clear"]),
        (Decimal(0), Decimal(10), ["clear", "blocked", "clear"]),
        (Decimal(-8), Decimal(10), ["clear", "blocked", "clear"]),
        (Decimal(10), Decimal(8), ["clear", "clear", "clear"]),
        (Decimal(10), Decimal(0), ["clear", "clear", "clear"]),
        (None, None, ["clear", "clear", "clear"]),
    ],
)
def test_accepted_difference_that_claims_too_much_blocks_its_symbol(
    broker: Decimal | None, ledger: Decimal | None, expected: list[str]
) -> None:
    """The ledger may fall short of the broker as accepted, but what the broker does not hold cannot be sold."""
    accepted = AcceptedNow(Accepted(AAPL, ONE, NOW, "ann"), broker, ledger)
    run = replace(CLEAN, accepted=(accepted,))
    assert states(run) == expected
    if expected[1] == "blocked":
        [reason] = gates(run)[1].reasons
        assert (reason.code, reason.symbol, "ann" in reason.text) == ("accepted_difference", "AAPL", True)


def test_a_gap_in_the_evidence_closes_the_gate() -> None:
    """What the stream may have lost has not been asked for: for every symbol it is not known whether one may trade."""
    for gate in gates(replace(CLEAN, evidence_gap=True)):
        assert gate.state is GateState.UNKNOWN
        assert [reason.code for reason in gate.reasons] == ["evidence_gap"]

"""May the bot trade: the answer as a pure function of what is known.

Owns the three answers and their reasons, in codes and in words.
May not ask the broker or the ledger, or treat what is not known as clear.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from recond.core.model import AccountState
from recond.core.run import Run, RunStatus


class GateState(StrEnum):
    """`clear` is the only answer that lets a bot trade."""

    CLEAR = "clear"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class GateReason:
    """One reason against trading; `symbol` is None when it concerns the whole account."""

    state: GateState
    code: str
    text: str
    symbol: str | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """The answer and every reason for it; no reasons means clear."""

    state: GateState
    reasons: tuple[GateReason, ...] = ()


def account_gate(run: Run | None, success_age_s: float | None, max_age_s: float) -> Gate:
    """The gate of a whole account: the worst of the account's own reasons and of its open conflicts and holds.

    `run` is the last pass of the account, `success_age_s` the age of its last pass that did not fail, None when
    there is none yet. Instruments that are pending, or differ as an operator has accepted, do not close all of it.
    """
    return _worst([*_own_reasons(run, success_age_s, max_age_s), *(_blocked(run) if run else ())])


def symbol_gate(run: Run | None, symbol: str, success_age_s: float | None, max_age_s: float) -> Gate:
    """The gate of one instrument: the account's own reasons and those of this symbol."""
    reasons = _own_reasons(run, success_age_s, max_age_s)
    if run is not None:
        reasons += [*_blocked(run, symbol), *_overclaimed(run, symbol), *_undecided(run, symbol)]
    return _worst(reasons)


def _own_reasons(run: Run | None, success_age_s: float | None, max_age_s: float) -> list[GateReason]:
    """What is wrong with the account as such."""
    if run is None or success_age_s is None:
        failed = f": {run.error.message}" if run is not None and run.error is not None else ""
        return [GateReason(GateState.UNKNOWN, "no_success_yet", f"no pass has succeeded yet{failed}")]
    reasons = []
    if run.status is RunStatus.FAILED:
        text = "the last pass failed" if run.error is None else run.error.message
        reasons.append(GateReason(GateState.UNKNOWN, "last_pass_failed", text))
    if success_age_s > max_age_s:
        text = f"the last success is {success_age_s:.0f} s old, more than {max_age_s:.0f} s"
        reasons.append(GateReason(GateState.UNKNOWN, "stale", text))
    if run.evidence_gap:
        text = "the stream was interrupted, and what it may have lost has not been asked for yet"
        reasons.append(GateReason(GateState.UNKNOWN, "evidence_gap", text))
    if run.account_state is not None:
        reasons += _account_reasons(run.account_state)
    return reasons


def _account_reasons(account: AccountState) -> list[GateReason]:
    """What the broker itself says against trading."""
    marks = (
        (account.account_blocked, "account_blocked", "the account"),
        (account.trading_blocked, "trading_blocked", "trading in the account"),
    )
    reasons = []
    for blocked, code, what in marks:
        if blocked is not False:
            text = f"the broker {'has blocked' if blocked else 'does not tell whether it has blocked'} {what}"
            reasons.append(GateReason(GateState.UNKNOWN, code, text))
    if account.status != "ACTIVE":
        text = f"the broker calls the account {account.status}"
        reasons.append(GateReason(GateState.UNKNOWN, "account_status", text))
    return reasons


def _blocked(run: Run, symbol: str | None = None) -> list[GateReason]:
    """Open conflicts, holds, and drifts that are certain though the instrument does not rest; of one symbol, or all."""
    told = [
        *(
            (c.instrument, "conflict", f"broker {c.broker_quantity:f}, ledger {c.ledger_quantity:f} ({c.cause})")
            for c in run.open_conflicts
            if symbol in (None, c.instrument.symbol)
        ),
        *((h.instrument, "hold", h.reason) for h in run.open_holds if symbol in (None, h.instrument.symbol)),
        *(
            (p.instrument, "drift_in_motion", p.why)
            for p in run.pending
            if p.in_motion and symbol in (None, p.instrument.symbol)
        ),
    ]
    return [GateReason(GateState.BLOCKED, code, f"{i.symbol}: {text}", i.symbol) for i, code, text in told]


def _overclaimed(run: Run, symbol: str) -> list[GateReason]:
    """An accepted difference that makes the ledger claim more than the broker holds."""
    return [
        GateReason(
            GateState.BLOCKED,
            "accepted_difference",
            f"{symbol}: the ledger claims {a.ledger:f} and the broker holds {a.broker:f}, as {a.accepted.by} accepted",
            symbol,
        )
        for a in run.accepted
        if a.accepted.instrument.symbol == symbol and a.claims_more
    ]


def _undecided(run: Run, symbol: str) -> list[GateReason]:
    """What is pending of this symbol, and rows that could not be read and are of it or of nobody knows which."""
    reasons = [
        GateReason(
            GateState.UNKNOWN, "pending_too_long" if p.overdue else "pending", f"{symbol}: {p.why}", p.instrument.symbol
        )
        for p in run.pending
        if p.instrument.symbol == symbol and not p.in_motion
    ]
    reasons += [
        GateReason(GateState.UNKNOWN, "unreadable", u.problem, u.symbol)
        for u in run.unknown
        if u.symbol in (symbol, None)
    ]
    return reasons


def _worst(reasons: Sequence[GateReason]) -> Gate:
    """Blocked before unknown before clear."""
    states = {reason.state for reason in reasons}
    for state in (GateState.BLOCKED, GateState.UNKNOWN):
        if state in states:
            return Gate(state, tuple(reasons))
    return Gate(GateState.CLEAR)

"""From a run, a gate or the status to the shapes of the answers.

Owns what of them is shown, and how several passes add up to one answer.
May not ask anybody: the wall time and the moment on the monotonic clock are arguments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from pydantic.alias_generators import to_camel

import recond
from recond.core.gate import Gate, GateState
from recond.core.model import Conflict, Hold, Instrument, Kind
from recond.core.run import AcceptedNow, Outcome, Pending, Preview, Run, RunStatus
from recond.ports import Page
from recond.status import AccountStatus, Status
from recond.web.shapes import (
    AcceptedView,
    AccountView,
    BrokerAccountView,
    ConflictView,
    DryRun,
    Environment,
    Fault,
    GateReasonView,
    GateView,
    HoldView,
    PassView,
    PendingView,
    PinnedAccount,
    PinnedAccounts,
    Reconciliation,
    StatusView,
    UnreadableView,
    WouldBe,
    WouldBeCorrection,
)

_SEVERITY = (GateState.CLEAR, GateState.UNKNOWN, GateState.BLOCKED)


def reconciliation(runs: Sequence[Run], now_s: float, *, skipped: bool = False) -> Reconciliation:
    """What the passes of one account came to together; `runs` is not empty, the oldest first.

    Opened and closed positions and conflicts are those of all passes, everything else is the last one's.
    """
    last = runs[-1]
    conflicts = _conflicts(runs)
    figures = _figures(last) | {"added": sum(run.added for run in runs), "removed": sum(run.removed for run in runs)}
    # A conflict that an early pass resolved is one that the answer shows, so the answer is not a plain success.
    if conflicts and last.status is RunStatus.SUCCESS:
        figures["status"] = RunStatus.PARTIAL
    return Reconciliation(
        **figures,
        conflicts=tuple(map(conflict, conflicts)),
        pending=tuple(pending(entry, now_s) for entry in last.pending),
        unreadable=_unreadable(last),
        holds=tuple(map(hold, last.open_holds)),
        passes=len(runs),
        skipped=skipped,
    )


def dry_run(preview: Preview, now_s: float) -> DryRun:
    """What a pass would do, now and if what is pending stays as it is."""

    def when(outcome: Outcome) -> Literal["now", "if_it_stays"]:
        return "now" if outcome.drift.instrument in preview.now else "if_it_stays"

    return DryRun(
        **{**dict(reconciliation([preview.run], now_s)), "recorded": False},
        dry_run=True,
        drifts=tuple(
            WouldBe(
                symbol=outcome.drift.instrument.symbol,
                asset_class=outcome.drift.instrument.asset_class,
                kind=outcome.drift.kind,
                broker_qty=outcome.drift.broker,
                db_qty=outcome.drift.ledger,
                cause=outcome.explanation.cause,
                explanation=outcome.explanation.text,
                resolution=outcome.resolution,
                hold=None if outcome.hold is None else outcome.hold.reason,
                would_be=when(outcome),
            )
            for outcome in preview.certain
        ),
        corrections=tuple(
            WouldBeCorrection(
                symbol=correction.instrument.symbol,
                asset_class=correction.instrument.asset_class,
                strategy=correction.strategy_id,
                before=correction.before,
                after=correction.after,
                cause=correction.cause,
                explanation=outcome.explanation.text,
                would_be=when(outcome),
            )
            for outcome in preview.certain
            for correction in outcome.corrections
        ),
    )


def _figures(run: Run) -> dict[str, Any]:
    """The fields of a `PassView`."""
    return {
        "timestamp": run.finished_at,
        "status": run.status,
        "broker_positions": run.broker_positions,
        "db_positions": run.db_positions,
        "synced": run.synced,
        "added": run.added,
        "removed": run.removed,
        "total_value": run.total_value,
        "run_id": run.id,
        "account": run.account,
        "user_id": run.user_id,
        "trigger": run.trigger,
        "error": _fault(run),
        "duration_ms": round(run.duration_s * 1000),
        "recorded": run.recorded,
    }


def _unreadable(run: Run) -> tuple[UnreadableView, ...]:
    return tuple(UnreadableView(symbol=row.symbol, problem=row.problem) for row in run.unknown)


def _conflicts(runs: Sequence[Run]) -> tuple[Conflict, ...]:
    """Each conflict of the passes once, as the latest of them left it."""
    latest: dict[tuple[Instrument, Kind], Conflict] = {}
    for run in runs:
        ended = {(c.instrument, c.kind): c for c in run.ended_conflicts}
        latest.update({key: c for key, c in ended.items() if key in latest})
        latest.update({(c.instrument, c.kind): c for c in (*run.carried_conflicts, *run.conflicts)})
    return tuple(latest.values())


def conflict(value: Conflict) -> ConflictView:
    """One conflict."""
    return ConflictView(
        id=value.id,
        symbol=value.instrument.symbol,
        asset_class=value.instrument.asset_class,
        kind=value.kind,
        cause=value.cause,
        explanation=value.explanation,
        broker_qty=value.broker_quantity,
        db_qty=value.ledger_quantity,
        broker_value=value.broker_value,
        db_value=value.ledger_value,
        resolution=value.resolution,
        resolved=value.resolved,
        opened_at=value.opened_at,
        last_seen_at=value.last_seen_at,
        sightings=value.sightings,
        resolved_at=value.resolved_at,
        resolved_by=value.resolved_by,
        note=value.note,
    )


def hold(value: Hold) -> HoldView:
    """One open hold."""
    return HoldView(
        id=value.id,
        symbol=value.instrument.symbol,
        asset_class=value.instrument.asset_class,
        reason=value.reason,
        broker_qty=value.broker_quantity,
        db_qty=value.ledger_quantity,
        opened_at=value.opened_at,
    )


def pending(value: Pending, now_s: float) -> PendingView:
    """One pending difference, its moments as distances from `now_s`."""
    return PendingView(
        symbol=value.instrument.symbol,
        asset_class=value.instrument.asset_class,
        kind=value.kind,
        broker_qty=value.broker,
        db_qty=value.ledger,
        why=value.why,
        in_motion=value.in_motion,
        overdue=value.overdue,
        age_ms=max(0, round((now_s - value.since_s) * 1000)),
        recheck_in_ms=max(0, round((value.due_s - now_s) * 1000)),
    )


def gate(gates: Mapping[str, Sequence[Gate]], now: datetime, *, account: str | None, symbol: str | None) -> GateView:
    """The worst of the gates of each account, with every reason once."""
    reasons = {
        GateReasonView(account=name, symbol=reason.symbol, state=reason.state, code=reason.code, text=reason.text): None
        for name, its in gates.items()
        for value in its
        for reason in value.reasons
    }
    states = [value.state for its in gates.values() for value in its]
    worst = max(states, key=_SEVERITY.index, default=GateState.UNKNOWN)
    return GateView(state=worst, account=account, symbol=symbol, reasons=tuple(reasons), timestamp=now)


def status(
    accounts: Sequence[tuple[AccountStatus, Gate]],
    *,
    interval_s: float,
    warnings: Sequence[str],
    now: datetime,
    now_s: float,
) -> StatusView:
    """These accounts as known now, each with its gate."""
    runs = [account.last_run for account, _ in accounts if account.last_run is not None]
    latest = max(runs, key=lambda run: run.finished_at, default=None)
    return StatusView(
        timestamp=now,
        version=recond.__version__,
        interval=round(interval_s * 1000),
        last_run=None if latest is None else reconciliation([latest], now_s),
        accounts=tuple(_account(account, value, now, now_s) for account, value in accounts),
        warnings=tuple(warnings),
    )


def _account(account: AccountStatus, its_gate: Gate, now: datetime, now_s: float) -> AccountView:
    run = account.last_run
    age_s = None if account.success_s is None else now_s - account.success_s
    environment: Environment = "live" if account.environment == "live" else "paper"
    return AccountView(
        account=account.name,
        user_id=account.user_id,
        environment=environment,
        last_run=None if run is None else PassView(**_figures(run)),
        last_success=account.success_at,
        last_success_age_ms=None if age_s is None else round(age_s * 1000),
        stream=account.stream,
        gate=gate({account.name: [its_gate]}, now, account=account.name, symbol=None),
        open_conflicts=() if run is None else tuple(map(conflict, run.open_conflicts)),
        holds=() if run is None else tuple(map(hold, run.open_holds)),
        pending=() if run is None else tuple(pending(entry, now_s) for entry in run.pending),
        unreadable=() if run is None else _unreadable(run),
        accepted=() if run is None else tuple(map(_accepted, run.accepted)),
        broker_account=_broker_account(run),
    )


def _accepted(value: AcceptedNow) -> AcceptedView:
    accepted = value.accepted
    return AcceptedView(
        symbol=accepted.instrument.symbol,
        asset_class=accepted.instrument.asset_class,
        difference=accepted.difference,
        broker_qty=value.broker,
        db_qty=value.ledger,
        at=accepted.at,
        by=accepted.by,
        note=accepted.note,
    )


def pinned(rows: Sequence[Mapping[str, Any]], known: Status) -> PinnedAccounts:
    """The accounts that have a book in the ledger, with what is known of them now."""
    return PinnedAccounts(items=tuple(_pinned(row, known) for row in rows))


def _pinned(row: Mapping[str, Any], known: Status) -> PinnedAccount:
    account = known.accounts.get(row["name"])
    run = None if account is None else account.last_run
    return PinnedAccount(
        account=row["name"],
        user_id=row["userId"],
        environment=row["environment"],
        configured=account is not None,
        broker_account_id=row["brokerAccountId"],
        broker_account=None if account is None else _broker_account(run),
        adopted_at=row["adoptedAt"],
        repins=row["repins"],
        status=None if run is None else run.status,
        error=None if run is None else _fault(run),
        gate=None if account is None else known.gate(row["name"]).state,
    )


def _fault(run: Run) -> Fault | None:
    return Fault(message=run.error.message, hint=run.error.hint) if run.error else None


def _broker_account(run: Run | None) -> BrokerAccountView | None:
    if run is None or run.account_state is None:
        return None
    state = run.account_state
    return BrokerAccountView(
        id=state.id,
        status=state.status,
        number=state.number,
        currency=state.currency,
        equity=state.equity,
        cash=state.cash,
        long_market_value=state.long_market_value,
        short_market_value=state.short_market_value,
        trading_blocked=state.trading_blocked,
        account_blocked=state.account_blocked,
    )


def readiness(known: Status, max_age_s: float) -> tuple[str, ...]:
    """What speaks against being ready: each account without a success, or with one older than `max_age_s`."""
    reasons = []
    for name, account in known.accounts.items():
        age_s = known.success_age_s(name)
        if age_s is None:
            error = account.last_run.error if account.last_run else None
            reasons.append(f"{name}: no pass has succeeded yet{f': {error.message}' if error else ''}")
        elif age_s > max_age_s:
            reasons.append(f"{name}: the last success is {age_s:.0f} s old, more than {max_age_s:.0f} s")
    return tuple(reasons)


def rows(page: Page) -> list[dict[str, object]]:
    """The rows of a page under camelCase names; what the ledger keeps as a float (a duration) keeps its digits."""
    names = {column: to_camel(column) for row in page.rows[:1] for column in row}
    return [{names[column]: _exact(value) for column, value in row.items()} for row in page.rows]


def _exact(value: object) -> object:
    """A value of a row; what a row lists is rows again, or numbers."""
    if isinstance(value, list):
        return [
            {to_camel(name): inner for name, inner in entry.items()} if isinstance(entry, Mapping) else entry
            for entry in value
        ]
    return Decimal(repr(value)) if isinstance(value, float) else value

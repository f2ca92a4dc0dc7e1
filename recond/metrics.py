"""What Prometheus gets to know: runs and a few measurements as series of one registry.

Owns the names, labels and meaning of all metrics, and that known series exist from the start.
May not keep knowledge of its own beyond them, and may not decide what is alarming: see `monitoring/`.
"""

from __future__ import annotations

import platform
import sqlite3
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from recond.core.gate import GateState
from recond.core.model import Cause, Drift, Kind, Resolution
from recond.core.run import Reason, Run, RunStatus
from recond.ports import Usage

ENDPOINTS = ("positions", "account", "orders", "activities")
STREAM_EVENTS = ("fill", "partial_fill", "new", "canceled", "unknown", "garbage", "null", "other")
_REQUEST_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_COMMIT_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)
_DETECTION_S = (15, 17.5, 20, 25, 30, 45, 60, 90, 120, 300, 600)
_LAG_S = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5)


class Metrics:
    """All series of the accounts with the given names. `record` observes runs, and may be called in a thread."""

    def __init__(self, registry: CollectorRegistry, accounts: Sequence[str], *, version: str) -> None:
        # A `_created` twin for every counter would double the exposition for nothing.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry
        info = Info("recond_build", "The version that runs.", registry=registry)
        info.info({"version": version, "python": platform.python_version(), "sqlite": sqlite3.sqlite_version})
        self._runs = self._counter("reconciliations", "Passes, by their first reason.", "trigger", "status")
        self._duration = self._histogram("reconciliation_duration_seconds", "Time a pass took.", _REQUEST_S)
        self._last = self._gauge("last_reconciliation_timestamp_seconds", "End of the last pass; 0 before any.")
        self._success = self._gauge(
            "last_success_timestamp_seconds", "End of the last pass that did not fail; 0 before any."
        )
        self._positions = self._gauge("positions", "Positions in the last pass that read them.", "source")
        self._drifting = self._gauge("drifting_positions", "Instruments that differ after the last pass.")
        self._pending = self._gauge("pending_positions", "Instruments that differ and cannot be judged yet.")
        self._oldest_pending = self._gauge(
            "oldest_pending_timestamp_seconds", "Since when the oldest pending instrument differs."
        )
        self._drift = _PositionDrift()
        registry.register(self._drift)
        self._drift_value = self._gauge("drift_value_dollars", "Value of what differs, as far as prices are known.")
        self._drifts = self._counter("drifts", "Confirmed drifts, once each.", "kind", "cause")
        self._detection = self._histogram(
            "detection_seconds",
            "From the last known fill of what drifts, else the first sighting, to its verdict.",
            _DETECTION_S,
        )
        self._conflicts = self._counter("conflicts", "Conflicts opened.", "kind", "cause", "resolution")
        self._conflicts_open = self._gauge("conflicts_open", "Conflicts that wait for an operator.")
        self._oldest_conflict = self._gauge(
            "oldest_open_conflict_timestamp_seconds", "Since when the oldest open conflict is open."
        )
        self._holds_open = self._gauge("holds_open", "Instruments held until something is proven.")
        self._accepted = self._gauge("accepted_differences", "Differences that an operator has accepted.")
        self._blocked = self._gauge("account_blocked", "1 while the broker has blocked or closed the account.")
        self._gate = self._gauge("gate", "1 for the answer that bots get.", "state")
        self._stream = self._gauge("stream_connected", "1 while the account's stream is connected.")
        self._stream_events = self._counter("stream_events", "Events of the account's stream.", "event")
        self._heard = {
            (each, event): self._stream_events.labels(each, event) for each in accounts for event in STREAM_EVENTS
        }
        self._stream_reconnects = self._counter("stream_reconnects", "Connections after the first.")
        self._missed = self._counter("missed_events", "Fills that REST told and the connected stream did not.")
        self._requests = self._counter("broker_requests", "Requests to the broker.", "endpoint", "code")
        self._request_duration = self._histogram(
            "broker_request_duration_seconds", "Time until the broker's answer.", _REQUEST_S
        )
        self._rate_limit = self._gauge("broker_rate_limit_remaining", "Requests left, as last told by the broker.")
        self._clock_offset = self._gauge("clock_offset_seconds", "Broker's time minus local time, ±1 s.")
        self._commit = Histogram(
            "recond_ledger_commit_duration_seconds",
            "Time to write a pass.",
            buckets=_COMMIT_S,
            registry=registry,
        )
        self._lag = Histogram(
            "recond_event_loop_lag_seconds", "How late the loop came round.", buckets=_LAG_S, registry=registry
        )
        for account in accounts:
            self._begin(account)

    def record(self, run: Run) -> None:
        """Count a run. What a failed pass could not see keeps its last value."""
        account, ended = run.account, run.finished_at.timestamp()
        self._runs.labels(account, run.reasons[0], run.status).inc()
        self._duration.labels(account).observe(run.duration_s)
        self._last.labels(account).set(ended)
        self._missed.labels(account).inc(run.missed_events)
        for ago_s in (outcome.drift.moved_ago_s for outcome in run.found):
            if ago_s is not None:
                self._detection.labels(account).observe(ago_s)
        found = Tally((outcome.drift.kind, outcome.explanation.cause) for outcome in run.found)
        for drift_labels, count in found.items():
            self._drifts.labels(account, *drift_labels).inc(count)
        opened_now = Tally((c.kind, c.cause, c.resolution) for c in run.opened_conflicts)
        for conflict_labels, count in opened_now.items():
            self._conflicts.labels(account, *conflict_labels).inc(count)
        opened = [conflict.opened_at.timestamp() for conflict in run.open_conflicts]
        self._conflicts_open.labels(account).set(len(opened))
        _set_oldest(self._oldest_conflict, account, opened)
        self._holds_open.labels(account).set(len(run.open_holds))
        if run.broker_positions is not None:
            self._positions.labels(account, "broker").set(run.broker_positions)
        if run.db_positions is not None:
            self._positions.labels(account, "ledger").set(run.db_positions)
        if run.status is not RunStatus.FAILED:
            self._success.labels(account).set(ended)
            self._record_drift(run)

    def _record_drift(self, run: Run) -> None:
        """What differs once the pass is over: pending, or confirmed and neither corrected nor accepted."""
        account = run.account
        standing = [o.drift for o in run.outcomes if not o.corrections and o.resolution is not Resolution.USE_DB]
        differences = {pending.instrument.symbol: pending.broker - pending.ledger for pending in run.pending}
        differences |= {drift.instrument.symbol: drift.difference for drift in standing}
        self._drifting.labels(account).set(len(differences))
        self._accepted.labels(account).set(len(run.accepted))
        state = run.account_state
        if state is not None:
            self._blocked.labels(account).set(
                state.status != "ACTIVE" or bool(state.account_blocked) or bool(state.trading_blocked)
            )
        self._drift.standing[account] = differences
        self._drift_value.labels(account).set(float(sum(map(_value, standing))))
        self._pending.labels(account).set(len(run.pending))
        # Pending knows monotonic moments only, and the run has just finished.
        ended, now_s = run.finished_at.timestamp(), time.monotonic()
        _set_oldest(self._oldest_pending, account, [ended - now_s + pending.since_s for pending in run.pending])

    def gate_from(self, state_of: Callable[[str], GateState], accounts: Sequence[str]) -> None:
        """Ask for the gate's answer at each scrape, since it depends on the age of the last success."""

        def ask(account: str, state: GateState) -> Callable[[], float]:
            return lambda: float(state_of(account) is state)

        for account in accounts:
            for state in GateState:
                self._gate.labels(account, state).set_function(ask(account, state))

    def request(self, account: str, endpoint: str, code: str, duration_s: float) -> None:
        """One request; `code` is the HTTP status, or a word such as `timeout` when there was none."""
        self._requests.labels(account, endpoint, code).inc()
        self._request_duration.labels(account).observe(duration_s)

    def usage(self, account: str, usage: Usage) -> None:
        """What the broker's answers said about limits and time; unknown leaves the last value."""
        if usage.limit_remaining is not None:
            self._rate_limit.labels(account).set(usage.limit_remaining)
        if usage.clock_offset_s is not None:
            self._clock_offset.labels(account).set(usage.clock_offset_s)

    def stream(self, account: str, *, connected: bool) -> None:
        """The account's stream came or went."""
        self._stream.labels(account).set(connected)

    def stream_reconnected(self, account: str) -> None:
        """The account's stream was connected again."""
        self._stream_reconnects.labels(account).inc()

    def stream_event(self, account: str, event: str) -> None:
        """One event; those without a series of their own count as `other`, since a server chooses their names."""
        self._heard[account, event if event in STREAM_EVENTS else "other"].inc()

    def commit(self, duration_s: float) -> None:
        """Time that writing one pass took."""
        self._commit.observe(duration_s)

    def loop_lag(self, lag_s: float) -> None:
        """How much later than asked for the event loop came round."""
        self._lag.observe(lag_s)

    def _begin(self, account: str) -> None:
        """Let the account's series exist: `increase` and alerts need a value before the first event."""
        self._drift.standing[account] = {}
        for reason in Reason:
            for status in RunStatus:
                self._runs.labels(account, reason, status)
        for kind in Kind:
            for cause in Cause:
                self._drifts.labels(account, kind, cause)
                for resolution in (Resolution.USE_BROKER, Resolution.MANUAL):
                    self._conflicts.labels(account, kind, cause, resolution)
        for endpoint in ENDPOINTS:
            self._requests.labels(account, endpoint, "200")
        for state in GateState:
            self._gate.labels(account, state).set(state is GateState.UNKNOWN)
        for series in (
            self._duration, self._last, self._success, self._drifting, self._pending, self._drift_value,
            self._conflicts_open, self._holds_open, self._accepted, self._blocked, self._stream,
            self._stream_reconnects, self._missed, self._request_duration, self._detection,
        ):  # fmt: skip
            series.labels(account)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"recond_{name}", text, ("account", *labels), registry=self._registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"recond_{name}", text, ("account", *labels), registry=self._registry)

    def _histogram(self, name: str, text: str, buckets: Sequence[float]) -> Histogram:
        return Histogram(f"recond_{name}", text, ("account",), buckets=buckets, registry=self._registry)


class _PositionDrift(Collector):
    """`recond_position_drift`, made at each scrape: ten thousand series would hold up a pass."""

    def __init__(self) -> None:
        self.standing: dict[str, Mapping[str, Decimal]] = {}

    def collect(self) -> Iterable[Metric]:
        """One sample for each instrument that differs now."""
        family = GaugeMetricFamily(
            "recond_position_drift", "Broker minus ledger, only while they differ.", labels=("account", "symbol")
        )
        for account, differences in self.standing.items():
            for symbol, difference in differences.items():
                family.add_metric((account, symbol), float(difference))
        yield family


def _set_oldest(gauge: Gauge, account: str, moments: Sequence[float]) -> None:
    """The smallest moment; without any there is no series, since 0 would read as very old."""
    if moments:
        gauge.labels(account).set(min(moments))
    else:
        gauge.remove(account)


def _value(drift: Drift) -> Decimal:
    """What a difference is worth: at the broker's value of the position, else at the ledger's entry prices."""
    position = drift.position
    if position is not None and position.market_value is not None:
        return abs(position.market_value / position.quantity * drift.difference)
    worth = (abs(row.quantity * row.entry_price) for row in drift.rows if row.entry_price is not None)
    # Prices of standard options are per share, and a contract is of 100.
    return sum(worth, Decimal(0)) * (100 if drift.instrument.asset_class == "us_option" else 1)

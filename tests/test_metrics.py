"""What Prometheus sees of runs and measurements, through the text it scrapes."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from recond.core.gate import GateState
from recond.core.model import (
    Accepted,
    AccountState,
    BrokerPosition,
    Cause,
    Conflict,
    Drift,
    Hold,
    Instrument,
    Kind,
    LedgerRow,
    Resolution,
)
from recond.core.run import (
    AcceptedNow,
    Action,
    Correction,
    Explanation,
    Outcome,
    Pending,
    Problem,
    Reason,
    Run,
    RunStatus,
)
from recond.metrics import Metrics
from recond.ports import Usage

ENDED = datetime(2026, 1, 2, 15, 0, tzinfo=UTC)
APPLE = Instrument("us_equity", "AAPL")
CALL = Instrument("us_option", "AAPL260116C00200000")
RUN = Run(
    id=1,
    account="a",
    user_id=1,
    sequence=1,
    reasons=(Reason.TIMER, Reason.HTTP),
    started_at=ENDED - timedelta(seconds=1),
    finished_at=ENDED,
    duration_s=1.0,
    status=RunStatus.SUCCESS,
    broker_positions=3,
    db_positions=2,
)


class Scraped:
    """Metrics of two accounts, and the value of any series of them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry, ("a", "b"), version="1.2.3")

    def series(self) -> dict[str, float]:
        """Every series that is exposed, by its name and labels as written."""
        lines = generate_latest(self.registry).decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}


def outcome(
    instrument: Instrument, broker: str, ledger: str, *, resolution: Resolution, kind: Kind = Kind.QUANTITY
) -> Outcome:
    """A confirmed drift of an instrument worth 100 each, corrected unless it is left to an operator."""
    quantities = Decimal(broker), Decimal(ledger)
    row = LedgerRow(1, instrument.symbol, None, None, quantities[1], 1, entry_price=Decimal(2))
    position = BrokerPosition(instrument, "id", quantities[0], market_value=100 * quantities[0])
    drift = Drift(instrument, kind, *quantities, position if quantities[0] else None, (row,))
    conflict = Conflict(None, instrument, kind, Cause.UNEXPLAINED, *quantities, resolution, ENDED, ENDED)
    if resolution is Resolution.MANUAL:
        return Outcome(drift, Explanation(Cause.UNEXPLAINED), resolution, conflict=conflict)
    done = Correction(Action.SET, instrument, row, None, quantities[1], quantities[0], Cause.UNEXPLAINED)
    conflict = replace(conflict, resolved_at=ENDED, resolved_by="use_broker")
    return Outcome(drift, Explanation(Cause.UNEXPLAINED), resolution, (done,), conflict)


def test_series_exist_before_anything_happened() -> None:
    """Counters of all known labels stand at 0, so that `increase` sees the first event, and the gate is unknown."""
    series = Scraped().series()
    for account in ("a", "b"):
        for name in (
            f'recond_reconciliations_total{{account="{account}",status="failed",trigger="timer"}}',
            f'recond_drifts_total{{account="{account}",cause="double_booking",kind="quantity"}}',
            f'recond_conflicts_total{{account="{account}",cause="unexplained",kind="quantity",resolution="manual"}}',
            f'recond_broker_requests_total{{account="{account}",code="200",endpoint="positions"}}',
            f'recond_last_success_timestamp_seconds{{account="{account}"}}',
            f'recond_conflicts_open{{account="{account}"}}',
            f'recond_holds_open{{account="{account}"}}',
            f'recond_accepted_differences{{account="{account}"}}',
            f'recond_account_blocked{{account="{account}"}}',
            f'recond_stream_connected{{account="{account}"}}',
            f'recond_reconciliation_duration_seconds_count{{account="{account}"}}',
            f'recond_detection_seconds_count{{account="{account}"}}',
        ):
            assert series[name] == 0
        assert series[f'recond_gate{{account="{account}",state="unknown"}}'] == 1
        assert series[f'recond_gate{{account="{account}",state="clear"}}'] == 0
    assert any(name.startswith("recond_build_info{") and 'version="1.2.3"' in name for name in series)
    assert not any("positions{" in name and "source" in name for name in series), "unknown is not 0"


async def test_a_clean_run() -> None:
    """A pass is counted under its first reason, with its time, its end and both counts, for its account only."""
    scraped = Scraped()
    scraped.metrics.record(RUN)
    series = scraped.series()
    assert series['recond_reconciliations_total{account="a",status="success",trigger="timer"}'] == 1
    assert sum(value for name, value in series.items() if name.startswith("recond_reconciliations_total")) == 1
    assert series['recond_reconciliation_duration_seconds_sum{account="a"}'] == 1
    assert series['recond_last_reconciliation_timestamp_seconds{account="a"}'] == ENDED.timestamp()
    assert series['recond_last_success_timestamp_seconds{account="a"}'] == ENDED.timestamp()
    assert series['recond_last_success_timestamp_seconds{account="b"}'] == 0
    assert series['recond_positions{account="a",source="broker"}'] == 3
    assert series['recond_positions{account="a",source="ledger"}'] == 2


async def test_drifts_and_conflicts() -> None:
    """A drift and a conflict count once however often they are seen; only what still differs is shown as drifting."""
    scraped = Scraped()
    manual = outcome(APPLE, "3", "1", resolution=Resolution.MANUAL)
    corrected = outcome(CALL, "5", "4", resolution=Resolution.USE_BROKER)
    scraped.metrics.record(replace(RUN, status=RunStatus.PARTIAL, outcomes=(manual, corrected)))
    seen = manual.conflict
    assert seen is not None
    seen = replace(seen, sightings=2)
    scraped.metrics.record(replace(RUN, status=RunStatus.PARTIAL, outcomes=(replace(manual, conflict=seen),)))
    series = scraped.series()
    assert series['recond_drifts_total{account="a",cause="unexplained",kind="quantity"}'] == 2
    for resolution in ("manual", "use_broker"):
        labels = f'account="a",cause="unexplained",kind="quantity",resolution="{resolution}"'
        assert series[f"recond_conflicts_total{{{labels}}}"] == 1
    assert series['recond_conflicts_open{account="a"}'] == 1
    assert series['recond_oldest_open_conflict_timestamp_seconds{account="a"}'] == ENDED.timestamp()
    assert series['recond_drifting_positions{account="a"}'] == 1
    assert series['recond_position_drift{account="a",symbol="AAPL"}'] == 2
    assert series['recond_drift_value_dollars{account="a"}'] == 200
    scraped.metrics.record(RUN)
    series = scraped.series()
    assert series['recond_conflicts_open{account="a"}'] == 0
    assert series['recond_drifting_positions{account="a"}'] == 0
    assert not any(name.startswith(("recond_position_drift{", "recond_oldest_")) for name in series)


async def test_accepted_differences_and_blocked_accounts() -> None:
    """Both are as the last pass had them; a failed pass leaves them, and an unknown account is not blocked."""
    scraped = Scraped()
    accepted = AcceptedNow(Accepted(APPLE, Decimal(2), ENDED, "ann"), Decimal(3), Decimal(1))
    sound = AccountState("id", "ACTIVE", trading_blocked=False, account_blocked=False)
    scraped.metrics.record(replace(RUN, accepted=(accepted,)))
    for state in (
        replace(sound, status="ACCOUNT_CLOSED"),
        replace(sound, status="ACCOUNT_CLOSED_PENDING"),
        replace(sound, trading_blocked=True),
        replace(sound, account_blocked=True),
    ):
        assert scraped.series()['recond_account_blocked{account="a"}'] == 0
        scraped.metrics.record(replace(RUN, accepted=(accepted,), account_state=state))
        scraped.metrics.record(replace(RUN, status=RunStatus.FAILED, error=Problem("no answer")))
        assert scraped.series()['recond_account_blocked{account="a"}'] == 1
        assert scraped.series()['recond_accepted_differences{account="a"}'] == 1
        scraped.metrics.record(replace(RUN, account_state=sound))
    assert scraped.series()['recond_accepted_differences{account="a"}'] == 0


async def test_a_double_booking_is_counted() -> None:
    """It has a series of its own, for those who look for bots that book twice."""
    scraped = Scraped()
    undone = outcome(APPLE, "3", "5", resolution=Resolution.USE_BROKER)
    undone = replace(undone, explanation=Explanation(Cause.DOUBLE_BOOKING))
    scraped.metrics.record(replace(RUN, outcomes=(undone,)))
    assert scraped.series()['recond_drifts_total{account="a",cause="double_booking",kind="quantity"}'] == 1


async def test_the_time_to_a_verdict_is_told_once() -> None:
    """It counts from the moment that the drift carries, when the run first tells of it and not again."""
    scraped = Scraped()
    manual = outcome(APPLE, "3", "1", resolution=Resolution.MANUAL)
    assert manual.conflict is not None
    moved = replace(manual.drift, moved_ago_s=17.5)
    seen = replace(manual.conflict, sightings=2)
    for conflict in (manual.conflict, seen):
        told = replace(manual, drift=moved, conflict=conflict)
        scraped.metrics.record(replace(RUN, status=RunStatus.PARTIAL, outcomes=(told,)))
    series = scraped.series()
    assert series['recond_detection_seconds_count{account="a"}'] == 1
    assert series['recond_detection_seconds_sum{account="a"}'] == 17.5
    assert series['recond_detection_seconds_bucket{account="a",le="15.0"}'] == 0
    assert series['recond_detection_seconds_bucket{account="a",le="20.0"}'] == 1


async def test_a_position_that_is_gone_is_worth_its_entry_price() -> None:
    """Without a broker position the rows' entry prices count, times 100 for an option."""
    scraped = Scraped()
    gone = [
        outcome(instrument, "0", "-3", resolution=Resolution.MANUAL, kind=Kind.MISSING_AT_BROKER)
        for instrument in (APPLE, CALL)
    ]
    scraped.metrics.record(replace(RUN, status=RunStatus.PARTIAL, outcomes=tuple(gone)))
    assert scraped.series()['recond_drift_value_dollars{account="a"}'] == 606


async def test_pending_and_holds() -> None:
    """A pending instrument is shown as drifting since its first sighting, a hold as open."""
    scraped = Scraped()
    since_s = asyncio.get_running_loop().time() - 30
    pending = Pending(APPLE, Kind.QUANTITY, Decimal(1), Decimal("2.5"), since_s, since_s + 60, "young")
    hold = Hold(1, CALL, "vanished", Decimal(0), Decimal(1), ENDED)
    scraped.metrics.record(replace(RUN, status=RunStatus.PARTIAL, pending=(pending,), carried_holds=(hold,)))
    series = scraped.series()
    assert series['recond_pending_positions{account="a"}'] == 1
    assert series['recond_position_drift{account="a",symbol="AAPL"}'] == -1.5
    assert series['recond_holds_open{account="a"}'] == 1
    oldest = series['recond_oldest_pending_timestamp_seconds{account="a"}']
    assert oldest == pytest.approx(ENDED.timestamp() - 30, abs=1)


async def test_a_failed_run_forgets_nothing() -> None:
    """A pass that could not read leaves what was known: last success, counts and drifts, and counts as failed."""
    scraped = Scraped()
    manual = outcome(APPLE, "3", "1", resolution=Resolution.MANUAL)
    scraped.metrics.record(replace(RUN, status=RunStatus.PARTIAL, outcomes=(manual,)))
    assert manual.conflict is not None
    failed = replace(
        RUN,
        status=RunStatus.FAILED,
        finished_at=ENDED + timedelta(minutes=5),
        broker_positions=None,
        db_positions=None,
        carried_conflicts=(manual.conflict,),
        error=Problem("no answer"),
    )
    scraped.metrics.record(failed)
    series = scraped.series()
    assert series['recond_reconciliations_total{account="a",status="failed",trigger="timer"}'] == 1
    assert series['recond_last_reconciliation_timestamp_seconds{account="a"}'] == ENDED.timestamp() + 300
    assert series['recond_last_success_timestamp_seconds{account="a"}'] == ENDED.timestamp()
    assert series['recond_positions{account="a",source="broker"}'] == 3
    assert series['recond_position_drift{account="a",symbol="AAPL"}'] == 2
    assert series['recond_conflicts_open{account="a"}'] == 1


def test_the_gate_is_asked_at_each_scrape() -> None:
    """The gate's series follow the answer without any run, since a success grows old by itself."""
    scraped = Scraped()
    answers = {"a": GateState.CLEAR, "b": GateState.CLEAR}
    scraped.metrics.gate_from(answers.__getitem__, ("a", "b"))
    assert scraped.series()['recond_gate{account="a",state="clear"}'] == 1
    answers["a"] = GateState.BLOCKED
    series = scraped.series()
    states = [series[f'recond_gate{{account="a",state="{state}"}}'] for state in ("clear", "blocked", "unknown")]
    assert states == [0, 1, 0]
    assert series['recond_gate{account="b",state="clear"}'] == 1


def test_measurements() -> None:
    """Requests, limits, clock, stream, commits and loop lag arrive in their series; unknown leaves none."""
    scraped = Scraped()
    metrics = scraped.metrics
    metrics.request("a", "positions", "429", 0.2)
    metrics.usage("a", Usage())
    assert not any(name.startswith(("recond_broker_rate", "recond_clock")) for name in scraped.series())
    metrics.usage("a", Usage(limit_remaining=0, clock_offset_s=-1.0))
    metrics.stream("a", connected=True)
    metrics.stream_reconnected("a")
    metrics.stream_event("a", "fill")
    metrics.stream_event("a", "invented by the server")
    metrics.commit(0.01)
    metrics.loop_lag(0.02)
    series = scraped.series()
    for name, value in (
        ('broker_requests_total{account="a",code="429",endpoint="positions"}', 1),
        ('broker_request_duration_seconds_sum{account="a"}', 0.2),
        ('broker_rate_limit_remaining{account="a"}', 0),
        ('clock_offset_seconds{account="a"}', -1),
        ('stream_connected{account="a"}', 1),
        ('stream_reconnects_total{account="a"}', 1),
        ('stream_events_total{account="a",event="fill"}', 1),
        ('stream_events_total{account="a",event="other"}', 1),
        ("ledger_commit_duration_seconds_sum", 0.01),
        ("event_loop_lag_seconds_sum", 0.02),
    ):
        assert series[f"recond_{name}"] == value


def test_two_daemons_fit_into_one_process() -> None:
    """Nothing is registered but in the registry given, so that two sets do not meet."""
    first, second = Scraped(), Scraped()
    first.metrics.commit(1)
    assert second.series()["recond_ledger_commit_duration_seconds_count"] == 0


async def exposition() -> bytes:
    """What is scraped once every kind of series has been touched."""
    scraped = Scraped()
    manual = outcome(APPLE, "3", "1", resolution=Resolution.MANUAL)
    pending = Pending(CALL, Kind.QUANTITY, Decimal(1), Decimal(2), 0.0, 1.0, "young")
    scraped.metrics.record(replace(RUN, status=RunStatus.PARTIAL, outcomes=(manual,), pending=(pending,)))
    scraped.metrics.usage("a", Usage(limit_remaining=1, clock_offset_s=0.0))
    return generate_latest(scraped.registry)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
async def test_promtool_has_nothing_to_say() -> None:
    """`promtool check metrics` accepts every name, help and unit."""
    text = await exposition()
    done = subprocess.run(  # noqa: ASYNC221 - nothing else runs on this loop
        ["promtool", "check", "metrics"], input=text, capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


async def test_alerts_use_what_is_exposed() -> None:
    """Each metric that an alert names is in the exposition, so that no alert waits for a series that never comes."""
    exposed = set(re.findall(r"^(recond_\w+)", (await exposition()).decode(), re.MULTILINE))
    alerts = Path(__file__).parents[1] / "monitoring" / "alerts.yml"
    used = set(re.findall(r"\brecond_[a-z_]+", alerts.read_text(encoding="utf-8")))
    assert used
    assert used <= exposed

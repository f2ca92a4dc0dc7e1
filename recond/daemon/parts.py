"""The parts of the daemon, made from the configuration: each gets the few values that it needs.

Owns the translation from the configuration's words into those of the parts, and who hears of what.
May not run anything, and has no `if` that is not about configuration.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NoReturn

from prometheus_client import CollectorRegistry, generate_latest
from structlog.typing import FilteringBoundLogger

from recond.alpaca.broker import AlpacaBroker
from recond.alpaca.stream import AlpacaStream
from recond.config import Account, Config, Credentials
from recond.core.absence import Guards
from recond.core.judge import Timing
from recond.core.rules import Rules
from recond.core.run import Reason, Run
from recond.evidence import Evidence
from recond.listener import CONNECTED, CONNECTING, listen
from recond.log import log_run
from recond.metrics import Metrics
from recond.ports import Broker, Ledger
from recond.reconcile import Reconciler
from recond.sqlite.ledger import AccountEntry, SqliteLedger
from recond.status import Status
from recond.systemd import Systemd, Watchdog
from recond.triggers import Triggers
from recond.web.server import WebServer

Work = Callable[[], Coroutine[object, object, NoReturn]]

JITTER = 0.1
HORIZON_SETTLES, HORIZON_MIN_S = 3.0, 15.0
"""How far back evidence is kept: readings of two `settle` are judged, by what moved one `settle` before them."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What the accounts of one daemon have in common."""

    config: Config
    log: FilteringBoundLogger
    systemd: Systemd
    watchdog: Watchdog
    metrics: Metrics
    status: Status
    triggers: Mapping[str, Triggers]


def account_reconciler(
    shared: Shared, account: Account, broker: AlpacaBroker, ledger: Ledger, evidence: Evidence
) -> Reconciler:
    """The loop of one account, with all who hear of its runs."""
    name, metrics = account.name, shared.metrics
    return Reconciler(
        rules(shared.config, account),
        broker,
        ledger,
        evidence,
        shared.triggers[name],
        (
            lambda _run: metrics.usage(name, broker.usage()),
            partial(log_run, shared.log),
            shared.status.record,
            partial(_tell_systemd, shared.systemd),
        ),
        aside=(metrics.record,),
        now=utc_now,
        jitter=lambda: random.uniform(1 - JITTER, 1 + JITTER),  # noqa: S311 - spreads load, hides nothing
        came_round=partial(shared.watchdog.came_round, name),
        round_s=shared.watchdog.round_s,
    )


def account_works(
    shared: Shared,
    account: Account,
    credentials: Credentials,
    broker: AlpacaBroker,
    reconciler: Reconciler,
    evidence: Evidence,
) -> dict[str, Work]:
    """The tasks of one account, by a name that says what each does."""
    name, metrics, triggers = account.name, shared.metrics, shared.triggers[account.name]
    works: dict[str, Work] = {f"passes of {name}": reconciler.passes, f"evidence of {name}": evidence.write}
    if account.stream:
        works[f"stream of {name}"] = partial(
            listen,
            name,
            AlpacaStream(credentials.key.reveal(), credentials.secret.reveal(), url=account.stream_url),
            triggers,
            keep=evidence.add,
            on_state=partial(_tell_stream, name, broker, shared.status, metrics, evidence, triggers),
            on_event=partial(metrics.stream_event, name),
            random=random.random,
        )
    return works


def rules(config: Config, account: Account) -> Rules:
    """What the configuration says about one account, in the words of the pass."""
    daemon, tolerance = config.daemon, config.tolerance
    return Rules(
        account=account.name,
        user_id=account.user_id,
        environment=account.environment,
        interval_s=daemon.interval_s,
        timing=Timing(daemon.settle_s, daemon.broker_lag_s, daemon.confirm_after_s, daemon.pending_max_s),
        tolerance={
            "us_equity": tolerance.us_equity,
            "us_option": tolerance.us_option,
            "crypto": tolerance.crypto,
        },
        ignore=frozenset(account.ignore),
        policy=account.policy,
        guards=Guards(config.guards.vanish_min, config.guards.vanish_fraction),
        requests_per_minute=config.guards.requests_per_minute,
        strategies=account.strategies,
        settle_corporate_s=daemon.settle_corporate_s,
    )


def open_ledger(config: Config, on_commit: Callable[[float], None]) -> SqliteLedger:
    """The ledger of this configuration, to be entered."""
    entries = [AccountEntry(account.name, account.user_id, account.environment) for account in config.accounts]
    path = Path(config.ledger.path)
    return SqliteLedger(path, entries, journal=config.ledger.journal, now=utc_now, on_commit=on_commit)


def open_broker(account: Account, credentials: Credentials, metrics: Metrics) -> AlpacaBroker:
    """The broker of one account, to be entered."""
    return AlpacaBroker(
        credentials.key.reveal(),
        credentials.secret.reveal(),
        base_url=account.rest_url,
        on_request=partial(metrics.request, account.name),
    )


def open_web(
    shared: Shared, ledger: Ledger, registry: CollectorRegistry, reconcilers: Mapping[str, Reconciler]
) -> WebServer:
    """The HTTP side, to be entered."""
    http = shared.config.http
    return WebServer(
        http.host,
        http.port,
        status=shared.status,
        triggers=shared.triggers,
        ledger=ledger,
        exposition=partial(generate_latest, registry),
        token=http.token.reveal() if http.token is not None else None,
        hosts=http.hosts,
        now=utc_now,
        previews={name: reconciler.preview for name, reconciler in reconcilers.items()},
    )


def open_evidence(config: Config, account: Account, ledger: Ledger) -> Evidence:
    """The evidence of one account, not loaded yet."""
    settle_s = config.daemon.settle_s
    return Evidence(account.name, ledger, horizon_s=HORIZON_SETTLES * settle_s + HORIZON_MIN_S, late_s=settle_s)


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def _tell_stream(
    account: str, broker: Broker, status: Status, metrics: Metrics, evidence: Evidence, triggers: Triggers, state: str
) -> None:
    """What the listener says of the stream, to all who want to know; one that is gone asks for a look into the gap.

    The gap is on the broker's clock, as what moved in it is; only before its first answer the local one has to do.
    """
    connected, before = state == CONNECTED, status.accounts[account].stream
    now = broker.broker_time() or utc_now()
    if connected:
        evidence.came(now)
    elif evidence.listening:
        evidence.went(now)
        triggers.nudge(Reason.RECONNECT)
    status.stream(account, state, evidence_gap=evidence.gap_since is not None)
    metrics.stream(account, connected=connected)
    if connected and before != CONNECTING:
        metrics.stream_reconnected(account)


def _tell_systemd(systemd: Systemd, run: Run) -> None:
    """One line for `systemctl status`."""
    systemd.status(f"{run.account}: {run.status} at {run.finished_at:%H:%M:%S} UTC")

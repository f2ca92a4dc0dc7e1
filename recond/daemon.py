"""The daemon: open the parts, name the tasks, run until told to stop, close in reverse.

Owns the composition; the only module that knows the configuration and the adapters.
May not decide anything about positions, and has no `if` that is not about configuration.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NoReturn

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from structlog.typing import FilteringBoundLogger

from recond import __version__
from recond.alpaca.broker import AlpacaBroker
from recond.config import Account, Config, Credentials, require_credentials, warnings
from recond.core.absence import Guards
from recond.core.judge import Timing
from recond.core.model import Reason, Run
from recond.listener import watch_ledger
from recond.log import configure, log_run
from recond.metrics import Metrics
from recond.ports import Ledger, LedgerCorrupt, PortError
from recond.reconcile import Reconciler, Rules
from recond.sqlite.ledger import AccountEntry, SqliteLedger
from recond.status import AccountStatus, Status
from recond.systemd import Systemd, Watchdog
from recond.triggers import Triggers
from recond.web.server import CannotListen, WebServer

JITTER = 0.1
LAG_EVERY_S = 0.5


EXIT_FAULT = 1
EXIT_CONFIG = 78


def main(config: Config) -> int:
    """Run the daemon; returns the exit code: 0 told to stop, 1 could not go on, 78 an operator must change something.

    Raises `ConfigError` when keys are missing.
    """
    # What was imported lives as long as the process: a full collection would walk it all and hold up the loop.
    gc.collect()
    gc.freeze()
    configure(config.daemon.log_level, config.daemon.log_format, sys.stdout, os.environ)
    log: FilteringBoundLogger = structlog.get_logger()
    try:
        asyncio.run(serve(config, log))
    except asyncio.CancelledError:
        log.info("recond was told to stop; the ledger is closed")
        return 0
    except (PortError, CannotListen) as error:
        log.error(f"recond cannot go on: {error.message}", hint=error.hint)
        return EXIT_CONFIG if isinstance(error, LedgerCorrupt) else EXIT_FAULT
    raise AssertionError("the daemon ended without being told to")


async def serve(config: Config, log: FilteringBoundLogger) -> None:
    """Run until SIGTERM or SIGINT. Raises `ConfigError`, a port error, `CannotListen`, or the bug that ended it."""
    credentials = require_credentials(config)
    systemd = Systemd(os.environ)
    registry = CollectorRegistry()
    metrics = Metrics(registry, [account.name for account in config.accounts], version=__version__)
    status = Status(
        [AccountStatus(account.name, account.user_id, account.environment) for account in config.accounts],
        interval_s=config.daemon.interval_s,
        warnings=warnings(config),
    )
    metrics.gate_from(lambda name: status.gate(name).state, list(status.accounts))
    triggers = {account.name: Triggers() for account in config.accounts}
    watchdog = Watchdog(systemd, os.environ, list(triggers))
    for warning in status.warnings:
        log.warning(warning)
    async with AsyncExitStack() as parts:
        ledger = await parts.enter_async_context(open_ledger(config, metrics.commit))
        loops: dict[str, Reconciler] = {}
        for account in config.accounts:
            broker = await parts.enter_async_context(open_broker(account, credentials[account.name], metrics))
            observers = (
                metrics.record,
                lambda run, broker=broker: metrics.usage(run.account, broker.usage()),
                partial(log_run, log),
                status.record,
                partial(_tell_systemd, systemd),
            )
            loops[account.name] = Reconciler(
                rules(config, account),
                broker,
                ledger,
                triggers[account.name],
                observers,
                now=utc_now,
                jitter=lambda: random.uniform(1 - JITTER, 1 + JITTER),  # noqa: S311 - spreads load, hides nothing
                came_round=partial(watchdog.came_round, account.name),
                round_s=watchdog.round_s,
            )
        web = await parts.enter_async_context(_web(config, status, triggers, ledger, registry))
        parts.callback(systemd.stopping, "closing the ledger")
        _on_signals(systemd, triggers)
        log.info(f"recond {__version__} watches {', '.join(loops)} and answers at {web.url}", url=web.url)
        systemd.ready(f"answers at {web.url}")
        await _run_tasks(
            {
                **{f"passes of {name}": loop.passes() for name, loop in loops.items()},
                "ledger watcher": watch_ledger(ledger, triggers),
                "event loop's lag": _measure_lag(metrics),
            }
        )


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


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def _web(
    config: Config, status: Status, triggers: Mapping[str, Triggers], ledger: Ledger, registry: CollectorRegistry
) -> WebServer:
    """The HTTP side, to be entered."""
    http = config.http
    return WebServer(
        http.host,
        http.port,
        status=status,
        triggers=triggers,
        ledger=ledger,
        exposition=partial(generate_latest, registry),
        token=http.token.reveal() if http.token is not None else None,
        hosts=http.hosts,
        now=utc_now,
    )


def _on_signals(systemd: Systemd, triggers: Mapping[str, Triggers]) -> None:
    """SIGHUP forces a pass of every account; SIGTERM and SIGINT end the task that runs the daemon, once."""
    loop, main = asyncio.get_running_loop(), asyncio.current_task()
    assert main is not None

    def force() -> None:
        systemd.reloading()
        for account in triggers.values():
            account.nudge(Reason.SIGHUP)
        systemd.ready("pass forced by SIGHUP")

    def stop(number: signal.Signals) -> None:
        loop.remove_signal_handler(number)
        main.cancel()

    loop.add_signal_handler(signal.SIGHUP, force)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)


async def _run_tasks(works: Mapping[str, Coroutine[object, object, NoReturn]]) -> NoReturn:
    """Run what must not end until one of them does, which is a fault; raises what ended it."""
    try:
        async with asyncio.TaskGroup() as tasks:
            for name, work in works.items():
                tasks.create_task(_forever(name, work), name=name)
    except* PortError as errors:
        raise errors.exceptions[0] from None
    raise AssertionError("tasks that never end have ended")


async def _forever(name: str, work: Coroutine[object, object, NoReturn]) -> NoReturn:
    """Run a task that must not end; one that returns is a fault like one that raises."""
    await work
    raise RuntimeError(f"the task {name!r} ended")


async def _measure_lag(metrics: Metrics) -> NoReturn:
    """Tell the metrics how late the event loop comes round."""
    loop = asyncio.get_running_loop()
    while True:
        began_s = loop.time()
        await asyncio.sleep(LAG_EVERY_S)
        metrics.loop_lag(max(0.0, loop.time() - began_s - LAG_EVERY_S))


def _tell_systemd(systemd: Systemd, run: Run) -> None:
    """One line for `systemctl status`."""
    systemd.status(f"{run.account}: {run.status} at {run.finished_at:%H:%M:%S} UTC")

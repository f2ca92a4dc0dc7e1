"""The life of the daemon: open the parts, name the tasks, run until told to stop, close in reverse.

Owns the order of opening and closing, the signals, and what ends the process with which exit code.
May not decide anything about positions, or go on when one of its tasks has ended.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import NoReturn

import structlog
from prometheus_client import CollectorRegistry, ProcessCollector
from structlog.typing import FilteringBoundLogger

from recond import __version__
from recond.config import Config, require_credentials, warnings
from recond.core.run import Reason
from recond.daemon.parts import (
    Shared,
    Work,
    account_reconciler,
    account_works,
    open_broker,
    open_evidence,
    open_ledger,
    open_web,
    utc_now,
)
from recond.daemon.retention import forget_old
from recond.listener import watch_ledger
from recond.log import configure
from recond.metrics import Metrics
from recond.ports import PortError
from recond.reconcile import Reconciler
from recond.status import AccountStatus, Status
from recond.systemd import Systemd, Watchdog
from recond.triggers import Triggers
from recond.web.server import CannotListen

EXIT_FAULT = 1
EXIT_CONFIG = 78
LAG_EVERY_S = 0.5


def main(config: Config) -> int:
    """Run the daemon; returns the exit code: 0 told to stop, 1 could not go on.

    Raises `ConfigError` when keys are missing.
    """
    spare_the_loop()
    configure(config.daemon.log_level, config.daemon.log_format, sys.stdout, os.environ)
    log: FilteringBoundLogger = structlog.get_logger()
    try:
        asyncio.run(serve(config, log))
    except asyncio.CancelledError:
        log.info("recond was told to stop; the ledger is closed")
        return 0
    except (PortError, CannotListen) as error:
        log.error(f"recond cannot go on: {error.message}", hint=error.hint)
        return EXIT_FAULT
    raise AssertionError("the daemon ended without being told to")


def spare_the_loop() -> None:
    """Keep the garbage collector and busy threads from holding up the event loop; `bench/passes.py` shows both.

    A collection stops every thread. What was imported lives as long as the process and is left out of it; what a pass
    over 10,000 positions makes takes 0.1 s to walk and is freed without that, so it is walked ten thousand times less
    often than usual, and young objects in smaller portions. A thread that works gives way after 0.5 ms instead of 5,
    since the event loop waits for that several times in each of its rounds.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(700, 3, 100_000)
    sys.setswitchinterval(0.0005)


async def serve(config: Config, log: FilteringBoundLogger) -> NoReturn:
    """Run until SIGTERM or SIGINT. Raises `ConfigError`, a port error, `CannotListen`, or the bug that ended it."""
    credentials = require_credentials(config)
    names = [account.name for account in config.accounts]
    registry, systemd = CollectorRegistry(), Systemd(os.environ)
    ProcessCollector(registry=registry)
    shared = Shared(
        config=config,
        log=log,
        systemd=systemd,
        watchdog=Watchdog(systemd, os.environ, names),
        metrics=Metrics(registry, names, version=__version__),
        status=Status(
            [
                AccountStatus(each.name, each.user_id, each.environment, strategies=tuple(each.strategies))
                for each in config.accounts
            ],
            interval_s=config.daemon.interval_s,
            warnings=warnings(config),
        ),
        triggers={name: Triggers() for name in names},
    )
    shared.metrics.gate_from(lambda name: shared.status.gate(name).state, names)
    for warning in shared.status.warnings:
        log.warning(warning)
    async with AsyncExitStack() as parts:
        ledger = await parts.enter_async_context(open_ledger(config, shared.metrics.commit))
        works: dict[str, Work] = {
            "ledger watcher": partial(watch_ledger, ledger, shared.triggers),
            "event loop's lag": partial(_measure_lag, shared.metrics),
            "retention": partial(forget_old, ledger, config.ledger.retention_s, utc_now),
        }
        reconcilers: dict[str, Reconciler] = {}
        for account in config.accounts:
            keys = credentials[account.name]
            broker = await parts.enter_async_context(open_broker(account, keys, shared.metrics))
            evidence = open_evidence(config, account, ledger)
            await evidence.load(utc_now())
            reconciler = account_reconciler(shared, account, broker, ledger, evidence)
            works |= account_works(shared, account, keys, broker, reconciler, evidence)
            reconcilers[account.name] = reconciler
        web = await parts.enter_async_context(open_web(shared, ledger, registry, reconcilers))
        parts.callback(systemd.stopping, "closing the ledger")
        _on_signals(systemd, shared.triggers)
        log.info(f"recond {__version__} watches {', '.join(names)} and answers at {web.url}", url=web.url)
        systemd.ready(f"answers at {web.url}")
        await _run_tasks(works)


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


async def _run_tasks(works: Mapping[str, Work]) -> NoReturn:
    """Run what must not end until one of them does, which is a fault; raises what ended it."""
    try:
        async with asyncio.TaskGroup() as tasks:
            for name, work in works.items():
                tasks.create_task(_forever(name, work), name=name)
    except BaseExceptionGroup as ended:
        # Not `except*`: what that raises anew comes wrapped in a group again on Python 3.11.2, which is Debian 12's.
        faults, others = ended.split(PortError)
        if faults is None or others is not None:
            raise
        raise faults.exceptions[0] from None
    raise AssertionError("tasks that never end have ended")


async def _forever(name: str, work: Work) -> NoReturn:
    """Run a task that must not end; one that returns is a fault like one that raises."""
    await work()
    raise RuntimeError(f"the task {name!r} ended")


async def _measure_lag(metrics: Metrics) -> NoReturn:
    """Tell the metrics how late the event loop comes round."""
    loop = asyncio.get_running_loop()
    while True:
        began_s = loop.time()
        await asyncio.sleep(LAG_EVERY_S)
        metrics.loop_lag(max(0.0, loop.time() - began_s - LAG_EVERY_S))

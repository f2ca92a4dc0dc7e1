"""What is known now: the last run of each account, when it last succeeded, and who waits for the next.

Owns that knowledge in memory; it is gone with the process, and a fresh process knows nothing.
May not read the broker or the ledger, or be written by anything but runs and the stream's own state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from recond.core.gate import Gate, account_gate, symbol_gate
from recond.core.run import Run, RunStatus

GATE_AGE_INTERVALS = 2


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """One account as known now. `success_at` and the monotonic `success_s` are of the last pass that did not fail.

    `stream` is `off`, or what the listener last said. `strategies` are those that are configured.
    """

    name: str
    user_id: int
    environment: str
    last_run: Run | None = None
    success_at: datetime | None = None
    success_s: float | None = None
    stream: str = "off"
    evidence_gap: bool = False
    strategies: tuple[str, ...] = ()


class Status:
    """The last run per account, as an observer of runs; on one event loop."""

    def __init__(self, accounts: Sequence[AccountStatus], *, interval_s: float, warnings: Sequence[str] = ()) -> None:
        self.interval_s = interval_s
        self.warnings = tuple(warnings)
        self._accounts = {account.name: account for account in accounts}
        self._waiters: dict[str, dict[asyncio.Future[Run], int]] = {account.name: {} for account in accounts}

    @property
    def accounts(self) -> Mapping[str, AccountStatus]:
        """All accounts by name, in the order of the configuration."""
        return self._accounts

    def record(self, run: Run) -> None:
        """Take note of a run and answer those who wait for it."""
        known = replace(self._accounts[run.account], last_run=run, evidence_gap=run.evidence_gap)
        if run.status is not RunStatus.FAILED:
            known = replace(known, success_at=run.finished_at, success_s=asyncio.get_running_loop().time())
        self._accounts[run.account] = known
        waiters = self._waiters[run.account]
        for waiter, sequence in list(waiters.items()):
            if run.sequence >= sequence:
                del waiters[waiter]
                if not waiter.done():
                    waiter.set_result(run)

    def stream(self, account: str, state: str, *, evidence_gap: bool) -> None:
        """Take note of what the listener says of the account's stream, and whether that may have lost something."""
        self._accounts[account] = replace(self._accounts[account], stream=state, evidence_gap=evidence_gap)

    async def run_from(self, account: str, sequence: int) -> Run:
        """The first run of the account that has this number or a later one; waits for it without bound."""
        last = self._accounts[account].last_run
        if last is not None and last.sequence >= sequence:
            return last
        waiter: asyncio.Future[Run] = asyncio.get_running_loop().create_future()
        self._waiters[account][waiter] = sequence
        try:
            return await waiter
        finally:
            self._waiters[account].pop(waiter, None)

    def success_age_s(self, account: str) -> float | None:
        """Seconds since the account's last pass that did not fail; None when there is none."""
        moment = self._accounts[account].success_s
        return None if moment is None else asyncio.get_running_loop().time() - moment

    def gate(self, account: str, symbol: str | None = None, max_age_s: float | None = None) -> Gate:
        """May the account (or one symbol of it) be traded, from what is known now."""
        limit_s = GATE_AGE_INTERVALS * self.interval_s if max_age_s is None else max_age_s
        known, age_s = self._accounts[account], self.success_age_s(account)
        run = known.last_run
        if run is not None and known.evidence_gap:
            run = replace(run, evidence_gap=True)
        if symbol is None:
            return account_gate(run, age_s, limit_s)
        return symbol_gate(run, symbol, age_s, limit_s)
